"""The training loop of all tasks that use torch. Imports torch; import it inside an evaluation only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import Evaluation
from optibench_benchmarks.training.base import Curve, DivergedError


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch and limit it to one thread inside; restore both afterwards.

    Sums over several threads are rounded in a random order; on one thread the same seed gives the same bits.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def fit(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    measure: Callable[[], Mapping[str, float]],
    curve: Curve,
    *,
    rows: int,
    batch_size: int,
    accumulate: int = 1,
) -> None:
    """Train for ``curve.total`` epochs, recording ``train_loss`` and what ``measure`` says after each.

    Args:
        network: The network; in training mode during training, in evaluation mode during ``measure``.
        optimizer: Over its parameters.
        loss: The mean loss of a batch, given the rows' indices, shape ``(batch,)``.
        measure: Metrics of the network as it is; called without gradients.
        curve: Where the metrics go.
        rows: How many rows there are to train on; shuffled each epoch.
        batch_size: Rows in a batch. A last batch of a single row is left out, because it cannot be normalised.
        accumulate: Batches whose gradients are averaged for one update; at an epoch's end there may be fewer.

    Raises:
        DivergedError: A batch's loss is not finite.
    """
    for epoch in range(1, curve.total + 1):
        network.train()
        total = 0.0
        batches = _batches(torch.randperm(rows), batch_size)
        for group in range(0, len(batches), accumulate):
            together = batches[group : group + accumulate]
            optimizer.zero_grad(set_to_none=True)
            for batch in together:
                found = loss(batch)
                value = found.item()
                if not math.isfinite(value):
                    raise DivergedError(f"The training diverged: its loss became {value} in epoch {epoch}.")
                (found / len(together)).backward()  # type: ignore[no-untyped-call]
                total += value
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            curve.add(epoch, {"train_loss": total / len(batches), **measure()})


def fit_classifier(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor], Tensor],
    parts: Mapping[str, tuple[Tensor, Tensor]],
    curve: Curve,
    *,
    rows: int,
    batch_size: int,
    scored: int,
) -> Evaluation:
    """:func:`fit` a classifier; its value is the validation accuracy after the last epoch.

    Args:
        network, optimizer, loss, curve, rows, batch_size: See :func:`fit`.
        parts: Inputs and classes of the splits ``validation`` and ``test``.
        scored: Rows scored at once.

    Raises:
        DivergedError: A batch's loss is not finite.
    """

    def score(part: str) -> tuple[float, float]:
        x, y = parts[part]
        return classification(torch.cat([network(piece) for piece in portions(x, scored)]), y)

    def measure() -> Mapping[str, float]:
        accuracy, cross_entropy = score("validation")
        return {"validation_loss": cross_entropy, "validation_accuracy": accuracy}

    fit(network, optimizer, loss, measure, curve, rows=rows, batch_size=batch_size)
    with torch.inference_mode():
        test_accuracy, _ = score("test")
    info = {
        "test_accuracy": test_accuracy,
        "validation_loss": curve.last("validation_loss"),
        "parameters": sum(weights.numel() for weights in network.parameters()),
    }
    return Evaluation(curve.last("validation_accuracy"), info=info, curve=curve.columns)


def updates(rows: int, batch_size: int, accumulate: int = 1) -> int:
    """How often :func:`fit` updates the weights in an epoch."""
    return math.ceil(len(_batches(torch.arange(rows), batch_size)) / accumulate)


def _batches(rows: Tensor, size: int) -> list[Tensor]:
    return [batch for batch in portions(rows, size) if len(batch) > 1 or len(rows) == 1]


def portions(rows: Tensor, size: int) -> list[Tensor]:
    """A tensor's rows in pieces of ``size``; the last one may be smaller."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def classification(logits: Tensor, targets: Tensor) -> tuple[float, float]:
    """Accuracy and mean cross-entropy.

    Args:
        logits: Shape ``(n, classes)``.
        targets: The classes' indices, shape ``(n,)``.
    """
    accuracy = (logits.argmax(dim=1) == targets).double().mean().item()
    return accuracy, nn.functional.cross_entropy(logits, targets).item()
