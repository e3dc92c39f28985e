"""Lines of code of all tracked Python files: no blank lines, comments or docstrings.

::

    python tests/code_size.py                   # lines by folder
    python tests/code_size.py --since REVISION  # what became of the code of that revision, by file and by folder

Reads committed files only. Code that came since REVISION is told from code that existed by ``git blame``, which
follows lines that moved between files: a line is new if a commit listed in ``new_features.yaml`` wrote it. Such a
commit also rewrites lines that existed. So of the lines that it wrote and that are still there only the share counts
as new by which it made the code longer; all else is what remains of the code of REVISION.
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

import yaml

ROOT = Path(__file__).parents[1]
FEATURES = Path(__file__).with_name("new_features.yaml")
LAYOUT = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"}


def git(*arguments: str) -> list[str]:
    return subprocess.run(("git", *arguments), cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")


def code_lines(source: str) -> set[int]:
    """The numbers of the lines that hold code. A string that is a whole statement is documentation."""
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            documentation.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if tokenize.tok_name[token.type] not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    return code - documentation


def lines_of(revision: str, name: str) -> set[int]:
    return code_lines("\n".join(git("show", f"{revision}:{name}")))


def python_files(revision: str) -> list[str]:
    return [name for name in git("ls-tree", "-r", "--name-only", revision) if name.endswith(".py")]


def sizes(revision: str) -> Counter[str]:
    """Lines of code of each Python file of a revision."""
    return Counter({name: len(lines_of(revision, name)) for name in python_files(revision)})


def writers(since: str, revision: str, name: str) -> Counter[str]:
    """How many of a file's lines of code each commit after ``since`` wrote."""
    blame = git("blame", "-w", "-M", "-C", "-l", "-s", f"{since}..{revision}", "--", name)
    return Counter(blame[number - 1].split(" ")[0] for number in lines_of(revision, name))


def features(revision: str) -> dict[str, list[str]]:
    """Each listed commit since a revision, in full, with the files that it added or changed."""
    history = git("rev-list", f"{revision}..HEAD")
    found = {}
    for entry in yaml.safe_load(FEATURES.read_text()):
        commits = [commit for commit in history if commit.startswith(entry["commit"])]
        if len(commits) != 1:
            raise SystemExit(f"{FEATURES.name}: {entry['commit']} is no commit since {revision}")
        paths = entry.get("only", ["*.py"])
        found[commits[0]] = [
            name for name in git("diff", "--name-only", f"{commits[0]}^", commits[0], "--", *paths) if name
        ]
    return found


def new_share(commit: str, names: list[str]) -> float:
    """Which share of the lines that a commit wrote made the code longer, between 0 and 1."""
    parent = f"{commit}^"
    there, before = set(python_files(commit)), set(python_files(parent))
    growth = sum(len(lines_of(commit, name)) for name in names if name in there)
    growth -= sum(len(lines_of(parent, name)) for name in names if name in before)
    wrote = sum(writers(parent, commit, name)[commit] for name in names if name in there)
    return min(max(growth / wrote, 0.0), 1.0)


def new_lines(revision: str, now: Mapping[str, int]) -> Counter[str]:
    """How many lines of each file belong to features that came since a revision."""
    found: Counter[str] = Counter()
    listed = features(revision)
    shares = {commit: new_share(commit, names) for commit, names in listed.items()}
    for name in now:
        wrote = writers(revision, "HEAD", name)
        found[name] = round(sum(share * wrote[commit] for commit, share in shares.items()))
    return found


def folders(files: Mapping[str, int]) -> Counter[str]:
    """Lines by top folder, those of tests by the folder below it."""
    found: Counter[str] = Counter()
    for name, lines in files.items():
        *path, _ = name.split("/")
        found["/".join(path[: 2 if path and path[0] == "tests" else 1])] += lines
        found["all"] += lines
    return found


def row(before: int, new: int, now: int, name: str) -> str:
    remains = now - new
    share = f"{(remains - before) / before:+7.1%}" if before else f"{'':7}"
    return f"{before:8,} {now:8,} {new:8,} {remains:8,} {remains - before:+8,} {share}  {name}"


HEADER = f"{'then':>8} {'now':>8} {'new':>8} {'remains':>8} {'change':>8} {'':7}"


def changes(revision: str, before: Mapping[str, int], new: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Each file of which more or less remains than existed, with the subjects of the commits that touched it."""
    moves = [line.split("\t") for line in git("diff", "-M40%", "--diff-filter=R", "--name-status", revision, "HEAD")]
    origin = {move[2]: move[1] for move in moves if len(move) == 3}
    lines = []
    for name in sorted(now.keys() | before.keys() - set(origin.values())):
        old = origin.get(name, name)
        then, today, added = before.get(old, 0), now.get(name, 0), new.get(name, 0)
        if then != today - added:
            lines.append(row(then, added, today, name if old == name else f"{name}, once {old}"))
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
    new = new_lines(since, now)
    print("\n".join([HEADER, *changes(since, before, new, now), "", HEADER]))
    then, added, today = folders(before), folders(new), folders(now)
    print("\n".join(row(then[name], added[name], today[name], name) for name in sorted(then.keys() | today.keys())))


if __name__ == "__main__":
    main()
