"""The training page's tables of networks are what ``results/networks`` holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model" / "training.md").read_text(encoding="utf-8")
NAMES = {"linear": "linear and kernel", "other": "others"}
HEADS = {
    "1": "one head",
    "1 4": "two heads, Matern-5/2 and exponential",
    "0 2": "two heads, Matern-5/2 of two output warpings",
}


def test_the_losses_on_left_out_learners_are_those_of_the_histories() -> None:
    table = pd.read_csv(ROOT / "results" / "networks" / "left-out.csv")
    means = table.groupby("left_out")[["branch", "trunk", "gp_map", "gp_prior"]].mean()
    assert len(means) == 5
    for group, row in means.iterrows():
        cells = " | ".join(f"{value:.2f}" for value in row)
        assert f"| {NAMES.get(str(group), group)} | {cells} |" in PAGE


def test_the_held_out_losses_of_the_trunks_are_those_of_their_logs() -> None:
    table = pd.read_csv(ROOT / "results" / "networks" / "trunks.csv")
    for heads, log in table.groupby("heads"):
        every = log[log.steps % 600 == 0].validation_loss
        cells = " | ".join(f"{value:.3f}" for value in every)
        assert f"| {HEADS[str(heads)]} | {cells} |" in PAGE
