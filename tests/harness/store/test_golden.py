"""The trial table of a task with one objective and no constraint stays as it is, to the byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optibench.cell.trials import FIELDS, Trial, to_table
from optibench.store.run_folder import Store

ROOT = Path(__file__).parents[3]
COLUMNS = """
cell: dictionary<values=string, indices=int32, ordered=0>
optimizer: dictionary<values=string, indices=int32, ordered=0>
task: dictionary<values=string, indices=int32, ordered=0>
seed: int32
trial: int32
phase: dictionary<values=string, indices=int32, ordered=0>
config: string
fidelity: string
value: double
state: dictionary<values=string, indices=int32, ordered=0>
error: string
incumbent: double
regret: double
cost_seconds: double
ask_seconds: double
evaluate_seconds: double
tell_seconds: double
started_at: double
attempts: int32
cost_fidelity: double
simulated_start: double
simulated_end: double
curve: string
info: string
fingerprint: dictionary<values=string, indices=int32, ordered=0>
run: dictionary<values=string, indices=int32, ordered=0>
"""
LINE = (
    '[3, "search", "{\\"x\\": 0.5}", null, null, "failed", "it broke", 0.0, 0.25, 0.5, 0.125, 1.0, 2, 1.0, null, null, '
    'null, "{\\"n\\": 1}"]'
)


def test_a_trial_is_the_same_line_of_the_journal() -> None:
    trial = Trial.from_json(LINE)
    assert trial.to_json() == LINE
    assert (trial.trial, trial.state, trial.attempts, trial.info) == (3, "failed", 2, '{"n": 1}')


def test_a_stored_grid_gives_the_same_table_again() -> None:
    """Incumbents and regrets to the bit; the grid has lower fidelities."""
    store = Store.open(ROOT / "results" / "fidelity")
    plan = store.plan()
    stored = store.trials(plan.cells()).to_pandas()
    picked = [cell for cell in plan.cells() if cell.seed == 0]
    assert len({cell.optimizer for cell in picked}) > 3
    for cell in picked:
        rows = stored[(stored.optimizer == cell.optimizer) & (stored.task == cell.task) & (stored.seed == 0)]
        whole = [name for name in FIELDS if name in rows]
        numbers = rows[whole].astype(object).where(rows[whole].notna(), None)
        table = to_table(cell, [Trial.from_row(row) for row in numbers.to_dict("records")], plan.tasks[cell.task])
        assert str(table.schema) == COLUMNS.strip()
        assert table.schema.metadata is None
        for name in ("value", "incumbent", "regret", "cost_fidelity"):
            np.testing.assert_array_equal(table.column(name).to_numpy(), rows[name].to_numpy(), strict=True)
