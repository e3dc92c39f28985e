"""Completion of optimizers, settings, tasks, suites, grids and data sets, and the shells' scripts.

Completion must be fast: nothing here imports an optimizer's library or a task, apart from plug-ins.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from optibench.cli.command import COMPLETE, paths

ADVICE = {
    "bash": 'Add this to ~/.bashrc: eval "$(optibench completion bash)"',
    "zsh": 'Add this to ~/.zshrc, after compinit: eval "$(optibench completion zsh)"',
    "fish": "Write this to ~/.config/fish/completions/optibench.fish: optibench completion fish",
}
"""Where to put a shell's script."""


def optimizers(begun: str) -> list[str]:
    """Completions of the last item in a list of optimizers: names, settings after ``name:``, and their values."""
    from optibench_optimizers import entries, parse

    known = entries()
    before, comma, last = begun.rpartition(",")
    start = before + comma
    name, colon, setting = last.partition(":")
    found = [] if colon else [start + one for one in known if one.startswith(last)]
    if not colon:  # it may be a further setting of the previous optimizer
        spec = next((part for part in reversed(before.split(",")) if ":" in part or "=" not in part), "")
        name, colon, _ = spec.partition(":")
        setting = last
    else:
        start += f"{name}:"
    if colon and name in known:
        found += [start + one for one in _settings(parse(name)[0], setting)]
    return found


def _settings(entry: Any, begun: str) -> list[str]:
    """Completions of an optimizer's setting up to ``=``; after that its values, if they are a few words."""
    from optibench_optimizers import OptimizerError, known_settings
    from optibench_optimizers.settings import Choice

    try:
        known: Mapping[str, Any] = known_settings(entry)[0]
    except OptimizerError:  # a plug-in that cannot be imported
        return []
    key, equals, value = begun.partition("=")
    if not equals:
        return [f"{one}=" for one in known if one.startswith(key)]
    kind = known.get(key)
    values = ("true", "false") if kind is bool else kind.words if isinstance(kind, Choice) else ()
    return [f"{key}={one}" for one in values if one.startswith(value)]


def tasks(begun: str) -> list[str]:
    """Completions of the last item in a list of suites and tasks that this machine can run."""
    from optibench_benchmarks import BenchmarkError, families, suites

    before, comma, last = begun.rpartition(",")
    start, last = (before + comma + "!", last[1:]) if last.startswith("!") else (before + comma, last)
    prefix, slash, _ = last.partition("/")
    found = [name for name in suites.load() if name.startswith(last)]
    for one in families().values():
        if one.prefix == prefix if slash else one.prefix.startswith(prefix):  # only this family's code is imported
            try:
                found += [name for name in one.names() if name.startswith(last)]
            except BenchmarkError:
                continue
    return [start + name for name in found]


def grids(begun: str) -> list[str]:
    """Shipped grids, and YAML files."""
    from optibench.spec.grid import shipped

    return [name for name in shipped() if name.startswith(begun)] + paths(begun, ends=(".yaml", ".yml"))


def datasets(begun: str) -> list[str]:
    """Data sets that can be fetched."""
    from optibench_benchmarks import data

    return [name for name in data.manifest() if name.startswith(begun)]


def papers(begun: str) -> list[str]:
    """Shipped papers, and YAML files."""
    from optibench.runs.paper import shipped

    return [name for name in shipped() if name.startswith(begun)] + paths(begun, ends=(".yaml", ".yml"))


class Bash(BashComplete):
    """Completion for bash, which splits ``tpe:group`` and ``--out=runs`` into words: the whole line is read instead."""

    source_template = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        [[ -n $line ]] && COMPREPLY+=("$line")
    done < <(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1")
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[:=/] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null || complete -F %(complete_func)s %(prog_name)s
"""

    @staticmethod
    def _check_version() -> None:
        """Do nothing: the script runs in all versions."""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
        words = split_arg_string(line)[1:]
        begun = words.pop() if words and not line[-1:].isspace() else ""
        value = begun.partition("=")[2] if begun.startswith("-") else begun
        breaks = os.environ.get("COMP_WORDBREAKS", "")
        self._kept = max((value.rfind(one) + 1 for one in breaks), default=0)
        return words, begun

    def format_completion(self, item: CompletionItem[str]) -> str:
        return item.value[self._kept :]  # bash keeps the beginning up to the last break


add_completion_class(Bash)


def answer(cli: click.Command, instruction: str) -> int:
    """Answer a shell that asks with the environment variable :data:`~optibench.cli.command.COMPLETE`."""
    from click.shell_completion import shell_complete

    return shell_complete(cli, {}, "optibench", COMPLETE, instruction)


def script(shell: str) -> str:
    """The script that a shell runs to complete commands, with a comment that says where to put it."""
    found = get_completion_class(shell)
    assert found is not None, "our shells are click's"
    source = found(click.Command("optibench"), {}, "optibench", COMPLETE).source()
    first, newline, rest = source.partition("\n")
    advice = f"# {ADVICE[shell]}\n"
    return (
        first + newline + advice + rest if first.startswith("#compdef") else advice + source
    )  # must be the first line


def labels(folders: Iterable[Any], key: str, begun: str) -> list[str]:
    """Optimizers or tasks of run folders."""
    from optibench.errors import HarnessError
    from optibench.store.run_folder import Store

    found: dict[str, None] = {}
    for folder in folders:
        with contextlib.suppress(HarnessError):
            found |= dict.fromkeys(getattr(Store.open(folder).plan().grid, key))
    before, comma, last = begun.rpartition(",")
    return [before + comma + one for one in found if one.startswith(last)]
