"""What a newcomer gets wrong: no trials to search with, data that is not here, a `~` in a path."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import optibench_benchmarks
import optiformer
from optibench.cli.main import main
from optibench.errors import HarnessError
from optibench.plan.plan import Plan
from optibench.spec.grid import load
from optibench.store.run_folder import Store
from optibench.store.to_results import load as load_results

FLAGS = {"optimizers": ["random"], "benchmarks": ["synthetic/sphere-2d"]}


@pytest.mark.parametrize(
    "flags",
    [
        {"trials": 10},
        {"trials": 3},
        {"trials": "50", "initial_size": 50},
        {"initial_size": 60},
        {"budget": "fidelity=10"},
        {"budget": "fidelity=9.5", "optimizers": ["asha"], "benchmarks": ["digits/mlp"]},
    ],
)
def test_a_grid_without_a_trial_to_search_with_is_refused(flags: dict[str, object]) -> None:
    with pytest.raises(HarnessError, match=r"^[^\n]*leaves none of [\d.]+ trials to search with.*--initial own\.$"):
        load(None, FLAGS | flags)
    load(None, FLAGS | flags | {"initial": "own", "initial_size": None})


def test_the_line_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text("optimizers: [random]\nbenchmarks: [synthetic/sphere-2d]\ntrials: 10\n")
    with pytest.raises(HarnessError, match=r"g\.yaml:3: the shared initial design of 10"):
        load(str(tmp_path / "g.yaml"), {})
    grid, _ = load(str(tmp_path / "g.yaml"), {"trials": 11})
    assert (grid.trials, grid.initial_size) == (11, 10)


def test_a_budget_in_seconds_says_nothing_of_trials() -> None:
    load(None, FLAGS | {"budget": "seconds=1"})


class Half:
    """A family of which a part of the data is here."""

    def names(self) -> list[str]:
        return ["half/here"]

    def create(self, name: str) -> optibench_benchmarks.Benchmark:
        if name != "half/here":
            raise optibench_benchmarks.MissingDataError(f"The data of {name} is not here; get it with `fetch {name}`.")
        found = optibench_benchmarks.create("synthetic/sphere-2d")
        found.name = name
        return found

    def missing(self) -> str | None:
        return "The data of half/away and of the group is not here; get it with `fetch`."

    def absent(self) -> dict[str, str]:
        return {
            f"half/{name}": f"The data of half/{name} is not here; get it with `fetch`." for name in ("away", "g/*")
        }


provider = Half()


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    family = optibench_benchmarks.Family("half", "half of it is here", f"{__name__}:provider")
    monkeypatch.setitem(optibench_benchmarks.registry._families, "half", family)
    suites = dict(optibench_benchmarks.suites._read()) | {
        "globbed": {"summary": "", "patterns": ["half/*"]},
        "named": {"summary": "", "patterns": ["half/here", "half/away"]},
    }
    monkeypatch.setattr(optibench_benchmarks.suites, "_read", lambda: suites)


@pytest.mark.usefixtures("half")
@pytest.mark.parametrize("pattern", ["half/*", "*/*", "globbed", "named", "half/[ah]*"])
def test_a_glob_or_suite_that_would_skip_tasks_names_them_and_stops(pattern: str) -> None:
    with pytest.raises(optibench_benchmarks.MissingDataError, match=r"half/away") as caught:
        optibench_benchmarks.expand([pattern])
    assert "get it with `fetch" in str(caught.value)
    assert str(caught.value).endswith("or leave these tasks out with --skip-missing.")


@pytest.mark.usefixtures("half")
def test_what_is_asked_for_or_taken_away_decides() -> None:
    expand = optibench_benchmarks.expand
    assert expand(["half/here"]) == expand(["half/h*"]) == ["half/here"]
    assert expand(["half/*", "!half/away", "!half/g/*"]) == ["half/here"]
    assert expand(["half/*", "!half/[ag]*"]) == ["half/here"]
    with pytest.raises(optibench_benchmarks.MissingDataError, match=r"The data of half/g/\* is missing"):
        expand(["half/*", "!half/away", "!half/g/one"])  # the others of the group are still missing
    with pytest.raises(
        optibench_benchmarks.MissingDataError, match=r"^The data of half/away is not here; get it with `fetch half"
    ):
        expand(["half/away", "half/here"])
    with pytest.raises(optibench_benchmarks.MissingDataError, match=r"No task on this machine matches 'half/a\*'"):
        expand(["half/a*"], {})
    assert expand(["*/sphere-2d"]) == ["synthetic/sphere-2d"]  # no group need have such a name


@pytest.mark.usefixtures("half")
def test_a_grid_that_skips_tasks_says_so_in_its_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "-o", "random", "-b", "half/*", "-s", "1", "-t", "2", "--initial-size", "1"]
    command += ["--executor", "serial", "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "half/away, half/g/*" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*command, "--skip-missing"]) == 0
    assert main([*command, "--skip-missing"]) == 0  # the same grid
    assert main(["run", "--out", str(tmp_path / "out")]) == 0
    store = Store.open(tmp_path / "out")
    assert store.plan().grid.skipped == ("half/away", "half/g/*")
    assert Plan.of(store.plan().grid).grid == store.plan().grid
    text = (tmp_path / "out" / "report" / "report.md").read_text().replace("\\", "")
    assert "Left out of the grid because their data was missing: half/away and half/g/*." in text
    assert load_results(store.folder).provenance["skipped_tasks"] == ["half/away", "half/g/*"]


def test_yahpo_with_one_scenario_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optibench_benchmarks import data

    if not any(name.startswith("yahpo/lcbench/") for name in optibench_benchmarks.names()):
        pytest.skip("needs the data of yahpo/lcbench")
    (tmp_path / "yahpo").mkdir()
    (tmp_path / "yahpo" / "lcbench").symlink_to(data.root() / "yahpo" / "lcbench")
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    with pytest.raises(
        optibench_benchmarks.MissingDataError, match=r"yahpo/rbv2_xgboost/\* is missing.*--skip-missing"
    ):
        optibench_benchmarks.expand(["yahpo/*"])
    skipped: dict[str, str] = {}
    assert len(optibench_benchmarks.expand(["yahpo/*"], skipped)) == 34
    assert list(skipped) == ["yahpo/rbv2_xgboost/*"]
    assert len(optibench_benchmarks.expand(["yahpo/lcbench/*"])) == 34


@pytest.mark.parametrize("prefix", ["mnist", "cifar", "mainrun", "moe-router", "attention", "hpobench", "yahpo"])
def test_what_a_family_says_is_missing_are_tasks_that_it_does_not_list(
    prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    family = optibench_benchmarks.families()[prefix]
    absent = family.absent()
    assert absent
    assert set(absent).isdisjoint(family.names())
    for name in absent:
        if not name.endswith("/*"):
            with pytest.raises(optibench_benchmarks.MissingDataError):
                optibench_benchmarks.create(name).evaluate({}, seed=0)


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optibench.yaml_file import read_yaml
    from optibench_benchmarks import data
    from optiformer.training.config import RunConfig

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    grid = {"optimizers": ["random"], "benchmarks": ["synthetic/sphere-2d"], "seeds": 1, "trials": 2}
    size = {"initial_size": 1, "executor": "serial", "out": "~/from-yaml"}
    (tmp_path / "g.yaml").write_text(yaml.safe_dump(grid | size))
    assert main(["run", "~/g.yaml", "--no-report"]) == 0
    assert main(["run", "~/g.yaml", "--out", "~/from-flag", "--no-report"]) == 0
    assert main(["status", "~/from-flag"]) == 0
    assert main(["report", "~/from-flag", "--out", "~/report"]) == 0
    assert main(["publish", "~/from-flag", "~/published"]) == 0
    made = {"g.yaml", "from-yaml", "from-flag", "report", "published"}
    assert {path.name for path in tmp_path.iterdir()} == made  # and no folder called "~"
    assert load(None, FLAGS | {"executor": "dask", "scheduler": "~/s.json"})[1].scheduler == str(tmp_path / "s.json")
    address = "tcp://10.0.0.1:8786"
    assert load(None, FLAGS | {"executor": "dask", "scheduler": address})[1].scheduler == address
    monkeypatch.setenv("OPTIBENCH_DATA", "~/data")
    assert data.root() == tmp_path / "data"
    shipped = Path(optiformer.__file__).parent / "configs"
    (tmp_path / "tiny.yaml").write_text(next(shipped.glob("**/*.yaml")).read_text())
    assert RunConfig.load("~/tiny.yaml")
    with pytest.raises(HarnessError, match=r"~nobody-is-called-so/g\.yaml"):
        read_yaml("~nobody-is-called-so/g.yaml", "grid", {}, {})


def test_a_tilde_in_an_external_command_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optibench.external.definitions import parse

    monkeypatch.setenv("HOME", str(tmp_path))
    (found,) = parse({"optimizers": {"mine": {"command": ["~/bin/python", "~/w.py", "a~b"]}}}, "here", tmp_path)
    assert found.command == (f"{tmp_path}/bin/python", f"{tmp_path}/w.py", "a~b")
