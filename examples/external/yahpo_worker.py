"""YAHPO Gym 1.0.2, the package itself, as a benchmark in an environment of its own.

It wants ConfigSpace 0.6.1 and NumPy below 2, the bench newer ones; `make external` makes the environment and compares
the values with those of the bench's own adapter. Tasks are SCENARIO/INSTANCE, as in `yahpo/SCENARIO/INSTANCE`. The data
is in the folder `yahpo` of OPTIBENCH_DATA.
"""

from __future__ import annotations

import json
import os
import tempfile

import optibench_worker as worker

# The package reads where its data lies from a file in the user's home, unless this variable names another.
settings = tempfile.NamedTemporaryFile("w", suffix=".yaml")  # noqa: SIM115  (lives as long as the worker)
if "OPTIBENCH_DATA" not in os.environ:
    raise SystemExit("Set OPTIBENCH_DATA to the folder that `optibench data path` prints.")
json.dump({"data_path": os.path.join(os.environ["OPTIBENCH_DATA"], "yahpo")}, settings)  # noqa: PTH118  (YAML too)
settings.flush()
os.environ["YAHPO_LOCAL_CONFIG"] = settings.name

from importlib.metadata import version  # noqa: E402

from ConfigSpace.read_and_write import json as space_json  # noqa: E402
from yahpo_gym import BenchmarkSet  # noqa: E402

# Which metric is optimized by default, and which way, as in the bench's own adapter.
METRICS = {"lcbench": ("val_accuracy", "maximize")}
DEFAULT = ("acc", "maximize")  # rbv2_*


class Yahpo:
    def __init__(self):
        self.tasks = {}

    def task(self, name):
        """The package's object, the metric and its direction; `name` is SCENARIO/INSTANCE."""
        if name not in self.tasks:
            scenario, _, instance = name.partition("/")
            try:
                benchmark = BenchmarkSet(scenario, active_session=True, multithread=False, check=False)
                if instance not in benchmark.instances:
                    raise worker.Refused(f"Scenario {scenario} has no instance {instance!r}.")
                benchmark.set_instance(instance)
            except (KeyError, FileNotFoundError, AssertionError) as error:
                raise worker.Refused(f"YAHPO Gym has no scenario {scenario!r} here: {error}") from error
            metric, direction = METRICS.get(scenario, DEFAULT)
            if metric not in benchmark.targets:
                raise worker.Refused(f"Scenario {scenario} has no metric {metric!r}; it has {benchmark.targets}.")
            self.tasks[name] = benchmark, metric, direction
        return self.tasks[name]

    def describe(self, task):
        benchmark, _, direction = self.task(task)
        space = benchmark.get_opt_space(drop_fidelity_params=True)
        fidelities = benchmark.get_fidelity_space()
        for parameter in fidelities.get_hyperparameters():  # a fidelity's default is its highest, here
            parameter.default_value = parameter.upper
        plain = [json.loads(space_json.write(one)) for one in (space, fidelities)]
        # The instance is a constant of the package's space, and no part of the bench's.
        left = [p for p in plain[0]["hyperparameters"] if p["name"] != benchmark.config.instance_names]
        plain[0]["hyperparameters"] = left
        told = {"main_fidelity": benchmark.config.fidelity_params[0], "has_cost": bool(benchmark.config.runtime_name)}
        return {"space": plain[0], "fidelity_space": plain[1], "direction": direction, **told}

    def evaluate(self, task, config, seed, fidelity):
        benchmark, metric, _ = self.task(task)
        highest = {p.name: p.upper for p in benchmark.get_fidelity_space().get_hyperparameters()}
        whole = {**config, **highest, **(fidelity or {}), benchmark.config.instance_names: task.partition("/")[2]}
        (row,) = benchmark.objective_function(whole)
        runtime = row.get(benchmark.config.runtime_name)
        info = {name: float(value) for name, value in row.items()}
        return {"value": float(row[metric]), "cost_seconds": max(0.0, float(runtime or 0.0)), "info": info}


if __name__ == "__main__":
    worker.serve(benchmark=Yahpo(), version=f"yahpo_gym {version('yahpo_gym')}")
