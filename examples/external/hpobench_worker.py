"""HPOBench, the package itself (github.com/automl/HPOBench), as benchmarks in an environment of its own.

It is not on the package index and wants Python 3.10 or older: clone it, install it into an environment of such a
Python, and name that environment's Python in `hpobench.yaml`. With HPOBENCH_CONTAINERS=1 in the worker's environment
the benchmarks come from containers (`hpobench.container`), which want Singularity. This worker is written against the
documented interface of the package (`AbstractBenchmark`) and tested against a stand-in that has it; it has not met the
package.

Tasks are FOLDER/MODULE/CLASS, with arguments of the class after another slash:
`nas/tabular_benchmarks/SliceLocalizationBenchmark`, `ml/tabular_benchmark/TabularBenchmark/model=nn,task_id=31`.
"""

from __future__ import annotations

import importlib
import json
import os
import re

import optibench_worker as worker

ROOT = "hpobench.container.benchmarks" if os.environ.get("HPOBENCH_CONTAINERS") == "1" else "hpobench.benchmarks"


def plain_space(space):
    """A space as JSON, whichever ConfigSpace this environment has."""
    if hasattr(space, "to_serialized_dict"):
        return space.to_serialized_dict()
    from ConfigSpace.read_and_write import json as space_json

    return json.loads(space_json.write(space))


class HPOBench:
    def __init__(self):
        self.tasks = {}

    def task(self, name):
        if name not in self.tasks:
            folder, module, cls, *rest = name.split("/")
            arguments = dict(pair.split("=", 1) for part in rest for pair in part.split(","))
            given = {key: int(value) if re.fullmatch("-?[0-9]+", value) else value for key, value in arguments.items()}
            try:
                found = getattr(importlib.import_module(".".join([ROOT, folder, module])), cls)
            except (ImportError, AttributeError) as error:
                raise worker.Refused(f"HPOBench has no {name!r} here: {error}") from error
            self.tasks[name] = found(rng=0, **given)
        return self.tasks[name]

    def describe(self, task):
        if task.count("/") < 2:
            raise worker.Refused(f"A task is FOLDER/MODULE/CLASS[/key=value,...], not {task!r}.")
        benchmark = self.task(task)
        fidelities = benchmark.get_fidelity_space(seed=0)
        return {
            "space": plain_space(benchmark.get_configuration_space(seed=0)),
            "fidelity_space": plain_space(fidelities) if list(fidelities) else None,
            "direction": "minimize",  # by HPOBench's convention, every one
            "sampling": "noisy",  # most train; a benchmark that does not depend on the seed loses nothing by it
        }

    def evaluate(self, task, config, seed, fidelity):
        # What is left out of the fidelity is at HPOBench's default, which is the highest.
        found = self.task(task).objective_function(configuration=config, fidelity=fidelity or None, rng=seed)
        return {"value": found["function_value"], "cost_seconds": found["cost"]}


if __name__ == "__main__":
    try:
        from importlib.metadata import version

        stated = version("hpobench")
    except ImportError:
        stated = "unknown"
    worker.serve(benchmark=HPOBench(), version=f"hpobench {stated}")
