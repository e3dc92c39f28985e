"""Write a report: Markdown, one HTML page, tables, figures.

A pure function of the results; the same input gives the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from optibench_reports.data.results import ReportError, Results
from optibench_reports.figures.attained_fronts import AttainedFronts
from optibench_reports.figures.learning_curves import LearningCurves
from optibench_reports.figures.parallel_coordinates import Run
from optibench_reports.format.latex import document, to_latex
from optibench_reports.format.text import Table, join_names, markdown_escape, plural, to_markdown, write_csv
from optibench_reports.render.html import page
from optibench_reports.render.notebook import drawn, fragment, short
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.stats.anytime import curves
from optibench_reports.stats.metrics import Metric
from optibench_reports.tables.convergence import convergence_table
from optibench_reports.tables.cost import cost_table
from optibench_reports.tables.feasibility import feasibility_tables
from optibench_reports.tables.metrics import metric_tables
from optibench_reports.tables.regret import families_table, igd_tables, ranking, ranks_table, regret_tables
from optibench_reports.tables.runtime_and_failures import clips_table, failures_table, missing_table, seconds_table
from optibench_reports.tables.significance import effects_table, friedman_table, matrix_table, pairs_table
from optibench_reports.tables.without_regret import without_regret_tables
from optibench_reports.text.run_info import facts
from optibench_reports.text.summary import cautions, policy, sentences, terminal

LONG_TABLE = 60
"""A table with more rows is not shown in report.md, only linked."""
FOLDERS = ("figures", "tables")
FILES = ("report.html", "report.md")
BEGINS = "# Report\n"
"""How every ``report.md`` begins."""


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """A written report.

    Attributes:
        path: The Markdown file; ``report.html``, the same as one self-contained page, lies beside it.
        summary: A plain-text table and three sentences for a terminal, at most 100 columns wide.
        sentences: These sentences.
        table: Mean rank and mean normalised regret of each optimizer after each trial count, with 95% intervals.
    """

    path: Path
    summary: str
    sentences: tuple[str, ...]
    table: pd.DataFrame

    def __repr__(self) -> str:
        return f"<optibench report {self.path}>"

    def _repr_html_(self) -> str:
        """What a notebook shows, as long as the report's files are there."""
        where = str(self.path.with_suffix(".html"))
        return fragment(self.sentences, self.table, drawn(self.path.parent / "figures"), where)


def write(
    results: Results,
    out: Path,
    *,
    at: Sequence[int] | None = None,
    bootstrap_draws: int = 10_000,
    seed: int = 0,
    control: str | None = None,
    run: Run | None = None,
    learning: LearningCurves | None = None,
    fronts: AttainedFronts | None = None,
    metrics: Sequence[Metric] = (),
    made_by: str = "optibench report DIR",
) -> Report:
    """Write ``report.md``, ``report.html``, ``tables/`` and ``figures/`` into ``out``.

    Everything is written to a temporary folder inside ``out`` and moved when complete. It replaces an earlier report
    and nothing else: other files in ``out`` are left alone, and files of these names are refused.

    Args:
        results: The results to report.
        out: The folder of the report; made if needed.
        at: Trial counts to tabulate; by default round numbers below the longest cell, and that.
        bootstrap_draws: Replicates of the cluster bootstrap.
        seed: Seed of the bootstrap.
        control: An optimizer to test everyone against; by default all pairs are tested.
        run: A run to draw as parallel coordinates.
        learning: Learning curves to draw.
        fronts: Trials with two objectives whose attained fronts to draw.
        metrics: Metrics to show at the incumbent.
        made_by: The command that makes this report, without its options, for the page to name.

    Raises:
        ReportError: Unusable input, or a folder that cannot be written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ReportError(f"Cannot write the report to {out}: it is a file; give a folder.")
    refuse_foreign(out, FILES, BEGINS, "report")
    analysis = analyse(results, at=at, draws=bootstrap_draws, seed=seed, control=control, metrics=metrics)
    try:
        out.mkdir(parents=True, exist_ok=True)
        # Inside `out`, so that the moves never cross a file system.
        with tempfile.TemporaryDirectory(prefix=".report-", dir=out) as temporary:
            _build(analysis, Path(temporary), run, learning, fronts, made_by)
            put_in_place(Path(temporary), out, FILES)
    except OSError as error:
        raise ReportError(
            f"Cannot write the report to {out}: {error.strerror or error}; give another folder."
        ) from error
    return Report(
        path=out / "report.md",
        summary=terminal(analysis),
        sentences=sentences(analysis),
        table=short(ranks_table(analysis).data),
    )


def refuse_foreign(out: Path, files: Sequence[str], begins: str, what: str) -> None:
    """Reject a folder with figures, tables or files that an earlier call did not write, since they would be replaced.

    Args:
        out: The folder; it need not exist.
        files: The files that are written into it. The last one shows whether an earlier call wrote it.
        begins: How that file begins.
        what: What is written, for the message.

    Raises:
        ReportError: There are such files; the message names them.
    """
    found, last = [name for name in (*FOLDERS, *files) if (out / name).exists()], out / files[-1]
    if found and not (last.is_file() and last.read_bytes().startswith(begins.encode())):
        raise ReportError(
            f"Cannot write the {what} to {out}: it would replace {join_names(found)} there, which no earlier {what} "
            "wrote; give another folder, or move them."
        )


def put_in_place(made: Path, out: Path, files: Sequence[str]) -> None:
    """Move the finished figures, tables and files from ``made`` to ``out``, replacing earlier ones.

    The files come last, so that their links always work.
    """
    for name in FOLDERS:
        old = made / f"old-{name}"
        if (out / name).exists():
            (out / name).rename(old)
        (made / name).rename(out / name)
    for name in files:
        (made / name).replace(out / name)


def _build(
    analysis: Analysis,
    folder: Path,
    run: Run | None,
    learning: LearningCurves | None,
    fronts: AttainedFronts | None,
    made_by: str,
) -> None:
    from optibench_reports.figures.anytime import draw

    (folder / "tables").mkdir()
    (folder / "figures").mkdir()
    sections = every_table(analysis)
    shown = []
    for table in sections:
        _write_table(table, folder / "tables")
        if table.rows:
            shown.append(table)
    (folder / "tables" / "all.tex").write_text(document([table.name for table in shown]), encoding="utf-8")
    lines = curves(analysis)
    figures = draw(analysis, folder / "figures", lines)
    if run is not None:
        figures.append(run.draw(folder / "figures"))
    order = [analysis.grid.optimizers[o] for o in ranking(analysis)]
    for more in (learning, fronts):
        if more is not None:
            figures += more.draw(folder / "figures", order)
    (folder / "report.md").write_text(_markdown(analysis, shown, figures), encoding="utf-8")
    (folder / "report.html").write_text(
        page(analysis, shown, figures, folder / "figures", lines, made_by, fronts), encoding="utf-8"
    )


def every_table(analysis: Analysis) -> list[Table]:
    """All tables of a report, in its order; some may have no rows."""
    every = range(len(analysis.counts))
    tables = [
        *(cost_table(found, analysis.grid.optimizers) for found in analysis.costs),
        ranks_table(analysis),
        *([families_table(analysis, a) for a in every] if len(analysis.families) > 1 else []),
        friedman_table(analysis),
        *(pairs_table(analysis, a) for a in every),
        *(effects_table(analysis, a) for a in every),
        *(matrix_table(analysis, a) for a in every),
        *regret_tables(analysis),
        *igd_tables(analysis),
        *without_regret_tables(analysis),
        *metric_tables(analysis),
        *feasibility_tables(analysis),
        convergence_table(analysis),
        seconds_table(analysis),
        failures_table(analysis),
        missing_table(analysis),
        clips_table(analysis),
    ]
    return [_with_starts(analysis, table) for table in tables]


def _with_starts(analysis: Analysis, table: Table) -> Table:
    """A table of one trial count whose note names the optimizers that had no model by then."""
    count = table.name.rpartition("_at_")[2]
    early = analysis.start_only(int(count)) if count.isdecimal() else []
    if not early or not table.rows:
        return table
    words = f"Before their model, or second generation: {join_names(early)}"
    return replace(table, note=f"{table.note}. {words}" if table.note else words)


def _write_table(table: Table, folder: Path) -> None:
    write_csv(table.data, folder / f"{table.name}.csv")
    note = f"\n{markdown_escape(table.note)}.\n" if table.note else ""
    text = f"{markdown_escape(table.title)}\n{note}\n{to_markdown(table)}" if table.rows else "Nothing to show.\n"
    (folder / f"{table.name}.md").write_text(text, encoding="utf-8")
    if table.rows:
        (folder / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")


def _markdown(analysis: Analysis, tables: Sequence[Table], figures: Sequence[tuple[str, str]]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    headline = analysis.counts[analysis.headline]
    sections, elsewhere = [], []
    for table in tables:
        # Open at the headline count; the others are a click away.
        at = table.name.rpartition("_at_")[2] if "_at_" in table.name else ""
        link = f"[Markdown](tables/{table.name}.md), [CSV](tables/{table.name}.csv), [LaTeX](tables/{table.name}.tex)"
        if len(table.rows) > LONG_TABLE or (at and int(at) != headline):
            elsewhere.append(f"{markdown_escape(table.title)} ({plural(len(table.rows), 'row')}): {link}")
        else:
            note = f"{markdown_escape(table.note)}. {link}." if table.note else f"{link}."
            sections.append({"title": markdown_escape(table.title), "note": note, "body": to_markdown(table)})
    environment = Environment(
        loader=PackageLoader("optibench_reports"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("report.md.j2").render(
        sentences=[markdown_escape(sentence) for sentence in sentences(analysis)],
        cautions=[markdown_escape(caution) for caution in cautions(analysis)],
        policy=[markdown_escape(item) for item in policy(analysis)],
        facts=[(markdown_escape(name), markdown_escape(value)) for name, value in facts(analysis)],
        sections=sections,
        elsewhere=elsewhere,
        figures=[(name, markdown_escape(caption)) for name, caption in figures],
    )
    return text.rstrip() + "\n"
