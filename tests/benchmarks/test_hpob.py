"""HPO-B's pools: the rebuilt space, the row that a configuration denotes, exact references."""

import pickle

import numpy as np
import pytest
from ConfigSpace import Configuration
from ConfigSpace.hyperparameters import OrdinalHyperparameter, UniformIntegerHyperparameter

from optibench_benchmarks import BenchmarkError, MissingDataError, UnknownBenchmarkError, create, data, expand
from optibench_benchmarks.hpob.pools import measure, pools, read
from optibench_benchmarks.hpob.rows import Rows
from optibench_benchmarks.hpob.spaces import DATA_SETS, SPACES
from optibench_benchmarks.kept import is_kept

# cost, gamma, gamma.na, degree, degree.na, then radial, linear, polynomial
SVM = np.array(
    [
        [0.9, 0.0, 1, 0.0, 1, 0, 1, 0],
        [0.1, 0.0, 1, 0.0, 1, 0, 1, 0],
        [0.5, 0.3, 0, 0.0, 1, 1, 0, 0],
        [0.5, 0.7, 0, 0.0, 1, 1, 0, 0],
        [0.2, 0.0, 1, 0.4, 0, 0, 0, 1],
        [0.2, 0.0, 1, 1.0, 0, 0, 0, 1],
        [0.2, 0.0, 1, 0.0, 1, 0, 0, 1],  # the polynomial kernel with R's default degree, 3
        [0.8, 0.0, 1, 1.0, 0, 0, 0, 1],
    ]
)


@pytest.fixture
def svm(monkeypatch: pytest.MonkeyPatch) -> Rows:
    monkeypatch.setattr("optibench_benchmarks.hpob.rows.MAX_LEVELS", 1)  # floats, as in a pool of many rows
    return Rows("hpob/5527/0", SPACES["5527"], SVM)


def test_one_hot_and_na_columns_become_a_category_with_conditions(svm):
    space = svm.space()
    assert set(space) == {"cost", "kernel", "degree", "gamma"}
    assert set(space["kernel"].choices) == {"linear", "polynomial", "radial"}
    conditions = {condition.child.name: condition.value for condition in space.conditions}
    assert conditions == {"gamma": "radial", "degree": "polynomial"}
    assert isinstance(space["degree"], UniformIntegerHyperparameter)
    assert (space["degree"].lower, space["degree"].upper) == (2, 5)
    # a cost is the share of rows with a smaller one: of three equal costs, the middle
    assert [svm.config(row) for row in (0, 1, 3, 4, 6)] == [
        {"kernel": "linear", "cost": 1.0},
        {"kernel": "linear", "cost": 0.0},
        {"kernel": "radial", "cost": pytest.approx(4.5 / 7), "gamma": 1.0},
        {"kernel": "polynomial", "cost": pytest.approx(2 / 7), "degree": 2},
        {"kernel": "polynomial", "cost": pytest.approx(2 / 7), "degree": 3},
    ]
    for row in range(len(SVM)):
        assert dict(Configuration(space, values=svm.config(row))) == svm.config(row)


def test_a_configuration_denotes_the_nearest_row_of_its_category_and_of_equal_ones_the_first(svm):
    assert [svm.row(svm.config(row)) for row in range(len(SVM))] == list(range(len(SVM)))
    assert svm.row({"kernel": "polynomial", "cost": 0.25, "degree": 5}) == 5
    assert svm.row({"kernel": "polynomial", "cost": 0.9, "degree": 4}) == 7
    assert svm.row({"kernel": "linear", "cost": 0.4}) == 1
    radial = {"kernel": "radial", "cost": 0.1}
    assert svm.row({**radial, "gamma": 0.5}) == 2  # as near as row 3
    assert svm.row({**radial, "gamma": 0.50001}) == 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kernel": "sigmoid", "cost": 0.5}, "'kernel' of hpob/5527/0 must be one of radial, linear, polynomial, not"),
        ({"kernel": "radial", "cost": 0.5}, "lacks one of gamma, degree"),
        ({"cost": 0.5}, "lacks one of kernel"),
    ],
)
def test_a_configuration_that_denotes_no_row_is_refused(svm, config, words):
    with pytest.raises(BenchmarkError, match=words):
        svm.row(config)


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (0, 5, 1, "without exactly one value of kernel"),
        (0, 2, 0, "list gamma where it is not active"),
        (2, 2, 1, "list gamma where it is not active, or the reverse"),
        (4, 3, 0.5, "values of degree that are no whole numbers"),
    ],
)
def test_data_of_another_form_is_refused(row, column, value, words):
    table = SVM.copy()
    table[row, column] = value
    with pytest.raises(BenchmarkError, match=words):
        Rows("hpob/5527/0", SPACES["5527"], table)


def test_what_is_the_same_in_all_rows_is_no_parameter():
    rows = Rows("hpob/5527/0", SPACES["5527"], SVM[:2])
    assert list(rows.space()) == ["cost"]
    assert isinstance(rows.space()["cost"], OrdinalHyperparameter)
    assert rows.row({"cost": 0.1}) == 1
    with pytest.raises(BenchmarkError, match=r"'cost' of hpob/5527/0 must be one of 0.1, 0.9, not 0.5"):
        rows.row({"cost": 0.5})


def test_names_are_known_without_data_and_creation_says_how_to_fetch_it(data_folder):
    with pytest.raises(UnknownBenchmarkError, match="did you mean hpob/6766/31"):
        create("hpob/6766/3")
    for call in (lambda: create("hpob/6766/3903"), lambda: expand(["hpob"]), lambda: expand(["hpob/6766/*"])):
        with pytest.raises(MissingDataError, match="`optibench data fetch hpob`"):
            call()


def test_headlines_leave_out_small_pools_and_those_that_random_configurations_solve():
    assert pools()["hpob/4796/23"].left_out == "300 distinct rows, fewer than 1,000"
    assert pools()["hpob/5970/3492"].left_out == "48.5% of the rows have a regret below 0.05, more than 2%"
    assert {name for name, pool in pools().items() if not pool.left_out} >= set(filter(is_kept, pools()))


# With the data ---------------------------------------------------------------------------------------------------

ONE_EACH = sorted({pool.space: name for name, pool in pools().items()}.values())  # of each space


@pytest.mark.data("hpob")
@pytest.mark.parametrize("name", ONE_EACH)
def test_every_rows_own_configuration_gives_its_value(name):
    task = create(name)
    rows = range(0, len(task.values), max(1, len(task.values) // 150))
    for row in rows:
        config = task.rows.config(row)
        assert dict(Configuration(task.space, values=config)) == config
        found = task.evaluate(config, seed=0)
        assert (found.value, found.info["row"]) == (task.values[row], row)


@pytest.mark.data("hpob")
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_default_of_r_is_a_value_that_no_run_lists(name):
    """So that runs that do not list a parameter have found their place."""
    space = SPACES[name.split("/")[1]]
    table, _ = read(data.locate("hpob") / "hpob_data.npz", name)
    for key, scale in space.scales.items():
        if scale.default is not None:
            listed = table[table[:, space.missing(key)] == 0.0, space.numbers[key]]
            assert np.abs(listed - scale.default).min() > 5e-5


@pytest.mark.data("hpob")
def test_accuracies_are_multiples_of_one_over_the_instances_of_the_data_set():
    """So each task is of the data set that the split by data sets takes it for."""
    instances = {
        **{"chess": 3196, "contraceptive": 1473, "german": 1000, "diabetes": 768, "spambase": 4601, "tic-tac-toe": 958},
        **{"monk-1": 556, "monk-2": 601, "authorship": 841, "sylva": 14395, "gina": 3468, "ada": 4562, "pc4": 1458},
        **{"mozilla4": 15545, "pc3": 1563, "kc2": 522, "pc1": 1109, "musk": 6598, "magic": 19020, "wilt": 4839},
        **{"internet-advertisements": 3279, "wdbc": 569, "phoneme": 5404, "steel-plates-fault": 1941, "ilpd": 583},
        **{"hill-valley": 1212, "nomao": 34465, "climate": 540, "eeg-eye-state": 14980, "banknote": 1372},
        **{"blood-transfusion": 748, "phishing": 11055, "australian": 690, "madelon": 2600},
    }
    assert set(instances) == set(DATA_SETS.values()) - {"9903", "9906"}
    with np.load(data.locate("hpob") / "hpob_data.npz") as content:
        for name in set(pools()) - {"hpob/4796/9903", "hpob/4796/9906"}:
            count = instances[pools()[name].data_set]
            hits = np.unique(content["_".join(name.split("/")[1:])][:, -1]).astype(float) * count
            assert np.abs(hits - np.rint(hits)).max() < count * 1e-6, name  # the accuracies have seven digits


@pytest.mark.data("hpob")
def test_the_reference_is_that_of_all_rows():
    task = create("hpob/5891/3899")
    with np.load(data.locate("hpob") / "hpob_data.npz") as content:
        values = content["5891_3899"][:, -1].astype(float)
    assert (task.reference.f_best, task.reference.f_worst) == (values.max(), values.min())
    assert task.reference.f_ref == np.median(values)
    assert (task.direction, task.left_out) == ("maximize", "")
    assert create("hpob/5970/3492+noise=0.1").left_out
    assert pickle.loads(pickle.dumps(task)).name == task.name


@pytest.mark.data("hpob")
@pytest.mark.parametrize("name", ["hpob/5859/9977", "hpob/5636/9914", "hpob/6767/9914", "hpob/7609/145853"])
def test_random_configurations_are_as_good_as_the_rows(name):
    """HPO-B's own scales would make a sixth of the first pool's random configurations nearly optimal."""
    task = create(name)
    space = task.space
    space.seed(0)
    found = [task.evaluate(dict(config), seed=0).value for config in space.sample_configuration(400)]
    regrets = np.array([task.reference.regret(value) for value in found])
    assert 0.75 < np.median(regrets) < 1.25
    assert np.mean(regrets < 0.05) < 0.03


@pytest.mark.heavy
@pytest.mark.data("hpob")
def test_what_is_known_of_the_pools_is_what_the_data_say():
    assert measure(data.locate("hpob") / "hpob_data.npz") == list(pools().values())
