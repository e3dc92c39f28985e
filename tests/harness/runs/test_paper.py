"""`optibench paper`: everything a paper includes, from committed results; wrong files are refused in one sentence."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from optibench.cli.main import main
from optibench.runs import paper
from optibench.store.to_results import load as read
from optibench_reports.data.results import ReportError
from optibench_reports.studies.training_log import read_log, smoothed, training_curve

ROOT = Path(__file__).parents[3]
DEV = str(ROOT / "results" / "dev")
NASTY = "50% of $x_1$ & {more} \\end"
Write = Callable[..., Path]


def part(**changes: Any) -> dict[str, Any]:
    tables, figures = ["ranks", "pairs", "matrix_at_50", "clips"], ["critical_difference", "win_rate", "anytime_regret"]
    return {"name": "dev", "title": NASTY, "tables": tables, "figures": figures} | changes


def write_spec(folder: Path, **changes: Any) -> Path:
    values = {"title": NASTY, "results": {DEV: None}, "control": "optiformer", "at": [25, 50], "parts": [part()]}
    path = folder / "spec.yaml"
    kept = {key: value for key, value in (values | changes).items() if value is not None}
    path.write_text(yaml.safe_dump(kept, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture
def spec(tmp_path: Path) -> Write:
    """Write a small paper of the committed results of the dev tasks, with changes."""
    return functools.partial(write_spec, tmp_path)


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Few bootstrap draws, for tests of files and words."""
    from optibench_reports.render import paper as made

    analyse = made.analyse
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "analyse", lambda *a, **k: analyse(*a, **{**k, "draws": 100}))
        yield


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training log as a resumed run writes it: steps 51 to 60 stand twice, the later entry counts."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    lines: list[dict[str, float]] = []
    for step in [*range(1, 61), *range(51, 101)]:
        late = len(lines) > 60
        lines.append({"step": step, "loss": 5.0 - step / 50 if late or step <= 50 else 99.0, "seconds": 0.6 * step})
        if step % 25 == 0:
            lines.append({"step": step, "validation_loss": 4.0 - step / 100, "seconds": 0.6 * step})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def written(quick: None, log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small paper with a training curve, in a folder that held a file of the user's; its spec is beside it."""
    folder = tmp_path_factory.mktemp("paper")
    out = folder / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert main(["paper", str(write_spec(folder, training=str(log))), "--out", str(out)]) == 0
    return out


def test_a_paper_has_every_table_and_figure_and_includes_the_chosen(written: Path) -> None:
    out = written
    assert {path.name for path in out.iterdir()} == {"main.tex", "tables", "figures", "notes.txt"}
    tables, figures = ({path.name for path in (out / name).iterdir()} for name in ("tables", "figures"))
    assert {"dev_ranks.tex", "dev_pairs_at_25.tex", "dev_regret_at_50.tex", "dev_latency.tex"} <= tables
    assert {"training.pdf", "dev_anytime_rank.pdf", "dev_critical_difference.pdf", "dev_regret_by_task.pdf"} <= figures
    assert all(name.endswith(".pdf") for name in figures)
    text = (out / "main.tex").read_text(encoding="utf-8")
    included = re.findall(r"\\(?:input|includegraphics)\{(.+?)\}", text)
    assert included == [
        *("tables/dev_ranks", "tables/dev_pairs_at_25", "tables/dev_pairs_at_50", "tables/dev_matrix_at_50"),
        *("figures/dev_critical_difference", "figures/dev_win_rate", "figures/dev_anytime_regret", "figures/training"),
    ]
    assert "% Left out: the table clips, because it has no rows." in text


@pytest.mark.parametrize("mine", ["main.tex", "tables/mine.tex", "figures/mine.pdf"])
def test_files_that_no_paper_wrote_are_not_replaced(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], mine: str
) -> None:
    path = tmp_path / "out" / mine
    path.parent.mkdir(parents=True)
    path.write_text("my own")
    assert main(["paper", str(write_spec(tmp_path)), "--out", str(tmp_path / "out")]) == 2
    assert f"it would replace {Path(mine).parts[0]} there, which no earlier paper wrote" in capsys.readouterr().err
    assert list(digests(tmp_path / "out")) == [mine]
    assert path.read_text() == "my own"


def test_captions_say_who_on_what_with_which_test(written: Path) -> None:
    text = (written / "main.tex").read_text(encoding="utf-8")
    names = r"5 optimizers (optiformer, tpe, tpe:group=true, optiformer-seq and random) on 19 tasks"
    captions = re.findall(r"\\caption\{(.*)\}\\label", text)
    assert len(captions) == 4
    assert "over 100 steps" in captions.pop()
    assert all(f"{names}, 10 seeds each" in caption for caption in captions)
    # A diagram needs all pairs; the table tests against the control, and each says its family.
    assert "Holm-adjusted over all 10 pairs" in captions[0]
    pairs = (written / "tables" / "dev_pairs_at_50.tex").read_text(encoding="utf-8")
    assert names in pairs
    assert "over 4 comparisons with optiformer" in pairs
    assert "---" not in (written / "tables" / "dev_matrix_at_50.tex").read_text(encoding="utf-8")


def test_the_same_results_give_the_same_bytes(written: Path) -> None:
    first = digests(written)
    assert main(["paper", str(written.with_name("spec.yaml")), "--out", str(written)]) == 0
    assert digests(written) == first
    assert len(first) > 20


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
@pytest.mark.usefixtures("quick")
def test_it_compiles_as_it_is(spec: Write, log: Path, tmp_path: Path) -> None:
    everything = part(
        tables=["ranks", "families", "pairs", "matrix", "regret", "convergence", "latency", "failures"],
        figures=["anytime_regret_by_family", "regret_by_task", "win_rate", "regret_by_ask_time"],
    )
    assert main(["paper", str(spec(parts=[everything], training=str(log))), "--out", str(tmp_path / "out")]) == 0
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-output-directory", str(tmp_path), "main.tex"]
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "main.pdf").read_bytes().startswith(b"%PDF")
    assert not re.search(r"(multiply.defined|undefined references|Overfull)", done.stdout)


@pytest.mark.usefixtures("quick")
def test_a_part_on_shared_tasks_compares_who_ran_on_few(tmp_path: Path, spec: Write) -> None:
    base = ["run", "--no-report", "-s", "2", "-t", "12", "--executor", "serial"]
    tasks = [f"synthetic/{name}-2d" for name in ("sphere", "ackley", "rosenbrock", "branin")]
    few, many = tmp_path / "few", tmp_path / "many"
    assert main([*base, "-o", "random,tpe", "-b", ",".join(tasks), "--out", str(many)]) == 0
    assert main([*base, "-o", "sobol", "-b", tasks[0], "--out", str(few)]) == 0
    chosen = {"tables": ["ranks"], "figures": ["critical_difference", "anytime_rank_by_family"]}
    parts = [part(name="all", **chosen), part(name="both", tasks="shared", **chosen)]
    path = spec(results={str(many): None, str(few): None}, control=None, at=[12], parts=parts)
    assert main(["paper", str(path), "--out", str(tmp_path / "out")]) == 0
    merged, shared = (tmp_path / "out" / "main.tex").read_text(encoding="utf-8").split(r"\clearpage")[:2]
    assert "2 optimizers (" in merged
    assert "sobol (1 of 4 tasks)" in merged
    assert "3 optimizers (" in shared
    assert "on 1 task; 2 seeds each" in shared
    assert "% Left out: the figure critical_difference, because it needs three optimizers." in merged
    assert (
        "% Left out: the figure critical_difference, because no difference over 1 task could be significant." in shared
    )
    assert "% Left out: the figure anytime_rank_by_family, because no family has" in shared


@pytest.mark.usefixtures("quick")
def test_a_part_has_tables_and_figures_of_several_objectives_constraints_and_metrics(
    spec: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pymoo", reason="pip install 'optiformer-bench[pymoo]'")
    tasks = "pymoo/constrained/bnh-2o-2d,live/tree/digits+objective=nodes"
    base = ["run", "--no-report", "-o", "random,sobol", "-s", "2", "-t", "12", "--executor", "serial"]
    assert main([*base, "-b", tasks, "--out", str(tmp_path / "runs")]) == 0
    chosen = part(
        name="mo",
        tables=["igd_plus", "feasibility", "metrics", "regret_by_fidelity"],
        figures=["attained_fronts", "feasible_regret", "regret_by_seconds"],
        metrics=["test_accuracy"],
    )
    path = spec(results={str(tmp_path / "runs"): None}, control=None, at=[12], parts=[chosen])
    assert main(["paper", str(path), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "main.tex").read_text(encoding="utf-8")
    included = re.findall(r"\\(?:input|includegraphics)\{(.+?)\}", text)
    metric = "tables/mo_metric_test_accuracy"
    assert included == [
        *("tables/mo_igd_plus_at_12", "tables/mo_feasibility", f"{metric}_at_12", f"{metric}_pairs_at_12"),
        *(f"{metric}_tasks_at_12", "figures/mo_attained_fronts", "figures/mo_feasible_regret"),
    ]
    assert all((tmp_path / "out" / f"{name}.pdf").exists() for name in included if name.startswith("figures"))
    assert "% Left out: the table regret_by_fidelity, because the results have nothing for it." in text
    assert "% Left out: the figure regret_by_seconds, because no cost is recorded in simulated seconds." in text
    capsys.readouterr()
    wrong = spec(results={str(tmp_path / "runs"): None}, control=None, at=[12], parts=[chosen | {"metrics": ["zeal"]}])
    assert main(["paper", str(wrong), "--out", str(tmp_path / "other")]) == 2
    assert "zeal" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_optimizers_have_the_names_that_the_paper_gives_them(spec: Write, tmp_path: Path) -> None:
    names = {"tpe:group=true": "TPE with groups", "optiformer": "ours", "optiformer-*": "sequences"}
    path = spec(names=names, control="ours", at=[25], parts=[part(tables=["ranks"], figures=["anytime_regret"])])
    assert main(["paper", str(path), "--out", str(tmp_path / "out")]) == 0
    table = (tmp_path / "out" / "tables" / "dev_ranks.tex").read_text(encoding="utf-8")
    assert all(name in table for name in ("TPE with groups", "ours", "sequences"))
    assert "optiformer" not in table
    assert "over 4 comparisons with ours" in (tmp_path / "out" / "tables" / "dev_pairs_at_25.tex").read_text()


@pytest.mark.usefixtures("quick")
def test_an_absent_folder_is_run_and_resumed(spec: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    grid = {"name": "tiny", "optimizers": ["random", "sobol"], "benchmarks": ["synthetic/sphere-2d"]}
    grid |= {"seeds": 2, "trials": 11, "executor": "serial"}
    Path("tiny.yaml").write_text(yaml.safe_dump(grid))
    parts = [part(tables=["ranks"], figures=["anytime_regret"])]
    path = spec(results={"results/tiny": "tiny.yaml"}, control=None, at=[11], parts=parts, training="no/log.jsonl")
    assert main(["paper", str(path)]) == 0
    first = digests(Path("paper"))
    stored = digests(Path("runs/tiny"))
    assert main(["paper", str(path)]) == 0
    assert digests(Path("paper")) == first
    assert digests(Path("runs/tiny")) == stored
    text = Path("paper/main.tex").read_text(encoding="utf-8")
    assert "% Left out: the training curve, because there is no file no/log.jsonl." in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"results": None}, "a paper needs the key 'results'"),
        ({"results": [DEV]}, "spec.yaml:2: `results` is a mapping of folders to the grids"),
        ({"results": {DEV: "no-such-grid"}}, "Cannot read the grid no-such-grid"),
        ({"results": {"no/such/folder": None}}, "no/such/folder is missing"),
        ({"parts": []}, "a paper needs the key 'parts'"),
        ({"parts": ["dev"]}, "`parts` is a list of mappings"),
        ({"parts": [part(), part()]}, "two parts have the same name"),
        ({"parts": [part(name="a b")]}, "spec.yaml:9: `name` is lower-case letters, digits and '-', not 'a b'"),
        ({"parts": [part(tabels=[])]}, "unknown key 'tabels'; did you mean 'tables'"),
        ({"parts": [part(tables="ranks")]}, "`tables` is a list of names"),
        ({"parts": [part(tables=["rank"])]}, "There is no table 'rank'"),
        ({"parts": [part(tables=["pairs_at_30"])]}, "pairs is made after 25 and 50 trials"),
        ({"parts": [part(figures=["pie"])]}, "There is no figure 'pie'"),
        ({"parts": [part(tasks="some")]}, "`tasks` is one of all, shared, not 'some'"),
        ({"parts": [part(results=["elsewhere"])]}, "not 'elsewhere'"),
        ({"at": [0]}, "`at` is a list of trial counts"),
        ({"at": [25, 200], "parts": [part(tables=[])]}, "Cannot report after 200 trials"),
        ({"control": "nobody"}, "The control 'nobody' is not among the optimizers"),
        ({"controls": "nobody"}, "did you mean 'control'"),
        ({"title": 7}, "spec.yaml:1: `title` is text, not 7."),
        ({"names": ["tpe"]}, "`names` is a mapping of optimizers, or globs, to their new names"),
        ({"names": {"tpee": "TPE"}}, "`names`: no optimizer of these results is called 'tpee'; there are optiformer,"),
        ({"names": {"tpe*": "TPE"}}, "'tpe' and 'tpe:group=true' cannot have one name, 'TPE'"),
    ],
)
def test_a_wrong_paper_is_one_sentence(
    changes: dict[str, Any], message: str, spec: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paper", str(spec(**changes)), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_unknown_paper_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", "unpublished"]) == 2
    assert "Cannot read the paper unpublished" in capsys.readouterr().err


def test_the_published_paper_is_of_the_looks() -> None:
    found = paper.load("published")
    assert all((ROOT / folder / "trials.parquet").exists() for folder in found.results)
    assert set(found.results.values()) == {None}
    assert {part.name: part.at for part in found.parts} == {
        **dict.fromkeys(("pipelines", "pools", "slow"), (25, 50)),
        **dict.fromkeys(("functions", "objectives", "constraints"), (25, 50, 100)),
    }
    assert set(found.results) == {folder for part in found.parts for folder in part.results}
    ran = {name for folder in found.results for name in read(ROOT / folder).trials["optimizer"].unique()}
    names = {name: next((new for old, new in found.names.items() if fnmatchcase(name, old)), name) for name in ran}
    assert not [new for new in names.values() if "checkpoint" in new or "sampler" in new]
    assert found.control == "optiformer" in names.values()


def test_a_training_log_is_read_and_drawn(log: Path, tmp_path: Path) -> None:
    found = read_log(log)
    np.testing.assert_allclose(found.losses, 5.0 - np.arange(1, 101) / 50)
    np.testing.assert_array_equal(found.validation_steps, [25, 50, 75, 100])
    steps, mean, low, high = smoothed(found)
    assert len(steps) == 50
    assert mean.mean() == pytest.approx(found.losses.mean())
    assert ((low <= mean) & (mean <= high)).all()
    words = training_curve(log, tmp_path / "curve")
    assert "over 100 steps (1.00 minutes)" in words
    assert "after step 100, at 3.00" in words
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("text", ["", '{"step": 1}\n', '{"step": 1, "loss": 2}\n{"st', "[1]\n", '{"loss": 1}\n'])
def test_a_damaged_training_log_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(ReportError, match=r"log\.jsonl"):
        training_curve(tmp_path / "log.jsonl", tmp_path / "curve")
