"""Lines of code of all tracked Python files: no blank lines, comments or docstrings.

::

    python tests/code_size.py                   # lines by folder
    python tests/code_size.py --since REVISION  # what each file lost or gained since then, and in which commits

Reads committed files only.
"""

from __future__ import annotations

import argparse
import ast
import io
import subprocess
import tokenize
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYOUT = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"}


def git(*arguments: str) -> list[str]:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")


def code_lines(source: str) -> int:
    """The number of lines that hold code. A string that is a whole statement is documentation."""
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if tokenize.tok_name[token.type] not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - documentation)


def sizes(revision: str) -> dict[str, int]:
    """Lines of code of each Python file of a revision."""
    names = [name for name in git("ls-tree", "-r", "--name-only", revision) if name.endswith(".py")]
    return {name: code_lines("\n".join(git("show", f"{revision}:{name}"))) for name in names}


def folders(files: Mapping[str, int]) -> Counter[str]:
    """Lines by top folder, those of tests by the folder below it."""
    found: Counter[str] = Counter()
    for name, lines in files.items():
        *path, _ = name.split("/")
        found["/".join(path[: 2 if path and path[0] == "tests" else 1])] += lines
        found["all"] += lines
    return found


def row(before: int, now: int, name: str) -> str:
    return f"{before:8,} {now:8,} {now - before:+8,}  {name}"


def changes(revision: str, before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Each file whose size changed, with the subjects of the commits that touched it."""
    moves = [line.split("\t") for line in git("diff", "-M40%", "--diff-filter=R", "--name-status", revision, "HEAD")]
    origin = {move[2]: move[1] for move in moves if len(move) == 3}
    lines = []
    for name in sorted(now.keys() | before.keys() - set(origin.values())):
        old = origin.get(name, name)
        if before.get(old, 0) != now.get(name, 0):
            lines.append(row(before.get(old, 0), now.get(name, 0), name if old == name else f"{name}, once {old}"))
            subjects = git("log", "--format=%s", f"{revision}..HEAD", "--", old, name)
            lines += [f"{'':28}{subject}" for subject in subjects if subject]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Count lines of code without blank lines, comments and docstrings.")
    parser.add_argument("--since", metavar="REVISION", help="compare with this revision, file by file")
    since = parser.parse_args().since
    now = sizes("HEAD")
    if not since:
        print("\n".join(f"{lines:8,}  {name}" for name, lines in sorted(folders(now).items())))
        return
    before = sizes(since)
    then, today = folders(before), folders(now)
    print("\n".join([*changes(since, before, now), ""]))
    print("\n".join(row(then[name], today[name], name) for name in sorted(then.keys() | today.keys())))


if __name__ == "__main__":
    main()
