"""Command lines that are none, and flags with values that cannot be."""

from __future__ import annotations

import random
from collections.abc import Iterator

from malformed.case import Case
from malformed.specs import QUICK, a_word


def commands(rng: random.Random) -> Iterator[Case]:
    """Command lines that are none."""
    commands = (
        "list",
        "run",
        "status",
        "report",
        "compare",
        "paper",
        "publish",
        "import",
        "latency",
        "train",
        "scaling",
    )
    for _ in range(15):
        word = a_word(rng)
        yield Case(f"command {word!r}", (f"x{word}",))
    for command in commands:
        flag = "--" + "".join(rng.choice("qwz") for _ in range(6))
        needed = {"list": (), "run": ("demo",), "compare": ("a", "b", "--out", "c"), "publish": ("a", "b")}
        yield Case(f"{command} {flag}", (command, *needed.get(command, ("a",)), flag))
    for command in ("status", "report", "compare", "publish", "import", "latency", "train", "scaling", "data"):
        yield Case(f"{command} without its arguments", (command,))
    yield Case("list of nothing", ("list", "nothing"))
    for command in ("status", "report", "run --out", "publish"):
        for place in ("nowhere", "file", "", ".", "nowhere/\u00e9"):
            after = ("new",) if command == "publish" else ()
            yield Case(f"{command} {place!r}", (*command.split(), place, *after), {"file": b"x"})
    yield Case("compare nowhere", ("compare", "nowhere", "nowhere2", "--out", "new"))
    yield Case("report of two without --out", ("report", "a", "b"))
    for at in ("0", "-1", "x", "1.5", "", "1e3", "²"):
        yield Case(f"report --at {at!r}", ("report", "run", "--at", at), bases=("published",))
    yield Case("report --control", ("report", "published", "--control", "nobody", "--out", "new"), bases=("published",))
    for run in (
        ("nobody", "synthetic/sphere-2d", "0"),
        ("random", "nothing", "0"),
        ("random", "synthetic/sphere-2d", "x"),
        ("random", "synthetic/sphere-2d", "99"),
    ):
        yield Case(f"report --run {run}", ("report", "published", "--run", *run, "--out", "new"), bases=("published",))
    for minutes in ("0", "-3", "x", "inf", "nan"):
        yield Case(f"train --minutes {minutes}", ("train", "llama-nano", "--minutes", minutes, "--out", "new"))
    yield Case("references of nothing", ("references", "nothing/*"))
    yield Case("data of nothing", ("data", "path", "nothing"))


def values(rng: random.Random) -> Iterator[Case]:
    """Flags of `optibench run` with values that cannot be."""
    words = {
        "-t": ("0", "-1", "x", "1.5", "", "1e3", "²", "nan", "0x10"),
        "-s": ("0", "-1", "x", "5-3", "1,,x", "1-", "-", "1.5", "2147483648", "", "1,a", "²"),
        "-j": ("0", "-1", "x", "1.5", ""),
        "--initial-size": ("0", "-1", "x", "2.5"),
        "--initial": ("none", "", "Shared"),
        "--executor": ("threads", "", "slurm"),
        "--evaluation-limit": ("0", "-1", "x", "5 years", "nan", "1e99", ""),
        "--cell-limit": ("0s", "x5", "5d"),
        "--ask-limit": ("-5s", "inf"),
        "--memory-limit": ("0G", "5", "x", "1T", "-1G", ""),
        "--retries": ("-1", "x", "1.5", "1000"),
        "--batch-size": ("0", "-1", "x", "1,", "1,0", "1001", ""),
        "--budget": ("5", "x=5", "fidelity=0", "seconds=-1", "fidelity=nan", "trials=0", "=", "seconds="),
        "--simulated-workers": ("0", "-1", "x"),
        "--fidelity": ("=", "epochs=0", "epochs=x", "", "epochs=-1"),
        "--scheduler": ("tcp://127.0.0.1:1", ""),
        "-o": ("nobody", "random:x=1", "tpe:group", "tpe:group=perhaps", ":", "", "random:", "tpe:=", "x" * 300),
        "-b": (
            "nothing",
            "synthetic/",
            "synthetic/sphere",
            "synthetic/sphere-0d",
            "*nothing*",
            "",
            "/",
            "synthetic/sphere-xd",
        ),
    }
    base = {"-o": "random", "-b": "synthetic/sphere-2d", "-t": "14", "-s": "1"}
    for flag, values in words.items():
        for value in values:
            arguments = [word for pair in {**base, flag: value}.items() for word in pair]
            flags = QUICK[2:] if flag == "--executor" else QUICK
            yield Case(f"run {flag} {value[:20]!r}", ("run", *arguments, *flags))
    for _ in range(20):
        flag = rng.choice(("-o", "-b"))
        value = a_word(rng) + "@"
        arguments = [word for pair in {**base, flag: value}.items() for word in pair]
        yield Case(f"run {flag} {value!r}", ("run", *arguments, *QUICK))


MAKERS = (commands, values)
