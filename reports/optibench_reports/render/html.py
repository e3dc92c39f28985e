"""The report as one self-contained HTML page: no network, no library, readable without a script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from optibench_reports.data.score_array import Floats
from optibench_reports.figures.attained_fronts import AttainedFronts
from optibench_reports.figures.style import lighten, styles
from optibench_reports.format.text import Table, plural
from optibench_reports.stats.analysis import Analysis
from optibench_reports.stats.anytime import BAND_DRAWS, MAX_COUNTS, MIN_RANKED, Curves, curve_counts
from optibench_reports.stats.comparison import seed_means
from optibench_reports.tables.regret import ranking
from optibench_reports.text.run_info import facts
from optibench_reports.text.summary import cautions, policy, sentences

MAX_NUMBERS = 400_000
"""Numbers in the curves of single tasks (about 2.5 MB): with more tasks or optimizers, each curve gets fewer points."""
MIN_COUNTS = 12
TWO_COLUMNS = 700
DARK_GROUND = "#14181d"
"""The page's background in dark mode; lines are lightened to contrast with it."""

FRONTS = (
    "Marks: feasible trials of all seeds that no other trial of the optimizer dominates; lines: what at least half of "
    "its seeds attain; crosses: the frozen front. What is worse than the reference point is left out."
)

Drawn = tuple[Curves, list[Curves]]


def page(
    analysis: Analysis,
    tables: Sequence[Table],
    figures: Sequence[tuple[str, str]],
    folder: Path,
    drawn: Drawn,
    made_by: str,
    fronts: AttainedFronts | None = None,
) -> str:
    """The page's text.

    Args:
        analysis: The numbers.
        tables: Tables in the report's order.
        figures: (file name without suffix, caption) of the figures in ``folder``; anytime curves are left out, since
            the page draws them itself.
        folder: The folder of the figures' PNG files.
        drawn: The anytime curves over all tasks, and by family.
        made_by: The command that makes it, without its options.
        fronts: Trials with two objectives, whose fronts the page draws.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("optibench_reports"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    scripts = ["page.js", "drawing.js", "chart.js", *(["fronts.js"] if fronts else [])]
    style, script = _source(environment, "page.css"), "".join(_source(environment, name) for name in scripts)
    # The data may contain any name: nothing in it closes the element, and only the page's own script may run.
    data = json.dumps(_data(analysis, drawn, fronts), separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    grid, headline = analysis.grid, str(analysis.counts[analysis.headline])
    text = environment.get_template("page.html.j2").render(
        title=f"{plural(len(grid.optimizers), 'optimizer')} on {plural(len(grid.tasks), 'task')}",
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(data),
        sentences=sentences(analysis),
        cautions=cautions(analysis),
        facts=facts(analysis),
        commands=commands(analysis, made_by),
        policy=policy(analysis),
        fronts=FRONTS if fronts else "",
        tables=[
            {**vars(table), "open": table.name.rpartition("_at_")[2] in (table.name, headline)} for table in tables
        ],
        figures=[_embedded(folder / f"{name}.png", caption) for name, caption in figures if "anytime" not in name],
    )
    return text.rstrip() + "\n"


def commands(analysis: Analysis, made_by: str) -> list[str]:
    """Commands that reproduce the results: each run's revision and command, and the report's command."""
    runs = analysis.provenance.get("runs")
    runs = [run for run in runs if isinstance(run, Mapping)] if isinstance(runs, (list, tuple)) else []
    lines: list[str] = []
    at = ""
    for run in runs:
        revision = str(run.get("git_revision") or "")
        if revision != at:
            lines += _checkout(revision)
            at = revision
        command = str(run.get("command") or "")
        lines += [command] if command and [command] != lines[-1:] else []
    control = "" if analysis.control is None else f" --control {quote(analysis.grid.optimizers[analysis.control])}"
    control += "".join(f" --metric {quote(f'{metric.name}:{metric.direction}')}" for metric in analysis.metrics)
    return [*lines, f"{made_by} --at {','.join(map(str, analysis.counts))}{control}"]


def _checkout(revision: str) -> list[str]:
    """The command for a revision in a provenance: a commit, and possibly a note on local changes."""
    found = re.match(r"[0-9a-f]{7,40}\b", revision)
    if found is None:
        return [f"# {revision}"] if revision else []
    more = revision[found.end() :].strip(", ").replace("+dirty", "with changes that were not committed")
    return [f"git checkout {found.group()}" + (f"  # {more}" if more else "")]


def _source(environment: Any, name: str) -> str:
    """A file of the package, as it is."""
    text: str = environment.loader.get_source(environment, name)[0]
    return text


def _hash(text: str) -> str:
    """The hash with which the page's policy allows this script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(path: Path, caption: str) -> dict[str, Any]:
    png = path.read_bytes()
    width, height = (round(0.75 * size) for size in struct.unpack(">II", png[16:24]))  # in the header of every PNG
    # A figure of two columns gets the page's whole width.
    return {
        **{"png": base64.b64encode(png).decode(), "caption": caption},
        **{"width": width, "height": height, "wide": width > TWO_COLUMNS},
    }


def _data(analysis: Analysis, drawn: Drawn, fronts: AttainedFronts | None) -> dict[str, Any]:
    """Data of the script: optimizers by mean rank, and the curves of every set of tasks in that order.

    The page shows values at the headline trial count until the reader chooses another one.
    """
    grid, order = analysis.grid, ranking(analysis)
    looks = styles(grid.optimizers)
    optimizers = []
    for o in order:
        look = looks[grid.optimizers[o]]
        dash = None if look.line == "-" else list(look.line[1])
        dark = lighten(look.colour, DARK_GROUND)
        optimizers.append(
            {"name": grid.optimizers[o], "light": look.colour, "dark": dark, "dash": dash, "marker": look.marker}
        )
    overall, families = drawn
    most = MAX_NUMBERS // (len(grid.optimizers) * len(grid.tasks))
    counts = curve_counts(grid.longest, min(max(most, MIN_COUNTS), MAX_COUNTS))
    views = [_aggregate_view(overall, order, "all", 1, analysis.draws)]
    views += [_aggregate_view(family, order, "family", MIN_RANKED, analysis.draws) for family in families]
    views += _task_views(analysis, order, [int(count) for count in counts])
    return {
        "optimizers": optimizers,
        "headline": analysis.counts[analysis.headline],
        "counts": [_plain(overall.counts), _plain(counts)],
        "views": views,
        **({"fronts": fronts.drawn([grid.optimizers[o] for o in order])} if fronts else {}),
    }


def _aggregate_view(curve: Curves, order: Sequence[int], kind: str, fewest: int, draws: int) -> dict[str, Any]:
    n = int(curve.n_tasks.max())
    about = f"Mean over {plural(n, 'complete task')}; bands: 95% cluster bootstrap, {min(draws, BAND_DRAWS):,} draws."
    if curve.breaks:
        about += " Dotted vertical line: from here on other optimizers or tasks are compared, curves may jump."
    regret = _lines(curve.mean, curve.mean_low, curve.mean_high, order)
    ranked = _lines(curve.rank, curve.rank_low, curve.rank_high, order)
    return {
        "label": curve.title,
        "kind": kind,
        "counts": 0,
        "unit": "mean normalised regret",
        "about": about,
        "breaks": list(curve.breaks),
        "regret": regret if np.isfinite(curve.mean).any() else None,
        "rank": ranked if len(order) > 1 and n >= fewest else None,
    }


def _task_views(analysis: Analysis, order: Sequence[int], counts: Sequence[int]) -> Iterator[dict[str, Any]]:
    grid = analysis.grid
    scores = grid.at(counts)
    for t, task in enumerate(grid.tasks):
        has = bool(grid.has_regret[t])
        mean = seed_means(scores[:, t : t + 1])[:, 0]
        yield {
            "label": task,
            "kind": "task",
            "counts": 1,
            "unit": "normalised regret" if has else "distance from the best value",
            "about": "Mean over the seeds there are."
            + (
                ""
                if has
                else " No reference values, so no regret: how far from the best value that any optimizer found."
            ),
            "regret": {"middle": [_plain(mean[o]) for o in order]},
            "rank": None,
        }


def _lines(middle: Floats, low: Floats, high: Floats, order: Sequence[int]) -> dict[str, Any]:
    lines = zip(("middle", "low", "high"), (middle, low, high), strict=True)
    return {name: [_plain(values[o]) for o in order] for name, values in lines}


def _plain(values: Any) -> list[float | int | None]:
    """Four significant digits, nothing for NaN; whole numbers as such, since they are shorter."""
    rounded = [float(f"{x:.4g}") if np.isfinite(x) else None for x in values]
    return [int(x) if x is not None and x.is_integer() else x for x in rounded]
