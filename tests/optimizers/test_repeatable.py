"""The same seed gives the same suggestions in another process, so that a killed cell resumes exactly."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import hashlib, sys
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
import optibench_optimizers
from optibench_optimizers import Fidelity, Observation

space = ConfigurationSpace()
kind = Categorical("kind", ["a", "b", "c"])
depth = Integer("depth", (1, 9))
space.add(Float("x", (-5.0, 5.0)), Float("rate", (1e-5, 1.0), log=True), kind, depth)
space.add(EqualsCondition(depth, kind, "b"))


def loss(config):
    return config["x"] ** 2 + config["rate"] + config.get("depth", 3) + len(config["kind"])


for name in [*optibench_optimizers.entries(), "optiformer:network=untrained"]:
    optimizer = optibench_optimizers.create(name, space, seed=3, n_trials=20)
    random = optibench_optimizers.create("random", space, seed=4, n_trials=20)
    told = [suggestion.config for suggestion in random.ask(10)]
    optimizer.tell([Observation(config, loss(config)) for config in told])
    asked = []
    for _ in range(4):
        (suggestion,) = optimizer.ask()
        asked.append(sorted(suggestion.config.items()))
        optimizer.tell([Observation(suggestion.config, loss(suggestion.config))])
    optimizer.close()
    if type(optimizer).capabilities.multi_fidelity:  # a whole bracket, and into the next
        epochs = Fidelity("epochs", 1, 9, whole=True)
        optimizer = optibench_optimizers.create(name, space, seed=3, n_trials=20, fidelity=epochs)
        for _ in range(20):
            (suggestion,) = optimizer.ask()
            asked.append((sorted(suggestion.config.items()), suggestion.fidelity))
            optimizer.tell([Observation(suggestion.config, loss(suggestion.config), "ok", suggestion.fidelity)])
        optimizer.close()
    print(name, hashlib.sha256(repr(asked).encode()).hexdigest()[:16], asked[0])
"""


def test_suggestions_do_not_depend_on_the_process() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (process.communicate(timeout=300)[0].splitlines() for process in processes)
    assert [process.returncode for process in processes] == [0, 0]
    assert len(one) >= 10
    assert one == other
