"""The command line: ``optibench COMMAND``.

Nothing heavy is imported before a command needs it: ``--help`` and ``list`` load no torch, smac or scikit-learn.
Whatever the user can fix is one sentence on standard error and exit status 2.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optibench.cli.listing import SECTIONS
from optibench.numbers import whole
from optibench.paths import expanded


class _Parser(argparse.ArgumentParser):
    """Takes options by their whole names only, and answers a wrong word with the closest known one."""

    fill: Callable[[argparse.ArgumentParser], None] | None = None
    """Adds the arguments once they are needed, and not for the help of another command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`.\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self.fill is not None:
            self.fill(self)
        namespace, rest = super().parse_known_args(args, namespace)
        if rest and rest[0].startswith("-"):
            word = rest[0].partition("=")[0]
            self.error(f"unknown option {word}{_closest(word, self._option_string_actions)}")
        if rest:
            self.error(f"unexpected argument {rest[0]!r}")
        return namespace, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            words = [str(choice) for choice in action.choices]
            hint = _closest(str(value), words) or f" (choose from {', '.join(words)})"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}{hint}")


def _closest(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


class _Version(argparse.Action):
    """Looks the version up only when asked: that costs as much as all the rest of ``--help``."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"optibench {version('optiformer-bench')}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _build_parser()
    arguments = parser.parse_args(argv)
    arguments.words = list(sys.argv[1:] if argv is None else argv)
    from optibench import threads

    threads.respect_quota()
    from optibench.cli import commands

    try:
        if os.environ.get("OPTIBENCH_EXTERNAL"):
            from optibench import external

            external.registered()
        return int(getattr(commands, arguments.command)(arguments) or 0)
    except KeyboardInterrupt:
        print("optibench: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `optibench list | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        if not isinstance(error, _user_errors()):
            raise
        print(f"optibench: {error}", file=sys.stderr)
        return 2


def _user_errors() -> tuple[type[Exception], ...]:
    """What the user can fix; looked up only once something went wrong, for the imports cost time."""
    from optibench.errors import HarnessError
    from optibench_benchmarks import BenchmarkError
    from optibench_optimizers import OptimizerError
    from optibench_reports import ReportError
    from optiformer import ModelError

    return (HarnessError, BenchmarkError, OptimizerError, ReportError, ModelError)


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="optibench",
        description="Does a learned optimizer beat the classical ones, on what, and at what cost per suggestion?",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show program's version number and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (fill, action, settings) in _COMMANDS.items():
        one = commands.add_parser(name, **settings)
        one.fill = fill
        one.set_defaults(command=action)
    return parser


_COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str, dict[str, Any]]] = {}
"""What adds the arguments of each command, the function of :mod:`optibench.cli.commands` that it is, and its words."""


def _command(name: str, action: str, **settings: str) -> Callable[..., Any]:
    def note(fill: Callable[[argparse.ArgumentParser], None]) -> Callable[[argparse.ArgumentParser], None]:
        _COMMANDS[name] = fill, action, settings
        return fill

    return note


@_command("list", "show_list", help="list optimizers, benchmarks, suites and grids")
def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("section", nargs="?", choices=SECTIONS, help="only this one")
    parser.add_argument("--json", action="store_true", help="machine-readable")


@_command(
    "run",
    "run_grid",
    help="run a grid, or resume one",
    description="Run every optimizer on every benchmark with every seed. Flags override the file; the same --out "
    "resumes. Finished trials are never lost, whatever stops the run.",
    epilog="examples: optibench run demo | optibench run -o random tpe -b hpobench -s 10 -t 50 --out runs/first",
)
def _add_run(parser: argparse.ArgumentParser) -> None:
    from optibench.options import add_flags, declared
    from optibench.spec.grid import Also, Grid, Settings
    from optibench.spec.limits import Limits

    parser.add_argument("grid", nargs="?", metavar="GRID", help="a YAML file, or a grid that `optibench list` names")
    add_flags(parser, declared(Grid, Also))
    limits = parser.add_argument_group("limits", "part of the grid; a trial that meets one fails, the cell goes on")
    add_flags(limits, declared(Limits))
    add_flags(parser, declared(Settings))
    parser.add_argument(
        "--allow-failures", action="store_true", help="exit with status 0 although trials failed; without it, 3"
    )
    parser.add_argument(
        "--no-report", action="store_true", help="only run; `optibench report DIR` makes the report later"
    )


@_command("status", "show_status", help="how far a run is")
def _add_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=expanded, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="machine-readable")


@_command("report", "report_run", help="statistics, tables, figures and one HTML page of one or more runs")
def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=expanded, nargs="+", metavar="DIR")
    _add_statistics(parser)
    parser.add_argument("--out", type=expanded, metavar="DIR", help="where the report goes; default DIR/report")
    parser.add_argument(
        "--run",
        nargs=3,
        metavar=("OPTIMIZER", "TASK", "SEED"),
        help="draw this run too, as parallel coordinates of its configurations and objective",
    )


def _add_statistics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--at", type=_positive, nargs="+", metavar="N", help="trial counts to report regret at")
    parser.add_argument("--control", metavar="NAME", help="test every optimizer against this one, not all pairs")
    parser.add_argument(
        "--metric",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="show this metric at the incumbent too: test_accuracy, or test_accuracy:maximize where none is declared",
    )


@_command("compare", "compare_runs", help="two runs side by side, on the tasks they share")
def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=expanded, metavar="DIR1")
    parser.add_argument("second", type=expanded, metavar="DIR2")
    _add_statistics(parser)
    parser.add_argument("--out", type=expanded, required=True, metavar="DIR", help="where the report goes")


@_command(
    "paper",
    "make_paper",
    help="every table and figure of a paper, and a LaTeX file that includes them",
    description="Reuse the result folders that the paper names, or run their grids where they are absent, and "
    "write main.tex, tables/ and figures/; docs/paper.md. Before a grid is run, it says how long that takes.",
)
def _add_paper(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "spec", nargs="?", default="published", metavar="SPEC", help="a YAML file, or a shipped one; default published"
    )
    parser.add_argument("--out", type=expanded, default=Path("paper"), metavar="DIR", help="default paper")
    parser.add_argument("--no-run", action="store_true", help="run no grid: say what is missing, and how to make it")


def _positive(text: str) -> int:
    number = whole(text)
    if not number:
        raise argparse.ArgumentTypeError(f"a whole number of at least 1 is needed, not {text!r}")
    return number


@_command("publish", "publish_run", help="write a finished run as a small folder to commit or share")
def _add_publish(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=expanded, metavar="DIR")
    parser.add_argument(
        "target", type=expanded, metavar="NEW", help="e.g. results/NAME; `optibench report NEW` reads it"
    )
    parser.add_argument(
        "--compact", action="store_true", help="a quarter of the size: no configurations, seconds to three digits"
    )
    parser.add_argument(
        "--metric",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="with --compact: keep these metrics; otherwise all are kept, and with --compact none",
    )


@_command(
    "import",
    "import_trials",
    help="take trials of another framework into the same statistics",
    description="Read trials from CSV or Parquet files (columns optimizer, task, seed, trial, value; more in "
    "docs/import.md) and write a run folder that report and compare take.",
)
def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=expanded, nargs="+", metavar="FILE", help=".csv or .parquet")
    parser.add_argument("--out", type=expanded, required=True, metavar="DIR", help="the run folder to write")
    parser.add_argument(
        "--suffix", default="", metavar="TEXT", help="appended to the optimizers' labels, e.g. ' (theirs)'"
    )


@_command("latency", "show_latency", help="table and figure of what a suggestion costs, from `make latency`")
def _add_latency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=expanded, metavar="FILE.json", help="what pytest-benchmark saved, raw data included"
    )
    parser.add_argument("--out", type=expanded, metavar="DIR", help="default: a folder beside FILE, called like it")


@_command(
    "train",
    "train_model",
    help="train an OptiFormer",
    description="Generate what data is missing and train; the same --out resumes. Under torchrun, on several GPUs.",
)
def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or one of model/optiformer/configs/ by name")
    parser.add_argument("--out", type=expanded, metavar="DIR", help="checkpoints, logs, loss curve; default runs/NAME")
    parser.add_argument("--data", type=expanded, metavar="DIR", help="the trajectories; default OUT/data")
    parser.add_argument("--minutes", type=_minutes, metavar="N", help="train no longer than this in all")
    parser.add_argument("-j", "--jobs", type=_positive, default=1, metavar="N", help="processes that generate data")


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"a time limit is a positive number of minutes, not {text!r}")
    return minutes


@_command("scaling", "fit_scaling", help="held-out loss of trained networks against size or training, fitted")
def _add_scaling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="training configurations, at least three")
    parser.add_argument("--against", choices=("parameters", "positions", "minutes"), default="parameters")
    parser.add_argument("--out", type=expanded, default=Path("runs/scaling"), metavar="DIR")


@_command(
    "variants",
    "compare_variants",
    help="train variants of OptiFormer's network at equal budget and compare them by seed",
    description="Train each variant of a specification with the same seeds, and write a table with intervals and "
    "paired tests, box plots and training curves; the same --out resumes.",
)
def _add_variants(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "spec", nargs="?", default="optiformer", help="a YAML file, or a shipped one; default optiformer"
    )
    parser.add_argument("--seeds", type=_positive, default=3, metavar="N", help="at least 2; default 3")
    parser.add_argument(
        "--out", type=expanded, default=Path("runs/variants"), metavar="DIR", help="default runs/variants"
    )


@_command("smoke", "smoke_test", help="check OptiFormer's pipeline end to end, a line a phase")
def _add_smoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="smaller, in under two minutes")


@_command("doctor", "examine", help="versions, data, threads; what is missing and the cure")
def _add_doctor(parser: argparse.ArgumentParser) -> None:
    """It has no arguments."""


@_command("data", "manage_data", help="find, fetch and verify the data of benchmarks")
def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "fetch", "verify", "path"))
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="data sets as `optibench data list` names them; default all"
    )


@_command(
    "references",
    "make_references",
    help="compute the frozen reference values of tasks",
    description="Compute f_best, f_ref and f_worst of tasks and add them to the committed file. Values that are "
    "already there are frozen: they change only with --again, and then with a new version.",
)
def _add_references(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("patterns", nargs="+", metavar="NAME", help="tasks, suites or globs")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--again", action="store_true", help="compute also what is already there; a better f_best stays")
    group.add_argument("--check", action="store_true", help="evaluate again what the stored values rest on")


@_command("schema", "print_schema", help="JSON Schema of the YAML files that users write, for editors")
def _add_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", nargs="?", default="grid", choices=("grid", "paper", "external"), help="default grid")


if __name__ == "__main__":
    sys.exit(main())
