"""Comparisons with missing cells, and their text and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from optibench_reports.data.results import Results
from optibench_reports.data.selection import select
from optibench_reports.format.text import MISSING, write_csv
from optibench_reports.stats.analysis import Analysis, analyse, default_counts
from optibench_reports.tables.regret import families_table, ranking, ranks_table, regret_tables
from optibench_reports.tables.significance import pairs_table
from optibench_reports.text.summary import cautions, sentences, terminal

Make = Callable[..., Results]


def run(results: Results, **settings: object) -> Analysis:
    return analyse(results, **{"at": None, "draws": 200, "seed": 0, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("longest", "expected"), [(100, (25, 50, 100)), (60, (25, 50, 60)), (30, (20, 25, 30)), (5, (5,)), (1, (1,))]
)
def test_default_counts_are_round_and_end_with_the_budget(longest: int, expected: tuple[int, ...]) -> None:
    assert default_counts(longest) == expected


def test_pairs_are_scipys_on_pandas_means(realistic: Results) -> None:
    analysis = run(realistic)
    tests = analysis.comparisons[analysis.headline]
    assert tests is not None
    last = realistic.trials[realistic.trials["trial"] == 59].astype({"optimizer": str, "task": str})
    table = last.groupby(["task", "optimizer"])["regret"].mean().unstack().dropna()
    assert len(tests.pairs) == 21
    for pair in tests.pairs:
        a, b = (table[analysis.grid.optimizers[o]] for o in (pair.a, pair.b))
        assert pair.test.p == pytest.approx(scipy.stats.wilcoxon(a, b, zero_method="pratt", method="exact").pvalue)
        assert pair.difference == pytest.approx((a - b).mean())
        assert pair.wins == (a - b < -1e-3).sum()
        assert pair.losses == (a - b > 1e-3).sum()
        assert pair.wins + pair.ties + pair.losses == 11


def test_missing_seeds_are_shown_and_the_others_kept(realistic: Results) -> None:
    analysis = run(realistic)
    rows = {row[0].text: row for row in regret_tables(analysis)[-1].rows}
    cells = dict(
        zip((analysis.grid.optimizers[o] for o in ranking(analysis)), rows["yahpo/lcbench/3945"][1:], strict=True)
    )
    assert cells["gp-botorch"].text.endswith("(7/10)")
    assert "(" not in cells["tpe"].text
    column = 1 + ranking(analysis).index(analysis.grid.optimizers.index("cmaes"))
    assert rows["hpobench/nn/53"][column].text == f"{MISSING} (0/10)"
    assert analysis.overall[-1] is not None
    assert "yahpo/lcbench/3945" in [analysis.grid.tasks[t] for t in analysis.overall[-1].selection.tasks]


def test_an_optimizer_on_few_tasks_does_not_take_the_tasks_of_the_others(make: Make) -> None:
    results = make(seeds=2, trials=10)
    few = (results.trials["optimizer"] != "cmaes") | results.trials["task"].isin(["synthetic/levy-5d"])
    analysis = run(replace(results, trials=results.trials[few]))
    found = analysis.overall[-1]
    assert found is not None
    assert (len(found.selection.optimizers), len(found.selection.tasks)) == (6, 12)
    assert any("cmaes (1 of 12 tasks)" in note for note in cautions(analysis))


def test_five_tasks_print_no_p_value_and_say_why(make: Make) -> None:
    tasks = [f"f/{i}" for i in range(5)]
    analysis = run(make(("random", "gp-botorch"), tasks, seeds=3, trials=10))
    table = pairs_table(analysis, analysis.headline)
    assert [cell.text for cell in table.rows[0][-3:-1]] == [MISSING, MISSING]
    assert table.data[["p", "p_holm"]].isna().all(axis=None)
    assert "0.0625" in sentences(analysis)[2]
    assert "Significance cannot be tested" in sentences(analysis)[2]


def test_holm_can_make_significance_impossible_too(make: Make) -> None:
    tasks = [f"f/{i}" for i in range(8)]
    analysis = run(make(tasks=tasks, seeds=3, trials=10))  # 21 pairs x 2 / 2^8 > .05
    tests = analysis.comparisons[-1]
    assert tests is not None
    assert not tests.attainable
    assert "21 pairs" in sentences(analysis)[2]
    control = run(make(tasks=tasks, seeds=3, trials=10), control="random").comparisons[-1]  # 6 x 2 / 2^8 < .05
    assert control is not None
    assert control.attainable
    assert len(control.pairs) == 6


def with_regrets(
    make: Make, regrets: dict[str, Callable[[int], float]], control: str | None = None, tasks: int = 12
) -> Analysis:
    """Optimizers whose regret on each task, the same in every trial and seed, is given."""
    names = [f"f/{i:02}" for i in range(tasks)]
    results = make(tuple(regrets), names, seeds=2, trials=6)
    trials = results.trials.astype({"optimizer": str, "task": str})
    regret = [regrets[name](names.index(task)) for name, task in zip(trials["optimizer"], trials["task"], strict=True)]
    return run(replace(results, trials=trials.assign(regret=regret)), control=control)


def test_two_that_tie_are_both_named(make: Make) -> None:
    first, _, third = sentences(with_regrets(make, {"tpe": lambda t: 0.1 * t, "cmaes": lambda t: 0.1 * t}))
    assert first.startswith("cmaes and tpe share the best mean rank of 2 optimizers")
    assert "both tie on every task, so there is no winner" in first
    assert third == "There is no difference to test: both tie."


def test_a_lead_that_two_share_is_said_of_both(make: Make) -> None:
    better = {"tpe": lambda t: 0.1, "cmaes": lambda t: 0.1, "random": lambda t: 0.5 + t / 50}
    first, second, third = sentences(with_regrets(make, better))
    assert first.startswith("cmaes and tpe share the best mean rank of 3 optimizers")
    assert "that of tpe, of the same mean rank," in second
    assert third.startswith("cmaes and tpe are each significantly better than random (p ")
    hardly = better | {"random": lambda t: 0.1 + 0.01 * (-1) ** (t % 3)}
    third = sentences(with_regrets(make, hardly))[2]
    assert third.startswith("The lead that cmaes and tpe share is not significant over any other optimizer (")
    third = sentences(with_regrets(make, better, control="tpe"))[2]
    assert third.startswith("tpe is significantly better than random (p ")


def test_no_lead_counts_over_an_optimizer_that_has_no_model_yet(make: Make) -> None:
    regrets = {"tpe": lambda t: 0.1, "random": lambda t: 0.5 + t / 50, "nsga2": lambda t: 0.6 + t / 50}
    found = with_regrets(make, regrets)
    for first, ending in (
        ({}, "significantly better than random and nsga2 "),
        ({"tpe": 11, "nsga2": 51}, "significantly better than random "),
    ):
        third = sentences(replace(found, provenance={"first_model_trials": first}))[2]
        assert third.startswith(f"tpe is {ending}(p ")
        assert third.endswith(" Not counted, because they had no model by then: nsga2.") == ("nsga2" in first)
    early = replace(found, provenance={"first_model_trials": {"random": 99, "nsga2": 51}})
    assert sentences(early)[2] == "Not counted, because they had no model by then: nsga2 and random."


def test_equal_ranks_are_no_lead_of_the_first_by_name(make: Make) -> None:
    turns = {"tpe": lambda t: 0.25 * (1 + t % 2), "cmaes": lambda t: 0.25 * (2 - t % 2)}
    first, _, third = sentences(with_regrets(make, turns))
    assert first.startswith("cmaes and tpe share the best mean rank of 2 optimizers")
    assert "95% interval" in first
    assert third.startswith("No difference between them is significant (smallest p 1;")
    # fifteen small losses and fifteen large wins: the ranks are equal, the signed-rank test sees the sizes
    sizes = {"tpe": lambda t: 1.0, "cmaes": lambda t: 1.001 + t / 1e5 if t < 15 else 0.1 + t / 100}
    first, _, third = sentences(with_regrets(make, sizes, tasks=30))
    assert first.startswith("cmaes and tpe share the best mean rank of 2 optimizers")
    assert third.startswith("Although their mean ranks are equal, cmaes is significantly better than tpe (Wilcoxon's")


def test_who_was_run_and_how_many_cells_there_are(make: Make) -> None:
    results = make(("tpe", "random", "cmaes"), seeds=3, trials=10)
    names = results.trials["optimizer"].astype(str)
    few = (names == "tpe") | (results.trials["trial"] < 5)
    first = sentences(run(replace(results, trials=results.trials[few]), at=[10]))[0]
    assert first == "Only tpe reached 10 trials on enough tasks to be compared, so there is no winner."
    assert "planned cells" not in sentences(run(results))[0]


def test_unequal_numbers_of_trials_are_compared_at_the_largest_that_all_share(make: Make) -> None:
    analysis = run(make(trials=60, seeds=2, lengths={"gp-botorch": 37}))
    assert analysis.counts == (25, 37, 50, 60)
    assert analysis.counts[analysis.headline] == 37
    assert "of 7 optimizers over 12 tasks after 37 trials" in sentences(analysis)[0]
    assert any("37 is the largest number that all share (gp-botorch has no more" in n for n in cautions(analysis))
    # Its plan ends before 60: that is no missing seed.
    rows = {row[0].text: row for row in ranks_table(analysis).rows}
    assert [cell.text for cell in rows["gp-botorch"][7:]][:2] == [MISSING, MISSING]
    column = 1 + ranking(analysis).index(analysis.grid.optimizers.index("gp-botorch"))
    assert {row[column].text for row in regret_tables(analysis)[-1].rows} == {MISSING}
    assert run(make(trials=60, seeds=2, lengths={"gp-botorch": 37}), at=[30, 60]).headline == 0
    equal = run(make(trials=60, seeds=2))
    assert (equal.counts, equal.headline) == ((25, 50, 60), 2)
    assert not any("all share" in note for note in cautions(equal))


def test_merged_grids_of_unlike_lengths_are_compared_where_all_their_tasks_are(make: Make) -> None:
    from optibench_reports.data.merge import merge

    long = make(tasks=[f"a/{i}" for i in range(6)], seeds=2, trials=40)
    short = make(tasks=[f"b/{i}" for i in range(6)], seeds=2, trials=23)
    analysis = run(merge([long, short]))
    found = analysis.overall[analysis.headline]
    assert found is not None
    assert (found.selection.count, len(found.selection.tasks)) == (23, 12)


def test_tasks_without_reference_are_ranked_but_have_no_regret(make: Make) -> None:
    without = ("hpobench/nn/53", "synthetic/levy-5d")
    analysis = run(make(seeds=3, trials=10, without_reference=without))
    found = analysis.overall[-1]
    assert found is not None
    assert (len(found.selection.tasks), int(found.with_regret.sum())) == (12, 10)
    assert np.isfinite(found.mean).all()
    assert {row[0].text for row in regret_tables(analysis)[-1].rows}.isdisjoint(without)
    assert any("2 tasks without reference values" in note for note in cautions(analysis))
    assert analysis.comparisons[-1] is not None
    assert analysis.comparisons[-1].n == 10


def test_tasks_left_out_of_headlines_have_their_own_rows_and_count_nowhere_else(make: Make) -> None:
    easy = ("hpobench/nn/53", "synthetic/levy-5d")
    results = make(seeds=3, trials=10)
    flagged = replace(
        results, tasks={n: {**t, "left_out": "why"} if n in easy else t for n, t in results.tasks.items()}
    )
    without = select(results, tasks=[name for name in results.tasks if name not in easy])
    found, expected = run(flagged), run(without)
    assert ranks_table(found).data.equals(ranks_table(expected).data)
    assert families_table(found, -1).data.equals(families_table(expected, -1).data)
    assert sentences(found) == sentences(expected)
    assert {row[0].text for row in regret_tables(found)[-1].rows} >= set(easy)
    (note,) = (note for note in cautions(found) if "left out of means" in note)
    assert note == (
        "2 tasks left out of means, ranks and tests, too easy to tell optimizers apart: hpobench/nn/53 (why) and "
        "synthetic/levy-5d (why)."
    )
    every = replace(results, tasks={name: {**task, "left_out": "why"} for name, task in results.tasks.items()})
    assert ranks_table(run(every)).data.equals(ranks_table(run(results)).data)


def test_no_reference_at_all_leaves_ranks_and_signs(make: Make) -> None:
    tasks = [f"f/{i}" for i in range(12)]
    analysis = run(make(tasks=tasks, seeds=3, trials=10, without_reference=tasks))
    first, second, third = sentences(analysis)
    assert "best mean rank" in first
    assert "no mean regret" in second
    assert "sign test over 12 tasks" in third
    assert MISSING in terminal(analysis)


def test_families_have_their_own_complete_tasks(realistic: Results) -> None:
    analysis = run(realistic)
    table = families_table(analysis, analysis.headline)
    sizes = {row[0].text: row[2].text for row in table.rows}
    assert sizes == {"hpobench/nn": "3", "synthetic": "4", "yahpo/lcbench": "4", "all": "11"}


def test_sentences_name_the_winner_the_gap_and_the_test(realistic: Results) -> None:
    first, second, third = sentences(run(realistic))
    assert first.startswith("gp-botorch has the best mean rank of 7 optimizers over 11 tasks after 60 trials")
    assert "smac-rf, the next by rank" in second
    assert "significantly better than" in third
    assert all(text.endswith(".") for text in (first, second, third))


def test_terminal_table_is_narrow_and_plain(realistic: Results) -> None:
    text = terminal(run(realistic))
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert all(name in text for name in ("gp-botorch", "tpe:group=true", "mean rank", "ask ms"))


def test_terminal_table_stays_narrow_with_long_names(make: Make) -> None:
    names = ("random", "smac-rf:acquisition=log_ei,trees=100,crossover=0.25")
    text = terminal(run(make(names, seeds=2, trials=100)))
    assert max(map(len, text.splitlines())) <= 100


def test_default_counts_lie_beyond_the_shared_initial_design(make: Make) -> None:
    assert default_counts(20, 10) == (20,)
    assert default_counts(30, 20) == (25, 30)
    assert run(make(seeds=2, trials=6)).counts == (6,)  # the generator's design has 5 trials


def test_no_optimizer_is_bold_where_all_are_equal(make: Make) -> None:
    analysis = run(make(seeds=2, trials=6, failures=0.0), at=[3])  # inside the shared initial design
    assert not any(cell.bold for row in [*ranks_table(analysis).rows, *regret_tables(analysis)[0].rows] for cell in row)


def test_no_text_of_a_csv_file_is_a_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    names = ["=1+1", "+1", "-1", "@sum", "\t=1", "random", "a=1"]
    frame = pd.DataFrame({"=x": names, "kind": pd.Categorical(names), "value": [-1.5, *range(6)]})
    write_csv(frame, tmp_path / "table.csv")
    found = pd.read_csv(tmp_path / "table.csv")
    wanted = ["'=1+1", "'+1", "'-1", "'@sum", "'\t=1", "random", "a=1"]
    assert list(found.columns) == ["'=x", "kind", "value"]
    assert list(found["'=x"]) == list(found["kind"]) == wanted
    assert list(found["value"]) == list(frame["value"])


@pytest.mark.parametrize("room", ["reports", "harness"])
def test_every_csv_file_is_written_so(room: str) -> None:
    files = list((Path(__file__).parents[2] / room).rglob("*.py"))
    assert files
    assert [path.name for path in files if ".to_csv(" in path.read_text()] == ["text.py"] * (room == "reports")
