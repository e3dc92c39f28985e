"""HEBO (Cowen-Rivers et al. 2022; the package HEBO 0.3.6) as an optimizer, in an environment of its own.

HEBO wants NumPy below 1.25, the bench 2 and newer; `make hebo` makes the environment. HEBO draws from NumPy's and
PyTorch's global generators, so those are seeded here. Told at their default: inactive parameters, which HEBO does not
know; they are dropped from what it suggests. Left out, by HEBO itself: failed trials.
"""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import Any

import numpy as np
import optibench_worker as worker
import pandas as pd
import torch
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    Constant,
    OrdinalHyperparameter,
)
from ConfigSpace.util import deactivate_inactive_hyperparameters
from hebo.design_space.design_space import DesignSpace
from hebo.optimizers.hebo import HEBO

#: HEBO computes in single precision, and squares.
LARGEST = 1e15


class Column:
    """A parameter as HEBO has it: a number, or the index of a choice."""

    def __init__(self, hp: Any) -> None:
        self.name, self.hp = hp.name, hp
        self.values = list(getattr(hp, "choices", None) or getattr(hp, "sequence", ()))
        if isinstance(hp, CategoricalHyperparameter):
            self.design = {"name": hp.name, "type": "cat", "categories": list(range(len(self.values)))}
        elif isinstance(hp, OrdinalHyperparameter):
            self.design = {"name": hp.name, "type": "int", "lb": 0, "ub": len(self.values) - 1}
        else:
            kind = "int" if isinstance(hp.lower, int) else "num"
            if hp.log:
                kind = {"int": "pow_int", "num": "pow"}[kind]
            self.design = {"name": hp.name, "type": kind, "lb": hp.lower, "ub": hp.upper}

    def encode(self, value: Any) -> Any:
        return self.values.index(value) if self.values else value

    def decode(self, code: Any) -> Any:
        if self.values:
            return self.values[int(code)]
        number = min(max(code, self.hp.lower), self.hp.upper)  # powers of logarithms leave the range by a rounding
        return int(number) if isinstance(self.hp.lower, int) else float(number)


class Hebo:
    def __init__(self, space: dict[str, Any], seed: int, n_trials: int) -> None:
        self.space = ConfigurationSpace.from_serialized_dict(space)
        if self.space.forbidden_clauses:
            raise worker.Refused("HEBO knows no forbidden clauses; use another optimizer on this space.")
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        self.constants = {name: hp.value for name, hp in self.space.items() if isinstance(hp, Constant)}
        several = [hp for hp in self.space.values() if not isinstance(hp, Constant)]
        self.columns = [Column(hp) for hp in several if len(getattr(hp, "choices", "12")) > 1]
        self.constants.update({hp.name: hp.choices[0] for hp in several if len(getattr(hp, "choices", "12")) == 1})
        design = DesignSpace().parse([column.design for column in self.columns])
        self.hebo = HEBO(design, scramble_seed=seed)

    def ask(self, n: int) -> list[dict[str, Any]]:
        rows = self.hebo.suggest(n_suggestions=n)
        return [self.config(row) for _, row in rows.iterrows()]

    def config(self, row: Any) -> dict[str, Any]:
        values = {column.name: column.decode(row[column.name]) for column in self.columns}
        active = deactivate_inactive_hyperparameters({**self.constants, **values}, self.space)
        return {name: {**self.constants, **values}[name] for name in active}

    def tell(self, observations: list[dict[str, Any]]) -> None:
        rows, values = [], []
        for observation in observations:
            config = observation["config"]
            Configuration(self.space, values=config)  # refuses what is not of this space
            rows.append({c.name: c.encode(config.get(c.name, c.hp.default_value)) for c in self.columns})
            values.append(math.nan if observation["value"] is None else observation["value"])
        self.hebo.observe(pd.DataFrame(rows), np.clip(values, -LARGEST, LARGEST)[:, None])


if __name__ == "__main__":
    worker.serve(optimizer=Hebo, version=f"HEBO {version('HEBO')}, torch {version('torch')}")
