"""Tables, figures and a LaTeX skeleton of a paper, from the results of one or more grids.

A pure function of the results: the same input gives the same bytes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optibench_reports.data.results import ReportError, Results
from optibench_reports.figures.attained_fronts import AttainedFronts
from optibench_reports.format.latex import escape, to_latex, width
from optibench_reports.format.text import Table, join_names, plural
from optibench_reports.render.report import FOLDERS, every_table, put_in_place, refuse_foreign
from optibench_reports.stats.analysis import BAYES_DRAWS, Analysis, analyse
from optibench_reports.stats.anytime import MIN_RANKED, curves
from optibench_reports.stats.comparison import compare
from optibench_reports.stats.cost import UNITS
from optibench_reports.stats.metrics import Metric
from optibench_reports.studies.training_log import training_curve
from optibench_reports.tables.regret import ranking
from optibench_reports.tables.significance import family_words, matrix_table
from optibench_reports.text.summary import cautions, sentences

BY_COST = tuple(f"regret_by_{unit}" for unit in UNITS)
"""Names of the table and the figure of the regret by cost."""
FRONTS = "attained_fronts"
"""Name of the figure of fronts, which needs :attr:`Part.fronts`."""
METRICS = "metrics"
"""Name of all tables of the part's metrics."""
ONCE = ("ranks", "friedman", "convergence", "latency", "failures", "missing", "clips", "feasibility", METRICS, *BY_COST)
COUNTED = ("families", "pairs", "effects", "matrix", "regret", "igd_plus", "values", "signs", "seeds")
"""Tables at each trial count, such as ``pairs_at_50``; ``pairs`` means all counts."""
FIGURES = (
    *("anytime_regret", "anytime_regret_by_family", "anytime_rank", "anytime_rank_by_family", "regret_by_ask_time"),
    *("critical_difference", "win_rate", "targets_reached", "performance_profile", "regret_by_task"),
    *("ask_time_by_history", "best_values", "feasible_regret", FRONTS, *BY_COST),
)
ALL_PAIRS = ("critical_difference", "win_rate", "matrix")
"""Figures and tables that need every pair tested, also where the paper has a control."""
WIDEST = 60
"""Letters of a row that fit into one column; a longer one gets both."""
COLUMN_POINTS = 255.0
"""A figure that is wider gets both columns."""

FILES = ("main.tex",)
_HEAD = r"""% Written by `optibench paper`, which replaces this file: keep your own text in another one.
\documentclass[10pt,twocolumn]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[margin=0.75in]{geometry}
\usepackage{booktabs,graphicx,textcomp}
\usepackage[font=small,skip=5pt]{caption}
\IfFileExists{lmodern.sty}{\usepackage{lmodern}}{}
\setlength{\emergencystretch}{3em}
% Pages full of tables and figures, from the top, rather than nearly empty ones
\setcounter{topnumber}{4}\setcounter{dbltopnumber}{4}\setcounter{totalnumber}{6}
\renewcommand{\topfraction}{.95}\renewcommand{\dbltopfraction}{.95}\renewcommand{\textfraction}{.05}
\renewcommand{\floatpagefraction}{.8}\renewcommand{\dblfloatpagefraction}{.8}
\makeatletter
\setlength{\@fptop}{0pt}\setlength{\@dblfptop}{0pt}
\setlength{\@fpsep}{14pt plus 2pt}\setlength{\@dblfpsep}{14pt plus 2pt}
\makeatother
"""


@dataclass(frozen=True)
class Part:
    """A section of the paper: one comparison.

    Attributes:
        name: Begins the names of its files: lower-case letters, digits and hyphens.
        title: Heading.
        results: The results to compare.
        at: Trial counts; ``None`` for the report's choice.
        tables: Tables to include, as ``ranks``, ``pairs_at_50`` or ``pairs`` (at every count).
        figures: Figures to include, of ``FIGURES``.
        metrics: Metrics of the incumbent to tabulate.
        fronts: Trials of tasks with several objectives, to draw what they attain.
    """

    name: str
    title: str
    results: Results
    at: tuple[int, ...] | None
    tables: tuple[str, ...]
    figures: tuple[str, ...]
    metrics: tuple[Metric, ...] = ()
    fronts: AttainedFronts | None = None


def check_names(tables: Sequence[str], figures: Sequence[str], counts: Sequence[int] | None = None) -> None:
    """Reject an unknown name of a table or figure.

    Raises:
        ReportError: An unknown name, or a table at a trial count that is not among ``counts``.
    """
    for name in tables:
        base, at, count = name.partition("_at_")
        if base not in COUNTED and (at or base not in ONCE):
            raise ReportError(f"There is no table {name!r}: the tables are {', '.join((*ONCE, *COUNTED))}.")
        if at and counts is not None and count not in map(str, counts):
            raise ReportError(
                f"There is no table {name!r}: {base} is made after {join_names([str(n) for n in counts])} trials."
            )
    for name in figures:
        if name not in FIGURES:
            raise ReportError(f"There is no figure {name!r}: the figures are {', '.join(FIGURES)}.")


def write_paper(
    title: str,
    parts: Sequence[Part],
    out: Path,
    *,
    control: str | None = None,
    training: Path | None = None,
    bootstrap_draws: int = 10_000,
    seed: int = 0,
) -> Path:
    """Write ``main.tex``, and every table and figure of the parts into ``tables/`` and ``figures/`` of ``out``.

    They replace those of an earlier paper and nothing else: other files in ``out`` are left alone, and files of these
    names are refused.

    Args:
        title: Of the paper.
        parts: Its sections.
        out: The folder; made if needed.
        control: The optimizer against which the tables of pairs test all others; by default they have all pairs.
            Diagrams, win rates and matrices always have all pairs.
        training: A ``log.jsonl`` to draw; a missing file leaves a comment in ``main.tex``.
        bootstrap_draws: Replicates of the cluster bootstrap.
        seed: Seed of the bootstrap.

    Returns:
        The path of ``main.tex``.

    Raises:
        ReportError: Unusable results, an unknown name of a table or figure, or a folder that cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ReportError(f"Cannot write the paper to {out}: it is a file; give a folder.")
    refuse_foreign(out, FILES, _HEAD.partition(",")[0], "paper")
    analyses = []
    for part in parts:
        check_names(part.tables, part.figures)
        analysis = analyse(
            part.results, at=part.at, draws=bootstrap_draws, seed=seed, control=control, metrics=part.metrics
        )
        check_names(part.tables, part.figures, analysis.counts)
        analyses.append(analysis)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".paper-", dir=out) as temporary:
            made = Path(temporary)
            for name in FOLDERS:
                (made / name).mkdir()
            body = [
                line for part, analysis in zip(parts, analyses, strict=True) for line in _part(part, analysis, made)
            ]
            if training is not None:
                body += _training(training, made)
            (made / "main.tex").write_text(_document(title, body), encoding="utf-8")
            put_in_place(made, out, FILES)
    except OSError as error:
        raise ReportError(
            f"Cannot write the paper to {out}: {error.strerror or error}; give another folder."
        ) from error
    return out / "main.tex"


def _document(title: str, body: Sequence[str]) -> str:
    head = [rf"\title{{{escape(title)}}}", r"\date{}", r"\begin{document}", r"\maketitle"]
    return _HEAD + "\n".join([*head, *body, r"\end{document}"]) + "\n"


def _part(part: Part, analysis: Analysis, made: Path) -> list[str]:
    """Write the tables and figures of a part; returns its lines of ``main.tex``."""
    pairwise = _all_pairs(analysis)
    lines = ["", rf"\section{{{escape(part.title)}}}", *(escape(sentence) for sentence in sentences(analysis))]
    notes = [_scope(analysis), *cautions(analysis)]
    lines += ["", r"\paragraph{What is compared.}", *(escape(note) for note in notes), ""]
    tables = _tables(analysis, pairwise)
    for table in tables:
        if table.rows:
            text = to_latex(replace(table, name=f"{part.name}_{table.name}"), environment=_float(table))
            (made / "tables" / f"{part.name}_{table.name}.tex").write_text(text, encoding="utf-8")
    filled = {table.name: bool(table.rows) for table in tables}
    for wanted in part.tables:
        of_metrics = [name for name in filled if wanted == METRICS and name.startswith("metric_")]
        same = [name for name in filled if wanted in (name, name.rpartition("_at_")[0])]
        if not (same or of_metrics):
            lines.append(f"% Left out: the table {wanted}, because the results have nothing for it.")
        for name in same or of_metrics:
            if filled[name]:
                lines.append(rf"\input{{tables/{part.name}_{name}}}")
            else:
                lines.append(f"% Left out: the table {name}, because it has no rows.")
    captions = _figures(part, pairwise, made)
    for name in part.figures:
        if name in captions:
            lines += _figure(made, f"{part.name}_{name}", captions[name])
        else:
            lines.append(f"% Left out: the figure {name}, because {_why_not(name, pairwise)}.")
    return [*lines, r"\clearpage"]


def _tables(analysis: Analysis, pairwise: Analysis) -> list[Table]:
    """Every table with its caption, those of ``ALL_PAIRS`` from the analysis of all pairs."""
    return [
        *(_captioned(analysis, table) for table in every_table(analysis) if not table.name.startswith(ALL_PAIRS)),
        *(_captioned(pairwise, matrix_table(pairwise, a)) for a in range(len(pairwise.counts))),
    ]


def _all_pairs(analysis: Analysis) -> Analysis:
    """The same with every pair tested, because diagrams of the pairs with a control would be mostly empty."""
    if analysis.control is None:
        return analysis
    tests = [
        None if found is None else compare(found, draws=min(analysis.draws, BAYES_DRAWS), seed=analysis.seed)
        for found in analysis.overall
    ]
    return replace(analysis, control=None, comparisons=tuple(tests))


def _figures(part: Part, analysis: Analysis, made: Path) -> dict[str, str]:
    """Draw every figure; returns their captions by name."""
    from optibench_reports.figures.anytime import draw

    with tempfile.TemporaryDirectory(dir=made) as temporary:
        drawn = draw(analysis, Path(temporary), curves(analysis))
        if part.fronts is not None:
            drawn += part.fronts.draw(Path(temporary), [analysis.grid.optimizers[o] for o in ranking(analysis)])
        for name, _ in drawn:
            (Path(temporary) / f"{name}.pdf").replace(made / "figures" / f"{part.name}_{name}.pdf")
    a = analysis.headline
    tests = analysis.comparisons[a]
    captions = {}
    for name, words in drawn:
        family = f" over {family_words(analysis, tests)}" if name in ALL_PAIRS and tests else ""
        # The paper's table of pairs may have only those with the control.
        words = words.replace("; the table has the pairs", "").replace("Holm-adjusted", f"Holm-adjusted{family}")
        captions[name] = f"{words}. {_who(analysis, a)}, {_seeds(analysis)}"
    return captions


def _captioned(analysis: Analysis, table: Table) -> Table:
    """A table whose caption says who was compared, on how many tasks, with how many seeds."""
    count = table.name.rpartition("_at_")[2]
    if "_at_" in table.name:
        words = f"{_who(analysis, [str(n) for n in analysis.counts].index(count))}, {_seeds(analysis)}"
    else:
        words = _scope(analysis).rstrip(".")
    if table.name.startswith("matrix"):
        tests = analysis.comparisons[[str(n) for n in analysis.counts].index(count)]
        if tests and tests.pairs:
            words += f"; Wilcoxon's signed-rank test, Holm-adjusted over {family_words(analysis, tests)}"
    return replace(table, note=f"{words}. {table.note}" if table.note else words)


def _scope(analysis: Analysis) -> str:
    """The compared optimizers and tasks at every trial count; a sentence."""
    words: dict[str, list[str]] = {}
    said: dict[tuple[bytes, int], str] = {}
    # From the last count backwards: its order by rank also serves earlier counts with the same optimizers.
    for a in reversed(range(len(analysis.counts))):
        found = analysis.overall[a]
        same = (b"", 0) if found is None else (found.selection.optimizers.tobytes(), len(found.selection.tasks))
        words.setdefault(said.setdefault(same, _who(analysis, a)), []).insert(0, str(analysis.counts[a]))
    words = dict(reversed(words.items()))
    parts = [f"after {join_names(counts)} trials: {who}" for who, counts in words.items()]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}; {_seeds(analysis)}."


def _who(analysis: Analysis, a: int) -> str:
    found = analysis.overall[a]
    if found is None:
        return "no optimizers, because no task is complete"
    names = [analysis.grid.optimizers[o] for o in found.selection.optimizers[np.argsort(found.rank, kind="stable")]]
    return (
        f"{plural(len(names), 'optimizer')} ({join_names(names, 12)}) on {plural(len(found.selection.tasks), 'task')}"
    )


def _seeds(analysis: Analysis) -> str:
    """Seeds of the pairs of optimizer and task that were run."""
    seeds = np.sum(analysis.grid.finished > 0, axis=2)
    low, high = int(seeds[seeds > 0].min()), int(seeds.max())
    return f"{plural(low, 'seed')} each" if low == high else f"{low} to {high} seeds each"


def _float(table: Table) -> str:
    return "table*" if width(table) > WIDEST else "table"


def _figure(made: Path, name: str, caption: str) -> list[str]:
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ", (made / "figures" / f"{name}.pdf").read_bytes())
    environment = "figure*" if box and float(box[1]) > COLUMN_POINTS else "figure"
    return [
        rf"\begin{{{environment}}}[htbp]\centering",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{\includegraphics{figures/" + name + "}}",
        rf"\caption{{{escape(caption)}.}}\label{{fig:{name.replace('_', '-')}}}",
        rf"\end{{{environment}}}",
    ]


def _why_not(name: str, analysis: Analysis) -> str:
    found, tests = analysis.overall[analysis.headline], analysis.comparisons[analysis.headline]
    if name == "ask_time_by_history":
        return "no suggestion took any measured time"
    if name == FRONTS:
        return "no task has two objectives"
    if name == "feasible_regret":
        return "no task has constraints"
    if name == "best_values":
        return "every task has reference values"
    if name in BY_COST:
        return f"no cost is recorded in {UNITS[name.removeprefix('regret_by_')]}"
    if found is None or tests is None:
        return "no task is complete"
    k = len(found.selection.optimizers)
    if name in ("anytime_rank", "anytime_rank_by_family", "win_rate") and k == 1:
        return "a single optimizer has no rank"
    if name == "anytime_rank_by_family":
        return f"no family has {MIN_RANKED} tasks or more"
    if name == "critical_difference" and k < 3:
        return "it needs three optimizers"
    if not found.with_regret.any():
        return "no task has reference values, so there is no regret"
    if name == "critical_difference":
        return f"no difference over {plural(tests.n, 'task')} could be significant"
    return "no suggestion took any measured time" if name == "regret_by_ask_time" else "the results do not allow it"


def _training(log: Path, made: Path) -> list[str]:
    if not log.is_file():
        return ["", f"% Left out: the training curve, because there is no file {' '.join(str(log).split())}."]
    words = training_curve(log, made / "figures" / "training")
    (made / "figures" / "training.png").unlink()
    return ["", r"\section{Training}", *_figure(made, "training", words)]
