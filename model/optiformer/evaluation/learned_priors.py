"""Fit the priors of ``gp-prior`` to a network's training data.

``python -m optiformer.evaluation.learned_priors [CHECKPOINT] [--rows ROWS] [--batches N]`` draws histories as the
network's training did, fits a prior to each kind of GP (:func:`optiformer.gp.prior.learned`), and writes the file that
``gp-prior`` reads, or the one that ``--out`` names.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from optiformer.evaluation.recorded import learned_prior
from optiformer.gp.kernels import HEADS
from optiformer.gp.prior import SHIPPED
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.prior.recorded import Surfaces


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.evaluation.learned_priors", description=__doc__)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="default: the shipped one")
    parser.add_argument("--rows", type=Path, help="packed tunings, where its training had them")
    parser.add_argument("--batches", type=int, default=150, help="of four histories each (default: 150)")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="the file to write")
    given = parser.parse_args(arguments)
    encoding = load(given.checkpoint or default_checkpoint()).encoding
    surfaces = None
    if given.rows is not None:
        surfaces, left_out = Surfaces.load(given.rows, encoding.columns), encoding.recorded.left_out
        surfaces = surfaces.split(left_out)[0] if left_out else surfaces
    found = [learned_prior(encoding, surfaces, batches=given.batches, heads=(head,)) for head in range(len(HEADS))]
    content = {"histories": 4 * given.batches, "priors": [dataclasses.asdict(prior) for prior in found]}
    given.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {given.out}")


if __name__ == "__main__":
    main()
