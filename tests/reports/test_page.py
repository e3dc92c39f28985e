"""The HTML page, opened and used in a headless Chromium."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

import optibench_reports
from optibench_reports.data.results import Results
from optibench_reports.figures.attained_fronts import AttainedFronts

if TYPE_CHECKING:
    from tests.reports.conftest import Page

Make = Callable[..., Results]
NASTY = "a_b</script><script>document.title='hacked'</script><img src=x onerror=document.title='hacked'>&amp;\"'"


@pytest.fixture(scope="module")
def page(written: Path) -> Path:
    return written / "report.html"


def test_the_page_is_whole_without_a_script_or_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#|data:)""", text)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert "gp-botorch has the best mean rank of 7 optimizers" in html.unescape(text)
    for word in ("optibench run mine.yaml -j 2", "git checkout 0123abc", "optibench report DIR --at 25,50,60"):
        assert word in text
    assert text.count('<table class="data">') > 10
    assert len(text) < 1_500_000


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_opens_without_complaint(page: Path, browser: Page, width: int, dark: bool) -> None:
    browser.open(page, width, dark=dark)
    assert browser("Number(document.documentElement.dataset.ready)") > 0
    assert browser("document.querySelectorAll('#plot path.curve').length") == 7
    assert browser("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert browser("[...document.images].every(image => image.naturalWidth > 100 && image.height > 50)")
    assert browser.requests == [page.as_uri()] or all(url.startswith("data:") for url in browser.requests[1:])
    assert browser.complaints == []


def test_tables_sort_both_ways_and_missing_values_stay_last(page: Path, browser: Page) -> None:
    browser.open(page)
    order = "[...document.querySelectorAll('#ranks tbody tr')].map(row => row.cells[0].textContent)"
    before = browser(order)
    for _ in range(2):
        browser.click("#ranks th:nth-child(1) button")
    assert browser(order) == sorted(before, reverse=True)
    browser.click("#ranks th:nth-child(1) button")
    assert browser(order) == before
    browser.click("#latency th:nth-child(3) button")
    column = "[...document.querySelectorAll('#latency tbody tr')].map(row => parseFloat(row.cells[2].textContent))"
    assert browser(column) == sorted(browser(column))
    assert browser("document.querySelector('#latency th:nth-child(3)').ariaSort") == "ascending"
    # cmaes has no run on one task: its dash is last in either direction.
    where = browser("[...document.querySelectorAll('#regret_at_60 th')].findIndex(th => th.textContent == 'cmaes')") + 1
    last = f"document.querySelector('#regret_at_60 tbody tr:last-child td:nth-child({where})').textContent"
    for _ in range(2):
        browser.click(f"#regret_at_60 th:nth-child({where}) button")
        assert browser(last).startswith("—")
    assert browser.complaints == []


def test_tables_filter_by_every_word(page: Path, browser: Page) -> None:
    browser.open(page)
    browser.click("#pairs_at_60 input")
    browser.call("Input.insertText", text="TPE smac")
    shown = "[...document.querySelectorAll('#pairs_at_60 tbody tr')].filter(r => !r.hidden).map(r => r.textContent)"
    rows = browser(shown)
    assert len(rows) == 2
    assert all("tpe" in row and "smac-rf" in row for row in rows)
    assert browser("document.querySelector('#pairs_at_60 [role=status]').textContent") == "2 of 21 rows"


def test_curves_follow_the_controls(page: Path, browser: Page, realistic: Results) -> None:
    browser.open(page)
    curves = "document.querySelectorAll('#plot path.curve').length"
    browser.click("#legend li:nth-child(1) button")
    assert browser(curves) == 6
    assert browser("document.querySelector('#legend button').getAttribute('aria-pressed')") == "false"
    browser.click("#none")
    assert browser(curves) == 0
    browser.click("#all")
    assert browser(curves) == 7
    before = browser("document.querySelector('#plot path.curve').getAttribute('d')")
    browser.click("#log-y")
    assert browser("document.querySelector('#plot path.curve').getAttribute('d')") != before
    assert re.fullmatch(r"M[-\d.,LM]+", before), "a step function: straight lines between known points"
    browser.click("#find")
    browser.call("Input.insertText", text="levy")
    assert browser("document.getElementById('view').selectedOptions[0].textContent") == "synthetic/levy-5d"
    assert browser("document.querySelector('#quantity option[value=rank]').disabled")
    # The value shown for an optimizer is the mean over seeds of the stored trials.
    browser("document.getElementById('trial').focus()")
    browser.key("Home")
    for step in range(2):
        assert browser("document.getElementById('at').textContent") == ("1 trial" if step == 0 else "60 trials")
        trials = realistic.trials
        rows = (trials["task"] == "synthetic/levy-5d") & (trials["trial"] == 59 * step)
        mean = trials[rows & (trials["optimizer"] == "random")]["regret"].mean()
        item = (
            "[...document.querySelectorAll('#legend li')].find(li => li.querySelector('.name').textContent == 'random')"
        )
        assert float(browser(f"{item}.querySelector('.value').textContent")) == pytest.approx(mean, abs=6e-3)
        browser(
            "document.getElementById('trial').value = 59; "
            "document.getElementById('trial').dispatchEvent(new Event('input'))"
        )
    assert browser.complaints == []


def test_pointing_at_an_optimizer_brings_out_its_curve_and_band(page: Path, browser: Page) -> None:
    browser.open(page)
    bands = "document.querySelectorAll('#plot path.band').length"
    assert browser(bands) == 0  # seven of them would hide each other
    browser("document.querySelector('#legend li:nth-child(3) button').focus()")
    assert browser(bands) == 1
    faint = "document.querySelectorAll('#plot g[opacity]').length"
    assert browser(faint) == 6
    browser("document.activeElement.blur()")
    assert (browser(bands), browser(faint)) == (0, 0)
    browser.click("#bands")
    assert browser(bands) == 7
    assert browser.complaints == []


def test_hovering_shows_the_values_of_that_trial(page: Path, browser: Page) -> None:
    browser.open(page)
    script = "document.getElementById('plot').scrollIntoView({block: 'center'}); "
    box = browser(script + "document.getElementById('plot').getBoundingClientRect().toJSON()")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + box["width"] / 2, y=box["y"] + 100)
    trial = int(browser("document.getElementById('at').textContent").split()[0])
    assert 25 < trial < 40
    first = "document.querySelector('#legend .value').textContent"
    before = browser(first)
    assert re.fullmatch(r"0\.\d+ \[0\.\d+, 0\.\d+\]", before)
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=box["x"] + 80, y=box["y"] + 100)
    assert browser(first) != before
    browser("document.getElementById('trial').focus()")
    trial = int(browser("document.getElementById('at').textContent").split()[0])
    browser.key("ArrowLeft")
    assert browser("document.getElementById('at').textContent").startswith(f"{trial - 1} trial")


@pytest.mark.usefixtures("no_figures")
def test_curves_begin_at_the_trials_that_the_summary_speaks_of(make: Make, browser: Page, tmp_path: Path) -> None:
    results = make(("random", "tpe", "gp-optuna"), ("a/x", "b/y"), seeds=2, trials=9, lengths={"gp-optuna": 4})
    browser.open(
        optibench_reports.write(results, tmp_path / "out", at=[4, 9], bootstrap_draws=100).path.with_suffix(".html")
    )
    assert "3 optimizers over 2 tasks after 4 trials" in browser("document.body.textContent")
    assert browser("document.getElementById('at').textContent") == "4 trials"


@pytest.mark.usefixtures("no_figures")
def test_any_name_is_shown_as_text(make: Make, browser: Page, tmp_path: Path) -> None:
    results = make(("random", NASTY), ("a/x", f"b/{NASTY}"), seeds=2, trials=4)
    results = replace(results, provenance={NASTY: NASTY, "runs": [{"command": NASTY}]})
    page = optibench_reports.write(results, tmp_path / "out", bootstrap_draws=100).path.with_suffix(".html")
    browser.open(page)
    assert browser("document.title") == "2 optimizers on 2 tasks"
    assert browser("document.querySelectorAll('script').length") == 2
    assert browser("document.querySelectorAll('img').length") == 0
    names = browser("[...document.querySelectorAll('#legend .name')].map(e => e.textContent)")
    assert sorted(names) == sorted(["random", NASTY])
    assert NASTY in browser("document.querySelector('pre').textContent")
    assert browser.complaints == []


def test_fronts_show_the_trial_that_is_pointed_at(make: Make, browser: Page, tmp_path: Path) -> None:
    results = make(("random", "tpe"), ("a/x", "a/y"), seeds=2, trials=6)
    trials = [
        {"optimizer": o, "task": t, "seed": s, "trial": n, "state": "ok", "cost_fidelity": 1.0, "values": [x, 1 - x]}
        for t in ("a/x", "a/y")
        for o, s, n, x in (("random", 0, 0, 0.5), ("random", 1, 3, 0.25), ("tpe", 1, 5, 0.75))
    ]
    task = {
        "objectives": {"error": "minimize", "</script>": "minimize"},
        "reference_point": [2.0, 2.0],
        "front": [[0, 0]],
    }
    fronts = AttainedFronts(pd.DataFrame(trials), dict.fromkeys(("a/x", "a/y"), task))
    optibench_reports.write(results, tmp_path, bootstrap_draws=100, fronts=fronts)
    for width in (1280, 390):
        browser.open(tmp_path / "report.html", width)
        assert browser("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    browser.open(tmp_path / "report.html")
    assert browser("[...document.querySelectorAll('#front-task option')].map(o => o.label)") == ["a/x", "a/y"]
    assert browser("document.querySelectorAll('#front-plot .cross').length") == 1
    said = "document.getElementById('front-point').textContent"
    assert browser(said).startswith("Point at a mark")
    script = "document.getElementById('front-plot').scrollIntoView({block: 'center'}); "
    mark = "[...document.querySelectorAll('#front-plot g path[transform]')]"
    places = browser(f"{script}{mark}.map(path => path.getBoundingClientRect().toJSON())")
    texts = []
    for place in places:
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 3, y=y - 3)
        texts.append(browser(said))
    expected = [
        "random, seed 0, trial 1: error 0.5, </script> 0.5",
        "random, seed 1, trial 4: error 0.25, </script> 0.75",
        "tpe, seed 1, trial 6: error 0.75, </script> 0.25",
    ]
    assert sorted(texts) == expected
    assert browser("document.querySelectorAll('#front-plot .ring').length") == 1
    browser("document.getElementById('front-plot').focus()")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=5, y=5)
    browser.key("ArrowRight")
    assert browser(said) in expected
    browser.click("#front-legend li:nth-child(1) button")
    assert browser(f"{mark}.length") in (1, 2)
    browser.click("#front-none")
    assert browser(f"{mark}.length") == 0
    browser.click("#front-log-x")
    browser.click("#front-all")
    assert browser(f"{mark}.length") == 3
    assert browser.complaints == []


def test_a_page_without_two_objectives_has_no_fronts(page: Path) -> None:
    assert "front-plot" not in page.read_text(encoding="utf-8")
