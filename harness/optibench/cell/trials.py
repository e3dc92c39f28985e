"""Trials, from the running cell to the stored table, which has one row per trial."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from optibench.errors import HarnessError

if TYPE_CHECKING:
    import pyarrow as pa

    from optibench.plan.cells import Cell
    from optibench.plan.tasks import Reference, Task


@dataclass(slots=True)
class Trial:
    """The record of one trial.

    Attributes:
        trial: Index in the cell, from 0.
        phase: ``initial`` (the shared initial design) or ``search``.
        config: The active parameters as JSON; ``None`` if the optimizer proposed none.
        fidelity: The fidelity as JSON; ``None`` for the full one.
        value: The objective in the benchmark's own direction; NaN unless ``state`` is ``ok``. Of several objectives,
            the hypervolume that this trial dominates alone (:mod:`optibench_benchmarks.hypervolume`).
        state: ``ok`` | ``failed`` | ``timeout`` | ``infeasible`` (evaluated, and a constraint is above 0).
        error: The error, if there was one.
        cost_seconds: The real cost of the evaluation, as the benchmark reports it.
        ask_seconds, evaluate_seconds, tell_seconds: Wall-clock time of each step.
        started_at: Unix time.
        attempts: How often it was started: more than once if a worker died during it and it was retried.
        cost_fidelity: Its cost in full evaluations: 1 for a full one (:func:`optibench.spec.fidelity.cost_fraction`).
        simulated_start, simulated_end: When it ran on the simulated clock, in seconds; ``None`` where there is none.
        curve: The learning curve of a training as JSON (:func:`curve_text`); ``None`` if there is none.
        info: What else the evaluation returned, as JSON (:func:`info_text`); ``None`` if that is nothing.
        values, constraints: The objectives and the constraints of an evaluated trial, in the benchmark's order;
            ``None`` where the task has one objective and no constraint.
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
    info: str | None = None
    values: tuple[float, ...] | None = None
    constraints: tuple[float, ...] | None = None

    @property
    def failed(self) -> bool:
        """Whether it was not evaluated, or telling the optimizer failed."""
        return self.state not in EVALUATED or self.error is not None

    def to_json(self) -> str:
        """The trial as one line of JSON; ``NaN`` is written as null."""
        names = FIELDS if self.values is None else (*FIELDS, *SEVERAL)
        return json.dumps([None if value != value else value for value in map(self.__getattribute__, names)])

    @classmethod
    def from_json(cls, line: str) -> Trial:
        """Read what :meth:`to_json` wrote.

        Raises:
            ValueError: The line is not a complete record.
        """
        values = json.loads(line)
        names = (*FIELDS, *SEVERAL)
        # older versions have fewer fields
        if not isinstance(values, list) or not FIELDS.index("attempts") <= len(values) <= len(names):
            raise ValueError(f"not a trial: {line[:80]!r}")
        record = dict(zip(names, values, strict=False))
        return cls.from_row(record)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Trial:
        """Make a trial from a row with its fields; null becomes ``NaN`` where a number is needed.

        Raises:
            ValueError: A value has the wrong type.
        """
        absent = {name: math.nan for name in ("value", "cost_seconds") if row[name] is None}
        return msgspec.convert({**row, **absent}, cls)


SEVERAL = ("values", "constraints")
"""The fields that only tasks with several objectives or with constraints have; they come last."""
FIELDS = tuple(field.name for field in dataclasses.fields(Trial) if field.name not in SEVERAL)
MAX_CURVE_STEPS = 200
"""Maximum number of stored steps of a learning curve; longer ones are thinned evenly, and the last step is kept."""
MAX_INFO = 20_000
"""Maximum characters of a stored ``info``; entries that do not fit are counted under :data:`LEFT_OUT`."""
MAX_INFO_TEXT = 500
"""Maximum characters of a text in ``info``."""
MAX_INFO_ITEMS = 100
"""Maximum number of entries of ``info``, and of items of a list or mapping in it."""
MAX_INFO_DEPTH = 2
"""Maximum depth of nested lists and mappings in an entry; deeper values are stored as text."""
LEFT_OUT = "entries left out"
EVALUATED = ("ok", "infeasible")
"""States of trials whose objectives are known."""
TIMINGS = ("ask_seconds", "evaluate_seconds", "tell_seconds", "started_at")
"""The columns that differ between two runs of the same cell."""


def curve_text(curve: Mapping[str, Sequence[float]]) -> str | None:
    """The stored form of a learning curve: JSON with seven digits, non-finite numbers as null; ``None`` if empty.

    Raises:
        ValueError: Its columns have different lengths, or values that are not numbers.
    """
    lengths = {len(column) for column in curve.values()}
    if len(lengths) > 1:
        raise ValueError(f"the learning curve has columns of {sorted(lengths)} steps")
    if not lengths or lengths == {0}:
        return None
    (n,) = lengths
    kept = (
        sorted({round((n - 1) * place / (MAX_CURVE_STEPS - 1)) for place in range(MAX_CURVE_STEPS)})
        if n > MAX_CURVE_STEPS
        else range(n)
    )
    return json.dumps({str(name): [_rounded(float(column[step])) for step in kept] for name, column in curve.items()})


def info_text(info: object) -> str | None:
    """The stored form of an evaluation's ``info``: a JSON object; ``None`` if it is empty.

    Everything in it is made safe for JSON and bounded in size, and no error is raised: numbers stay exact, non-finite
    numbers become null, arrays become lists, and all other values become text.
    """
    if info is None:
        return None
    kept: dict[str, Any] = {}
    try:
        whole = info if isinstance(info, Mapping) else {"info": info}
        entries = [(key, value) for key, value in itertools.islice(whole.items(), MAX_INFO_ITEMS)]
        more = len(whole) - len(entries)
    except Exception as error:
        entries, more = [("error", f"info cannot be read: {type(error).__name__}")], 0
    size = 2
    for key, value in entries:
        name, plain = _safe_text(key), _safe(value, MAX_INFO_DEPTH)
        length = len(json.dumps({name: plain}))
        if size + length > MAX_INFO or name in kept:
            more += 1
        else:
            kept[name] = plain
            size += length
    if more:
        kept[LEFT_OUT] = more
    return json.dumps(kept) if kept else None


def _safe(value: Any, depth: int) -> Any:
    """A value that strict JSON can hold."""
    try:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if abs(value) < 2**64 else _safe(float(value), depth)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, str | bytes):
            return _safe_text(value)
        shape = getattr(value, "shape", None)
        if shape == () and hasattr(value, "item"):  # a scalar of NumPy or torch; a float32 keeps its short decimal form
            item = value.item()
            return _safe(float(str(value)) if type(value).__name__ in ("float32", "float16") else item, depth)
        if depth and isinstance(value, Mapping):
            return {_safe_text(k): _safe(v, depth - 1) for k, v in itertools.islice(value.items(), MAX_INFO_ITEMS)}
        if depth and (shape is not None or isinstance(value, list | tuple | set | frozenset)):
            return [_safe(item, depth - 1) for item in itertools.islice(value, MAX_INFO_ITEMS)]
    except Exception:  # whatever a foreign type does
        return _safe_text(value)
    return _safe_text(value)


def _safe_text(value: Any) -> str:
    """The text of any value, shortened and valid in UTF-8."""
    try:
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    except (Exception, SystemExit):
        text = f"<{type(value).__name__}>"
    text = text if len(text) <= MAX_INFO_TEXT else text[: MAX_INFO_TEXT - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def metric_values(infos: Sequence[str | None], metric: str) -> list[float]:
    """The number of that name in each trial's ``info``; NaN if there is none.

    Raises:
        ValueError: A text is not one that :func:`info_text` writes.
    """
    key, out = json.dumps(metric), []
    for text in infos:
        found = _entries(text).get(metric) if text and key in text else None
        out.append(float(found) if isinstance(found, int | float) and not isinstance(found, bool) else math.nan)
    return out


def metric_names(infos: Iterable[str | None]) -> list[str]:
    """The names of the numbers in some trials' ``info``, the most frequent first."""
    counts: dict[str, int] = {}
    for text in filter(None, infos):
        for name, value in _entries(text).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != LEFT_OUT:
                counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: -counts[name])


def refuse_absent(metric: str, infos: Sequence[str | None], where: str) -> None:
    """Reject a metric that no trial has.

    Raises:
        HarnessError: No trial has it; the message names the existing ones.
    """
    try:
        if any(value == value for value in metric_values(infos, metric)):
            return
        names = metric_names(infos)
    except ValueError as error:
        raise HarnessError(f"{where} is damaged ({error}); restore it, or run the grid into another folder.") from error
    close = difflib.get_close_matches(metric, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"its trials have {', '.join(names[:12])}."
    raise HarnessError(f"No trial in {where} has a metric {metric!r}: {hint if names else 'its trials have none.'}")


def _entries(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    if not isinstance(found, Mapping):
        raise ValueError(f"not the info of a trial: {text[:80]!r}")
    return found


def _rounded(value: float) -> float | None:
    return float(f"{value:.7g}") if math.isfinite(value) else None


def incumbents(values: Sequence[float], states: Sequence[str], shares: Sequence[float], direction: str) -> list[float]:
    """The best ``ok`` value so far after each trial, in the benchmark's direction; NaN before the first.

    Only full evaluations count (a share of 1): values at a lower fidelity are not comparable with them.
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


def to_table(cell: Cell, trials: Sequence[Trial], task: Task, fingerprint: str = "", run: str = "") -> pa.Table:
    """The stored table of a finished cell (columns as in :func:`schema`).

    Args:
        cell, trials, task: The cell, its trials, and its task.
        fingerprint: The fingerprint of the code that ran it (:mod:`optibench.store.fingerprint`).
        run: The id of its run in ``provenance.json``; several are joined by ``+``.
    """
    import pyarrow as pa

    n = len(trials)
    columns: dict[str, Any] = {name: [getattr(trial, name) for trial in trials] for name in (*FIELDS, *SEVERAL)}
    if task.objectives:
        best = _hypervolumes(trials, task)
    else:
        best = incumbents(columns["value"], columns["state"], columns["cost_fidelity"], task.direction)
    columns |= {
        "cell": [cell.key] * n,
        "optimizer": [cell.optimizer] * n,
        "task": [cell.task] * n,
        "seed": [cell.seed] * n,
        "fingerprint": [fingerprint] * n,
        "run": [run] * n,
        "incumbent": best,
        "regret": [math.nan] * n if task.reference is None else regrets(best, task.reference),
    }
    kinds = schema(several=bool(task.objectives or task.constraints))
    arrays = [pa.array(columns[field.name], type=_plain(field.type)).cast(field.type) for field in kinds]
    return pa.Table.from_arrays(arrays, schema=kinds)


def regrets(best: Sequence[float], reference: Reference) -> list[float]:
    """The normalised regret of incumbents; without one, that of the worst reference."""
    span = reference.f_ref - reference.f_best
    worst = (reference.f_worst - reference.f_best) / span
    return [worst if value != value else (value - reference.f_best) / span for value in best]


def _hypervolumes(trials: Sequence[Trial], task: Task) -> list[float]:
    """The hypervolume that the feasible trials so far dominate, after each trial; only full evaluations count."""
    from optibench_benchmarks.hypervolume import volumes

    counted = (trial.values if trial.state == "ok" and trial.cost_fidelity >= 1.0 else None for trial in trials)
    return volumes(counted, task.ideal, task.reference_point)


def _plain(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def schema(*, several: bool = False) -> pa.Schema:
    """The columns of a trials table and their types; ``several``: of a task with several objectives or constraints."""
    import pyarrow as pa

    word = pa.dictionary(pa.int32(), pa.string())
    found = pa.schema(
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
            ("info", pa.string()),
            ("fingerprint", word),
            ("run", word),
        ]
    )
    for name in SEVERAL if several else ():
        found = found.append(pa.field(name, pa.list_(pa.float64())))
    return found


def compacted(table: pa.Table, metrics: Sequence[str] = ()) -> pa.Table:
    """A table of a quarter of the size that gives the same reports.

    Configurations, start times and the times of evaluations and tells are left empty; the times of asks and the costs
    keep three digits. Of ``info`` only the named metrics stay. Values, regrets and learning curves do not change.

    Raises:
        HarnessError: No trial has one of the metrics.
    """
    import numpy as np
    import pyarrow as pa

    infos: list[str | None] = [None] * len(table)
    if "info" in table.column_names:
        infos = table.column("info").to_pylist() if metrics else infos
        kept = [None if text is None else _only(_entries(text), metrics) for text in infos]
        table = table.set_column(table.schema.get_field_index("info"), "info", pa.array(kept, type=pa.string()))
    for metric in metrics:
        refuse_absent(metric, infos, "this run")
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


def _only(info: Mapping[str, Any], metrics: Sequence[str]) -> str | None:
    found = {name: info[name] for name in metrics if name in info}
    return json.dumps(found) if found else None
