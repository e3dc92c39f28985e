"""The training page's tables of networks are what ``results/networks`` holds."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model" / "training.md").read_text(encoding="utf-8")
NETWORK = (ROOT / "docs" / "model" / "optiformer.md").read_text(encoding="utf-8")
IDEAS = pd.read_csv(ROOT / "results" / "networks" / "ideas.csv")
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


def test_what_each_idea_is_worth_is_the_mean_over_the_seeds_that_it_shares_with_the_control() -> None:
    found = IDEAS[IDEAS.steps == 300].set_index(["network", "seed"])
    control = found.loc["as shipped"]
    for name in found.index.unique("network"):
        own = found.loc[name]
        seeds = own.index.intersection(control.index)
        cells = [f"{own.parameters.iloc[0]:,}"]
        for column in ("prior", "recorded"):
            gap = f"{(own[column] - control[column])[seeds].mean():+.3f}".replace("0.", ".")
            cells += [f"{own.loc[seeds, column].mean():.3f}", "" if name == "as shipped" else gap]
        note = " (one seed)" if len(seeds) == 1 else ""
        assert f"| {name}{note} | {' | '.join(cells)} |".replace("|  |", "| |") in NETWORK


def test_the_scaling_table_has_every_training_and_initialisation() -> None:
    found = IDEAS[IDEAS.network.str.startswith("scale-")]
    assert len(found) == 7
    for steps, runs in found.groupby("steps"):
        losses = [", ".join(f"{loss:.3f}" for loss in runs.sort_values("seed")[c]) for c in ("prior", "recorded")]
        millions = round(runs.positions.iloc[0] / 1e6)
        assert f"| {steps:,} | {millions} M | {' | '.join(losses)} |" in NETWORK


def test_the_table_of_the_prior_has_every_variant() -> None:
    table = pd.read_csv(ROOT / "results" / "networks" / "prior.csv", dtype=str).set_index("network")
    families, irregular = ("all families", "Gaussian processes"), ("yes", "no")
    order = ("scale-180-steps", "prior-smooth", "prior-gp", "prior-gp-smooth")
    for name, (functions, irregularities) in zip(order, itertools.product(families, irregular), strict=True):
        losses = " | ".join(table.loc[name, "prior":])
        assert f"| {functions} | {irregularities} | {losses} |" in NETWORK
