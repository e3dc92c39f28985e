"""The written report: complete, the same bytes each time, safe for any name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

import optibench_reports
from optibench_reports.data.results import Results
from optibench_reports.figures.style import KNOWN, lighten, luminance, mix, styles
from optibench_reports.format.latex import escape
from optibench_reports.format.text import markdown_escape, number, p_value, plus_minus
from optibench_reports.render.report import every_table
from optibench_reports.stats.analysis import Analysis, analyse
from optibench_reports.tables.runtime_and_failures import seconds_table
from optibench_reports.text.run_info import facts
from optibench_reports.text.summary import cautions

Make = Callable[..., Results]
Digests = Callable[[Path], dict[str, str]]
NASTY = 'a_b|c*d`<script>$x^{2}$ 50% #1 & "q" ~\\end{x} [l](u) é'


def run(results: Results) -> Analysis:
    return analyse(results, at=None, draws=100, seed=0)


def test_everything_promised_is_there(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == ["figures", "report.html", "report.md", "tables"]
    figures = {path.stem for path in (written / "figures").iterdir()}
    assert {"anytime_regret", "anytime_rank", "anytime_regret_by_family", "critical_difference"} <= figures
    assert {"win_rate", "targets_reached", "performance_profile", "regret_by_task", "ask_time_by_history"} <= figures
    for stem in figures:
        assert (written / "figures" / f"{stem}.png").read_bytes().startswith(b"\x89PNG")
        assert (written / "figures" / f"{stem}.pdf").read_bytes().startswith(b"%PDF")
    tables = {path.stem for path in (written / "tables").glob("*.csv")}
    assert {"ranks", "friedman", "latency", "failures", "missing", "clips"} <= tables
    assert {f"{kind}_at_{count}" for kind in ("regret", "pairs", "families") for count in (25, 50, 60)} <= tables


def test_links_of_the_report_lead_somewhere(written: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (written / "report.md").read_text(encoding="utf-8"))
    assert len(links) > 20
    assert all((written / link).is_file() for link in links)


def test_same_input_gives_the_same_bytes_in_another_process(
    written: Path, realistic: Results, tmp_path: Path, digests: Digests
) -> None:
    realistic.trials.to_pickle(tmp_path / "trials.pickle")
    realistic.planned.to_pickle(tmp_path / "planned.pickle")
    script = (
        "import sys, pathlib, pandas, optibench_reports; folder = pathlib.Path(sys.argv[1]);"
        f"results = optibench_reports.Results(pandas.read_pickle(folder / 'trials.pickle'), {dict(realistic.tasks)!r},"
        f" pandas.read_pickle(folder / 'planned.pickle'), {dict(realistic.provenance)!r});"
        "optibench_reports.write(results, folder / 'out', bootstrap_draws=500)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, cwd=tmp_path)
    assert digests(tmp_path / "out") == digests(written)


def test_tables_hold_all_digits(written: Path, realistic: Results) -> None:
    table = pd.read_csv(written / "tables" / "regret_at_60.csv")
    row = table[(table["task"] == "yahpo/lcbench/3945") & (table["optimizer"] == "gp-botorch")].iloc[0]
    trials = realistic.trials
    cell = (trials["task"] == row["task"]) & (trials["optimizer"] == row["optimizer"]) & (trials["trial"] == 59)
    assert row["mean_regret"] == pytest.approx(trials.loc[cell, "regret"].mean(), rel=1e-12)
    assert row["sd"] == pytest.approx(trials.loc[cell, "regret"].std(), rel=1e-12)
    assert (row["seeds"], row["seeds_planned"]) == (7, 10)
    ranks = (written / "tables" / "ranks.md").read_text(encoding="utf-8")
    iqm = pd.read_csv(written / "tables" / "ranks.csv").query("trials == 60").set_index("optimizer")["iqm_regret"]
    assert f"| **{number(iqm.min())}** |" in ranks
    missing = pd.read_csv(written / "tables" / "missing.csv")
    assert missing["missing_seeds"].tolist() == ["0 1 2 3 4 5 6 7 8 9", "7 8 9"]


def test_failures_are_counted_by_kind(written: Path, realistic: Results) -> None:
    table = pd.read_csv(written / "tables" / "failures.csv").set_index("optimizer")
    expected = realistic.trials.astype({"optimizer": str, "state": str}).value_counts(["optimizer", "state"])
    for optimizer, state in expected.index:
        assert table.loc[optimizer, f"trials_{state}"] == expected[optimizer, state]


def test_latency_is_over_the_search_phase(written: Path, realistic: Results) -> None:
    table = pd.read_csv(written / "tables" / "latency.csv").set_index("optimizer")
    search = realistic.trials[realistic.trials["phase"] == "search"].astype({"optimizer": str})
    ask = search.groupby("optimizer")["ask_seconds"]
    np.testing.assert_allclose(table["ask_mean_seconds"], ask.mean())
    np.testing.assert_allclose(table["ask_median_seconds"], ask.median())
    np.testing.assert_allclose(table["ask_p95_seconds"], ask.quantile(0.95))
    np.testing.assert_allclose(table["ask_total_seconds"], ask.sum())


def test_training_stands_beside_the_cost_of_suggestions(make: Make) -> None:
    results = make(("random", "tpe", "optiformer"), ("a/x",), seeds=1, trials=8)
    assert "training s" not in seconds_table(run(results)).header
    trained = replace(results, provenance={"training": {"optiformer": {"key": "k", "seconds": 1234.5}}})
    table = seconds_table(run(trained))
    assert {row[0].text: row[-2].text for row in table.rows} == {"random": "—", "tpe": "—", "optiformer": "1234"}
    assert table.data.set_index("optimizer").loc["optiformer", "training_seconds"] == 1234.5
    assert "Training" in table.note


def test_the_first_model_based_trial_stands_beside_the_asks_and_earlier_counts_are_noted(make: Make) -> None:
    results = make(("random", "tpe", "nsga2"), ("a/x",), seeds=1, trials=8)
    assert seconds_table(run(results)).header[-1] == "model from"
    assert {row[-1].text for row in seconds_table(run(results)).rows} == {"—"}
    known = replace(results, provenance={"first_model_trials": {"tpe": 3, "nsga2": 51}})
    table = seconds_table(run(known))
    assert {row[0].text: row[-1].text for row in table.rows} == {"random": "—", "tpe": "3", "nsga2": "51"}
    assert table.data.set_index("optimizer")["first_model_trial"].fillna(0).to_dict() == {
        "random": 0,
        "tpe": 3,
        "nsga2": 51,
    }
    notes = cautions(analyse(known, at=(2, 8), draws=100, seed=0))
    assert [note for note in notes if "has a model" in note] == [
        "nsga2 has a model, or a second generation, from trial 51 on: after 2 and 8 trials it shows its start only.",
        "tpe has a model, or a second generation, from trial 3 on: after 2 trials it shows its start only.",
    ]
    tables = {table.name: table for table in every_table(analyse(known, at=(2, 8), draws=100, seed=0))}
    assert {row[0].text: row[-1].text for row in tables["ranks"].rows} == {"random": "—", "tpe": "3", "nsga2": "51"}
    assert tables["ranks"].header[-1] == "model from"
    assert tables["pairs_at_2"].note.endswith("Before their model, or second generation: nsga2 and tpe")
    assert tables["regret_at_8"].note.endswith("Before their model, or second generation: nsga2")
    other = replace(known, provenance={"first_model_trials": {"tpe": 5}})
    assert optibench_reports.merge([known, other]).provenance["first_model_trials"] == {"tpe": 5, "nsga2": 51}


@pytest.mark.parametrize("entry", [3, {}, {"seconds": "long"}, {"seconds": float("nan")}, {"seconds": -1}])
def test_training_without_seconds_is_refused(make: Make, entry: object) -> None:
    results = replace(make(("tpe",), ("a/x",), seeds=1, trials=2), provenance={"training": {"tpe": entry}})
    with pytest.raises(optibench_reports.ReportError, match="training of 'tpe' has no number of seconds"):
        seconds_table(run(results))


@pytest.mark.usefixtures("no_figures")
def test_a_new_report_replaces_the_old_one_and_nothing_else(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    optibench_reports.write(make(("random", "tpe"), seeds=2, trials=12), out, bootstrap_draws=100)
    (out / "notes.txt").write_text("mine")
    optibench_reports.write(make(("random", "tpe"), seeds=2, trials=6), out, bootstrap_draws=100)
    assert not (out / "tables" / "regret_at_12.csv").exists()
    assert (out / "tables" / "regret_at_6.csv").exists()
    assert sorted(path.name for path in out.iterdir()) == ["figures", "notes.txt", "report.html", "report.md", "tables"]


@pytest.mark.parametrize("mine", ["figures/a.pdf", "tables/a.tex", "report.md", "report.html"])
def test_files_that_no_report_wrote_are_not_replaced(make: Make, tmp_path: Path, digests: Digests, mine: str) -> None:
    path = tmp_path / "out" / mine
    path.parent.mkdir(parents=True)
    path.write_text("# Reported by hand")
    before = digests(tmp_path)
    with pytest.raises(optibench_reports.ReportError, match=f"replace {Path(mine).parts[0]} there, which no earlier"):
        optibench_reports.write(make(("random", "tpe"), seeds=2, trials=6), tmp_path / "out", bootstrap_draws=100)
    assert digests(tmp_path) == before


@pytest.mark.usefixtures("quick_figures")
def test_a_failure_leaves_the_old_report_alone(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digests: Digests
) -> None:
    results = make(("random", "tpe"), seeds=2, trials=6)
    out = tmp_path / "out"
    optibench_reports.write(results, out, bootstrap_draws=100)
    before = digests(out)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optibench_reports.figures.anytime.save", full)
    with pytest.raises(optibench_reports.ReportError, match="No space left"):
        optibench_reports.write(results, out, at=[3], bootstrap_draws=100)
    assert digests(out) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"trials": 1, "seeds": 1},
        {"without_reference": ("a/x", "b/y")},
        {"failures": 1.0},
    ],
    ids=["one trial", "no reference", "all failed"],
)
@pytest.mark.usefixtures("quick_figures")
def test_thin_grids_give_a_report(make: Make, tmp_path: Path, settings: dict[str, object]) -> None:
    chosen = {"optimizers": ("random", "tpe", "cmaes"), "tasks": ("a/x", "b/y"), "seeds": 2, "trials": 8, **settings}
    report = optibench_reports.write(make(**chosen), tmp_path / "out", bootstrap_draws=100)
    text = report.path.read_text(encoding="utf-8")
    assert "nan" not in re.sub(r"\W", " ", text.lower()).split()
    assert "nan" not in report.summary


@pytest.mark.parametrize("text", [NASTY, "_x_", "a__b__c", "x](http://e", "a\nb", "<b>", "&amp;", "\\|"])
def test_markdown_shows_any_name_as_it_is(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(f"| h |\n|---|\n| {markdown_escape(text)} |\n")
    cell = re.search(r"<td>(.*)</td>", html, re.DOTALL)
    assert cell is not None
    import html as entities

    assert entities.unescape(cell[1]) == " ".join(text.split())
    assert not re.search(r"<(?!/?t)", html.replace("<table>", ""))


def test_latex_escapes_every_special_character() -> None:
    assert escape("tpe_a&b%$#{}") == r"tpe\_a\&b\%\$\#\{\}"
    assert escape("\\end") == r"\textbackslash{}end"
    assert escape("é 漢 ± ≈") == r"e ? $\pm$ $\approx$"
    assert escape("-0.5 [-1, 4.1e-05] optiformer-2") == r"$-$0.5 [$-$1, 4.1e-05] optiformer-2"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
@pytest.mark.parametrize("tall", [False, True])
@pytest.mark.usefixtures("no_figures")
def test_latex_compiles(make: Make, tmp_path: Path, tall: bool) -> None:
    tasks = [f"f_{i % 3}/{i}" for i in range(60)] if tall else ["f_1/a", NASTY]
    results = make(("random", "tpe:group=true", NASTY, "a_b", "c^d", "e~f", "g%h"), tasks, seeds=3, trials=6)
    optibench_reports.write(results, tmp_path / "out", bootstrap_draws=100)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-output-directory", str(tmp_path), "all.tex"]
    done = subprocess.run(command, cwd=tmp_path / "out" / "tables", capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


@pytest.mark.usefixtures("no_figures")
def test_provenance_is_text_only(make: Make, tmp_path: Path) -> None:
    results = make(("random", NASTY), ("a/x", "b/y"), seeds=2, trials=4)
    report = optibench_reports.write(
        replace(results, provenance={"cpu": "<img src=x>"}), tmp_path / "out", bootstrap_draws=100
    )
    text = report.path.read_text(encoding="utf-8")
    assert "<img" not in text
    assert "<script" not in text


def test_styles_are_distinct_and_belong_to_the_name() -> None:
    names = [*KNOWN, "tpe:group=true", "tpe:n=3", "gp-botorch:beta=2", "mine", "yours", "theirs"]
    everyone = styles(names)
    assert len(set(everyone.values())) == len(names)
    assert all(everyone[name] == look for name, look in KNOWN.items())
    assert styles(["mine", "random"])["mine"] == everyone["mine"]
    assert everyone["tpe:group=true"].colour == mix(everyone["tpe"].colour, "#000000")


def test_lines_can_be_told_from_a_dark_ground() -> None:
    for style in KNOWN.values():
        colour = lighten(style.colour, "#14181d")
        assert (luminance(colour) + 0.05) / (luminance("#14181d") + 0.05) >= 4.5
    assert lighten("#ffffff", "#14181d") == "#ffffff"
    assert luminance("#ffffff") == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.0, "0"), (0.01064, "0.0106"), (1.234, "1.23"), (4.1e-5, "4.1e-05"), (123.45, "123.5"), (7200.0, "7200")],
)
def test_numbers_have_about_three_digits(x: float, text: str) -> None:
    assert number(x) == text


def test_numbers_of_an_interval_share_their_decimals() -> None:
    assert plus_minus(0.1234, 0.00567) == "0.123 ± 0.006"
    assert plus_minus(0.1234, float("nan")) == "0.123"
    assert plus_minus(0.0, 0.0) == "0 ± 0"
    assert plus_minus(0.1234, 1e-7) == "0.123 ± 1e-07"
    assert p_value(0.00001) == "< 0.0001"


def test_importing_reports_loads_nothing_heavy() -> None:
    script = "import sys, optibench_reports; print(*{'numpy', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_provenance_of_a_resumed_run_shows_every_distinct_value(make: Make) -> None:
    provenance = {
        "runs": [
            {"started_at": 0.5, "git_revision": "a", "cpu": "x"},
            {"started_at": 60, "git_revision": "b", "cpu": "x"},
        ]
    }
    results = replace(make(("tpe",), ("a/x",), seeds=1, trials=2), provenance=provenance)
    found = dict(facts(analyse(results, at=None, draws=100, seed=0)))
    assert found["runs"] == "2"
    assert found["git revision"] == "a; b"
    assert found["cpu"] == "x"
    assert found["started at"] == "1970-01-01 00:00:00 UTC; 1970-01-01 00:01:00 UTC"
