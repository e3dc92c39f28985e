"""YAHPO surrogates: the package's numbers, valid spaces, helpful errors."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from optibench_benchmarks import BenchmarkError, MissingDataError, UnknownBenchmarkError, data
from optibench_benchmarks.yahpo.scenarios import SCENARIOS, Scenario
from optibench_benchmarks.yahpo.space import search_space
from optibench_benchmarks.yahpo.surrogate import FILES
from optibench_benchmarks.yahpo.tasks import YahpoBenchmark, provider

needs_data = pytest.mark.data("yahpo/lcbench", "yahpo/rbv2_xgboost")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The yahpo_gym package, made to work with ConfigSpace 1.2 and kept away from the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import yahpo_gym
        import yahpo_gym.benchmarks.taskset
        from yahpo_gym.local_config import local_config

        monkeypatch.setattr(local_config, "settings_path", tmp_path / "yahpo_gym")
        monkeypatch.setattr(local_config, "_config", None)
        local_config.init_config(data_path=str(data.root() / "yahpo"))
        monkeypatch.setattr(ConfigurationSpace, "_sort_hyperparameters", lambda self: None, raising=False)
        yield yahpo_gym


def sample(benchmark: YahpoBenchmark, count: int, seed: int = 0) -> list[dict]:
    benchmark.space.seed(seed)
    return [dict(config) for config in benchmark.space.sample_configuration(count)]


@needs_data
@pytest.mark.parametrize("scenario", ["lcbench", "rbv2_xgboost"])
def test_every_metric_equals_the_packages(scenario, package):
    layout = SCENARIOS[scenario]
    tasks = provider.create(next(name for name in provider.names() if scenario in name)).surrogate.tasks
    theirs = package.BenchmarkSet(scenario, multithread=False)
    rng = np.random.default_rng(1)
    checked = conditional = 0
    for task in rng.choice(tasks, 10, replace=False):
        ours = {metric: provider.create(f"yahpo/{scenario}/{task}/{metric}") for metric in layout.metrics}
        first = next(iter(ours.values()))
        first.fidelity_space.seed(checked)
        for config in sample(first, 32, seed=checked):
            full = checked % 2 == 0
            fidelity = dict(
                first.fidelity_space.get_default_configuration()
                if full
                else first.fidelity_space.sample_configuration()
            )
            # The package wants the task's name and the fidelities in the configuration and checks that it is valid.
            expected = theirs.objective_function({**config, **fidelity, layout.instance: str(task)})[0]
            for metric, benchmark in ours.items():
                got = benchmark.evaluate(config, seed=0, fidelity=None if full else fidelity)
                assert got.value == expected[metric]
                assert got.cost_seconds == max(0.0, expected[layout.runtime])
            checked += 1
            conditional += len(config) < len(first.space)
    assert checked >= 300
    assert conditional >= 100 or scenario == "lcbench"


@needs_data
@pytest.mark.parametrize("name", ["yahpo/lcbench/3945", "yahpo/rbv2_xgboost/40981"])
def test_a_batch_equals_single_evaluations_within_float32(name):
    benchmark = provider.create(name)
    configs = sample(benchmark, 1300)  # more than one batch of the network
    fidelity = {"epoch": 10} if "lcbench" in name else {"trainsize": 0.3, "repl": 2}
    scale: dict[str, float] = {}
    for level in (None, fidelity):
        batch = benchmark.evaluate_batch(configs, seed=0, fidelity=level)
        single = [benchmark.evaluate(config, seed=0, fidelity=level) for config in configs]
        for attribute in ("value", "cost_seconds"):
            a, b = (np.array([getattr(each, attribute) for each in many]) for many in (batch, single))
            # The network's last step scales its output to the metric's range, hence an error relative to that.
            scale.setdefault(attribute, np.abs(b).max())
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * scale[attribute])
    assert benchmark.evaluate_batch([], seed=0) == []


@needs_data
@pytest.mark.parametrize("name", ["yahpo/lcbench/3945", "yahpo/rbv2_xgboost/12"])
def test_search_and_fidelity_space_split_the_packages_space(name, package):
    benchmark = provider.create(name)
    scenario = benchmark.surrogate.scenario
    theirs = package.BenchmarkSet(scenario.name, multithread=False).config_space
    assert set(benchmark.space) | set(benchmark.fidelity_space) | {scenario.instance} == set(theirs)
    assert set(benchmark.fidelity_space) == set(scenario.fidelities)
    for parameter in benchmark.space.values():
        assert parameter == theirs[parameter.name]
    assert sorted(map(str, benchmark.space.conditions)) == sorted(map(str, theirs.conditions))


def test_the_scenario_table_is_the_packages_with_the_documented_corrections(package):
    from yahpo_gym.configuration import config_dict

    assert set(SCENARIOS) == set(config_dict.configs)
    corrected = set()
    for name, theirs in config_dict.configs.items():
        ours = SCENARIOS[name]
        assert ours.numeric == tuple(theirs["cont_names"])
        assert ours.categorical == tuple(theirs["cat_names"])
        assert list(ours.metrics) == theirs["y_names"]
        assert ours.instance == theirs["instance_names"]
        assert ours.runtime == theirs["runtime_name"]
        assert ours.default in ours.metrics
        corrected |= {(name, "fidelities")} if list(ours.fidelities) != theirs["fidelity_params"] else set()
        for metric, minimize in zip(theirs["y_names"], theirs["y_minimize"], strict=False):
            if (ours.metrics[metric] == "minimize") != minimize:
                corrected.add((name, metric))
    rbv2 = {(name, "f1") for name in SCENARIOS if name.startswith("rbv2_")}
    assert corrected == rbv2 | {("taskset", "valid1"), ("taskset", "test"), ("fcnet", "fidelities")}


@needs_data
def test_f1_is_maximized_because_it_rises_with_accuracy():
    accuracy, f1 = (provider.create(f"yahpo/rbv2_xgboost/1489{metric}") for metric in ("", "/f1"))
    configs = sample(accuracy, 500)
    values = [[e.value for e in benchmark.evaluate_batch(configs, seed=0)] for benchmark in (accuracy, f1)]
    assert np.corrcoef(*values)[0, 1] > 0.3
    assert f1.direction == accuracy.direction == "maximize"
    assert provider.create("yahpo/rbv2_xgboost/1489/logloss").direction == "minimize"


@needs_data
def test_names_lists_every_task_once_with_its_default_metric():
    names = provider.names()
    assert len([name for name in names if name.startswith("yahpo/lcbench/")]) == 34
    assert len([name for name in names if name.startswith("yahpo/rbv2_xgboost/")]) == 119
    assert len(set(names)) == len(names)
    assert provider.create("yahpo/lcbench/3945/val_accuracy").name == "yahpo/lcbench/3945"
    assert provider.create("yahpo/lcbench/3945/time").name == "yahpo/lcbench/3945/time"
    assert provider.missing() is None


@needs_data
@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("yahpo/lcbnch/3945", "lcbench"),
        ("yahpo/lcbench/3954", "3945"),
        ("yahpo/lcbench/3945/val_acuracy", "val_accuracy"),
        ("yahpo/lcbench", "yahpo/<scenario>/<instance>"),
        ("yahpo/lcbench/3945/val_accuracy/2", "yahpo/<scenario>/<instance>"),
        ("yahpo/lcbench/zzz", "there are 3945"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest(name, closest):
    with pytest.raises(UnknownBenchmarkError) as error:
        provider.create(name)
    assert name in str(error.value)
    assert closest in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_data_is_answered_with_the_command_that_fetches_it(data_folder):
    assert provider.names() == []
    with pytest.raises(MissingDataError, match="`optibench data fetch yahpo/lcbench`"):
        provider.create("yahpo/lcbench/3945")
    with pytest.raises(MissingDataError, match=r"put config_space.json.*iaml_glmnet"):
        provider.create("yahpo/iaml_glmnet/40981")
    assert "optibench data fetch yahpo/lcbench yahpo/rbv2_xgboost" in str(provider.missing())


@needs_data
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"momentun": 0.5}, "does not know: momentun"),
        ({"booster": "gbforest"}, "unknown category 'gbforest'"),
        ({"nrounds": None}, "always active: nrounds"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change, message):
    benchmark = provider.create("yahpo/rbv2_xgboost/12")
    config = {**sample(benchmark, 2)[0], **change}
    config = {name: value for name, value in config.items() if value is not None}
    with pytest.raises(BenchmarkError, match=message):
        benchmark.evaluate(config, seed=0)
    with pytest.raises(BenchmarkError, match=message):
        benchmark.evaluate_batch([config], seed=0)


def _evaluate(benchmark, config, queue):
    queue.put(benchmark.evaluate(config, seed=0).value)


@needs_data
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_it_evaluates_in_another_process_after_having_been_used_in_this_one(method):
    benchmark = provider.create("yahpo/rbv2_xgboost/40981")
    config = sample(benchmark, 2)[0]
    expected = benchmark.evaluate(config, seed=0).value
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    if method == "fork":
        process = context.Process(target=_evaluate, args=(benchmark, config, queue))
        process.start()
        assert queue.get(timeout=60) == expected
        process.join(60)
        assert process.exitcode == 0
    else:
        assert pickle.loads(pickle.dumps(benchmark)).evaluate(config, seed=0).value == expected


@needs_data
def test_tasks_of_one_scenario_share_one_network_and_data_version_follows_the_files(tmp_path, monkeypatch):
    a, b = provider.create("yahpo/lcbench/3945"), provider.create("yahpo/lcbench/7593/time")
    assert a.surrogate is b.surrogate
    for file in FILES:
        target = tmp_path / "yahpo" / "lcbench" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(data.root() / "yahpo" / "lcbench" / file, target)
        target.chmod(0o644)
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    assert provider.create("yahpo/lcbench/3945").data_version == a.data_version
    space = Path(tmp_path / "yahpo" / "lcbench" / "config_space.json")
    space.write_text(space.read_text().replace("0.99", "0.98"))
    changed = provider.create("yahpo/lcbench/3945")
    assert changed.data_version != a.data_version
    assert changed.space["momentum"].upper == 0.98
    space.write_text("{")
    with pytest.raises(BenchmarkError, match="not valid JSON"):
        provider.create("yahpo/lcbench/3945")


@needs_data
def test_a_network_that_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "yahpo" / "lcbench"
    shutil.copytree(data.root() / "yahpo" / "lcbench", folder)
    folder.chmod(0o755)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").write_bytes(b"not a network")
    monkeypatch.setenv("OPTIBENCH_DATA", str(tmp_path))
    benchmark = provider.create("yahpo/lcbench/3945")
    with pytest.raises(BenchmarkError, match=r"model.onnx cannot be loaded .*optibench data verify"):
        benchmark.evaluate(sample(benchmark, 2)[0], seed=0)
    space = folder / "config_space.json"
    space.unlink()
    space.write_text('{"hyperparameters": []}')
    with pytest.raises(BenchmarkError, match="does not say which tasks there are"):
        provider.names()


def made_up(scenario: Scenario) -> tuple[dict, dict]:
    """A search space and codes in upstream's format for any scenario, with a condition where there can be one."""
    numeric = [
        {"name": name, "type": "uniform_float", "log": False, "lower": 0.0, "upper": 1.0, "default": 0.5}
        for name in scenario.numeric
    ]
    categorical = [
        {"name": name, "type": "categorical", "choices": ["7", "b", "c"], "default": "7", "probabilities": None}
        for name in scenario.categorical
    ]
    conditions = []
    free = [name for name in scenario.categorical if name != scenario.instance]
    if free:
        children = [name for name in scenario.numeric if name not in scenario.fidelities][:2] + free[1:2]
        conditions = [{"child": child, "parent": free[0], "type": "EQ", "value": "b"} for child in children]
    space = {"hyperparameters": [*numeric, *categorical], "conditions": conditions, "forbiddens": []}
    return space, {name: {"#na#": 0, "c": 1, "b": 2, "7": 3} for name in scenario.categorical}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda scenario: scenario.name)
def test_every_upstream_scenario_is_encoded_as_the_package_does(scenario, package, tmp_path, monkeypatch):
    from yahpo_gym.configuration import config_dict
    from yahpo_gym.local_config import local_config

    root = tmp_path / "data" / "yahpo"
    space, codes = made_up(scenario)
    for name in {scenario.name, config_dict.configs[scenario.name]["config_id"]}:
        (root / name).mkdir(parents=True)
        (root / name / "config_space.json").write_text(json.dumps(space))
        (root / name / "encoding.json").write_text(json.dumps(codes))
        (root / name / "model.onnx").write_bytes(b"")
    monkeypatch.setenv("OPTIBENCH_DATA", str(root.parent))
    monkeypatch.setattr(local_config, "_config", {"data_path": str(root)})
    theirs = package.BenchmarkSet(scenario.name, active_session=False, check=False)
    assert sorted(provider.names()) == sorted(f"yahpo/{scenario.name}/{task}" for task in theirs.instances)
    benchmark = provider.create(provider.names()[0])
    task = {} if scenario.instance is None else {scenario.instance: benchmark.task}
    fidelity = dict.fromkeys(scenario.fidelities[:1], 0.25)
    configs = sample(benchmark, 50)
    for level in ({}, fidelity):
        x_cat, x_cont = benchmark.encoder(level)(configs)
        for row, config in enumerate(configs):
            full = config | dict.fromkeys(scenario.fidelities, 1.0) | level | task
            expected_cont, expected_cat = theirs._config_to_xs(full)
            np.testing.assert_array_equal(x_cat[row], expected_cat[0])
            np.testing.assert_array_equal(x_cont[row], expected_cont[0])
    assert len({len(config) for config in configs}) == 1 + (len(scenario.categorical) > 1)


SUPER = json.loads("""{
  "hyperparameters": [
    {"name": "learner", "type": "categorical", "choices": ["ranger", "xgboost"], "default": "ranger",
     "probabilities": null},
    {"name": "task_id", "type": "categorical", "choices": ["1", "2"], "default": "1", "probabilities": null},
    {"name": "ranger.splitrule", "type": "categorical", "choices": ["gini", "extratrees"], "default": "gini",
     "probabilities": null},
    {"name": "ranger.num.random.splits", "type": "uniform_int", "log": false, "lower": 1, "upper": 100,
     "default": 50},
    {"name": "trainsize", "type": "uniform_float", "log": false, "lower": 0.05, "upper": 1.0, "default": 0.5}
  ],
  "conditions": [
    {"child": "ranger.splitrule", "parent": "learner", "type": "EQ", "value": "ranger"},
    {"child": "ranger.num.random.splits", "type": "AND", "conditions": [
      {"child": "ranger.num.random.splits", "parent": "ranger.splitrule", "type": "EQ", "value": "extratrees"},
      {"child": "ranger.num.random.splits", "parent": "learner", "type": "EQ", "value": "ranger"}]}
  ],
  "forbiddens": []
}""")


def test_nested_conditions_are_read():
    space = search_space(SUPER, {"task_id", "trainsize"})
    space.seed(0)
    configs = [dict(config) for config in space.sample_configuration(200)]
    for config in configs:
        assert ("ranger.splitrule" in config) == (config["learner"] == "ranger")
        assert ("ranger.num.random.splits" in config) == (config.get("ranger.splitrule") == "extratrees")
    assert len({frozenset(config) for config in configs}) == 3


def test_a_condition_on_something_left_out_is_refused():
    with pytest.raises(BenchmarkError, match="condition or clause on learner"):
        search_space(SUPER, {"learner", "task_id"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("type", "uniform_complex", "unknown type 'uniform_complex'"), ("q", 2, "quantized")],
)
def test_a_parameter_that_cannot_be_read_is_named(key, value, message):
    content = json.loads(json.dumps(SUPER))
    content["hyperparameters"][3][key] = value
    with pytest.raises(BenchmarkError, match=rf"'ranger.num.random.splits'.*{message}"):
        search_space(content, {"task_id", "trainsize"})
