"""Six checks of ``optiformer``, from data to a short benchmark against random search."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from optiformer.evaluation.likelihood import history
from optiformer.evaluation.smoke_sequence import Steps
from optiformer.network_config import NetworkConfig
from optiformer.search.proposer import Proposer
from optiformer.space.parameter import Condition, Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate.checkpoint import default_checkpoint, load
from optiformer.surrogate.config import RecordedConfig
from optiformer.surrogate.network.network import build
from optiformer.surrogate.prior.histories import sample_batch
from optiformer.surrogate.prior.random_source import RandomSource
from optiformer.surrogate.surrogate import NetworkSurrogate
from optiformer.training.config import RunConfig, TrainConfig

#: Minimum decrease of the training loss in nats, from the first five to the last fifteen steps.
MIN_DECREASE = 0.1
#: Maximum difference of a cumulative probability in single precision between torch and NumPy.
TOLERANCE = 1e-3


def steps(quick: bool) -> Steps:
    """The six checks."""
    run = _configuration(quick)
    return [
        ("data", lambda folder: check_data(run)),
        ("training", lambda folder: check_training(run, folder)),
        ("loading", lambda folder: check_loading(run, folder)),
        ("proposals", lambda folder: check_proposals(folder)),
        ("Optuna study", lambda folder: check_study(quick)),
        ("benchmark", lambda folder: check_benchmark(quick)),
    ]


def _configuration(quick: bool) -> RunConfig:
    """The shipped network's data without recorded tunings, and its architecture at half the width."""
    count = 60 if quick else 240
    surrogate = replace(load(default_checkpoint()).encoding, recorded=RecordedConfig())
    train = TrainConfig(
        steps=count, batch_tokens=2048, learning_rate=3e-3, validate_every=count, validation_batches=1, threads=1
    )
    network = NetworkConfig(32, 4, 4, 80, tie_query_key=True)
    return RunConfig("smoke", "surrogate", surrogate=surrogate, network=network, train=train)


def check_data(run: RunConfig) -> tuple[bool, str]:
    """Histories are finite, with failures, ties and conditions, and no parameter is outside [0, 1]."""
    batches = [sample_batch(RandomSource(seed), run.surrogate, 4096) for seed in range(24)]
    trials = sum(batch.scores.numel() for batch in batches)
    finite = all(bool(torch.isfinite(tensor).all()) for batch in batches for tensor in batch.tensors())
    positions = [tensor for batch in batches for tensor in (batch.trials, batch.queries)]
    inside = all(bool(((tensor >= 0) & (tensor <= 1)).all()) for tensor in positions)
    histories = {
        "failed": [batch.failed.any(1) for batch in batches],
        "tied": [torch.tensor([len(row.unique()) < len(row) for row in batch.scores]) for batch in batches],
        "conditional": [(batch.kinds.present[:, None] & ~batch.trials_active).any(2).any(1) for batch in batches],
    }
    shares = {name: float(torch.cat(found).float().mean()) for name, found in histories.items()}
    figures = f"{trials} trials; histories with " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return finite and inside and all(0.02 < share < 0.9 for share in shares.values()), figures


def check_training(run: RunConfig, folder: Path) -> tuple[bool, str]:
    """A short training: the loss falls."""
    from optiformer.training.loop import train

    started = time.monotonic()
    train(run, folder / "data", folder / "run", progress=False)
    seconds = time.monotonic() - started
    entries = map(json.loads, (folder / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines())
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    before, after, uniform = float(np.mean(losses[:5])), float(np.mean(losses[-15:])), np.log(run.surrogate.bins)
    figures = f"loss {before:.2f}, {after:.2f} after {len(losses)} steps (a uniform guess: {uniform:.2f})"
    return after <= before - MIN_DECREASE, f"{figures}, {seconds / len(losses):.2f} s a step"


def check_loading(run: RunConfig, folder: Path) -> tuple[bool, str]:
    """The checkpoint predicts on NumPy what its weights predict in torch."""
    found = load(folder / "run" / "best")
    network = build(run.surrogate, run.network, seed=0)
    network.load_state_dict({name: torch.as_tensor(array) for name, array in found.weights.items()})
    batch = sample_batch(RandomSource(1), run.surrogate, 1)
    observed = batch.kinds, batch.trials, batch.trials_active, batch.scores, batch.failed
    with torch.no_grad():
        expected = network.eval()(*observed, batch.queries, batch.queries_active)
        masses = expected.log_mass(run.surrogate).exp().double().numpy()
    mine, worst = NetworkSurrogate(found), 0.0
    for row in range(len(batch.scores)):
        kinds, trials, candidates = history(batch, row)
        probabilities = mine.predict(mine.encode(kinds, *trials), *candidates).probabilities()
        difference = np.cumsum(probabilities, -1) - np.cumsum(masses[row] / masses[row].sum(-1, keepdims=True), -1)
        worst = max(worst, float(np.abs(difference).max()))
    size = sum(array.size for array in found.weights.values())
    return worst < TOLERANCE, f"{size:,} parameters; torch and NumPy differ by at most {worst:.1e}"


def check_proposals(folder: Path) -> tuple[bool, str]:
    """Proposals are in their ranges, distinct, and have a conditional parameter exactly where it is active."""
    space = Space(
        (
            Parameter("rate", "float", 1e-5, 1.0, log=True),
            Parameter("depth", "int", 1, 12),
            Parameter("kind", "categorical", choices=("a", "b", "c")),
            Parameter("momentum", "float", 0.0, 1.0, condition=Condition("in", "kind", ("b",))),
        )
    )
    allowed: Callable[[Mapping[str, Any]], bool] = lambda config: config["depth"] != 7  # noqa: E731
    proposer = Proposer(space, NetworkSurrogate(load(folder / "run" / "best")), allowed=allowed)
    trials, wrong = list[Trial](), 0
    for number in range(40):
        (config,) = proposer.suggest(trials, seed=0, number=number)
        inside = 1e-5 <= config["rate"] <= 1 and config["depth"] in range(1, 13) and config["kind"] in "abc"
        wrong += not (inside and allowed(config) and ("momentum" in config) == (config["kind"] == "b"))
        failed = config["kind"] == "c" and config["depth"] > 9
        trials.append(Trial(config, None if failed else float(np.log10(config["rate"]) ** 2 + config["depth"])))
    distinct = len({str(sorted(trial.config.items())) for trial in trials})
    active = sum("momentum" in trial.config for trial in trials)
    failures = sum(trial.value is None for trial in trials)
    figures = f"{wrong} of 40 invalid, {distinct} distinct, {active} with the conditional parameter, {failures} failed"
    return wrong == 0 and distinct == 40 and 0 < active < 40, figures


def check_study(quick: bool) -> tuple[bool, str]:
    """Optuna studies of a bowl in three parameters with the shipped network, in parallel threads."""
    import optuna

    from optiformer.sampler import OptiFormerSampler

    def bowl(trial: optuna.Trial) -> float:
        return float(sum((trial.suggest_float(name, -10, 10) - 2) ** 2 for name in "xyz"))

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bests = []
    try:
        for seed in range(3 if quick else 7):
            study = optuna.create_study(sampler=OptiFormerSampler(seed=seed))
            study.optimize(bowl, n_trials=30, n_jobs=2)
            bests.append(study.best_value)
    finally:
        optuna.logging.set_verbosity(verbosity)
    median = float(np.median(bests))
    return median < 0.5, f"median best of {len(bests)} studies of 30 trials {median:.2g} (optimum 0, must be below .5)"


def check_benchmark(quick: bool) -> tuple[bool, str]:
    """The shipped network's best value after 30 trials is lower than random search's after 90, on most functions."""
    network, wins, functions = NetworkSurrogate(load(default_checkpoint())), 0, 6 if quick else 15
    space = Space(tuple(Parameter(f"x{i}", "float") for i in range(4)))
    for seed in range(functions):
        rng = np.random.default_rng(seed)
        optimum, weights = rng.uniform(0.2, 0.8, 4), np.exp(rng.normal(size=4))

        def value(points: np.ndarray, optimum: np.ndarray = optimum, weights: np.ndarray = weights) -> np.ndarray:
            ripples = 0.05 * (1 - np.cos(12 * (points - optimum))).sum(-1)
            return np.asarray((weights * np.abs(points - optimum) ** 1.5).sum(-1) + ripples)

        proposer, trials = Proposer(space, network), list[Trial]()
        for number in range(30):
            (config,) = proposer.suggest(trials, seed=seed, number=number)
            trials.append(Trial(config, float(value(np.array([config[p.name] for p in space.parameters])))))
        wins += min(trial.value for trial in trials if trial.value is not None) < value(rng.random((90, 4))).min()
    figures = f"better after 30 trials than random search after 90 on {wins} of {functions} functions"
    return wins > 0.7 * functions, figures
