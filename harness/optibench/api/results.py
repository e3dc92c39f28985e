"""The results of `ob.run` and `ob.load` (a run folder as data frames and as a report), and `ob.compare`."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optibench.cell.trials import EVALUATED
from optibench.errors import HarnessError
from optibench.store.run_folder import Store
from optibench_reports import Report

if TYPE_CHECKING:
    import pandas as pd

    from optibench.plan.plan import Plan

AS_JSON = ("config", "fidelity", "curve", "info")
"""Columns that are stored as JSON."""
MAX_SHOWN_TRIALS = 200_000
"""Maximum number of trials of a run that a notebook shows with figures; more would take minutes."""
WORDS = ("cell", "optimizer", "task", "phase", "state", "fingerprint")


class Run:
    """A run folder, finished or not. Every property reads the current content of the folder.

    Args:
        folder: The folder; only :meth:`report` writes into it.

    Raises:
        HarnessError: It is not a run folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._store = Store.open(_path(folder, "A run"))

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._store.folder

    @property
    def _plan(self) -> Plan:
        return self._store.plan()

    @property
    def trials(self) -> pd.DataFrame:
        """The trials of the finished cells, one row each.

        ==================  ===========================================================================================
        optimizer, task     names; ``seed``: of the grid; ``trial``: from 0 in each cell
        phase               ``initial`` (the shared initial design) or ``search``
        config              the active parameters, a ``dict``; ``None`` if the optimizer proposed none
        fidelity            a ``dict``, ``None`` for the full one; ``cost_fidelity``: its cost in full evaluations
        value               the objective in the task's own direction; NaN unless ``state`` is ``ok``; of several
                            objectives, the hypervolume that the trial dominates alone
        state, error        ``ok``, ``failed``, ``timeout`` or ``infeasible``; the error, if there was one
        incumbent, regret   the best value so far; its normalised regret, NaN where the task has no reference
        values              the objectives, and ``constraints``, of tasks with several objectives or with constraints
        cost_seconds        the real cost of the evaluation, if the task knows it
        ask_, evaluate_,    wall-clock seconds of each step; ``started_at``: Unix time; ``attempts``: how often it was
        tell_seconds        begun
        simulated_start     and ``simulated_end``: seconds on the simulated clock, where there is one
        curve, info         the learning curve and what else the evaluation returned, a ``dict`` each, or ``None``
        cell, fingerprint   the cell's key, and the fingerprint of the code that ran it; ``run``: the id of its run
        ==================  ===========================================================================================
        """
        table = self._store.trials(self._plan.cells())
        found: pd.DataFrame = table.to_pandas(split_blocks=True)
        found = found.astype({name: object for name in WORDS if name in found.columns})
        for name in AS_JSON:
            if name in found.columns:
                texts = table.column(name).to_pylist()
                found[name] = _objects([None if text is None else json.loads(text) for text in texts], found.index)
        return found

    @property
    def cells(self) -> pd.DataFrame:
        """The planned cells, one row each: ``optimizer``, ``task``, ``seed``, ``state`` and ``key``.

        ``state`` is ``finished``, ``begun`` or ``waiting``.
        """
        import pandas as pd

        cells = list(self._plan.cells())
        finished, begun = self._store.finished(), set(self._store.begun())
        if self._store.published():
            finished = {cell.key for cell in cells}
        states = ["finished" if cell.key in finished else "begun" if cell.key in begun else "waiting" for cell in cells]
        columns = {name: [getattr(cell, name) for cell in cells] for name in ("optimizer", "task", "seed")}
        return pd.DataFrame({**columns, "state": states, "key": [cell.key for cell in cells]})

    @property
    def failed(self) -> pd.DataFrame:
        """The trials that were not evaluated, or whose tell failed; columns as ``trials``."""
        trials = self.trials
        failed: pd.DataFrame = trials[~trials["state"].isin(EVALUATED) | trials["error"].notna()]
        return failed.reset_index(drop=True)

    @property
    def finished(self) -> bool:
        """Whether every cell is finished."""
        return bool((self.cells["state"] == "finished").all())

    def report(
        self,
        out: str | Path | None = None,
        *,
        at: Sequence[int] | None = None,
        control: str | None = None,
        metrics: Sequence[str] = (),
    ) -> Report:
        """Write the report of the finished cells: ``report.html``, ``report.md``, tables and figures.

        Args:
            out: The report's folder; ``report`` inside the run folder by default.
            at: Trial counts to tabulate; round ones and the last one by default.
            control: The optimizer that all others are tested against; all pairs are tested by default.
            metrics: Metrics of the incumbent to show as well, as ``name`` or ``name:maximize``.

        Returns:
            The report: ``path``, ``summary`` (text), ``sentences``, ``table`` (a data frame). Notebooks display it.

        Raises:
            HarnessError, ReportError: No cell is finished, or the arguments do not fit the run.
        """
        from optibench.runs import reports

        folder = self.folder / "report" if out is None else _path(out, "`out`")
        return reports.report([self.folder], folder, at=at, control=control, asked=metrics)

    def __repr__(self) -> str:
        cells = self.cells
        done = int((cells["state"] == "finished").sum())
        return f"<optibench run {self.folder}: {done:,} of {len(cells):,} cells finished>"

    def _repr_html_(self) -> str:
        """Summary, table and curves."""
        from optibench.store.to_results import load as read
        from optibench_reports import ReportError
        from optibench_reports.render.notebook import show

        cells = list(self._plan.cells())
        head = f"<p><code>{html.escape(repr(self)[1:-1])}</code></p>"
        if sum(cell.trials for cell in cells) > MAX_SHOWN_TRIALS:
            return f"{head}<p>It is too large to show at once: <code>run.report()</code> writes its report.</p>"
        try:
            return head + show(read(self.folder))
        except (HarnessError, ReportError) as error:
            return f"{head}<p>{html.escape(str(error))}</p>"


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Report):
    """The report of two runs side by side.

    Attributes:
        agreement: How many of the common cells are identical, trial by trial.
    """

    agreement: str = ""

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.agreement)}</p>{super()._repr_html_()}"


def load(folder: str | Path) -> Run:
    """The run in a folder; the name of a published grid means ``results/NAME``.

    Raises:
        HarnessError: There is no such folder, or it holds no results.
    """
    path = _path(folder, "A run")
    published = Path("results") / path
    return Run(published if not path.exists() and published.is_dir() else path)


def compare(
    first: Run | str | Path,
    second: Run | str | Path,
    out: str | Path | None = None,
    *,
    at: Sequence[int] | None = None,
    control: str | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Write the report of two runs side by side, on the tasks they share.

    Args:
        first: A run, or its folder.
        second: A second run, or its folder.
        out: The report's folder; ``FIRST/compared-with-SECOND`` by default.
        at: See :meth:`Run.report`, also for ``control`` and ``metrics``.

    Raises:
        HarnessError, ReportError: They share no task, or the arguments do not fit them.
    """
    from optibench.runs import reports

    one, other = (given if isinstance(given, Run) else load(given) for given in (first, second))
    folder = one.folder / f"compared-with-{other.folder.name}" if out is None else _path(out, "`out`")
    agreement, made, _ = reports.compare(one.folder, other.folder, folder, at=at, control=control, asked=metrics)
    return Comparison(made.path, made.summary, made.sentences, made.table, agreement)


def _path(given: str | Path, what: str) -> Path:
    try:
        return Path(given).expanduser()
    except TypeError:
        raise HarnessError(f"{what} is a folder, not {given!r}.") from None


def _objects(values: list[Any], index: pd.Index[Any]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(values, index=index, dtype=object)
