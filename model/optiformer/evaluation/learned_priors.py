"""Fit the priors of ``gp-prior`` to a network's training data.

``python -m optiformer.evaluation.learned_priors [CHECKPOINT] [--rows ROWS] [--batches N]`` draws histories as the
network's training did, fits a prior to each kind of GP (:func:`optiformer.gp.prior.learned`), and writes
``learned_priors.json`` into the checkpoint's folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from optiformer.errors import ModelError, command
from optiformer.evaluation.recorded import HISTORIES, learned_prior
from optiformer.gp.kernels import HEADS
from optiformer.gp.prior import PRIORS
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.prior.recorded import Surfaces


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.evaluation.learned_priors", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="default: the shipped one")
    parser.add_argument("--rows", type=Path, help="packed tunings, where its training had them")
    parser.add_argument("--batches", type=int, default=120, help=f"of {HISTORIES} histories each (default: 120)")
    given = parser.parse_args(arguments)
    folder = given.checkpoint or default_checkpoint()
    encoding = load(folder).encoding
    surfaces = None
    if encoding.recorded.share and given.rows is None:
        raise ModelError(f"{folder} was trained on recorded tunings, too; name their file with --rows.")
    if given.rows is not None:
        surfaces, left_out = Surfaces.load(given.rows, encoding.columns), encoding.recorded.left_out
        surfaces = surfaces.split(left_out)[0] if left_out else surfaces
    found = [learned_prior(encoding, surfaces, batches=given.batches, heads=(head,)) for head in range(len(HEADS))]
    content = {"histories": HISTORIES * given.batches, "priors": [dataclasses.asdict(prior) for prior in found]}
    (folder / PRIORS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {folder / PRIORS}")


if __name__ == "__main__":
    command(main)
