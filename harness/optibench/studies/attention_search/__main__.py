"""``python -m optibench.studies.attention_search``: search for a better attention, or compare the best programs with
the shipped ones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from optibench.errors import HarnessError
from optibench.paths import expanded
from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.training.attention.tasks import FRAMEWORKS
from optibench_reports import ReportError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m optibench.studies.attention_search", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("run", help="search for a better block with a language model", allow_abbrev=False)
    search.add_argument("framework", choices=FRAMEWORKS)
    search.add_argument("--config", help="a file in OpenEvolve's format; default: the framework's shipped one")
    search.add_argument("--api-base", help="overrides the file")
    search.add_argument("--model", help="overrides the file")
    search.add_argument("--iterations", type=int, help="overrides the file")
    search.add_argument("--out", type=expanded, required=True, help="the output folder; the same folder resumes")
    compare = commands.add_parser(
        "validate", help="train variants with new seeds and report how they differ", allow_abbrev=False
    )
    compare.add_argument("--best", action="append", default=[], metavar="FRAMEWORK=PROGRAM", help="an evolved program")
    compare.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    compare.add_argument("--seeds", type=int, default=10)
    compare.add_argument("--epochs", type=int, help="epochs of every training; default: the task's")
    compare.add_argument("--out", type=expanded, required=True, help="the report's folder")
    options = parser.parse_args(arguments)
    try:
        return _run(options) if options.command == "run" else _validate(options)
    except (HarnessError, BenchmarkError, ReportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _run(options: argparse.Namespace) -> int:
    from optibench.studies.attention_search import runner, settings

    read = settings.read(
        options.config or options.framework,
        api_base=options.api_base,
        model=options.model,
        iterations=options.iterations,
    )
    found = runner.run(options.framework, read, options.out, progress=_print)
    print(f"Best: candidate {found.iteration}, fitness {found.fitness:.4f}; {options.out / runner.BEST}")
    return 0


def _validate(options: argparse.Namespace) -> int:
    from optibench.studies import variants
    from optibench.studies.attention_search import validation

    evolved = {}
    for each in options.best:
        framework, equals, path = each.partition("=")
        if not equals or framework not in FRAMEWORKS:
            raise HarnessError(f"--best takes FRAMEWORK=PROGRAM with one of {', '.join(FRAMEWORKS)}, not {each!r}.")
        evolved[framework] = expanded(path)
    study = validation.study(validation.variants(evolved, tuple(options.frameworks)), epochs=options.epochs)
    print(variants.run(study, options.seeds, options.out, progress=_print))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
