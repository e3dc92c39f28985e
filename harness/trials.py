"""Trials: one row each, from the running cell to the stored table."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.cells import Cell


@dataclass(slots=True)
class Trial:
    """What happened in one trial.

    Attributes:
        trial: Index in the cell, from 0.
        phase: ``initial`` (the shared initial design) or ``search``.
        config: The active parameters as JSON; ``None`` if the optimizer failed to propose any.
        fidelity: The fidelity as JSON; ``None`` for the full one.
        value: The objective in the benchmark's own direction; NaN unless ``state`` is ``ok``.
        state: ``ok`` | ``failed`` | ``timeout``; only imported trials may be ``infeasible``.
        error: What went wrong, if anything did.
        cost_seconds: What the evaluation would have cost for real, as the benchmark says.
        ask_seconds, evaluate_seconds, tell_seconds: Wall-clock time of each step.
        started_at: Unix time.
        attempts: How often it was begun: more than once if a worker died of it and it was tried again.
        cost_fidelity: What it costs in full evaluations: 1 for a full one (:func:`harness.fidelity.share`).
        simulated_start, simulated_end: When it ran on the simulated clock, in seconds; ``None`` where there is none.
        curve: The learning curve of a training as JSON (:func:`curve_text`); ``None`` where there is none.
    """

    trial: int
    phase: str
    config: str | None
    fidelity: str | None
    value: float
    state: str
    error: str | None
    cost_seconds: float
    ask_seconds: float
    evaluate_seconds: float
    tell_seconds: float
    started_at: float
    attempts: int = 1
    cost_fidelity: float = 1.0
    simulated_start: float | None = None
    simulated_end: float | None = None
    curve: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it has no value, or its optimizer could not be told."""
        return self.state != "ok" or self.error is not None

    def to_json(self) -> str:
        """One line; ``NaN`` is written as null."""
        return json.dumps([None if value != value else value for value in map(self.__getattribute__, FIELDS)])

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: The line is not a whole record.
        """
        values = json.loads(line)
        if not isinstance(values, list) or not FIELDS.index("attempts") <= len(values) <= len(FIELDS):  # less: older
            raise ValueError(f"not a trial: {line[:80]!r}")
        if not all(type(value) in kinds for value, kinds in zip(values, _KINDS, strict=False)):
            raise ValueError(f"a value of another kind in a trial: {line[:80]!r}")
        trial = cls(*values)
        trial.value = math.nan if trial.value is None else trial.value
        trial.cost_seconds = math.nan if trial.cost_seconds is None else trial.cost_seconds
        return trial


_NUMBER, _TEXT, _NONE = (int, float), (str,), (type(None),)
_KINDS: tuple[tuple[type, ...], ...] = (
    *((int,), _TEXT, _TEXT + _NONE, _TEXT + _NONE, _NUMBER + _NONE, _TEXT, _TEXT + _NONE, _NUMBER + _NONE),
    *(_NUMBER, _NUMBER, _NUMBER, _NUMBER, (int,), _NUMBER, _NUMBER + _NONE, _NUMBER + _NONE, _TEXT + _NONE),
)
"""The types that the fields of a trial may have in a journal."""
FIELDS = tuple(field.name for field in dataclasses.fields(Trial))
MOST_STEPS = 200
"""Steps of a learning curve that are kept; of more, evenly spaced ones, the last among them."""
TIMINGS = ("ask_seconds", "evaluate_seconds", "tell_seconds", "started_at")
"""The columns that differ between two runs of the same cell."""


def curve_text(curve: Mapping[str, Sequence[float]]) -> str | None:
    """A learning curve as it is stored: JSON, numbers of seven digits, what is not finite as null; ``None`` if empty.

    Raises:
        ValueError: Its columns have several lengths, or hold something else than numbers.
    """
    lengths = {len(column) for column in curve.values()}
    if len(lengths) > 1:
        raise ValueError(f"the learning curve has columns of {sorted(lengths)} steps")
    if not lengths or lengths == {0}:
        return None
    (n,) = lengths
    kept = (
        sorted({round((n - 1) * place / (MOST_STEPS - 1)) for place in range(MOST_STEPS)})
        if n > MOST_STEPS
        else range(n)
    )
    return json.dumps({str(name): [_rounded(float(column[step])) for step in kept] for name, column in curve.items()})


def _rounded(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None


def incumbents(values: Sequence[float], states: Sequence[str], shares: Sequence[float], direction: str) -> list[float]:
    """Best ok value so far after each trial, in the benchmark's direction; NaN before the first.

    Only full evaluations count, those with a share of 1: what a lower fidelity gives is another quantity.
    """
    best, out = math.nan, []
    for value, state, share in zip(values, states, shares, strict=True):
        if (
            state == "ok"
            and share >= 1.0
            and (best != best or (value < best if direction == "minimize" else value > best))
        ):
            best = value
        out.append(best)
    return out


def to_table(cell: Cell, trials: Sequence[Trial], task: Mapping[str, Any], fingerprint: str = "") -> pa.Table:
    """A finished cell as the table that is stored (columns as in :func:`schema`).

    Args:
        cell, trials, task: The cell, its trials, and what ``tasks.json`` says of its task.
        fingerprint: What made it (:mod:`harness.fingerprint`).
    """
    import pyarrow as pa

    n = len(trials)
    columns: dict[str, Any] = {name: [getattr(trial, name) for trial in trials] for name in FIELDS}
    best = incumbents(columns["value"], columns["state"], columns["cost_fidelity"], task["direction"])
    reference = task["reference"]
    if reference is None:
        regret = [math.nan] * n
    else:
        span = reference["f_ref"] - reference["f_best"]
        worst = (reference["f_worst"] - reference["f_best"]) / span
        regret = [worst if value != value else (value - reference["f_best"]) / span for value in best]
    columns |= {
        "cell": [cell.key] * n,
        "optimizer": [cell.optimizer] * n,
        "task": [cell.task] * n,
        "seed": [cell.seed] * n,
        "fingerprint": [fingerprint] * n,
        "incumbent": best,
        "regret": regret,
    }
    kinds = schema()
    arrays = [pa.array(columns[field.name], type=_plain(field.type)).cast(field.type) for field in kinds]
    return pa.Table.from_arrays(arrays, schema=kinds)


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def schema() -> pa.Schema:
    """The columns of a trials table and their types."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("cell", word),
            ("optimizer", word),
            ("task", word),
            ("seed", pa.int32()),
            ("trial", pa.int32()),
            ("phase", word),
            ("config", pa.string()),
            ("fidelity", pa.string()),
            ("value", pa.float64()),
            ("state", word),
            ("error", pa.string()),
            ("incumbent", pa.float64()),
            ("regret", pa.float64()),
            ("cost_seconds", pa.float64()),
            ("ask_seconds", pa.float64()),
            ("evaluate_seconds", pa.float64()),
            ("tell_seconds", pa.float64()),
            ("started_at", pa.float64()),
            ("attempts", pa.int32()),
            ("cost_fidelity", pa.float64()),
            ("simulated_start", pa.float64()),
            ("simulated_end", pa.float64()),
            ("curve", pa.string()),
            ("fingerprint", word),
        ]
    )


def compacted(table: pa.Table) -> pa.Table:
    """A table of a quarter of the size that reports the same.

    Left empty are configurations, start times and the seconds that evaluations and tells took; those of asks and costs
    are kept to three digits. Values, regrets and learning curves are untouched.
    """
    import numpy as np
    import pyarrow as pa

    for name in ("config", "evaluate_seconds", "tell_seconds", "started_at"):
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(index), pa.nulls(len(table), table.schema.field(index).type))
    for name in ("ask_seconds", "cost_seconds"):
        index = table.schema.get_field_index(name)
        seconds = table.column(name).to_numpy().copy()
        known = np.isfinite(seconds) & (seconds > 0)
        digits = 10.0 ** (2 - np.floor(np.log10(seconds[known])))
        seconds[known] = np.rint(seconds[known] * digits) / digits
        table = table.set_column(index, table.schema.field(index), pa.array(seconds, from_pandas=True))
    return table
