"""Held-out losses of networks on the same histories: of one configuration's prior, and of recorded tunings.

``python -m optiformer.evaluation.held_out CONFIG FOLDER ... --rows ROWS`` prints a table. The histories are those on
which CONFIG's own training is validated; with ``--rows``, a second column has as many of recorded tunings.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from optiformer.errors import command
from optiformer.settings import require
from optiformer.surrogate.checkpoint import load
from optiformer.surrogate.config import OF_THE_NETWORK, RecordedConfig
from optiformer.training.config import RunConfig
from optiformer.training.loop import validate
from optiformer.training.surrogate import SurrogateEncoding


def held_out_loss(run: RunConfig, folder: str | Path, *, device: str = "cpu") -> float:
    """Mean loss of a network, nats per candidate, on the histories that validate ``run``.

    Raises:
        ModelError: The folder holds no checkpoint of a surrogate, or one that other histories are drawn for.
    """
    checkpoint = load(folder)
    own = {name: getattr(checkpoint.encoding, name) for name in OF_THE_NETWORK}
    train = replace(run.train, start=str(folder), precision="fp32")
    judged = replace(run, surrogate=replace(run.surrogate, **own), network=checkpoint.config, train=train)
    columns, wanted = judged.surrogate.columns, run.surrogate.columns
    require(
        columns == wanted, f"{folder} has histories of {columns} columns and {run.name} of {wanted}: compare others."
    )
    encoding = SurrogateEncoding(judged, Path())
    network = encoding.build().to(device)
    return validate(encoding, network, network, network.state_dict(), train, device)


def on_rows(run: RunConfig, rows: str | Path) -> RunConfig:
    """The configuration with histories of recorded tunings only."""
    return replace(run, surrogate=replace(run.surrogate, recorded=RecordedConfig(str(rows), 1.0)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m optiformer.evaluation.held_out", description=__doc__)
    parser.add_argument("config", help="a configuration of the encoding surrogate")
    parser.add_argument("folders", nargs="+", type=Path, help="checkpoints")
    parser.add_argument("--rows", type=Path, help="packed tunings")
    given = parser.parse_args(arguments)
    run = RunConfig.load(given.config)
    run.refuse_other_encoding("surrogate")
    runs = [run] if given.rows is None else [run, on_rows(run, given.rows)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print("| network | parameters | positions | prior |" + " recorded |" * (len(runs) - 1))
    print("| --- | ---: | ---: | ---: |" + " ---: |" * (len(runs) - 1))
    for folder in given.folders:
        info = load(folder).info
        losses = " | ".join(f"{held_out_loss(each, folder, device=device):.3f}" for each in runs)
        print(f"| {folder} | {info['parameters']:,} | {info['tokens']:,} | {losses} |", flush=True)


if __name__ == "__main__":
    command(main)
