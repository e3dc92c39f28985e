"""A small GPT on headlines, after a published "Comprehensive Optimization Report": ``mainrun/gpt``.

The value is the validation loss after the last epoch in nats per byte (:mod:`optibench_benchmarks.training.text.text`),
to be minimized.

| task | headlines | to train on / validate / test | network | epochs, batch |
|---|---|---|---|---|
| ``mainrun/gpt`` | generated | 2,500 / 500 / 500 | 2 layers of 64, 4 heads | 4, 16 |
| ``mainrun/gpt-full`` | generated | 90,000 / 10,000 / 10,000 | 6 layers of 512, 8 heads | 7, 64 |
| ``mainrun/gpt-headlines`` | ``headlines/headlines.txt`` of the data folder | as ``mainrun/gpt`` | same | same |
| ``mainrun/gpt-headlines-full`` | the same file | as ``mainrun/gpt-full`` | same | same |

The generated headlines are a stand-in (:mod:`optibench_benchmarks.training.text.headlines`). A file of real ones is
UTF-8 text with one headline a line.

The default configuration is the plain network; all that the report adds to it is switched on by a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optibench_benchmarks import data
from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.named_tasks import NamedTasks, full
from optibench_benchmarks.training.base import Curve, ReferencePlan, TrainingBenchmark, fidelity_space
from optibench_benchmarks.training.text import text

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        documents: Headlines to train on, to validate and to test with, at most.
        shape: The network's width, layers and heads.
        epochs: The highest fidelity.
        batch_size: Windows in a batch.
        block_size: The fewest and the most tokens in a window, and the default.
        vocabulary: The fewest and the most tokens there are, and the default.
    """

    documents: tuple[int, int, int]
    shape: tuple[int, int, int]
    epochs: int
    batch_size: int
    block_size: tuple[int, int, int]
    vocabulary: tuple[int, int, int]


_SMALL = Size((2_500, 500, 500), (64, 2, 4), 4, 16, (16, 128, 64), (384, 2048, 1024))
_FULL = Size((90_000, 10_000, 10_000), (512, 6, 8), 7, 64, (64, 256, 128), (4_000, 32_000, 16_000))
SIZES = {
    "mainrun/gpt": _SMALL,
    "mainrun/gpt-full": _FULL,
    "mainrun/gpt-headlines": _SMALL,
    "mainrun/gpt-headlines-full": _FULL,
}


def search_space(name: str) -> ConfigurationSpace:
    """The report's options: seven numbers, eight switches, and the average's decay where there is an average."""
    from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer

    size = SIZES[name]
    ema, decay = _switch("ema"), Float("ema_decay", (0.8, 0.995), default=0.95)
    space = ConfigurationSpace(
        name=name,
        space=[
            Float("learning_rate", (1e-4, 3e-2), default=3e-3, log=True),
            Float("weight_decay", (1e-3, 1.0), default=0.1, log=True),
            _switch("decay_groups"),
            Float("dropout", (0.0, 0.3), default=0.1),
            Categorical("schedule", ["cosine", "onecycle"], default="cosine"),
            Float("warmup", (0.02, 0.4), default=0.1),
            Integer("accumulation", (1, 4), default=1),
            Integer("block_size", size.block_size[:2], default=size.block_size[2], log=True),
            Integer("vocab_size", size.vocabulary[:2], default=size.vocabulary[2], log=True),
            Categorical("norm", ["layernorm", "rmsnorm"], default="layernorm"),
            Categorical("feed_forward", ["gelu", "swiglu"], default="gelu"),
            _switch("sdpa"),
            ema,
            decay,
            _switch("amp"),
            Float("token_masking", (0.0, 0.3), default=0.0),
            _switch("sequence_augmentation"),
        ],
    )
    space.add(EqualsCondition(decay, ema, True))
    return space


def _switch(name: str) -> Any:
    from ConfigSpace import Categorical

    return Categorical(name, [False, True], default=False)


def file() -> Path:
    """Where real headlines lie."""
    return data.root() / "headlines" / "headlines.txt"


def _lacks(name: str) -> str | None:
    if "headlines" not in name or file().is_file():
        return None
    return (
        f"The headlines of mainrun/gpt-headlines are not in {file()} and `optibench data fetch` has none: save some "
        f"there, one a line, or point {data.ROOT_VARIABLE} at a folder that has headlines/headlines.txt."
    )


class HeadlineGPT(TrainingBenchmark):
    """One of the four tasks; the text is generated or read by the first evaluation.

    Attributes:
        size: How much is trained.
        source: The text.
    """

    direction = "minimize"
    metrics = MappingProxyType({"test_loss": "minimize", "validation_loss_per_token": "minimize"})
    reference_plan = ReferencePlan(random=31, local=20, finalists=2, repeats=3)

    def __init__(self, name: str) -> None:
        self.name, self.size = name, SIZES[name]
        self.space = search_space(name)
        self.fidelity_space = fidelity_space(epochs=(1, self.size.epochs), data_fraction=(0.1, 1.0))
        self.main_fidelity = "epochs"
        documents = self.size.documents
        real = "headlines" in name
        self.source = (
            text.from_file(file(), "\n", documents) if real else text.generated("generated headlines 1", documents)
        )
        self.data_version = self.source.version

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from optibench_benchmarks.training.mainrun.gpt import train

        return train(
            text.encode(self.source, config["vocab_size"]),
            config,
            seed,
            fidelity,
            shape=self.size.shape,
            batch_size=self.size.batch_size,
            epochs=self.size.epochs,
            curve=Curve("epoch", fidelity["epochs"], self.on_step),
        )


provider = NamedTasks(list(SIZES), HeadlineGPT, lacks=_lacks, unlisted=full(list(SIZES)))
