"""Files that are no grid."""

from __future__ import annotations

import random
from collections.abc import Iterator

from malformed.case import Case

QUICK = ("--executor", "serial", "--no-report", "--out", "out")


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


MAKERS = (texts,)
