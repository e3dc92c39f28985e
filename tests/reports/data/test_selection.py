"""A report on some optimizers and tasks only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from optibench_reports.data.results import ReportError, Results
from optibench_reports.data.selection import select
from optibench_reports.stats.analysis import analyse

Make = Callable[..., Results]


def test_names_and_globs_choose_what_is_reported_and_the_rest_leaves_no_trace(make: Make) -> None:
    whole = make(("random", "tpe", "tpe:group=true"), seeds=2, trials=10)
    chosen = select(whole, optimizers=["tpe*"], tasks=["yahpo/*", "synthetic/ackley-5d"])
    assert set(map(str, chosen.trials["optimizer"])) == {"tpe", "tpe:group=true"}
    tasks = {name for name in whole.tasks if name.startswith("yahpo/")} | {"synthetic/ackley-5d"}
    assert set(chosen.tasks) == set(map(str, chosen.planned["task"])) == set(map(str, chosen.trials["task"])) == tasks
    assert analyse(chosen, at=None, draws=100, seed=0).grid.optimizers == ("tpe", "tpe:group=true")
    assert "random" not in chosen.provenance.get("optimizer_packages", {})
    assert select(whole) is whole


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"optimizers": ["tpee"]}, "No optimizer of these results is called 'tpee': did you mean tpe?"),
        ({"tasks": ["nothing/*"]}, "No task of these results is called 'nothing/*': there are hpobench/nn/10101, "),
    ],
)
def test_what_is_not_there_is_refused(given: dict[str, list[str]], words: str, make: Make) -> None:
    with pytest.raises(ReportError) as caught:
        select(make(("random", "tpe"), seeds=2, trials=10), **given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
