"""``optiformer-seq`` behind the optimizer contract: what the conformance tests leave out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ConfigSpace import ConfigurationSpace, Float

import optibench_optimizers
from optibench_optimizers.adapters.optiformer_sequence import OptiFormerSeq, fingerprint
from optibench_optimizers.base import Observation, OptimizerError
from optiformer.sequence.network import load


def space() -> ConfigurationSpace:
    made = ConfigurationSpace()
    made.add(Float("x", (0.0, 1.0)), Float("rate", (1e-5, 1.0), log=True))
    return made


def observed(n: int) -> list[Observation]:
    return [Observation({"x": (i + 0.5) / n, "rate": 10 ** (-5 * i / n)}, abs(i / n - 0.4)) for i in range(n)]


def test_a_batch_is_distinct_and_pending_configurations_are_not_asked_again(tiny_checkpoint: Path) -> None:
    optimizer = OptiFormerSeq(space(), seed=1, n_trials=50, checkpoint=str(tiny_checkpoint))
    optimizer.tell(observed(10))
    asked = [s.config for s in optimizer.ask(6)] + [s.config for s in optimizer.ask(6)]
    assert len({tuple(config.items()) for config in asked}) == 12


def test_a_fingerprint_changes_with_the_weights_and_the_sampling(tiny_checkpoint: Path) -> None:
    first = load(tiny_checkpoint)
    assert fingerprint({"checkpoint": str(tiny_checkpoint)}) == first.digest() == load(tiny_checkpoint).digest()
    cooler = replace(first, sampling=replace(first.sampling, temperature=0.5))
    shifted = replace(first, weights={name: tensor + 1e-3 for name, tensor in first.weights.items()})
    assert len({first.digest(), cooler.digest(), shifted.digest()}) == 3


def test_settings_reach_the_policy(tiny_checkpoint: Path) -> None:
    kwargs = {"seed": 1, "n_trials": 50, "checkpoint": str(tiny_checkpoint)}
    greedy = [OptiFormerSeq(space(), **kwargs, temperature=0.0) for _ in range(2)]  # type: ignore[arg-type]
    warm = OptiFormerSeq(space(), **kwargs, top_p=0.5, margin=0.2)  # type: ignore[arg-type]
    assert warm._policy.sampling.top_p == 0.5
    assert warm._policy.sampling.margin == 0.2
    for optimizer in greedy:
        optimizer.tell(observed(10))
    assert greedy[0].ask() == greedy[1].ask()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"checkpoint": "nowhere"}, "no complete checkpoint"),
        ({"checkpoint": "a", "train": "b"}, "not both"),
        ({"train": "nowhere.yaml"}, "cannot be read"),
        ({"temperature": "hot"}, "'temperature' must be a number"),
        ({"top_p": 2.0}, "'top_p' must be"),
    ],
)
def test_wrong_settings_are_clear_errors(settings: dict[str, object], message: str, tiny_checkpoint: Path) -> None:
    if "checkpoint" not in settings and "train" not in settings:
        settings = {**settings, "checkpoint": str(tiny_checkpoint)}
    with pytest.raises(OptimizerError, match=message):
        optibench_optimizers.create("optiformer-seq", space(), seed=0, n_trials=10, settings=settings)
