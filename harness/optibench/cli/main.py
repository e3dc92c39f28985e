"""The command line: ``optibench COMMAND``.

Nothing is imported before a command needs it: ``--help`` imports no command, and a command's help and usage errors need
no optimizer, task or table. Errors that the user can fix are one sentence on standard error, with exit status 2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click
from click.shell_completion import CompletionItem

from optibench.cli.command import COMPLETE, HELP, closest, sentence

USER_ERRORS = (
    "optibench.errors:HarnessError",
    "optibench_benchmarks.base:BenchmarkError",
    "optibench_optimizers.base:OptimizerError",
    "optibench_reports.data.results:ReportError",
    "optiformer.errors:ModelError",
)
"""The classes of errors that a user can fix."""
LONGEST_NAME = 80
"""Characters of a file's name in a message."""


class Listed(NamedTuple):
    """A command in the help: its ``module:attribute``, and its purpose."""

    target: str
    help: str


SECTIONS = {
    "Run": {
        "run": Listed("run:run_command", "run a grid, or resume one"),
        "status": Listed("run:status", "show the progress of a run"),
        "merge": Listed("run:merge", "merge several runs into one folder"),
    },
    "Report": {
        "report": Listed("report:report", "write statistics, tables, figures and an HTML page of one or more runs"),
        "compare": Listed("report:compare", "compare two runs on the tasks they share"),
        "paper": Listed("report:paper", "write every table and figure of a paper, and a LaTeX file that includes them"),
        "publish": Listed("report:publish", "write a finished run as a small folder to commit or share"),
        "import": Listed("report:import_", "import trials of other frameworks into the same statistics"),
        "latency": Listed(
            "report:latency", "write a table and a figure of the time per suggestion, from `make latency`"
        ),
    },
    "Tasks": {
        "data": Listed("data:data", "find, fetch and verify the data of tasks"),
        "references": Listed("data:references", "compute the frozen reference values of tasks"),
    },
    "OptiFormer": {
        "train": Listed("model:train", "train an OptiFormer"),
        "scaling": Listed("model:scaling", "fit a scaling law: held-out loss against model size or training budget"),
        "variants": Listed("model:variants", "train variants of the network or of a task with the same seeds"),
        "smoke": Listed("model:smoke", "check OptiFormer's pipeline end to end"),
    },
    "This installation": {
        "list": Listed("tools:list_", "list optimizers, tasks, suites and grids"),
        "doctor": Listed("tools:doctor", "check versions, data and threads, and show how to fix problems"),
        "schema": Listed("tools:schema", "print the JSON Schema of the YAML files, for editors"),
        "completion": Listed("tools:completion", "print the completion script for your shell"),
    },
}
COMMANDS = {name: one for section in SECTIONS.values() for name, one in section.items()}


class _Commands(click.Group):
    """Imports a command only when it is run or its help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name].target.partition(":")
        found: click.Command = getattr(import_module(f"optibench.cli.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not ctx.resilient_parsing and args[0] not in COMMANDS:
            if args[0].startswith("-"):
                raise click.NoSuchOption(args[0], ctx=ctx)
            hint = closest(args[0], COMMANDS) or f" (choose from {', '.join(COMMANDS)})"
            ctx.fail(f"unknown command {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, one.help) for name, one in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=one.help) for name, one in COMMANDS.items() if name.startswith(incomplete)]


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        from importlib.metadata import version  # as slow as all the rest of --help

        click.echo(f"optibench {version('optiformer-bench')}")
        ctx.exit()


@click.group(cls=_Commands, context_settings=HELP, no_args_is_help=False)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def cli() -> None:
    """Does a learned optimizer beat the classical ones, on what, and at what cost per suggestion?"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    typed = list(sys.argv[1:] if argv is None else argv)
    if COMPLETE in os.environ:
        from optibench.cli.complete import answer

        return answer(cli, os.environ[COMPLETE])
    try:
        with cli.make_context("optibench", [*typed], obj=typed) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.UsageError as error:
        print(sentence(error), file=sys.stderr)
        return 2
    except (KeyboardInterrupt, click.Abort):
        print("optibench: stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `optibench list | head`
        sys.stderr.close()
        return 1
    except Exception as error:
        if isinstance(error, OSError) and error.filename is not None:
            name = str(error.filename)
            shown = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
            print(f"optibench: {shown}: {error.strerror}; give another path.", file=sys.stderr)
            return 2
        if not _is_for_the_user(error):
            raise
        print(f"optibench: {error}", file=sys.stderr)
        return 2


def _is_for_the_user(error: Exception) -> bool:
    """Whether the user can fix it; only modules that are already loaded are checked, since importing others is slow."""
    homes = ((sys.modules.get(module), name) for module, _, name in (one.partition(":") for one in USER_ERRORS))
    return isinstance(error, tuple(getattr(module, name) for module, name in homes if module is not None))


if __name__ == "__main__":
    sys.exit(main())
