"""Grids, external definitions, papers and training configurations that cannot be."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from malformed.case import Case

JUNK = (
    None,
    True,
    -1,
    0,
    1.5,
    "",
    "no such thing",
    [],
    [[]],
    [None],
    {},
    {"a": 1},
    float("nan"),
    10**30,
    "\u0000",
    "💥",
)
GRID: dict[str, Any] = {"optimizers": ["random"], "benchmarks": ["synthetic/sphere-2d"], "seeds": 2, "trials": 15}
QUICK = ("--executor", "serial", "--no-report", "--out", "out")


def a_word(rng: random.Random) -> str:
    return "".join(rng.choice("abcxyz0-_:=,/*é\\'\" ") for _ in range(rng.randint(1, 8))).strip() or "x"


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()  # JSON is YAML, NaN apart


def _yaml(value: Any) -> bytes:
    return json.dumps(value).replace("NaN", ".nan").encode()


_LEGAL: dict[str, tuple[Any, ...]] = {"retries": (None, 0)}


def grids(rng: random.Random) -> Iterator[Case]:
    """Grid files with values that are of the wrong kind."""
    keys = (
        "optimizers",
        "benchmarks",
        "seeds",
        "trials",
        "initial",
        "initial_size",
        "evaluation_limit",
        "ask_limit",
        "cell_limit",
        "memory_limit",
        "retries",
        "batch_size",
        "budget",
        "simulated_workers",
        "jobs",
        "executor",
        "external",
        "scheduler",
    )
    for key in keys:
        legal = _LEGAL.get(key, (None,) if key.endswith("_limit") else ())
        for junk in rng.sample([value for value in JUNK if value not in legal or value is True], 7):
            content = _yaml({**GRID, key: junk})
            flags = QUICK[2:] if key == "executor" else QUICK
            yield Case(f"grid {key}: {junk!r}"[:70], ("run", "grid.yaml", *flags), {"grid.yaml": content})
    for name in ("../x", "a/b", "", ".x", "a b", "x\n", "é/é", [], {}, [1]):
        yield Case(f"grid name {name!r}", ("run", "grid.yaml", *QUICK), {"grid.yaml": dump({**GRID, "name": name})})
    for _ in range(15):
        key = a_word(rng)
        content = dump({**GRID, f"z{key}": 1})
        yield Case(f"grid key {key!r}", ("run", "grid.yaml", *QUICK), {"grid.yaml": content})


def texts(rng: random.Random) -> Iterator[Case]:
    """Files that are no grid at all."""
    whole = b"optimizers: [random]\nbenchmarks: [synthetic/sphere-2d]\nseeds: 2\ntrials: 15\n"
    texts = {
        "empty": b"",
        "a list": b"- random\n",
        "a number": b"3",
        "null": b"null",
        "NUL": b"\x00\x01",
        "Latin-1": b"name: \xe9",
        "UTF-16": whole.decode().encode("utf-16"),
        "a tab": b"optimizers:\n\t- random\n",
        "an alias": b"optimizers: *x\n",
        "a bomb": b"a: &a [x]\nb: &b [*a,*a]\n",
        "a tag": b"optimizers: !!python/name:os.system\n",
        "twice": whole + whole,
        "two documents": whole + b"---\n" + whole,
        "deep": b"[" * 1200,
        "a complex key": b"? [a]\n: 1\n",
        "merge": b"<<: 3\n",
        "a Parquet file": b"PAR1" + bytes(range(256)),
        "a binary value": b"optimizers: !!binary xx\n",
        "a set": b"!!set {a, b}\n",
        "a date": whole.replace(b"trials: 15", b"trials: 2020-01-01"),
        "a recursion": b"optimizers: &x [*x]\nbenchmarks: [a]\n",
        "a bad date": whole.replace(b"trials: 15", b"trials: 2020-99-99"),
        "an unhashable key": b"{[a]: 1}\n",
        "a long integer": whole.replace(b"trials: 15", b"trials: " + b"9" * 5000),
        "a bad escape": b'optimizers: ["\\x"]\n',
        "a surrogate": b'optimizers: ["\\ud800"]\nbenchmarks: [demo]\n',
        "infinite": whole.replace(b"trials: 15", b"trials: .inf"),
    }
    for name, text in texts.items():
        yield Case(f"grid that is {name}", ("run", "grid.yaml", *QUICK), {"grid.yaml": text})
    for number in range(15):  # a cut is a grid of its own if it falls between two lines
        junk = bytearray(whole)
        junk[rng.randrange(8)] = rng.choice(b"\x00\x07\xff{}[]&*!|>%@`")
        yield Case(f"grid with a bad byte {number}", ("run", "grid.yaml", *QUICK), {"grid.yaml": bytes(junk)})
    yield Case("grid that is a folder", ("run", "folder", *QUICK), {"folder/x": b""})


_LEGAL_EXTERNAL: dict[str, tuple[Any, ...]] = {
    "seconds": (1.5, 10**30),
    "start_seconds": (1.5, 10**30),
    "environment": ([],),
    "settings": ({}, {"a": 1}),
    "summary": tuple(junk for junk in JUNK if isinstance(junk, str)),
    "conditional": tuple(junk for junk in JUNK if isinstance(junk, str)),
    "batch": (True,),
    "multi_fidelity": (True,),
}
_ONLY_OPTIMIZERS = ("settings", "conditional", "batch", "multi_fidelity")


def external_grid(**changes: Any) -> bytes:
    """A grid of an external optimizer on an external task, both of a worker that works, so that it runs unchanged."""
    command = [sys.executable, str(Path(__file__).parents[2] / "external" / "odd_worker.py"), "good"]
    sections = {
        "optimizers": {"odd": {"command": command}},
        "benchmarks": {"odd": {"command": command, "tasks": ["a"]}},
    }
    for kind, change in changes.items():
        sections[kind]["odd"] |= change
    grid = {
        "optimizers": ["odd"],
        "benchmarks": ["odd/a"],
        "seeds": 1,
        "trials": 2,
        "initial_size": 1,
        "external": sections,
    }
    return _yaml(grid)


def externals(rng: random.Random) -> Iterator[Case]:
    """External definitions of which one field is wrong, and nothing else: accepted, they would run."""
    arguments = ("run", "grid.yaml", "--allow-external", *QUICK)
    for key in ("command", "tasks", "seconds", "start_seconds", "environment", "summary", *_ONLY_OPTIMIZERS, "unknown"):
        legal = [(type(one), one) for one in _LEGAL_EXTERNAL.get(key, ())]  # True equals 1
        for junk in rng.sample([value for value in JUNK if (type(value), value) not in legal], 6):
            kind = "optimizers" if key in _ONLY_OPTIMIZERS else rng.choice(("optimizers", "benchmarks"))
            kind = "benchmarks" if key == "tasks" else kind
            content = external_grid(**{kind: {key: junk}})
            yield Case(f"external {kind} {key}: {junk!r}"[:70], arguments, {"grid.yaml": content})
    for key, value in (("batch", True), ("settings", {}), ("multi_fidelity", False)):
        content = external_grid(benchmarks={key: value})
        yield Case(f"external benchmarks with an optimizer's {key}", arguments, {"grid.yaml": content})
    odd = ({"A": "x"}, {"A": 1}, {"A": None}, [{"A": "x"}], "A", ["VARIABLE_THAT_NOBODY_SETS"])
    for variables in (["A=x"], ["A B"], [""], ["A\0"], [1], *odd):
        content = external_grid(benchmarks={"environment": variables})
        yield Case(f"external benchmarks, variables {variables}", arguments, {"grid.yaml": content})
    content = external_grid(benchmarks={"command": [sys.executable, "a\0b"]})
    yield Case("external benchmarks, a NUL in the command", arguments, {"grid.yaml": content})
    yield Case("external optimizers with tasks", arguments, {"grid.yaml": external_grid(optimizers={"tasks": ["a"]})})
    for name in ("a b", "", "x:y", "random", "a/b"):
        item = json.loads(external_grid())["external"]["optimizers"]["odd"]
        content = dump({**GRID, "external": {"optimizers": {name: item}}})
        yield Case(f"external called {name!r}", arguments, {"grid.yaml": content})


def papers(rng: random.Random) -> Iterator[Case]:
    part = {"name": "p", "tables": ["ranks"]}
    good = {"results": {"published": None}, "parts": [part]}
    for key in ("results", "parts", "at", "title", "control", "training", "odd"):
        for junk in (
            value
            for value in JUNK
            if value is not None and not (key in ("title", "control", "training") and isinstance(value, str | float))
        ):
            if rng.random() < 0.5:
                yield _paper(f"paper {key}: {junk!r}"[:70], {**good, key: junk})
    for key in ("name", "tables", "figures", "results", "tasks", "at", "title", "odd"):
        for junk in rng.sample([value for value in JUNK if value not in (None, []) and not isinstance(value, str)], 3):
            yield _paper(f"paper, part {key}: {junk!r}"[:70], {**good, "parts": [{**part, key: junk}]})


def _paper(name: str, content: Any) -> Case:
    arguments = ("paper", "p.yaml", "--no-run", "--out", "new")
    return Case(name, arguments, {"p.yaml": json.dumps(content).encode()}, bases=("published",))


def trainings(rng: random.Random) -> Iterator[Case]:
    good = {"data": {"n_trajectories": 4}, "network": "pico", "train": {"steps": 1}}
    for key in ("data", "network", "train", "augment", "sampling", "encoding", "odd"):
        for junk in (-1, "nothing", [1], {"odd": 1}, [[]], 1.5):
            content = json.dumps({**good, key: junk}).encode()
            yield Case(f"training {key}: {junk!r}", ("train", "t.yaml", "--out", "new"), {"t.yaml": content})
    for key in ("steps", "batch_tokens", "learning_rate", "clip", "validate_every", "threads"):
        for junk in ("x", [1], {}, *([-1] if key in ("steps", "learning_rate", "clip", "validate_every") else [])):
            content = json.dumps({**good, "train": {key: junk}}).encode()
            yield Case(f"training train.{key}: {junk!r}", ("train", "t.yaml", "--out", "new"), {"t.yaml": content})
    for name in ("a Parquet file", "empty"):
        yield Case(
            f"training that is {name}", ("train", "t.yaml", "--out", "new"), {"t.yaml": b"PAR1\xff" * (name != "empty")}
        )


MAKERS = (grids, texts, externals, papers, trainings)
