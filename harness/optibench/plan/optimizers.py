"""An optimizer in a plan: its settings are checked and its versions pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import msgspec

from optibench.errors import HarnessError, reason
from optibench.own import is_own
from optibench.spec import batches

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optibench_optimizers import Entry

NOT_IN_KEY = ("packages", "fingerprint", "own")
"""Fields of an optimizer that are not part of a cell's key."""


class PlannedOptimizer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An optimizer of a grid: what it wraps, and the key of its training phase if it needs one.

    ``fingerprint`` is its checkpoint's, in folders that were made before cells had fingerprints. ``own`` means that it
    is an object passed to a Python call.
    """

    name: str
    settings: Mapping[str, Any]
    packages: Mapping[str, str]
    fingerprint: str | None = None
    training: str | None = None
    batch: int = 1
    own: bool = False

    @classmethod
    def of(cls, entry: Entry, settings: Mapping[str, Any], batch: int, benchmark: Benchmark, trials: int) -> Self:
        """Check an optimizer and its settings; it is set up on ``benchmark`` if only that shows whether they are valid.

        Raises:
            HarnessError, OptimizerError: They are invalid, or a library is missing.
        """
        import optibench_optimizers

        entry.check()  # a library in a reduced mode is rejected here, not in every cell
        optibench_optimizers.check_settings(entry, settings)
        training = entry.training(settings) if settings else None
        found = cls(
            name=entry.name,
            settings=dict(sorted(settings.items())),
            packages=entry.versions(),
            training=None if training is None else training.key,
            batch=batch,
            own=is_own(entry),
        )
        if (settings or found.own) and training is None:  # a wrong value is found here, not in every cell
            try:
                optibench_optimizers.create(
                    entry.name,
                    benchmark.space,
                    seed=0,
                    n_trials=trials,
                    settings=settings,
                    n_objectives=len(benchmark.objectives) or 1,
                    n_constraints=len(benchmark.constraints),
                ).close()
            except optibench_optimizers.OptimizerError:
                raise
            except (Exception, SystemExit) as error:  # whatever a third party's constructor does
                raise HarnessError(f"Optimizer {found.specification!r} cannot be set up: {reason(error)}") from error
        return found

    @property
    def specification(self) -> str:
        """Its name and its settings in a canonical order."""
        words = ",".join(f"{key}={_scalar(value)}" for key, value in sorted(self.settings.items()))
        return f"{self.name}:{words}" if words else self.name

    @property
    def label(self) -> str:
        """Its name in tables: the specification, and the batch size if it is above 1."""
        return batches.label(self.specification, self.batch)

    @property
    def identity(self) -> dict[str, Any]:
        """What a cell's key covers, as JSON; versions are not part of it, they are in fingerprints."""
        return {name: value for name, value in msgspec.to_builtins(self).items() if name not in NOT_IN_KEY}


def _scalar(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
