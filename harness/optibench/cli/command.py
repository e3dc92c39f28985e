"""What all commands have in common: options in groups, options with several values, and errors of one sentence.

This module does not depend on any command, and importing it imports only click.
"""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from optibench.numbers import whole
from optibench.paths import expanded

Complete = Callable[[str], Iterable[str]]
"""Returns the possible completions of the beginning of a word."""
COMPLETE = "_OPTIBENCH_COMPLETE"
"""The environment variable with which a shell asks for completions."""
HELP_FLAGS = ["-h", "--help"]
HELP = {"help_option_names": HELP_FLAGS, "max_content_width": 110}


class Command(click.Command):
    """A command whose help shows its options in groups, and which rejects likely mistakes."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"context_settings": HELP, **settings})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing or set(args) & {*HELP_FLAGS}:  # completion, or help
            return super().parse_args(ctx, args)
        strays = self._strays(ctx, list(args))
        ctx.allow_extra_args = True  # the error then says where they belong
        try:
            super().parse_args(ctx, args)
        except click.BadOptionUsage as error:
            error.ctx = error.ctx or ctx
            raise
        if ctx.args:
            ctx.fail(strays.get(ctx.args[0]) or f"unexpected argument {ctx.args[0]!r}")
        return ctx.args

    def invoke(self, ctx: click.Context) -> Any:
        from optibench import threads

        threads.respect_quota()
        if os.environ.get("OPTIBENCH_EXTERNAL"):
            from optibench import external

            external.registered()
        return super().invoke(ctx)

    def _strays(self, ctx: click.Context, words: Sequence[str]) -> dict[str, str]:
        """Words after the value of an option with several values, each with a message in case it is unexpected.

        Raises:
            UsageError: The value of an option is itself an option, or a word is certainly a further value.
        """
        known = {name: one for one in self.params if isinstance(one, click.Option) for name in one.opts}
        found: dict[str, str] = {}
        for at, word in enumerate(words):
            if word == "--":
                break
            option = known.get(word)
            if option is None or option.is_flag:
                continue
            value, *behind = [*words[at + 1 :], ""]
            if value in known:
                ctx.fail(f"{word} needs a value, and {value} is an option")
            if not isinstance(option, Several):
                continue
            behind = behind[: next((i for i, one in enumerate(behind) if one.startswith("-") or not one), len(behind))]
            taken = [one for one in behind if option.is_value(one) or not option.is_argument(one)]
            if option.refuses and taken:
                ctx.fail(option.form(word, [value, *taken], [one for one in behind if option.is_argument(one)]))
            found |= dict.fromkeys(behind, option.form(word, [value, *behind], []))
        return found

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None and isinstance(one, click.Option):
                groups.setdefault(getattr(one, "group", None) or "Options", []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)


class Option(click.Option):
    """An option with the heading under which the help shows it."""

    def __init__(self, *arguments: Any, group: str | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group


class Several(Option):
    """An option with several values, separated by commas or given one by one.

    Args:
        split: Turns the given words into values; a ``ValueError`` says what is wrong.
        is_argument: Whether a word after a value may be an argument of the command. If it may not, or if it may also be
            a value, it is rejected, because the user may have written several values as separate words. By default,
            only words that the command does not expect are rejected.
        is_value: Whether a word may be a value.
    """

    def __init__(
        self,
        *arguments: Any,
        split: Callable[[Sequence[str]], Any],
        is_argument: Callable[[str], bool] | None = None,
        is_value: Callable[[str], bool] = lambda word: False,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, multiple=True, **settings)
        self.split, self.is_value = split, is_value
        self.refuses, self.is_argument = is_argument is not None, is_argument or is_value

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        words = super().type_cast_value(ctx, value)
        try:
            return self.split(words) if words else ()
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, self) from None

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        return super().process_value(ctx, value) or None  # not given

    def form(self, flag: str, values: Sequence[str], arguments: Sequence[str]) -> str:
        """A message with the correct form of values that were given as separate words, ``arguments`` among them."""
        written = f"{flag} {shlex.quote(','.join(values))}"
        text = (
            f"{flag} takes one word: write `{written}` or `{' '.join(f'{flag} {shlex.quote(one)}' for one in values)}`"
        )
        if not arguments:
            return text
        ctx = click.get_current_context()
        kept = shlex.quote(",".join(value for value in values if value not in arguments))
        return f"{text}; an argument comes first: `{ctx.command_path} {shlex.join(arguments)} {flag} {kept}`"


def several(words: Sequence[str]) -> list[str]:
    """The parts between commas."""
    parts = [part.strip() for word in words for part in word.split(",")]
    if not all(parts):
        raise ValueError(f"there is nothing between two commas in {','.join(words)!r}")
    return parts


def specs(words: Sequence[str]) -> list[str]:
    """The optimizers in words like ``tpe:group=true,n_startup_trials=5,random``.

    Commas also separate settings: a part like ``key=value`` belongs to the optimizer before it.
    """
    found: list[str] = []
    for word in words:
        for at, part in enumerate(several([word])):
            key, equals, _ = part.partition("=")
            if not (equals and key.strip().isidentifier()):
                found.append(part)
            elif not at or ":" not in found[-1]:
                name = found[-1] if at else "NAME"
                raise ValueError(f"{part} does not follow an optimizer with a colon: write {name}:{part}")
            else:
                found[-1] += f",{part}"
    return found


def counts(words: Sequence[str]) -> list[int]:
    """Whole numbers of at least 1."""
    return [positive(part) for part in several(words)]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = whole(text)
    if not number:
        raise ValueError(f"a whole number of at least 1 is needed, not {text!r}")
    return number


class Value(click.ParamType[Any]):
    """A type of values.

    Args:
        name: Its name.
        read: Turns the given text into a value; a ``ValueError`` says what is wrong.
        complete: Returns possible values.
    """

    def __init__(self, name: str, read: Callable[[str], Any] = str, complete: Complete | None = None) -> None:
        self.name, self.read, self.complete = name, read, complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        return [CompletionItem(word) for word in (self.complete(incomplete) if self.complete else ())]


class Word(Value):
    """One of a few words."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__("word", self._known, lambda begun: [word for word in words if word.startswith(begun)])
        self.words = words

    def _known(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"one of {', '.join(self.words)} is needed, not {text!r}{closest(text, self.words)}")
        return text

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        return f"[{'|'.join(self.words)}]"


def paths(begun: str, *, run_folders: bool = False, ends: tuple[str, ...] = ()) -> list[str]:
    """Completions of a path: folders, and files with some endings.

    Args:
        begun: The beginning of a path.
        run_folders: Whether run folders are wanted: these are returned without a slash.
        ends: The endings.
    """
    parent, slash, name = begun.rpartition("/")
    found = []
    try:
        entries = sorted(expanded(parent + slash or ".").iterdir())
    except OSError:
        return []
    for entry in entries:
        if entry.name.startswith(name) and (name.startswith(".") or not entry.name.startswith(".")):
            path = f"{parent}{slash}{entry.name}"
            if entry.is_dir():
                found.append(path if run_folders and (entry / "grid.yaml").is_file() else f"{path}/")
            elif entry.name.endswith(ends) and ends:
                found.append(path)
    return found


FOLDER = Value("folder", expanded, paths)
RUN = Value("run", expanded, lambda begun: paths(begun, run_folders=True))
COUNT = Value("count", positive)


def file(*ends: str) -> Value:
    """A file with one of some endings."""
    return Value("file", expanded, lambda begun: paths(begun, ends=ends))


def is_path(word: str) -> bool:
    """Whether a word names an existing file or folder."""
    try:
        return expanded(word).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def closest(word: str, known: Iterable[str]) -> str:
    """A question for the closest known word; empty if none is close."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def sentence(error: click.UsageError) -> str:
    """What is wrong with a command line, where, and how to find out more."""
    ctx = error.ctx
    path = "optibench" if ctx is None else ctx.command_path
    named = getattr(error, "param", None)
    name = "" if named is None else named.human_readable_name if isinstance(named, click.Argument) else named.opts[-1]
    text = error.message
    match error:
        case click.NoSuchOption():
            known = [] if ctx is None else [name for one in ctx.command.get_params(ctx) for name in one.opts]
            word = error.option_name
            text = f"unknown option {word}{closest(word, (name for name in known if name.startswith('-')))}"
        case click.MissingParameter():
            text = f"missing {name.removesuffix('...')}"
        case click.BadParameter():
            text = f"{name}: {text}" if name else text
        case click.BadOptionUsage():
            text = f"{error.option_name} {_usage(error, ctx)}"
    text = " ".join(text.split()).removesuffix(".")
    text = text if text[:2].isupper() else f"{text[:1].lower()}{text[1:]}"
    return f"{path}: {text}; see `{path} --help`."


def _usage(error: click.BadOptionUsage, ctx: click.Context | None) -> str:
    """What a wrongly used option needs."""
    option = next((one for one in ctx.command.get_params(ctx) if error.option_name in one.opts), None) if ctx else None
    if isinstance(option, click.Option) and option.is_flag:
        return "takes no value"
    return "needs a value" if option is None or option.nargs == 1 else f"needs {option.nargs} values: {option.metavar}"


def words() -> list[str]:
    """The words of the current command line, without the program's name."""
    found: list[str] = click.get_current_context().find_root().obj
    return found
