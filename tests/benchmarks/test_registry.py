"""Names: families, collisions, closest names, globs, exclusion, third parties."""

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

import optibench_benchmarks
from optibench.cli.main import main
from optibench_benchmarks import (
    Benchmark,
    BenchmarkError,
    Evaluation,
    Family,
    Reference,
    UnknownBenchmarkError,
    create,
    expand,
    registry,
)


class Answer(Benchmark):
    def __init__(self, name):
        self.name, self.space = name, ConfigurationSpace({"a": (0.0, 1.0)})

    def evaluate(self, config, *, seed, fidelity=None):
        return Evaluation(42.0)


class ThirdParty:
    def names(self):
        return ["theirs/answer", "theirs/question"]

    def create(self, name):
        return Answer(name)

    def missing(self):
        return None


provider = ThirdParty()
THEIRS = Family("theirs", "a plug-in's tasks", "theirs_module:provider")


@pytest.fixture
def fresh_registry(monkeypatch):
    """The registry of a new process; a test's registrations are removed afterwards."""
    monkeypatch.setattr(registry, "_families", dict(registry._families))
    monkeypatch.setattr(registry, "_broken", {})
    registry._load_entry_points.cache_clear()
    monkeypatch.setitem(sys.modules, "theirs_module", sys.modules[__name__])
    yield monkeypatch
    registry._load_entry_points.cache_clear()


def install(monkeypatch, value):
    """Make the entry-point group hold one point that loads ``value``."""

    class Point(EntryPoint):
        def load(self):
            return value

    point = Point("theirs", "theirs_module:FAMILY", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == registry.ENTRY_POINT_GROUP else [])


def test_the_families_of_the_bench_are_registered():
    assert {"synthetic", "hpobench", "hpolib", "nasbench201", "yahpo"} <= set(optibench_benchmarks.families())


def test_a_prefix_can_be_registered_once_only(fresh_registry):
    registry.register(THEIRS)
    registry.register(THEIRS)
    with pytest.raises(
        BenchmarkError, match=r"'theirs' is registered twice, by theirs_module:provider and other:thing"
    ):
        registry.register(Family("theirs", "another", "other:thing"))


@pytest.mark.parametrize("prefix", ["", "a/b"])
def test_a_prefix_is_one_word(prefix, fresh_registry):
    with pytest.raises(BenchmarkError, match="one non-empty word without '/'"):
        registry.register(Family(prefix, "", "x:y"))


def test_a_third_party_registers_through_an_entry_point(fresh_registry):
    install(fresh_registry, THEIRS)
    assert "theirs/answer" in optibench_benchmarks.names()
    assert create("theirs/answer").evaluate({"a": 0.5}, seed=0).value == 42.0
    assert expand(["theirs/*", "!theirs/question"]) == ["theirs/answer"]


def test_an_entry_point_that_is_no_family_is_named_and_disables_no_other(fresh_registry):
    install(fresh_registry, "nonsense")
    assert "synthetic" in optibench_benchmarks.families()
    with pytest.raises(
        BenchmarkError, match=r"'theirs' \(theirs_module:FAMILY.*it is a str, not an optibench_benchmarks.Family"
    ):
        create("theirs/answer")


def test_a_third_party_cannot_take_our_prefix(fresh_registry):
    install(fresh_registry, Family("synthetic", "mine", "x:y"))
    assert create("hpobench/nn/car").name == "hpobench/nn/car"
    with pytest.raises(BenchmarkError, match="'synthetic' is registered twice"):
        create("synthetic/sphere-2d")


@pytest.mark.parametrize("target", ["no_such_module:provider", "theirs_module:no_such_provider"])
def test_a_family_whose_code_is_broken_is_named_and_disables_no_other(fresh_registry, target):
    install(fresh_registry, Family("theirs", "a plug-in's tasks", target))
    assert "synthetic/sphere-2d" in optibench_benchmarks.names()
    assert list(optibench_benchmarks.broken()) == ["theirs"]
    for use in (lambda: create("theirs/answer"), lambda: expand(["theirs/*"])):
        with pytest.raises(BenchmarkError, match=r"'theirs' \(.*is broken: .*Error: .*no_such") as caught:
            use()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "closest"),
    [
        ("sythetic/ackley-5d", "synthetic/ackley-5d"),
        ("synthetic/akley-5d", "synthetic/ackley-5d"),
        ("hpobench/nn/vehicel", "hpobench/nn/vehicle"),
        ("hpo-bench", "hpobench"),
        ("synthetic5d", "synthetic-5d"),
        ("synthetik/*-5d", "synthetic/levy-5d"),
        ("mnist/mpl", "mnist/mlp"),
        ("cifar/cmm", "cifar/cnn"),
        ("mainrun/gtp", "mainrun/gpt"),
        ("attention/matrix-mixer-standrad", "attention/matrix-mixer-standard"),
        ("hpobench/ml/svm/wein", "hpobench/ml/svm/wine"),
        ("live/svm/brest_cancer", "live/svm/breast_cancer"),
        ("live/mlp/diabetes", "live/"),
    ],
)
def test_an_unknown_name_gets_the_closest_ones(name, closest):
    with pytest.raises(UnknownBenchmarkError) as caught:
        expand([name])
    message = str(caught.value)
    with pytest.raises(UnknownBenchmarkError) as checked:
        optibench_benchmarks.check([name])
    assert str(checked.value) == message
    assert f"Unknown benchmark {name!r}: did you mean" in message
    assert closest in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "name", ["synthetic/branin-5d", "synthetic/sphere-2d+nois=1", "hpolib/slice_localization+seeds=all"]
)
def test_a_name_that_its_family_refuses_is_checked_like_created(name):
    with pytest.raises(BenchmarkError) as caught:
        expand([name])
    with pytest.raises(BenchmarkError, match=re.escape(str(caught.value))):
        optibench_benchmarks.check([name])


def test_checking_names_builds_no_task_and_looks_for_no_data():
    code = (
        "import sys, optibench_benchmarks as b; "
        "more = ['synthetic/*-5d', '!synthetic/branin', 'mnist/mlp', 'yahpo/fcnet/1']; "
        "b.check([*b.names(), *b.suites.load(), *more]); "
        "print([name for name in ('ConfigSpace', 'scipy', 'sklearn', 'torch', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_unlike_any_points_to_the_listing():
    with pytest.raises(UnknownBenchmarkError, match="Unknown benchmark 'zzzzzz': see `optibench list benchmarks`"):
        expand(["zzzzzz"])


def test_globs_match_listed_tasks_in_their_order_and_each_once():
    found = expand(["hpobench/nn/c*", "hpobench/nn/*", "hpobench/nn/car"])
    assert found[:2] == ["hpobench/nn/car", "hpobench/nn/credit_g"]
    assert len(found) == 8
    assert expand(["*/branin-[12]d"]) == ["synthetic/branin-2d"]


def test_globs_are_case_sensitive():
    with pytest.raises(UnknownBenchmarkError):
        expand(["synthetic/Ackley-*"])


def test_a_glob_may_carry_suffixes():
    found = expand(["synthetic/ack*-?d+noise=.5"])
    assert found == ["synthetic/ackley-2d+noise=0.5", "synthetic/ackley-5d+noise=0.5"]
    with pytest.raises(BenchmarkError, match="unknown suffix"):
        expand(["synthetic/*-5d+nois=1"])


def test_spellings_of_one_task_are_one_task():
    assert expand(["synthetic/branin", "synthetic/branin-2d/1", "synthetic/branin-2d"]) == ["synthetic/branin-2d"]


def test_an_exclusion_takes_away_from_what_came_before_it():
    assert expand(["hpobench", "!hpobench/nn/[!c]*"]) == ["hpobench/nn/car", "hpobench/nn/credit_g"]
    assert expand(["!hpolib", "nasbench201", "!demo"]) == expand(["nasbench201"])
    assert expand(["nasbench201", "!nasbench201/cifar10", "nasbench201/cifar10"])[-1] == "nasbench201/cifar10"


def test_an_exclusion_of_something_unknown_is_an_error():
    with pytest.raises(UnknownBenchmarkError, match="did you mean hpobench/nn/car"):
        expand(["hpobench", "!hpobench/nn/caar"])


def test_excluding_everything_is_an_error():
    with pytest.raises(BenchmarkError, match="No benchmark is left of hpolib !hpolib"):
        expand(["hpolib", "!hpolib"])
    assert expand([]) == []


def test_a_glob_lists_only_the_families_that_it_can_mean(monkeypatch):
    def refuse(self):
        raise AssertionError("the listing of YAHPO was read")

    monkeypatch.setattr("optibench_benchmarks.yahpo.tasks.YahpoProvider.names", refuse)
    assert len(expand(["synthetic/*-2d"])) == 12
    with pytest.raises(BenchmarkError, match="YAHPO"):
        expand(["*/*-2d"])


@pytest.mark.parametrize(
    ("use", "heavy"),
    [
        ("b.names(); b.suites.load()", "torch sklearn smac optuna skopt onnxruntime yahpo_gym pandas scipy.stats"),
        ("[b.create(name).reference for name in b.families()['live'].names()]", "sklearn optuna torch"),
        (
            "[b.create(name).reference for name in ('digits/mlp', 'moe-router', 'hpobench/ml/svm/wine', 'mainrun/gpt', "
            "'attention/matrix-mixer-evolvable')]",
            "torch sklearn pandas xgboost pyarrow tokenizers",
        ),
    ],
)
def test_listing_and_creating_tasks_import_nothing_heavy(use, heavy):
    code = f"import sys, optibench_benchmarks as b\n{use}\nprint(sorted(set({heavy!r}.split()) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("attribute", "value", "words"),
    [
        ("direction", "min", "its `direction` must be minimize or maximize, not 'min'"),
        ("direction", ["minimize"], "its `direction` must be minimize or maximize"),
        ("direction", "maximize", "`direction` is maximize, and the best value of its `reference`, 0, is below"),
        ("sampling", "random", "its `sampling` must be deterministic or exact or noisy, not 'random'"),
        ("sampling", None, "its `sampling` must be"),
        ("main_fidelity", "steps", "its `main_fidelity` must be one of epochs, not 'steps'"),
        ("main_fidelity", 3, "its `main_fidelity` must be one of epochs, not 3"),
        ("fidelity_space", None, "its `main_fidelity` must be None, as there is no fidelity, not 'epochs'"),
        ("fidelity_space", {"epochs": (1, 9)}, "its `fidelity_space` must be None or such a space"),
        ("fidelity_space", ConfigurationSpace(), "its `fidelity_space` must be None or such a space"),
        ("space", {"a": (0.0, 1.0)}, "its `space` must be a ConfigSpace.ConfigurationSpace with parameters, not {'a'"),
        ("space", ConfigurationSpace(), "its `space` must be a ConfigSpace.ConfigurationSpace with parameters"),
        ("reference", (0.0, 1.0, 2.0), "its `reference` must be an optibench_benchmarks.Reference or None, not \\(0.0"),
        ("reference", Reference(0.0, True, 2.0, "x"), "its `reference.f_ref` must be a number, not True"),
        ("reference", Reference(0.0, 1.0, np.float32(2.0), "x"), "its `reference.f_worst` must be a number"),
        ("reference", Reference(0.0, 1.0, 2.0, 3), "its `reference.source` must be text, not 3"),
        ("reference", Reference(0.0, 1.0, 2.0, "x", "1"), "its `reference.version` must be a whole number"),
        ("metrics", ["accuracy"], "its `metrics` must name a direction for each metric, not \\['accuracy'\\]"),
        ("metrics", {"accuracy": "max"}, "its `metrics` must say minimize or maximize of 'accuracy', not 'max'"),
        ("metrics", {3: "maximize"}, "its `metrics` must name a direction for each metric"),
        ("failures", ValueError, "its `failures` must be a tuple of exception classes below Exception, not <class"),
        ("failures", (Exception,), "its `failures` must be a tuple of exception classes below Exception"),
        ("failures", ("ValueError",), "its `failures` must be a tuple of exception classes below Exception"),
        ("has_cost", "yes", "its `has_cost` must be true or false, not 'yes'"),
        ("has_cost", 1, "its `has_cost` must be true or false, not 1"),
        ("data_version", 2, "its `data_version` must be text, not 2"),
        ("data_version", None, "its `data_version` must be text"),
        ("name", 5, "its `name` must be text, not 5"),
        ("name", "", "its `name` must be text"),
        ("name", "theirs/question", "its `name` must be what it was asked for, not 'theirs/question'"),
        ("name", "other/answer", "its `name` must be what it was asked for, not 'other/answer'"),
    ],
)
def test_what_a_task_declares_wrongly_is_one_sentence_and_nothing_is_run(
    fresh_registry, capsys, tmp_path, attribute, value, words
):
    def made(self, name):
        task = Answer(name)
        task.reference = Reference(0.0, 1.0, 2.0, "analytic")
        task.fidelity_space, task.main_fidelity = ConfigurationSpace({"epochs": (1, 9)}), "epochs"
        setattr(task, attribute, value)
        return task

    install(fresh_registry, THEIRS)
    fresh_registry.setattr(ThirdParty, "create", made)
    with pytest.raises(
        BenchmarkError, match=rf"'theirs' \(theirs_module:provider\) declares .* wrongly: .*{words}"
    ) as caught:
        create("theirs/answer")
    assert "\n" not in str(caught.value)
    assert main(["run", "-o", "random", "-b", "theirs/answer", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"optibench: {caught.value}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_task_may_have_other_spellings_but_only_one_name(fresh_registry):
    install(fresh_registry, THEIRS)
    fresh_registry.setattr(ThirdParty, "create", lambda self, name: Answer(name.lower()))
    assert create("theirs/Answer").name == "theirs/answer"
    fresh_registry.setattr(ThirdParty, "create", lambda self, name: Answer(f"{name}!"))
    with pytest.raises(BenchmarkError, match="its `name` must be what it was asked for, not 'theirs/more!'"):
        create("theirs/more")


@pytest.mark.parametrize("made", [None, "a task", Answer])
def test_what_is_no_benchmark_is_refused(fresh_registry, made):
    install(fresh_registry, THEIRS)
    fresh_registry.setattr(ThirdParty, "create", lambda self, name: made)
    with pytest.raises(BenchmarkError, match=r"it must be an optibench_benchmarks.Benchmark, not "):
        create("theirs/answer")


@pytest.mark.parametrize(
    ("names", "words"), [([1], "which 1 does not"), (["elsewhere/task"], "begins with theirs/"), (3, "not iterable")]
)
def test_a_listing_that_is_none_is_named(fresh_registry, names, words):
    install(fresh_registry, THEIRS)
    fresh_registry.setattr(ThirdParty, "names", lambda self: names)
    assert "synthetic/sphere-2d" in optibench_benchmarks.names()
    assert words in optibench_benchmarks.broken()["theirs"]


@pytest.mark.parametrize("missing", [7, KeyError("data")])
def test_a_family_that_cannot_say_what_is_missing_is_named(fresh_registry, missing):
    def says(self):
        if isinstance(missing, Exception):
            raise missing
        return missing

    install(fresh_registry, THEIRS)
    fresh_registry.setattr(ThirdParty, "missing", says)
    with pytest.raises(BenchmarkError, match=r"'theirs' \(theirs_module:provider\) is broken: "):
        expand(["theirs/no*"])


@pytest.mark.parametrize(
    "family",
    [Family(3, "", "x:y"), Family("theirs", None, "x:y"), Family("theirs", "", 5), Family("theirs", "", "x:y", None)],
)
def test_a_family_of_other_than_texts_is_refused(fresh_registry, family):
    with pytest.raises(BenchmarkError, match=r"prefix is one|must be text"):
        registry.register(family)
