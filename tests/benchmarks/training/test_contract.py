"""The contract of all tasks that train: exact repetition, short trainings inside long ones, missing data."""

from __future__ import annotations

import subprocess
import sys

import pytest

from optibench_benchmarks import MissingDataError, create, expand, families
from optibench_benchmarks.conformance import plain

PERCEPTRON = {"hidden_size": 40, "num_layers": 2, "learning_rate": 3e-3, "dropout": 0.2, "batch_size": 64}
CONFIGS = {
    "mnist/mlp-10k": PERCEPTRON | {"optimizer": "adam"},
    "digits/mlp": PERCEPTRON | {"optimizer": "adam"},
    **{name: plain(create(name).space.get_default_configuration()) for name in ("moe-router/generated", "mainrun/gpt")},
    **{
        f"attention/{framework}-{variant}": {
            "learning_rate": 3e-3,
            "warmup": 0.1,
            "weight_decay": 0.1,
            "batch_size": 16,
        }
        for framework in ("coefficient-dynamics", "test-time-regression", "matrix-mixer")
        for variant in ("standard", "evolvable")
    },
}
TASKS = [pytest.param(name, marks=pytest.mark.data("mnist") if "mnist" in name else ()) for name in CONFIGS]
SHORT = {"epochs": 1, "data_fraction": 0.2}
METRICS = {"mainrun": "validation_loss", "attention": "validation_loss", "moe-router": "validation_top2"}
"""The quantity whose last number is the value; otherwise the accuracy."""


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(name):
    first, again, other = (create(name).evaluate(CONFIGS[name], seed=seed, fidelity=SHORT) for seed in (1, 1, 2))
    assert first == again
    assert first.curve["train_loss"] != other.curve["train_loss"]
    assert create(name).sampling == "noisy"


@pytest.mark.parametrize("name", ["digits/mlp", "mainrun/gpt", "attention/coefficient-dynamics-standard"])
def test_another_process_computes_the_same_bits(name):
    code = (
        "from optibench_benchmarks import create\n"
        f"print(create({name!r}).evaluate({CONFIGS[name]!r}, seed=5, fidelity={SHORT!r}).curve['train_loss'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = create(name).evaluate(CONFIGS[name], seed=5, fidelity=SHORT)
    assert done.stdout.strip() == str(here.curve["train_loss"])


@pytest.mark.parametrize("name", [task for task in TASKS if "attention" not in task.values[0]] + [TASKS[4]])
def test_a_short_training_is_the_beginning_of_a_longer_one_and_it_learns(name):
    task = create(name)
    short, long = (
        task.evaluate(CONFIGS[name], seed=0, fidelity={"epochs": epochs, "data_fraction": 0.3}) for epochs in (1, 3)
    )
    metric = METRICS.get(name.partition("/")[0], "validation_accuracy")
    assert list(long.curve["epoch"]) == [1, 2, 3]
    assert {each: values[:1] for each, values in long.curve.items()} == dict(short.curve)
    assert long.value == long.curve[metric][-1]
    assert task.direction == ("minimize" if metric.endswith("loss") else "maximize")
    assert long.curve["train_loss"][-1] < 0.95 * long.curve["train_loss"][0]
    (test,) = (long.info[each] for each in ("test_loss", "test_top2", "test_accuracy") if each in long.info)
    assert test == pytest.approx(long.value, rel=0.2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist/mlp-10k", ("mnist/t10k-images-idx3-ubyte.gz", "`optibench data fetch mnist`")),
        ("cifar/cnn-full", ("cifar is missing", "`optibench data fetch cifar`")),
        ("mainrun/gpt-headlines", ("headlines/headlines.txt", "one a line")),
        ("mainrun/gpt-headlines-full", ("headlines/headlines.txt",)),
        ("attention/matrix-mixer-standard-tinystories-full", ("TinyStories is not in", "tinystories/stories.txt")),
        ("moe-router/traces", ("moe-router/traces.parquet", "`optibench data fetch`")),
        (
            "hpobench/ml/svm/vehicle",
            ("openml/vehicle.arff", "OpenML task 53", "https://www.openml.org/d/54", "`optibench data fetch`"),
        ),
    ],
)
def test_missing_data_is_named_with_the_cure(name, words, data_folder):
    provider = families()[name.partition("/")[0]].provider()
    assert name not in provider.names()
    with pytest.raises(MissingDataError) as caught:
        create(name)
    message = str(caught.value)
    assert all(each in message for each in (*words, "OPTIBENCH_DATA"))
    assert "\n" not in message
    for listed, reason in provider.absent().items():
        with pytest.raises(MissingDataError) as caught:
            expand([listed])
        assert reason.rstrip(".") in str(caught.value)
