"""Which expert is a token routed to? ``moe-router``, after a "Hyperparameter Optimization Guide".

A model sees a token's layer, its second expert, the last 32 choices of the layer, both gate weights and the position,
and predicts the first of 8 experts; the value is its Top-2 accuracy on validation sequences after the last epoch.

| task | traces | rows to train on / validate / test | epochs, batch |
|---|---|---|---|
| ``moe-router/generated`` (or ``moe-router``) | generated | 8,192 / 8,192 / 8,192 | 5, 128 |
| ``moe-router/generated-full`` | generated | 400,000 / 100,000 / 100,000 | 10, 512 |
| ``moe-router/traces`` | ``moe-router/traces.parquet`` of the data folder | as many, if there are | 10, 512 |

The guide's own traces are not public; :mod:`optibench_benchmarks.training.moe.traces` describes the generated ones
and the columns that a file needs. Values on generated traces say nothing about a real router.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optibench_benchmarks import data
from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.named_tasks import NamedTasks, full
from optibench_benchmarks.training.base import Curve, ReferencePlan, Split, TrainingBenchmark, fidelity_space
from optibench_benchmarks.training.moe import traces as moe_traces

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

_SEED = 0


@dataclass(frozen=True)
class Size:
    """The size of a training.

    Attributes:
        sequences, tokens: Of the generated traces.
        rows: To train on, to validate and to test with, at most.
        epochs: The highest fidelity.
        batch_size: Rows in a training batch.
    """

    sequences: int
    tokens: int
    rows: tuple[int, int, int]
    epochs: int
    batch_size: int


SIZES = {
    "moe-router/generated": Size(100, 128, (8_192, 8_192, 8_192), epochs=5, batch_size=128),
    "moe-router/generated-full": Size(300, 256, (400_000, 100_000, 100_000), epochs=10, batch_size=512),
    "moe-router/traces": Size(0, 0, (400_000, 100_000, 100_000), epochs=10, batch_size=512),
}


def search_space(name: str) -> ConfigurationSpace:
    """The guide's space: the third and fourth layer's units exist only in networks that deep.

    The default is the guide's untuned model, [256, 128, 64] with embeddings of 10; learning rate and dropout are ours.
    """
    from ConfigSpace import ConfigurationSpace, Float, GreaterThanCondition, Integer

    units = [Integer(f"units_{i + 1}", (32, 512), default=width) for i, width in enumerate((256, 128, 64, 64))]
    depth = Integer("num_layers", (2, 4), default=3)
    space = ConfigurationSpace(
        name=name,
        space=[
            Float("learning_rate", (1e-4, 1e-2), default=1e-3, log=True),
            Integer("layer_emb", (5, 20), default=10),
            Integer("expert_emb", (3, 10), default=10),
            depth,
            *units,
            Float("dropout", (0.05, 0.4), default=0.1),
        ],
    )
    space.add(GreaterThanCondition(units[2], depth, 2), GreaterThanCondition(units[3], depth, 3))
    return space


def file() -> Path:
    """The path of real traces."""
    return data.root() / "moe-router" / "traces.parquet"


@functools.lru_cache(maxsize=2)
def load(name: str, _version: str) -> Split:
    """The rows of a task.

    Raises:
        BenchmarkError: The file of real traces is invalid.
    """
    size = SIZES[name]
    trace = moe_traces.generate(size.sequences, size.tokens, _SEED) if size.sequences else moe_traces.read(file())
    return moe_traces.split(trace, size.rows, _SEED)


def _lacks(name: str) -> str | None:
    if name != "moe-router/traces" or file().is_file():
        return None
    return (
        f"The routing traces of moe-router/traces are not in {file()} and `optibench data fetch` has none, since none "
        f"are public: put your own there, or point {data.ROOT_VARIABLE} at a folder that has moe-router/traces.parquet."
    )


class MoERouter(TrainingBenchmark):
    """One of the three tasks; traces are generated or read by the first evaluation.

    Attributes:
        size: The size of a training.
    """

    reference_plan = ReferencePlan(random=61, local=60)
    metrics = MappingProxyType(dict.fromkeys(("validation_top1", "test_top1", "test_top2"), "maximize"))

    def __init__(self, name: str) -> None:
        self.name, self.size = name, SIZES[name]
        self.space = search_space(name)
        self.fidelity_space = fidelity_space(epochs=(1, self.size.epochs), data_fraction=(0.1, 1.0))
        self.main_fidelity = "epochs"
        self.data_version = "generator 1" if self.size.sequences else f"{data.checksum(file())[:12]}, split 1"

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from optibench_benchmarks.training.moe.model import train

        curve = Curve("epoch", fidelity["epochs"], self.on_step)
        rows = load(self.name, self.data_version)
        return train(rows, config, seed, fidelity, batch_size=self.size.batch_size, curve=curve)


provider = NamedTasks(
    list(SIZES),
    MoERouter,
    lacks=_lacks,
    unlisted=full(list(SIZES)),
    aliases={"moe-router": "moe-router/generated"},
)
