"""Texts for language models: origin, split, tokens.

A text is a list of documents (headlines, stories). They are split by document, tokenized by byte-pair encoding trained
on the training documents only, and joined into one stream for each part, with the token :data:`END` after each
document.

A loss is reported in **nats per byte**: the sum of the tokens' cross-entropies over the number of bytes, with one byte
for each document's end. Unlike a loss per token it does not depend on the vocabulary, so vocabularies can be compared.

The tokenizer works on bytes, so every vocabulary can represent every text.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from optibench_benchmarks.base import BenchmarkError
from optibench_benchmarks.data import checksum
from optibench_benchmarks.training.base import split_rows
from optibench_benchmarks.training.text import headlines, stories

END, MASK = 0, 1
"""Tokens that stand for the end of a document and for a word that a model may not see."""
SMALLEST_VOCABULARY = 258
"""All bytes, and the two above."""
GENERATORS: dict[str, Callable[[int, int], list[str]]] = {
    "generated headlines 1": headlines.generate,
    "generated stories 1": stories.generate,
}
"""Stand-ins by data version, which changes whenever their text changes."""
_SEED = 0


@dataclass(frozen=True)
class Source:
    """Documents and how they are split.

    Attributes:
        origin: A name in :data:`GENERATORS`, or the path of a file in UTF-8.
        separator: What ends a document in the file.
        sizes: Maximum numbers of documents for training, validation and test.
        version: Of the text: the generator's, or 12 digits of the file's checksum.
    """

    origin: str
    separator: str
    sizes: tuple[int, int, int]
    version: str


@dataclass(frozen=True)
class Stream:
    """A part's tokens.

    Attributes:
        tokens: Shape ``(n,)``, int64. The first is :data:`END`, so that every other one is a token to predict.
        bytes: How many bytes the tokens stand for, one for each document's end.
    """

    tokens: NDArray[np.int64]
    bytes: int


@dataclass(frozen=True)
class Encoded:
    """A split text as tokens.

    Attributes:
        train, validation, test: The parts.
        vocabulary: Number of different tokens; fewer than requested if the text has no more pairs.
    """

    train: Stream
    validation: Stream
    test: Stream
    vocabulary: int


def generated(version: str, sizes: tuple[int, int, int]) -> Source:
    """A stand-in's source."""
    return Source(version, "\n", sizes, version)


def from_file(path: Path, separator: str, sizes: tuple[int, int, int]) -> Source:
    """A file's source."""
    return Source(str(path), separator, sizes, f"{checksum(path)[:12]}, split 1")


@functools.lru_cache(maxsize=2)
def split(source: Source) -> tuple[list[str], list[str], list[str]]:
    """A text's documents to train on, to validate with and to test with; no document is in two of them.

    Raises:
        BenchmarkError: A file is not UTF-8 text or has too few documents.
    """
    sizes = source.sizes
    if source.origin in GENERATORS:
        documents = GENERATORS[source.origin](sum(sizes), _SEED)
    else:
        documents = _read(Path(source.origin), source.separator)
        if len(documents) < sum(sizes):
            share = len(documents) / sum(sizes)
            sizes = (int(sizes[0] * share), int(sizes[1] * share), int(sizes[2] * share))
        if min(sizes) < 10:
            raise BenchmarkError(
                f"The text in {source.origin} has {len(documents)} different documents, too few to be split: "
                f"put a longer one there, its documents ended by {source.separator!r}."
            )
    parts = split_rows(len(documents), sizes, _SEED)
    train, validation, test = ([documents[row] for row in rows] for rows in parts)
    return train, validation, test


def _read(path: Path, separator: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"The text in {path} cannot be read ({error}); save it as UTF-8.") from None
    documents = (" ".join(document.split()) for document in text.split(separator))
    return list(dict.fromkeys(document for document in documents if document))


@functools.lru_cache(maxsize=8)
def encode(source: Source, vocabulary: int) -> Encoded:
    """Train a tokenizer on the training documents and encode all parts with it.

    Args:
        source: The text.
        vocabulary: How many tokens there may be, at least :data:`SMALLEST_VOCABULARY`.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one thread, and no warning in forked processes
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    parts = split(source)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<end>", "<mask>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(parts[0], trainer)

    def stream(documents: Sequence[str]) -> Stream:
        tokens = [END]
        for document in documents:
            tokens += tokenizer.encode(document, add_special_tokens=False).ids
            tokens.append(END)
        return Stream(np.array(tokens, dtype=np.int64), sum(len(each.encode()) + 1 for each in documents))

    train, validation, test = map(stream, parts)
    return Encoded(train, validation, test, tokenizer.get_vocab_size())
