"""Data files, run folders and checkpoints that are damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from malformed.case import Case
from malformed.specs import QUICK


def _damage(rng: random.Random, path: str) -> tuple[str, Callable[[Path], None]]:
    """A way to damage a binary file beyond use: a cut, zeros, noise at its end, or other content."""
    kind = rng.choice(("cut", "zeros", "noise", "text", "empty"))
    where, byte = rng.random(), rng.randrange(256)

    def mutate(folder: Path) -> None:
        content = (folder / path).read_bytes()
        at = int(len(content) * where)
        damaged = {
            "cut": content[: max(1, at)],
            "zeros": bytes(len(content)),
            "noise": content[: -len(content) // 3] + bytes([byte]) * (len(content) // 3),
            "text": b"this is no such file\n",
            "empty": b"",
        }[kind]
        (folder / path).write_bytes(damaged)

    return f"{kind} {where:.2f} {byte}", mutate


def binary(rng: random.Random) -> Iterator[Case]:
    for number in range(12):
        how, mutate = _damage(rng, "trials.parquet")
        yield Case(
            f"parquet {number} {how}",
            ("import", "trials.parquet", "--out", "new"),
            bases=("trials.parquet",),
            mutate=mutate,
        )
    for number in range(10):
        how, mutate = _damage(rng, "published/trials.parquet")
        yield Case(
            f"published {number} {how}", ("report", "published", "--out", "new"), bases=("published",), mutate=mutate
        )
    for text in (b"", b"{", b"[]", b"3", b"{}", b'{"benchmarks": 3}', b'{"benchmarks": [{}]}', b"\xff\xfe", b"null"):
        yield Case(f"latency {text!r}", ("latency", "l.json", "--out", "new"), {"l.json": text})


def folders(rng: random.Random) -> Iterator[Case]:
    """Run folders whose files are damaged: their grid, what is said of tasks, the table."""

    def edit(name: str, path: tuple[str, ...], junk: Any) -> Callable[[Path], None]:
        import yaml

        def mutate(folder: Path) -> None:
            file = folder / name
            content = yaml.safe_load(file.read_text())
            place = content
            for key in path[:-1]:
                place = place[key]
            if junk is KeyError:
                place.pop(path[-1])
            else:
                place[path[-1]] = junk
            file.write_text(json.dumps(content) if name.endswith("json") else yaml.safe_dump(content))

        return mutate

    commands = (("status",), ("report",), ("run", "--out"), ("publish",))
    for path in (
        ("grid",),
        ("packages",),
        ("optimizers",),
        ("grid", "optimizers"),
        ("grid", "benchmarks"),
        ("grid", "seeds"),
        ("grid", "trials"),
        ("optimizers", "random"),
    ):
        legal = {"trials": (3,), "seeds": ([3],), "packages": ({"a": 1},), "random": ()}.get(path[-1], ())
        for junk in (
            KeyError,
            *rng.sample([value for value in (None, 3, "x", [3], {"a": 1}, [[]]) if value not in legal], 3),
        ):
            command = rng.choice(commands)
            after = ("new",) if command[0] == "publish" else ()
            name = "removed" if junk is KeyError else repr(junk)
            yield Case(
                f"run folder, {'.'.join(path)} {name}, {command[0]}",
                (*command, "run", *after),
                bases=("run",),
                mutate=edit("run/grid.yaml", path, junk),
            )
    task = "synthetic/sphere-2d"
    for path in ((task,), (task, "direction"), (task, "reference"), (task, "reference", "f_best")):
        for junk in (KeyError, *rng.sample(("x", [3], {"a": 1}, True), 2)):
            name = "removed" if junk is KeyError else repr(junk)
            yield Case(
                f"published, tasks.json {'.'.join(path)} {name}",
                ("report", "published", "--out", "new"),
                bases=("published",),
                mutate=edit("published/tasks.json", path, junk),
            )
    for file in ("grid.yaml", "tasks.json"):
        for number in range(6):
            how, mutate = _damage(rng, f"run/{file}")
            command = rng.choice(commands)
            after = ("new",) if command[0] == "publish" else ()
            yield Case(
                f"run folder, {file} {number} {how}, {command[0]}",
                (*command, "run", *after),
                bases=("run",),
                mutate=mutate,
            )
    for text in (
        b"",
        b"{",
        b"[3]",
        b'[{"kind": "optimizer"}]',
        b'{"a": 1}',
        b"\xff",
        b'[{"kind": "optimizer", "name": "x", "command": [3], "folder": "/", "tasks": []}]',
    ):
        yield Case(
            f"run folder, external.json {text!r}",
            ("run", "--allow-external", "--out", "run"),
            {"run/external.json": text},
            bases=("run",),
        )

    def damage_cell(folder: Path) -> None:
        next((folder / "run" / "cells").rglob("*.arrow")).write_bytes(b"no")
        (folder / "run" / "trials.parquet").unlink(missing_ok=True)

    yield Case("run folder, a damaged cell", ("report", "run", "--out", "new"), bases=("run",), mutate=damage_cell)


def checkpoints(rng: random.Random) -> Iterator[Case]:
    """Checkpoints of OptiFormer that are damaged."""
    arguments = (
        "run",
        "-o",
        "optiformer:checkpoint=checkpoint",
        "-b",
        "synthetic/sphere-2d",
        "-s",
        "1",
        "-t",
        "4",
        *QUICK,
    )
    for file in ("config.json", "model.safetensors"):
        for number in range(12):
            how, mutate = _damage(rng, f"checkpoint/{file}")
            yield Case(f"checkpoint, {file} {number} {how}", arguments, bases=("checkpoint",), mutate=mutate)
        yield Case(
            f"checkpoint without {file}",
            arguments,
            bases=("checkpoint",),
            mutate=lambda folder, file=file: (folder / "checkpoint" / file).unlink(),
        )  # type: ignore[misc]

    def config(key: str, junk: Any) -> Callable[[Path], None]:
        def mutate(folder: Path) -> None:
            path = folder / "checkpoint" / "config.json"
            content = json.loads(path.read_text())
            content[key] = junk
            path.write_text(json.dumps(content))

        return mutate

    for key in ("network", "encoding"):
        for junk in (None, 3, "x", [3], {"a": 1}):
            yield Case(f"checkpoint, {key}: {junk!r}", arguments, bases=("checkpoint",), mutate=config(key, junk))


MAKERS = (binary, folders, checkpoints)
