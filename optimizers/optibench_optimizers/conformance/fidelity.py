"""The part of :mod:`optibench_optimizers.conformance.suite` for multi-fidelity optimizers; others skip it."""

from __future__ import annotations

import math
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from optibench_optimizers.base import Capabilities, Fidelity, Observation, Optimizer
from optibench_optimizers.conformance.spaces import bowl, check_valid, mixed
from optibench_optimizers.spaces import Config, SearchSpace

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

EPOCHS = Fidelity("epochs", 1, 9, whole=True)


class FidelityConformance:
    """The tests of multi-fidelity optimizers; :class:`~optibench_optimizers.conformance.suite.OptimizerConformance` has
    them all."""

    @property
    def capabilities(self) -> Capabilities:
        """Its capabilities."""
        raise NotImplementedError

    def create(
        self, space: ConfigurationSpace, *, seed: int, n_trials: int, fidelity: Fidelity | None = None
    ) -> Optimizer:
        """Build the optimizer."""
        raise NotImplementedError

    def inapplicable(self) -> dict[str, str]:
        """The tests that do not apply to this optimizer, each with the reason; pytest skips them."""
        if self.capabilities.multi_fidelity:
            return {}
        return {name: "varies no fidelity" for name in vars(FidelityConformance) if name.startswith("test_")}

    def run_fidelity(self, fidelity: Fidelity, *, n: int = 40, fails: bool = False) -> list[Observation]:
        """Evaluate ``n`` suggestions, three at a time; lower fidelities look better than they are."""
        view = SearchSpace(mixed())
        found: list[Observation] = []
        with closing(self.create(mixed(), seed=4, n_trials=n, fidelity=fidelity)) as optimizer:
            while len(found) < n:
                waiting = []
                for suggestion in optimizer.ask(3):
                    check_valid(suggestion.config, view)
                    chosen = None if suggestion.fidelity is None else dict(suggestion.fidelity)
                    level = fidelity.high if chosen is None else chosen[fidelity.name]
                    assert chosen is None or list(chosen) == [fidelity.name]
                    assert fidelity.low <= level <= fidelity.high
                    assert type(level) is (int if fidelity.whole and chosen else float)
                    failed = fails and level < fidelity.high and suggestion.config["c"] == "red"
                    value = math.nan if failed else bowl(suggestion.config, view) + level / fidelity.high
                    waiting.append(Observation(suggestion.config, value, "failed" if failed else "ok", chosen))
                optimizer.tell(waiting[::-1])
                found += waiting
        return found

    @pytest.mark.parametrize("fidelity", [EPOCHS, Fidelity("part", 0.1, 1.0)], ids=lambda f: f.name)
    def test_fidelities_are_legal_vary_and_repeat(self, fidelity: Fidelity) -> None:
        found = self.run_fidelity(fidelity)
        levels = [fidelity.high if o.fidelity is None else o.fidelity[fidelity.name] for o in found]
        assert len(set(levels)) > 1, "it declares multi_fidelity=True and chose one fidelity only"
        assert max(levels) == fidelity.high, "nothing was evaluated in full"
        again = self.run_fidelity(fidelity)
        assert [(o.config, o.fidelity) for o in again] == [(o.config, o.fidelity) for o in found]

    def test_what_is_evaluated_in_full_looked_good_before(self) -> None:
        view, full, low = SearchSpace(mixed()), list[Config](), list[Config]()
        for observation in self.run_fidelity(EPOCHS):
            level = (observation.fidelity or {"epochs": EPOCHS.high})["epochs"]
            (full if level == EPOCHS.high else low).append(dict(observation.config))
        promoted = [bowl(config, view) for config in full if config in low]
        if not promoted:
            pytest.skip("evaluated nothing in full that it had evaluated cheaply")
        left = [bowl(config, view) for config in low if config not in full]
        assert np.mean(promoted) < np.mean(left), "what it promoted was no better than what it left at low fidelities"

    def test_it_survives_failures_at_low_fidelities(self) -> None:
        found = self.run_fidelity(EPOCHS, fails=True)
        assert {o.state for o in found} == {"ok", "failed"}

    def test_a_fidelity_without_a_range_is_full(self) -> None:
        found = self.run_fidelity(Fidelity("epochs", 9, 9, whole=True), n=6)
        assert {(o.fidelity or {"epochs": 9})["epochs"] for o in found} == {9}
