"""Seconds a suggestion at 7 parameters and 100 past trials, one thread; run with ``make bench``.

:func:`test_a_full_ask_of_the_sampler` alternates ``OptiFormerSampler`` and Optuna's TPE in one study each.

One run measures the naive loop (the whole history forward for every token), the cached policy with the same history,
the policy as shipped (its context holds the declared number of trials), and Optuna's TPE and GP on the same history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

from optiformer import OptiFormerSampler
from optiformer.gp.posterior import Kinds
from optiformer.network_config import PRESETS
from optiformer.sequence.network import Checkpoint, build_network, default_checkpoint, load
from optiformer.sequence.policy import Policy
from optiformer.sequence.tokenizer import ScoreScale
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.surrogate import checkpoint as surrogate_checkpoint
from optiformer.surrogate.features import ScoreTransform
from optiformer.surrogate.surrogate import NetworkSurrogate

D, N = 7, 100
SPACE = Space(tuple(Parameter(f"p{i}", "float") for i in range(D)))
#: How many times faster the shipped policy must be than the naive loop.
SPEEDUP = 20.0


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    rng = np.random.default_rng(0)
    rows = rng.random((N, D))
    return [Trial({f"p{i}": float(v) for i, v in enumerate(row)}, float(((row - 0.4) ** 2).sum())) for row in rows]


@pytest.fixture(scope="module", params=["shipped", "nano"])
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    shipped = load(default_checkpoint())
    if request.param == "shipped":
        return shipped
    network = build_network(PRESETS["nano"], shipped.vocabulary, seed=0).eval()
    return replace(shipped, weights=dict(network.state_dict()), config=PRESETS["nano"])


def whole_history(policy: Policy) -> Policy:
    policy.sampling = replace(policy.sampling, context_trials=N, max_tokens=4096)
    return policy


def naive_suggestion(checkpoint: Checkpoint, trials: list[Trial]) -> list[int]:
    """Every generated token costs a forward pass over everything."""
    policy = Policy(SPACE, checkpoint)
    scale = ScoreScale.of(np.array([t.value for t in trials], dtype=float))
    tokens = [*policy.tokenizer.encode_history(trials, scale), checkpoint.vocabulary.special("TRIAL_SEP")]
    with torch.no_grad():
        for slot in policy.tokenizer.slots:
            for generated in ("name", "value"):
                logits = checkpoint.network(torch.tensor([tokens]), use_cache=False).logits[0, -1]
                number = int(logits[: checkpoint.vocabulary.n_bins].argmax())
                tokens.append(checkpoint.vocabulary.name(slot) if generated == "name" else number)
    return tokens


def seconds(call: Callable[[], object], repeats: int) -> float:
    call()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def test_policy_as_shipped(benchmark: object, checkpoint: Checkpoint, trials: list[Trial]) -> None:
    policy = Policy(SPACE, checkpoint)
    rng = np.random.default_rng(0)
    benchmark(lambda: policy.suggest(trials, rng=rng))  # type: ignore[operator]
    fast = seconds(lambda: policy.suggest(trials, rng=rng), 15)
    slow = seconds(lambda: naive_suggestion(checkpoint, trials), 3)
    benchmark.extra_info["naive_seconds"] = slow  # type: ignore[attr-defined]
    benchmark.extra_info["speedup"] = slow / fast  # type: ignore[attr-defined]
    assert slow / fast >= SPEEDUP


def test_policy_with_the_whole_history(benchmark: object, checkpoint: Checkpoint, trials: list[Trial]) -> None:
    policy = whole_history(Policy(SPACE, checkpoint))
    rng = np.random.default_rng(0)
    benchmark(lambda: policy.suggest(trials, rng=rng))  # type: ignore[operator]


def test_naive_loop(benchmark: object, checkpoint: Checkpoint, trials: list[Trial]) -> None:
    benchmark.pedantic(naive_suggestion, args=(checkpoint, trials), rounds=3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["tpe", "gp"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_optuna(benchmark: object, name: str, trials: list[Trial]) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=0) if name == "tpe" else optuna.samplers.GPSampler(seed=0)
    study = optuna.create_study(sampler=sampler)
    space = {f"p{i}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(D)}
    for trial in trials:
        study.add_trial(optuna.create_trial(params=dict(trial.config), distributions=space, value=trial.value))
    benchmark.pedantic(lambda: study.ask(space), rounds=20 if name == "tpe" else 5)  # type: ignore[attr-defined]


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["shipped", "first"])
def test_encoding_a_hundred_trials(benchmark: object, name: str, trials: list[Trial]) -> None:
    shipped = surrogate_checkpoint.default_checkpoint()
    folder = shipped if name == "shipped" else Path(__file__).parents[2] / "results" / "networks" / name
    network = NetworkSurrogate(surrogate_checkpoint.load(folder))
    rows = np.array([list(trial.config.values()) for trial in trials])
    value = np.array([trial.value for trial in trials])
    score = ScoreTransform.of(value, network.encoding.knee).apply(value)
    kinds, active, failed = Kinds(np.zeros(D, bool), np.zeros(D)), np.ones(rows.shape, bool), np.zeros(N, bool)
    benchmark(lambda: network.encode(kinds, rows, active, score, failed))  # type: ignore[operator]


def asks(sampler: optuna.samplers.BaseSampler, n: int, seed: int, repeats: int = 4) -> float:
    """Mean processor seconds of asking for a trial, after n trials of a search; each is finished before the next."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, rng, total = optuna.create_study(sampler=sampler), np.random.default_rng(seed), 0.0
    space = {f"p{i}": optuna.distributions.FloatDistribution(0.0, 1.0) for i in range(D)}
    near = np.clip(0.4 + 0.1 * rng.standard_normal((n, D)), 0, 1)
    for row in np.where(np.arange(n)[:, None] < max(10, n // 4), rng.random((n, D)), near):
        params = dict(zip(space, row.tolist(), strict=True))
        study.add_trial(optuna.create_trial(params=params, distributions=space, value=bowl(row)))
    for ask in range(1 + repeats):
        started = time.process_time()
        trial = study.ask()
        point = [trial.suggest_float(name, 0, 1) for name in space]
        total += (time.process_time() - started) * (ask > 0)  # the first one reads all trials
        study.tell(trial, bowl(np.array(point)))
    return total / repeats


def bowl(point: np.ndarray) -> float:
    return float(
        (np.square(point - 0.4) * np.arange(1, D + 1)).sum() + 0.1 * np.sin(9 * point[0]) * np.cos(7 * point[1])
    )


@pytest.mark.heavy
@pytest.mark.parametrize("n", [10, 50, 100, 200, 1000])
def test_a_full_ask_of_the_sampler(benchmark: object, n: int) -> None:
    pairs = [
        (asks(OptiFormerSampler(seed=seed), n, seed), asks(optuna.samplers.TPESampler(seed=seed), n, seed))
        for seed in range(7)
    ]
    mine, tpe = np.median(pairs, 0)
    benchmark.pedantic(asks, args=(OptiFormerSampler(seed=0), n, 0), rounds=1)  # type: ignore[attr-defined]
    benchmark.extra_info.update(milliseconds=1e3 * mine, ratio=mine / tpe)  # type: ignore[attr-defined]
    print(f"n = {n}: {1e3 * mine:.1f} ms, {mine / tpe:.1f} times TPE's")
