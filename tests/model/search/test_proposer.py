"""Proposals of the surrogate: any space, no duplicates, failures, batches, many parameters, who chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ConfigSpace import (
    ConfigurationSpace,
)
from ConfigSpace.util import check_configuration
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.search.spaces import SPACES, branches, choices, flat, nested, observed

from optibench_optimizers.adapters.optiformer import OptiFormer, fingerprint
from optibench_optimizers.base import Observation, OptimizerError
from optibench_optimizers.spaces import SearchSpace
from optiformer.network_config import NetworkConfig
from optiformer.search.config import ProposerConfig
from optiformer.search.proposer import MIN_CONTINUOUS_LEVELS, Proposer
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.space.unit_space import UnitSpace
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays, save
from optiformer.surrogate.config import FunctionPriorConfig, SurrogateConfig
from optiformer.surrogate.network.network import build
from optiformer.surrogate.surrogate import NetworkSurrogate

ENCODING = SurrogateConfig(slots=6, bins=64, max_trials=24, prior=FunctionPriorConfig(dimensions=(2,)))
NETWORK = NetworkConfig(32, 2, 2, 48, tie_query_key=True)
SMALL = ProposerConfig(uniform=32, local=32, refinements=2, refined=16, batch_fraction=0.0)


@pytest.fixture(scope="module", params=[0, 1], ids=["attention only", "kernel heads"])
def network(request: pytest.FixtureRequest) -> NetworkSurrogate:
    encoding = replace(ENCODING, kernels_after=request.param)
    made = build(encoding, NETWORK, seed=0)
    with torch.no_grad():
        made.head.weight.mul_(30)  # confident predictions, if wrong
    return NetworkSurrogate(SurrogateCheckpoint(arrays(made.state_dict()), encoding, NETWORK, {}))


def make(
    network: NetworkSurrogate, space: ConfigurationSpace, allowed: Any = lambda config: True, **kw: Any
) -> Proposer:
    return Proposer(Space.from_configspace(space), network, replace(SMALL, **kw), allowed=allowed)


def suggest(
    network: NetworkSurrogate, space: ConfigurationSpace, trials: Sequence[Trial], n: int = 1, seed: int = 0, **kw: Any
) -> list[dict[str, Any]]:
    return make(network, space).suggest(trials, n, seed=seed, number=len(trials), **kw)


def ask_state(proposer: Proposer, trials: Sequence[Trial]) -> Any:
    return proposer._ask_state(proposer._history(trials))


def key(config: Any) -> tuple[Any, ...]:
    return tuple(sorted(config.items()))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_positions_and_conditions_are_those_of_the_space(seed: int) -> None:
    space = Space.from_configspace(nested())
    unit = UnitSpace(space)
    snapped = unit.snap(np.random.default_rng(seed).random((1, len(unit))))
    active = unit.active(snapped)[0]
    config = unit.config(snapped[0])
    assert {p.name for p, on in zip(unit.parameters, active, strict=True) if on} == set(config)
    position, same = unit.position(config)
    assert np.array_equal(same, active)
    np.testing.assert_allclose(position[active], snapped[0][active], atol=1e-9)
    np.testing.assert_allclose(unit.snap(snapped), snapped, atol=1e-9)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("n", [0, 3, 12, 60])
def test_proposals_are_valid_and_new_in_any_space_after_any_number_of_trials(
    network: NetworkSurrogate, name: str, n: int
) -> None:
    space = SPACES[name]()
    trials = observed(space, n)
    proposed = suggest(network, space, trials, 3)
    for config in proposed:
        check_configuration(space, SearchSpace(space).vector(config))
    assert len({key(c) for c in proposed} | {key(t.config) for t in trials}) == 3 + len({key(t.config) for t in trials})


def test_a_proposal_depends_on_seed_and_trials_alone_and_not_on_their_order(network: NetworkSurrogate) -> None:
    trials = observed(flat(3), 15)
    first = suggest(network, flat(3), trials)
    torch.manual_seed(9)
    assert suggest(network, flat(3), trials) == first
    assert suggest(network, flat(3), trials, seed=1) != first
    assert suggest(network, flat(3), [Trial(t.config, -(t.value or 0.0)) for t in trials]) != first


def test_pending_configurations_are_not_proposed_again_and_shift_the_batch(network: NetworkSurrogate) -> None:
    trials = observed(flat(2), 12)
    alone = suggest(network, flat(2), trials)
    assert suggest(network, flat(2), trials, pending=alone) != alone
    batch = suggest(network, flat(2), trials, 5)
    assert batch[0] == alone[0]
    assert len({key(config) for config in batch}) == 5


def test_a_small_discrete_space_is_searched_to_its_last_configuration(network: NetworkSurrogate) -> None:
    space = ConfigurationSpace({"a": ["x", "y", "z"], "n": (1, 3), "fixed": 1})
    trials: list[Trial] = []
    for index in range(9):
        (config,) = suggest(network, space, trials, seed=index)
        trials.append(Trial(config, float(index)))
    assert len({key(t.config) for t in trials}) == 9
    assert key(suggest(network, space, trials)[0]) in {key(t.config) for t in trials}


def test_maximizing_gp_ei_improves_it_and_keeps_discrete_parameters(network: NetworkSurrogate) -> None:
    space = nested()
    proposer = make(network, space, ei_evaluations=40, acquisition="gp-ei")
    ask = ask_state(proposer, observed(space, 15))
    start = proposer.space.snap(np.random.default_rng(0).random((8, len(proposer.space))))
    maxima = proposer._maximize_ei(start, ask)
    discrete = proposer.space.categorical | (
        (proposer.space.levels > 0) & (proposer.space.levels <= MIN_CONTINUOUS_LEVELS)
    )
    assert np.array_equal(maxima[:, discrete], start[:, discrete])
    assert maxima.min() >= 0
    assert maxima.max() <= 1
    before, after = (proposer._value("gp-ei", place, ask) for place in (start, maxima))
    assert (after >= before).all()
    assert (after > before).mean() > 0.6


@pytest.mark.parametrize("failures", [1, 6, 12])
def test_failed_trials_are_survived(network: NetworkSurrogate, failures: int) -> None:
    trials = observed(nested(), 12)
    trials = [Trial(t.config, None if i < failures else t.value) for i, t in enumerate(trials)]
    assert len(suggest(network, nested(), trials, 2)) == 2


@pytest.mark.parametrize("value", [0.0, -1e300, 1e300])
def test_constant_and_huge_values_are_survived(network: NetworkSurrogate, value: float) -> None:
    trials = [Trial(t.config, value) for t in observed(flat(2), 8)]
    assert len(suggest(network, flat(2), trials)) == 1


def test_in_wide_spaces_the_network_sees_relevant_columns_and_all_others_in_turn(network: NetworkSurrogate) -> None:
    space = flat(20)
    unit = UnitSpace(Space.from_configspace(space))
    positions = np.random.default_rng(0).random((60, 20))
    trials = [Trial(unit.config(p), float(p[4] + p[11] - p[17])) for p in positions]
    seen = [ask_state(make(network, space), trials[:n]).model.visible for n in range(40, 52)]
    assert all(len(columns) == ENCODING.slots and {4, 11, 17} <= set(columns.tolist()) for columns in seen)
    assert len(set(np.concatenate(seen).tolist())) == 20


def test_a_history_that_grows_equals_one_that_is_read_at_once(network: NetworkSurrogate) -> None:
    trials = observed(flat(2), 9)
    growing = make(network, flat(2))
    for known in ([], trials[:4], trials[:7], trials[2:5], trials):
        mine, other = growing._history(known), make(network, flat(2))._history(known)
        np.testing.assert_array_equal(mine.position, other.position)
        np.testing.assert_array_equal(mine.active, other.active)
        assert mine.seen == other.seen


def test_outliers_count_as_failures(network: NetworkSurrogate) -> None:
    def failed(trials: Sequence[Trial]) -> Any:
        return make(network, flat(2))._history(trials).failed

    trials = observed(flat(2), 20)
    wild = [Trial(t.config, 1e6 if i in (3, 15) else t.value) for i, t in enumerate(trials)]
    assert np.flatnonzero(failed(wild)).tolist() == [3, 15]
    assert not failed(trials).any()
    spread = [Trial(t.config, float(np.exp(7.0 * i))) for i, t in enumerate(trials)]
    assert not failed(spread).any()


def test_the_first_design_is_the_middle_then_a_sobol_sequence(network: NetworkSurrogate) -> None:
    first = make(network, choices()).suggest([], seed=3, number=0)[0]
    assert first == {"many": "v0", "few": "p", "n": 3, "fixed": 3}
    line = make(network, flat(1))
    found = [line.suggest([], seed=3, number=number)[0]["x0"] for number in range(1, 17)]
    assert sorted(int(16 * x) for x in found) == list(range(16))  # one in every sixteenth
    assert line.suggest([], seed=4, number=1)[0]["x0"] != found[0]


def test_concurrent_asks_get_different_proposals(network: NetworkSurrogate) -> None:
    space, rng = flat(2), np.random.default_rng(0)
    points = np.concatenate([rng.random((14, 2)), 0.5 + 0.02 * rng.standard_normal((6, 2))])
    bowl = [Trial({"x0": x, "x1": y}, (x - 0.5) ** 2 + (y - 0.5) ** 2) for x, y in points.tolist()]
    for trials in (observed(space, 20), bowl):  # the plain GP predicts a bowl and screens
        proposer = make(network, space)
        proposed = [proposer.suggest(trials, seed=s, number=20 + s, skip=s)[0] for s in range(6)]
        found = np.array([[config["x0"], config["x1"]] for config in proposed])
        apart = np.abs(found[:, None] - found).max(-1)[np.triu_indices(6, 1)]
        assert apart.min() > 0.01


def test_pending_trials_are_weighted(network: NetworkSurrogate) -> None:
    proposer, trials = make(network, flat(2)), observed(flat(2), 20)
    alone = proposer.suggest(trials, seed=0, number=20)
    for weight, same in ((0.0, True), (1.0, False)):
        beside = [{"x0": alone[0]["x0"] + 1e-4, "x1": alone[0]["x1"]}]
        found = proposer.suggest(trials, seed=0, number=20, pending=beside, weights=[weight])
        assert (found == alone) == same


def test_forbidden_configurations_are_not_proposed(network: NetworkSurrogate) -> None:
    proposer = make(network, flat(2), allowed=lambda c: c["x0"] > 0.8)
    for n in (0, 10):
        config = proposer.suggest(observed(flat(2), n), seed=n, number=n)[0]
        assert config["x0"] > 0.8


def test_the_adapter_repeats_itself_when_replayed_and_names_wrong_settings(
    network: NetworkSurrogate, tmp_path: Path
) -> None:
    save(tmp_path, build(ENCODING, NETWORK, seed=0).state_dict(), ENCODING, NETWORK, info={})
    runs = []
    for _ in range(2):
        optimizer = OptiFormer(nested(), seed=4, n_trials=20, checkpoint=str(tmp_path), preset="fast")
        optimizer.tell([Observation(t.config, t.value or 0.0) for t in observed(nested(), 8)])
        proposed = []
        for _ in range(3):
            (suggestion,) = optimizer.ask()
            proposed.append(suggestion.config)
            optimizer.tell([Observation(suggestion.config, float(len(proposed)))])
        runs.append(proposed)
    assert runs[0] == runs[1]
    with pytest.raises(OptimizerError, match="fast, default, thorough"):
        OptiFormer(nested(), seed=4, n_trials=20, checkpoint=str(tmp_path), preset="slow")
    with pytest.raises(OptimizerError, match="no complete checkpoint"):
        OptiFormer(nested(), seed=4, n_trials=20, checkpoint="nowhere")
    with pytest.raises(OptimizerError, match="Setting 'margin' must be a number"):
        OptiFormer(nested(), seed=4, n_trials=20, checkpoint=str(tmp_path), margin="wide")  # type: ignore[arg-type]


def test_a_training_phase_is_declared_keyed_and_its_checkpoint_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(
        "encoding: surrogate\n"
        "surrogate: {slots: 6, bins: 64, queries: 8, max_trials: 16, prior: {dimensions: [2]}}\n"
        "network: {hidden_size: 32, n_layers: 1, n_heads: 2, intermediate_size: 32}\n"
        "train: {steps: 2, batch_tokens: 100, validation_batches: 1, precision: fp32}\n"
    )
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache"))
    assert OptiFormer.training({}) is None
    training = OptiFormer.training({"train": str(config)})
    assert training is not None
    assert training.run()["seconds"] > 0
    optimizer = OptiFormer(flat(2), seed=0, n_trials=10, train=str(config))
    optimizer.tell([Observation(t.config, t.value or 0.0) for t in observed(flat(2), 8)])
    assert len(optimizer.ask(2)) == 2
    assert fingerprint({"checkpoint": str(tmp_path / "cache" / "trained" / training.key / "best")})
    assert fingerprint({"train": str(config)}) == training.key
    with pytest.raises(OptimizerError, match="not both"):
        OptiFormer(flat(2), seed=0, n_trials=10, train=str(config), checkpoint="x")
    with pytest.raises(OptimizerError, match="cannot be read"):
        OptiFormer.training({"train": "nowhere.yaml"})


def turns(proposer: Proposer, trials: Sequence[Trial]) -> set[str]:
    """The acquisition functions of two asks in a row."""
    return {name for n in (len(trials) - 1, len(trials)) for name in ask_state(proposer, trials[:n]).acquisitions}


def test_gp_ei_alternates_if_its_leave_one_out_r2_is_large(network: NetworkSurrogate) -> None:
    smooth = [Trial(t.config, float((t.config["x0"] - 0.4) ** 2 + t.config["x1"])) for t in observed(flat(2), 20)]
    values = np.random.default_rng(0).random(20)
    noise = [Trial(t.config, float(v)) for t, v in zip(smooth, values, strict=True)]
    proposer = make(network, flat(2), acquisition="pi+gp-ei", min_gp_r2=0.5, n_gp_only=0)
    assert turns(proposer, smooth) == {"pi", "gp-ei"}
    assert turns(proposer, noise) == {"pi"}


def test_gp_ei_alternates_in_conditional_spaces_whatever_its_r2(network: NetworkSurrogate) -> None:
    proposer = make(network, branches(), acquisition="pi+gp-ei", min_gp_r2=1.0, n_gp_only=0)
    assert turns(proposer, observed(branches(), 20)) == {"pi", "gp-ei"}


def test_gp_ei_alone_chooses_the_first_trials(network: NetworkSurrogate) -> None:
    proposer = make(network, flat(2), acquisition="pi+gp-ei", min_gp_r2=1.0, n_gp_only=12)
    for n, alone in ((8, True), (11, True), (12, False)):
        ask = ask_state(proposer, observed(flat(2), n))
        assert ask.acquisitions == (("gp-ei",) if alone else ("pi",))


@pytest.mark.parametrize("acquisition", ["pi", "pi+gp-ei"])
def test_the_network_has_no_part_in_several_objectives_or_constraints(
    network: NetworkSurrogate, acquisition: str
) -> None:
    proposer = make(network, flat(2), acquisition=acquisition, n_gp_only=0)
    for further in ({"values": (1.0, 2.0)}, {"constraints": (-1.0,)}):
        ask = ask_state(proposer, [replace(trial, **further) for trial in observed(flat(2), 20)])
        assert ask.acquisitions == ("gp-ei",)


def test_the_network_guides_the_search_of_a_stepped_surface_from_the_start(network: NetworkSurrogate) -> None:
    def rounded(trial: Trial, step: float) -> Trial:
        assert trial.value is not None
        return Trial(trial.config, round(trial.value / step) * step)

    proposer = make(network, flat(2), acquisition="pi+gp-ei", min_gp_r2=0.5, n_gp_only=15)
    for n, step, guides in ((12, 1e-9, False), (12, 0.2, True), (20, 1e-9, False), (20, 0.2, True)):
        trials = [rounded(trial, step) for trial in observed(flat(2), n)]
        ask = ask_state(proposer, trials)
        assert (ask.acquisitions == ("pi",) and not ask.screens) == guides


def test_each_branch_is_tried_once_before_any_other_choice_matters(network: NetworkSurrogate) -> None:
    trials = list[Trial]()
    start = [{"kind": "a", "other": "u", "xa": x / 6} for x in range(6)]
    trials += [Trial(config, float(place)) for place, config in enumerate(start)]
    proposer = make(network, branches())
    for number in range(6, 10):
        (config,) = proposer.suggest(trials, seed=0, number=number)
        trials.append(Trial(config, None if config["kind"] == "c" else 9.0))  # a failed trial counts as tried
    assert {trial.config["kind"] for trial in trials[6:]} == set("bcde")


def test_forbidden_and_pending_branches_are_skipped(network: NetworkSurrogate) -> None:
    trials = [Trial({"kind": "a", "other": "u", "xa": x / 6}, float(x)) for x in range(6)]
    proposer = make(network, branches(), allowed=lambda config: config["kind"] in "abc")
    (config,) = proposer.suggest(trials, seed=0, number=6, pending=[{"kind": "b", "other": "u", "xb": 0.5}])
    assert config["kind"] == "c"
    trials += [Trial({"kind": kind, "other": "u", f"x{kind}": 0.5}, 9.0) for kind in "bc"]
    (config,) = proposer.suggest(trials, seed=0, number=8)
    assert config["kind"] in "abc"


def test_the_network_scores_the_candidates_of_largest_expected_improvement_only(
    network: NetworkSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[np.ndarray] = []
    plain = NetworkSurrogate.predict

    def recorded(self: NetworkSurrogate, context: Any, position: Any, active: Any) -> Any:
        scored.append(position)
        return plain(self, context, position, active)

    monkeypatch.setattr(NetworkSurrogate, "predict", recorded)
    trials, proposer = observed(flat(3), 20), make(network, flat(3), acquisition="pi", screened=12)
    proposer.suggest(trials, seed=0, number=20)
    assert [len(positions) for positions in scored] == [12]
    ask = ask_state(proposer, trials)
    others = np.random.default_rng(0).random((100, 3))
    assert proposer._value("gp-ei", scored[0], ask).min() > np.median(proposer._value("gp-ei", others, ask))


def test_the_network_guides_the_search_where_the_gp_is_not_trusted(
    network: NetworkSurrogate, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[int] = []
    plain = NetworkSurrogate.predict

    def counted(self: NetworkSurrogate, context: Any, position: Any, active: Any) -> Any:
        scored.append(len(position))
        return plain(self, context, position, active)

    monkeypatch.setattr(NetworkSurrogate, "predict", counted)
    values = np.random.default_rng(1).random(20)
    noise = [Trial(t.config, float(v)) for t, v in zip(observed(flat(3), 20), values, strict=True)]
    make(network, flat(3), screened=4).suggest(noise, seed=0, number=20)
    half = [(SMALL.uniform + SMALL.local) // 2, *[SMALL.refined // 2] * SMALL.refinements]
    assert scored == half


def test_the_kernel_heads_have_the_hyperparameters_of_the_gp_where_it_predicts_well(network: NetworkSurrogate) -> None:
    if not network.encoding.kernels_after:
        pytest.skip("no kernel heads")
    smooth = observed(flat(3), 24)
    noise = np.random.default_rng(1).random(24)
    for trials, equal in ((smooth, True), ([Trial(t.config, float(v)) for t, v in zip(smooth, noise, strict=True)], 0)):
        model = ask_state(make(network, flat(3)), trials).model
        heads, _ = model.context.gp
        log_lengthscale, _ = model.gp.hyperparameters
        assert np.allclose(heads.weights[:, :: heads.weights.shape[1] // 3], np.exp(-log_lengthscale).T) == equal
