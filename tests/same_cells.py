"""Whether two revisions compute the same: a cell of every optimizer, compared to the last bit.

``python tests/same_cells.py OLD/bin/optibench NEW/bin/optibench`` runs the same grids with both commands, each in its
own environment, and prints a line per cell: on a function and on a pipeline with conditions, and with epochs for those
that choose them. Configurations, fidelities, values, states and learning curves count. The exit status is 1 if a cell
differs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

COLUMNS = ["trial", "phase", "config", "fidelity", "value", "state", "curve"]
GRIDS = {"synthetic/branin-2d": 25, "live/svm/wine": 25}
FIDELITIES = {"digits/mlp": 25}


def optimizers(command: Path) -> dict[str, bool]:
    """The optimizers of a revision, and whether each chooses fidelities."""
    done = subprocess.run([command, "list", "optimizers", "--json"], check=True, capture_output=True, text=True)
    return {name: one["multi_fidelity"] for name, one in json.loads(done.stdout).items()}


def trials(command: Path, names: list[str], task: str, count: int, folder: Path) -> pd.DataFrame:
    """What a revision makes of one grid."""
    chosen = [word for name in names for word in ("-o", name)]
    grid = [*chosen, "-b", task, "-s", "1", "-t", str(count), "-j", "1", "--no-report", "--allow-failures"]
    subprocess.run([command, "run", *grid, "--out", folder], check=True, stdout=subprocess.DEVNULL)
    published = folder.with_name(f"{folder.name}-published")
    subprocess.run([command, "publish", folder, published], check=True, stdout=subprocess.DEVNULL)
    found = pd.read_parquet(published / "trials.parquet").sort_values(["optimizer", "trial"], ignore_index=True)
    return found.astype({"optimizer": str})


def main(old: Path, new: Path) -> int:
    """Compare; returns the exit status."""
    known, different = optimizers(new), 0
    assert known == optimizers(old), "the two revisions have other optimizers"
    with tempfile.TemporaryDirectory() as scratch:
        for task, count in {**GRIDS, **FIDELITIES}.items():
            names = [name for name, chooses in known.items() if chooses == (task in FIDELITIES)]
            tables = []
            for side, command in (("old", old), ("new", new)):
                folder = Path(scratch) / f"{side}-{task.replace('/', '-')}"
                tables.append(dict(list(trials(command, names, task, count, folder).groupby("optimizer"))))
            for name in names:
                before, after = (table[name][COLUMNS].reset_index(drop=True) for table in tables)
                same = before.equals(after)
                different += not same
                print(f"{task}  {name}: {'the same' if same else 'DIFFERENT'} ({len(after)} trials)", flush=True)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
