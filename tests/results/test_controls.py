"""The tables of docs/explanation/controls.md are those of the committed grids."""

from __future__ import annotations

import control_numbers as numbers

from optibench_benchmarks.kept import is_kept


def test_the_page_has_the_tables_of_the_committed_grid() -> None:
    found = list(numbers.BLOCK.finditer(numbers.PAGE.read_text(encoding="utf-8")))
    assert {block[2]: block[3] for block in found} == {name: make() for name, make in numbers.BLOCKS.items()}


def test_gp_map_is_not_behind_other_gps_on_any_family_of_dev() -> None:
    for rival in numbers.OTHER_GPS:
        for n in numbers.AT:
            assert all(numbers.other_gp(rival, n, family).low <= 1 for family in (*numbers.FAMILIES, ""))


def test_no_kept_task_was_run() -> None:
    tasks = numbers.regrets(50).index.unique("task")
    assert not [task for task in tasks if is_kept(task)]
    assert {numbers.group(task) for task in tasks if task.startswith("hpob/")} == {
        "trees",
        "forests",
        "boosting",
        "linear",
    }


def test_the_sampler_is_not_behind_tpe_on_conditional_pipelines() -> None:
    for n in (15, 25, 40, 50):
        means = numbers.regrets(n, "conditional").groupby("task").mean()
        assert len(means) == 13
        places = dict(zip(means, numbers.ranks(means.to_numpy().T).mean(1), strict=True))
        assert places["optiformer-sampler"] < min(places["tpe"], places["tpe:group=true"]), n


def test_without_the_network_the_regret_on_the_pools_is_larger() -> None:
    runs = numbers.regrets(50, "ablation")
    pools = {name: numbers.group(name) for name in runs.index.unique("task") if name.startswith("hpob/")}
    for name in ("gp-map", "optiformer:acquisition=gp-ei", "optiformer:network=untrained"):
        assert numbers.ratio(runs.loc[list(pools)], name, "optiformer", pools).low > 1


def test_no_sibling_differs_from_the_shipped_network_on_dev() -> None:
    for n in numbers.AT:
        runs = numbers.regrets(n, "siblings")
        tasks = {name: numbers.family(name) for name in runs.index.unique("task")}
        assert (len(tasks), runs.shape[1]) == (19, 6)
        for name in set(runs) - {"optiformer"}:
            one = numbers.ratio(runs, name, "optiformer", tasks)
            assert one.low <= 1 <= one.high
