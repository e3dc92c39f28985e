"""A generator of trial tables in the harness's format, and a headless Chromium."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import select
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import optibench_reports
from optibench.cell.trials import schema
from optibench_reports.data.results import Results

OPTIMIZERS = ("random", "sobol", "tpe", "tpe:group=true", "gp-botorch", "smac-rf", "cmaes")
SKILL = {
    "random": 1.0,
    "sobol": 0.95,
    "tpe": 1.5,
    "tpe:group=true": 1.6,
    "gp-botorch": 3.0,
    "smac-rf": 2.0,
    "cmaes": 1.2,
}
ASK = {
    "random": 5e-5,
    "sobol": 2e-4,
    "tpe": 3e-3,
    "tpe:group=true": 4e-3,
    "gp-botorch": 0.4,
    "smac-rf": 0.01,
    "cmaes": 1e-3,
}
TASKS = (
    *(f"yahpo/lcbench/{i}" for i in (3945, 7593, 34539, 126025)),
    *(f"hpobench/nn/{i}" for i in (3917, 53, 9952, 10101)),
    *(f"synthetic/{name}-5d" for name in ("sphere", "rastrigin", "levy", "ackley")),
)


def make_results(
    optimizers: Sequence[str] = OPTIMIZERS,
    tasks: Sequence[str] = TASKS,
    seeds: int = 10,
    trials: int = 60,
    *,
    missing: Sequence[tuple[str, str, int]] = (),
    lengths: dict[str, int] | None = None,
    without_reference: Sequence[str] = (),
    failures: float = 0.03,
    random_seed: int = 0,
) -> Results:
    """A random grid: values are regrets with f_best 0 and f_ref 1 (negated where the task maximizes).

    Args:
        missing: Cells (optimizer, task, seed) that were planned but have no trial.
        lengths: Trials per optimizer, if not ``trials``.
        without_reference: Tasks whose reference is ``None``.
        failures: Share of trials that fail, time out or are infeasible.
    """
    o, t, s, n = len(optimizers), len(tasks), seeds, trials
    rng = np.random.default_rng(random_seed)
    skill = np.array([SKILL.get(name, 1.0 + (sum(map(ord, name)) % 7) / 4) for name in optimizers])
    hardness = 0.5 + rng.random((1, t, 1, 1))
    decay = (1 + np.arange(n)) ** (-0.25 * skill[:, None, None, None] * hardness)
    value = rng.gamma(2.0, 0.6, (o, t, s, n)) * decay
    value[..., : min(5, n)] = value[:1, ..., : min(5, n)]  # the shared initial design
    roll = rng.random((o, t, s, n))
    state = np.where(roll < failures / 2, "failed", np.where(roll < failures, "timeout", "ok"))
    state = np.where(roll < failures / 10, "infeasible", state)
    value = np.where(state == "ok", value, np.nan)
    best = np.fmin.accumulate(value, axis=-1)
    sign = np.where(np.arange(t) % 2 == 0, 1.0, -1.0)[None, :, None, None]
    grid = [index.ravel() for index in np.indices((o, t, s, n))]
    ask = np.array([ASK.get(name, 1e-3) for name in optimizers])[grid[0]] * rng.gamma(2.0, 0.5, len(grid[0]))
    reference = ~np.isin(np.array(tasks), list(without_reference))
    regret = np.where(np.isnan(best), 3.0, best)
    table = pd.DataFrame(
        {
            "optimizer": pd.Categorical.from_codes(grid[0], categories=list(optimizers)),
            "task": pd.Categorical.from_codes(grid[1], categories=list(tasks)),
            "seed": grid[2].astype(np.int32),
            "trial": grid[3].astype(np.int32),
            "phase": pd.Categorical(np.where(grid[3] < 5, "initial", "search")),
            "value": (sign * value).ravel(),
            "state": pd.Categorical(state.ravel()),
            "incumbent": (sign * best).ravel(),
            "regret": np.where(reference[grid[1]], regret.ravel(), np.nan),
            "cost_seconds": 1.0,
            "ask_seconds": np.where(grid[3] < 5, 0.0, ask),
            "evaluate_seconds": 1e-4,
            "tell_seconds": 1e-5,
        }
    )
    length = np.array([(lengths or {}).get(name, n) for name in optimizers])
    keep = grid[3] < length[grid[0]]
    for optimizer, task, seed in missing:
        keep &= ~((table["optimizer"] == optimizer) & (table["task"] == task) & (table["seed"] == seed)).to_numpy()
    cells = pd.MultiIndex.from_product([optimizers, tasks, range(s)], names=["optimizer", "task", "seed"]).to_frame(
        index=False
    )
    planned = cells.assign(n_trials=[(lengths or {}).get(name, n) for name in cells["optimizer"]], initial="shared")
    frozen = [
        {"f_best": 0.0, "f_ref": side * 1.0, "f_worst": side * 3.0, "source": "made up", "version": 1}
        for side in (1, -1)  # tasks minimize and maximize in turn
    ]
    info = {
        task: {
            "direction": "minimize" if index % 2 == 0 else "maximize",
            "sampling": "deterministic",
            "dimensions": 5,
            "reference": frozen[index % 2] if reference[index] else None,
            "data_version": "1",
        }
        for index, task in enumerate(tasks)
    }
    runs = [
        {"command": f"optibench run mine.yaml -j {jobs}", "git_revision": revision, "cpu": "test | <cpu>"}
        for jobs, revision in ((2, "0123abc"), (4, "0123abc+dirty"))
    ]
    provenance = {"runs": runs, "packages": {"numpy": "2.4.6", "optuna": "5.0.0"}}
    return Results(table[keep].reset_index(drop=True), info, planned, provenance)


def publish(results: Results, folder: Path) -> Path:
    """Write results as ``optibench publish`` would: every optimizer planned on every task with every seed."""
    planned = results.planned
    names, tasks = (list(dict.fromkeys(map(str, planned[column]))) for column in ("optimizer", "task"))
    grid = {
        "grid": {
            **{"optimizers": names, "benchmarks": tasks, "seeds": sorted(map(int, planned["seed"].unique()))},
            **{"trials": int(planned["n_trials"].max()), "initial": "shared", "initial_size": 5, "name": folder.name},
        },
        "packages": {},
        "optimizers": {name: {"name": name, "settings": {}, "packages": {}} for name in names},
    }
    trials = results.trials
    cell = trials.groupby(["optimizer", "task", "seed"], sort=False, observed=True).ngroup().to_numpy()
    columns = {"cell": np.array([f"{i:020x}" for i in range(len(planned))])[cell]}
    arrays = []
    kinds = schema(several="values" in trials)
    for field in kinds:
        values = columns.get(field.name, trials.get(field.name))
        empty = pa.nulls(len(trials), field.type)
        arrays.append(empty if values is None else pa.array(values, from_pandas=True).cast(field.type))
    folder.mkdir(parents=True)
    (folder / "tasks.json").write_text(json.dumps(dict(results.tasks), indent=1), encoding="utf-8")
    (folder / "provenance.json").write_text(json.dumps(dict(results.provenance), indent=1), encoding="utf-8")
    pq.write_table(pa.Table.from_arrays(arrays, schema=kinds), folder / "trials.parquet", compression="zstd")
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid, sort_keys=False), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def realistic() -> Results:
    """7 optimizers x 12 tasks x 10 seeds x 60 trials with missing cells, failures and a shorter budget."""
    missing = [("gp-botorch", "yahpo/lcbench/3945", seed) for seed in (7, 8, 9)]
    missing += [("cmaes", "hpobench/nn/53", seed) for seed in range(10)]
    return make_results(missing=missing)


@pytest.fixture(scope="session")
def written(realistic: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its report."""
    return optibench_reports.write(
        realistic, tmp_path_factory.mktemp("report") / "out", bootstrap_draws=500
    ).path.parent


@pytest.fixture(scope="session")
def make() -> Callable[..., Results]:
    """The generator itself, for tests that need a grid of their own."""
    return make_results


@pytest.fixture(scope="session")
def as_folder() -> Callable[[Results, Path], Path]:
    """Writes results as a folder that the command line takes."""
    return publish


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at text only: drawing takes most of a report's seconds."""
    monkeypatch.setattr("optibench_reports.figures.anytime.draw", lambda *_: [])


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that need coarse figures only: writing them takes longer than drawing."""
    monkeypatch.setattr(
        "optibench_reports.figures.anytime.save", lambda figure, path: figure.savefig(path.with_suffix(".png"), dpi=20)
    )


@pytest.fixture(scope="session")
def digests() -> Callable[[Path], dict[str, str]]:
    """Checksums of the files below a folder."""
    return lambda folder: {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Page:
    """One tab of a headless Chromium, driven through its debugging pipe: no driver, no network, no port.

    Errors of the page and its network requests are recorded.
    """

    def __init__(self, chromium: str, folder: Path) -> None:
        # The browser reads commands from its descriptor 3 and answers on 4, each message ended by a zero byte.
        theirs, self.to = os.pipe()
        self.back, answers = os.pipe()
        flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run"
        shell = f'exec "$0" {flags} --remote-debugging-pipe --user-data-dir="$1" about:blank 3<&{theirs} 4>&{answers}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, chromium, str(folder)],
            pass_fds=(theirs, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(answers)
        self.buffer, self.number = b"", 0
        self.session: str | None = None
        self.complaints: list[str] = []
        self.requests: list[str] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        tab = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            assert select.select([self.back], [], [], 60)[0], "the browser does not answer"
            part = os.read(self.back, 1 << 20)
            assert part, "the browser went away"
            self.buffer += part
        text, _, self.buffer = self.buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(text)
        if found.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"):
            self.complaints.append(str(found["params"]))
        if found.get("method") == "Network.requestWillBeSent":
            self.requests.append(found["params"]["request"]["url"])
        return found

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self.complaints, self.requests = [], []
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=media)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=path.as_uri())
        while self.read().get("method") != "Page.loadEventFired":
            pass

    def __call__(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of the element: it fails if something lies over it."""
        element = f"document.querySelector({json.dumps(selector)})"
        script = (
            f"(e => {{ e.scrollIntoView({{block: 'center'}}); return e.getBoundingClientRect().toJSON(); }})({element})"
        )
        box = self(script)
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def key(self, key: str) -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=KEYS[key])
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=KEYS[key])

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def close(self) -> None:
        self.session = None
        self.call("Browser.close")
        self.process.wait(timeout=30)
        os.close(self.to)
        os.close(self.back)


KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "Enter": 13}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs a Chromium (Debian: chromium)")
    page = Page(chromium, tmp_path_factory.mktemp("browser"))
    yield page
    page.close()
