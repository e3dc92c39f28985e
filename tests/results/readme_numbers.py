"""The numbers in README.md, docs/results.md and docs/earlier-looks.md, computed from the committed results.

The pages hold blocks between ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``. A function computes each
block. After a change of a grid in ``results/`` or of ``docs/latency.json``::

    python tests/results/readme_numbers.py --write     # rewrites the blocks
    python tests/results/readme_numbers.py             # prints the blocks that differ; status 1 if any does

Must never hold a number that was measured elsewhere.
"""

# ruff: noqa: E501  (the templates keep the line breaks of the pages)
from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import earlier_looks
import look
import numpy as np
import pandas as pd
from committed import ROOT, Versus, adjusted, at, names, p_value, table, three_digits, trials

import optibench_benchmarks
from optibench.store.run_folder import Store
from optibench_reports.stats.comparison import TIE
from optibench_reports.studies import latency_cases
from optibench_reports.studies.latency_cases import Case

MEASURED = ("yahpo/lcbench/189906", "yahpo/rbv2_xgboost/40981")


def measured() -> str:
    found = trials("measured", "measured-gp")
    last = found[found.trial == 49].groupby(["optimizer", "task"]).regret.agg(["mean", "sem", "count"])
    rows = []
    for name in ("random", "sobol", *earlier_looks.RIVALS[:4], "smac-rf", "gp-optuna", "gp-skopt"):
        cells = [last.loc[(name, task)] for task in MEASURED]
        rows.append((f"`{name}`", *(f"{c['mean']:.3f} ± {c['sem']:.3f}" for c in cells), int(cells[0]["count"])))
    return table(("optimizer", *MEASURED, "seeds"), rows)


@functools.cache
def cases() -> dict[tuple[str, int], Case]:
    """The latency cases at 7 parameters, by optimizer and past trials."""
    return {(c.optimizer, c.n): c for c in latency_cases.read(ROOT / "docs" / "latency.json").cases if c.d == 7}


def ratio(a: str, b: str, n: int = 100) -> float:
    return cases()[a, n].mean / cases()[b, n].mean


def latency_table() -> str:
    found = sorted((case for (_, n), case in cases().items() if n == 100), key=lambda case: case.mean)
    rows = []
    for case in found:
        times = [1e3 * case.mean, 1e3 * float(np.median(case.seconds)), 1e3 * float(case.seconds.max())]
        numbers = [three_digits(number) for number in (*times, ratio(case.optimizer, "tpe"))]
        rows.append((f"`{case.optimizer}`", *numbers))
    ours = cases()["optiformer", 100]
    full = float(ours.seconds[ours.seconds > ours.mean].mean())
    head = ("optimizer", "mean ms", "median ms", "slowest ms", "mean / `tpe`")
    return f"""{table(head, rows)}

`optiformer` fills a queue of proposals in one pass over the history: 6% of the number of trials so far (`fast`: 10%). Most asks only
read the queue, so compare means, not medians. Its mean is 1/{1 / ratio("optiformer", "gp-optuna"):.0f} of `gp-optuna`'s at this one point; an ask that fills the queue
takes {three_digits(1e3 * full)} ms. `optiformer-sampler` is `OptiFormerSampler` in an Optuna study, which has no queue: each of its asks makes one proposal, in {ratio("optiformer-sampler", "tpe"):.1f} times
the time of `tpe`, Optuna's bookkeeping and the adapter's included (without the adapter: [in studies](how-to/latency.md#in-an-optuna-study)). Mean ms at 7 parameters by the number of past trials:

{history()}

In the grids of [the one look](explanation/protocol.md), on machines with other load, the mean ask of a search trial took {asked()}.{greenlet()}"""


def asked() -> str:
    """Mean milliseconds of asking in the grids of the look."""
    rows = [found.trials[["optimizer", "phase", "ask_seconds"]] for found in look.finished()]
    times = pd.concat(rows).query("phase == 'search'").astype({"optimizer": str})
    means = 1e3 * times.groupby(times.optimizer.map(look.plain)).ask_seconds.mean()
    shown = ("tpe", "optiformer", "gp-prior", "smac-rf", "gp-optuna", "gp-botorch")
    more = means["optiformer"] / means["tpe"]
    words = ", ".join(f"{three_digits(means[name])} ms with `{name}`" for name in shown)
    return f"{words}: in whole runs, `optiformer` takes {more:.1f} times as long as `tpe`"


def history() -> str:
    counts = sorted({n for name, n in cases() if name == "optiformer"})
    shown = ("tpe", "optiformer:preset=fast", "optiformer", "optiformer-sampler", "gp-prior", "gp-optuna")
    rows = [(f"`{name}`", *(three_digits(1e3 * cases()[name, n].mean) for n in counts)) for name in shown]
    return table(("optimizer", *(f"{n} trials" for n in counts)), rows)


def greenlet() -> str:
    """A warning if Optuna's GP was measured without greenlet, according to the versions in the results."""
    records = json.loads((ROOT / "docs" / "latency.json").read_text(encoding="utf-8"))["benchmarks"]
    versions: list[Mapping[str, str]] = [
        record["extra_info"]["packages"] for record in records if record["extra_info"]["optimizer"] == "gp-optuna"
    ]
    versions.append(Store.open(ROOT / "results" / "test-slow").plan().optimizers["gp-optuna"].packages)
    if all("greenlet" in packages for packages in versions):
        return ""
    return """
**All times of `gp-optuna` on this page were measured without `greenlet`, which makes it slower than users see it**; they
will be measured again."""


def dev() -> str:
    early, middle, late = (at("dev", n) for n in (25, 50, 100))
    ranks = late.rank(axis=1).mean().sort_values()
    rows = [
        (f"`{name}`", *(f"{t[name].mean():.3f}" for t in (early, middle, late)), f"{ranks[name]:.2f}")
        for name in ranks.index
    ]
    head = ("optimizer", "regret after 25", "after 50", "after 100", "mean rank after 100")
    ours, seq = adjusted(late), adjusted(late, "optiformer-seq")
    versus = Versus.of(late, "tpe")
    lost = late.index[late["optiformer"] - late["tpe"] > TIE]
    random, teacher = (Versus.of(late, name, "optiformer-seq") for name in ("random", "tpe"))
    return f"""{table(head, rows)}

Wins / ties / losses after 100 trials, Holm over the {len(ours)} comparisons of each: `optiformer` against `tpe` {versus} (p {p_value(ours["tpe"], 4)}), with
losses on {names(lost)}. `optiformer-seq` against `random` {random} (p {p_value(seq["random"])}), and against its teacher `tpe`
{teacher} (p {p_value(seq["tpe"])}): an imitator does not exceed its teacher here."""


def caution() -> str:
    found = {(track, rival, n): one for track, rival, n, one, _, _ in look.primary()}
    overall, _ = look.compared(look.runs(look.ALL, 50), "optiformer", "gp-prior")
    late = look.runs("bbob", 100).groupby("task").mean().mean()
    others = ("gp-prior", "gp-map", "optiformer:network=untrained")
    slow = [look.compared(look.runs(look.ALL, n), "optiformer", "gp-optuna")[0] for n in (25, 50)]
    return f"""**Limitations.** `gp-prior` is the same search with Gaussian processes, whose priors were learned from the same data. Over all tasks, the regret of `optiformer` after 50 trials is
{look.shown(overall)} times its; on the pools {look.shown(found["pools", "gp-prior", 50])}, on the pipelines {look.shown(found["live", "gp-prior", 50])}. None of the protocol's four comparisons with it is significant: that learning wins, rather than the
search around it, is not shown. On BBOB it gains nothing: after 100 trials the mean regret is {late["optiformer"]:.3f}, with {names(others[:2])} {late[others[0]]:.3f} and {late[others[1]]:.3f}, untrained {late[others[2]]:.3f}.
Against `tpe` on pipelines the ratio is {look.shown(found["live", "tpe", 50])}, against `gp-optuna` on a part of all tasks {look.shown(slow[0])} after 25 trials and {look.shown(slow[1])} after 50."""


def limitations() -> str:
    family = [(one, p) for _, rival, _, one, _, p in look.primary() if rival == "gp-prior"]
    overall, _ = look.compared(look.runs(look.ALL, 50), "optiformer", "gp-prior")
    bbob, _ = look.compared(look.runs("bbob", 100), "optiformer", "gp-prior")
    pools = [task for part in look.tasks("hpob").values() for task in part]
    found, missing = optibench_benchmarks.look_up(["hpob-dev"])  # whether or not the data are here
    spaces = {task.split("/")[1] for task in (*found, *missing)}
    known = sum(task.split("/")[1] in spaces for task in pools)
    return f"""1. **Hybrid model.** `optiformer` is a transformer over the past trials, with a small Gaussian process inside it (a kernel head) that is
   fitted to these trials. Hand-written rules generate its candidates, and a schedule alternates its choice with the expected
   improvement of one plain Gaussian process. This is Bayesian optimization with a hybrid surrogate.
2. **Learning is not shown to be what wins.** Against `gp-prior`, the same search with learned priors and no network, the four tests of the
   protocol have ratios of {min(one.mean for one, _ in family):.2f} to {max(one.mean for one, _ in family):.2f} and adjusted p values of at least {p_value(min(p for _, p in family))}. Over all {overall.tasks + overall.at_floor} tasks the
   ratio is {look.shown(overall)} after 50 trials; on BBOB after 100 trials {look.shown(bbob)}.
3. **Small tables, fast trainings.** The scikit-learn pipelines train in under a tenth of a second, on a few hundred rows. HPO-B's pools
   are exact, but are choices among recorded rows, of five learners. Deep networks are only in `training`, a grid too small for tests.
4. **Which network.** On pipelines and pools, each network never saw the group of learners that it tunes. The shipped one saw all of them, on
   other data sets, so on scikit-learn's learners it may do better than these tables say.
5. **Tuning.** Dozens of settings of `optiformer` were compared on `dev`, and on pools, pipelines and functions that are not kept for the look. These share no data set
   with the look, but search spaces: {known} of its {len(pools)} pools and all its pipelines have a space on which settings were chosen. Every rival runs with its library's defaults.
6. **YAHPO is no fresh evidence.** `yahpo/lcbench` and `yahpo/rbv2_xgboost` are in `dev`, and were looked at in `test` ([earlier looks](earlier-looks.md))."""


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    ROOT / "README.md": {"look": look.headline, "caution": caution},
    ROOT / "docs" / "results.md": {
        "limitations": limitations,
        "latency": latency_table,
        "dev": dev,
        "measured": measured,
    },
    ROOT / "docs" / "earlier-looks.md": {
        "limits": earlier_looks.limits,
        "test": earlier_looks.test,
        "reached": earlier_looks.reached,
        "test-families": earlier_looks.test_families,
        "test-slow": earlier_looks.slow,
        "lcbench": earlier_looks.lcbench,
        "fast": earlier_looks.fast,
    },
}


def pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- begin: {name} -->\n)(.*?)(\n<!-- end: {name} -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    """Print the blocks that differ, or write them; returns the exit status."""
    status = 0
    for page, blocks in PAGES.items():
        text = before = page.read_text(encoding="utf-8")
        for name, compute in blocks.items():
            block = compute()
            found = pattern(name).search(text)
            if found is None:
                print(f"{page} has no block {name!r}: add the lines <!-- begin: {name} --> and <!-- end: {name} -->.")
                return 1
            if found[2] != block:
                print(f"--- {name} must be:\n{block}\n")
                text = text[: found.start(2)] + block + text[found.end(2) :]
        if "--write" in arguments:
            page.write_text(text, encoding="utf-8")
        elif text != before:
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
