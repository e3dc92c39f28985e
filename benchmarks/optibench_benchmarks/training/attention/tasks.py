"""Language models on children's stories that differ in their attention: ``attention/<framework>-<variant>``.

Frameworks are ``coefficient-dynamics``, ``test-time-regression`` and ``matrix-mixer``, variants ``standard`` and
``evolvable``; all six have the same number of parameters. The value is the validation loss after the last epoch in
nats per byte (:mod:`optibench_benchmarks.training.text.text`), to be minimized.

| suffix | stories | to train on / validate / test | network | tokens, window | epochs |
|---|---|---|---|---|---|
| none | generated | 240 / 60 / 60 | 2 layers of 64, 4 heads | 512, 64 | 5 |
| ``-full`` | generated | 20,000 / 2,000 / 2,000 | 6 layers of 256, 8 heads | 4,096, 256 | 5 |
| ``-tinystories`` | ``tinystories/stories.txt`` of the data folder | as without | the same | the same | the same |
| ``-tinystories-full`` | the same file | as ``-full`` | the same | the same | the same |

The generated stories are a stand-in (:mod:`optibench_benchmarks.training.text.stories`). TinyStories' own file is UTF-8
text whose stories are ended by ``<|endoftext|>``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from optibench_benchmarks import data
from optibench_benchmarks.base import Config, Evaluation, MissingDataError
from optibench_benchmarks.named_tasks import NamedTasks, full
from optibench_benchmarks.training.base import Curve, ReferencePlan, TrainingBenchmark, fidelity_space
from optibench_benchmarks.training.text import text

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

    from optibench_benchmarks.training.attention.network import Mix

FRAMEWORKS = ("coefficient-dynamics", "test-time-regression", "matrix-mixer")
VARIANTS = ("standard", "evolvable")
_SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Attributes:
        documents: Stories to train on, to validate and to test with, at most.
        shape: The network's width, layers and heads.
        vocabulary: How many tokens there are at most.
        length: Tokens in a window.
        epochs: The highest fidelity.
    """

    documents: tuple[int, int, int]
    shape: tuple[int, int, int]
    vocabulary: int
    length: int
    epochs: int


_SMALL = Size((240, 60, 60), (64, 2, 4), 512, 64, 5)
_FULL = Size((20_000, 2_000, 2_000), (256, 6, 8), 4_096, 256, 5)
SIZES = {"": _SMALL, "-full": _FULL, "-tinystories": _SMALL, "-tinystories-full": _FULL}
NAMES = {
    f"attention/{framework}-{variant}{suffix}": (framework, variant, suffix)
    for suffix in SIZES
    for framework in FRAMEWORKS
    for variant in VARIANTS
}
"""Every task: its framework, its variant and its suffix."""


def search_space(name: str) -> ConfigurationSpace:
    """Four parameters of the training: none changes the network."""
    from ConfigSpace import ConfigurationSpace, Float, Integer

    return ConfigurationSpace(
        name=name,
        space=[
            Float("learning_rate", (1e-4, 3e-2), default=3e-3, log=True),
            Float("warmup", (0.0, 0.4), default=0.1),
            Float("weight_decay", (1e-3, 1.0), default=0.1, log=True),
            Integer("batch_size", (4, 64), default=16, log=True),
        ],
    )


def file() -> Path:
    """Where TinyStories lies."""
    return data.root() / "tinystories" / "stories.txt"


def source(suffix: str) -> text.Source:
    """The stories of a suffix.

    Raises:
        MissingDataError: They are TinyStories' and not here.
    """
    documents = SIZES[suffix].documents
    if "tinystories" not in suffix:
        return text.generated("generated stories 1", documents)
    if reason := _lacks(suffix):
        raise MissingDataError(reason)
    return text.from_file(file(), _SEPARATOR, documents)


def _lacks(name: str) -> str | None:
    if "tinystories" not in name or file().is_file():
        return None
    return (
        f"TinyStories is not in {file()} and `optibench data fetch` has no address for it: save one of its text files "
        f"there, or point {data.ROOT_VARIABLE} at a folder that has tinystories/stories.txt."
    )


class AttentionLM(TrainingBenchmark):
    """One of the tasks; the text is generated or read by the first evaluation.

    Attributes:
        framework, variant: Its attention.
        mix: Another attention in its place, if there is one.
        size: How much is trained.
        source: The text.
    """

    direction = "minimize"
    metrics = MappingProxyType({"test_loss": "minimize"})
    mix: Mix | None = None
    reference_plan = ReferencePlan(random=25, local=12, finalists=2, repeats=3)

    def __init__(self, name: str) -> None:
        self.name = name
        self.framework, self.variant, suffix = NAMES[name]
        self.size, self.source = SIZES[suffix], source(suffix)
        self.space = search_space(name)
        self.fidelity_space = fidelity_space(epochs=(1, self.size.epochs), data_fraction=(0.1, 1.0))
        self.main_fidelity = "epochs"
        self.data_version = self.source.version

    def train(self, config: Config, seed: int, fidelity: Mapping[str, Any]) -> Evaluation:
        from optibench_benchmarks.training.attention.network import shipped
        from optibench_benchmarks.training.attention.training import train

        return train(
            text.encode(self.source, self.size.vocabulary),
            self.mix or shipped(self.framework, self.variant),
            config,
            seed,
            fidelity,
            shape=self.size.shape,
            length=self.size.length,
            epochs=self.size.epochs,
            curve=Curve("epoch", fidelity["epochs"], self.on_step),
        )


provider = NamedTasks(list(NAMES), AttentionLM, lacks=_lacks, unlisted=full(list(NAMES)))
