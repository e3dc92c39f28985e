"""The training of an attention task. Imports torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from optibench_benchmarks.base import Config, Evaluation
from optibench_benchmarks.training.attention.network import Mix, Transformer
from optibench_benchmarks.training.base import Curve
from optibench_benchmarks.training.network import fit, reproducible, updates
from optibench_benchmarks.training.text.language import Windows, clip_and_schedule, nats_per_byte, schedule
from optibench_benchmarks.training.text.text import Encoded


def train(
    text: Encoded,
    mix: Mix,
    config: Config,
    seed: int,
    fidelity: Mapping[str, float],
    *,
    shape: tuple[int, int, int],
    length: int,
    epochs: int,
    curve: Curve,
) -> Evaluation:
    """Train with AdamW, a linear warmup and a cosine; give the validation loss after the last epoch, in nats per byte.

    Args:
        text: The tokens.
        mix: The attention's.
        config: The parameters of the search space.
        seed: Of initialization and shuffling.
        fidelity: ``epochs`` and ``data_fraction``.
        shape: The network's width, layers and heads.
        length: Tokens in a window.
        epochs: Over which the schedule runs, whatever the fidelity: a short training is the beginning of a long one.
        curve: Records every epoch.

    Raises:
        DivergedError: The loss or an attention's output is no longer finite.
        AttentionError: The attention breaks its contract.
    """
    with reproducible(seed):
        tokens = torch.from_numpy(text.train.tokens)
        windows = Windows(tokens[: 1 + max(1, round(fidelity["data_fraction"] * (len(tokens) - 1)))], length)
        network = Transformer(text.vocabulary, *shape, mix)
        rate, batch_size = config["learning_rate"], config["batch_size"]
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=config["weight_decay"])
        steps = epochs * updates(windows.rows, batch_size)
        rates = schedule(optimizer, "cosine", steps=steps, warmup=config["warmup"], highest=rate)
        clip_and_schedule(network, optimizer, rates)

        def loss(rows: Tensor) -> Tensor:
            inputs, targets = windows(rows)
            return nn.functional.cross_entropy(network(inputs).flatten(0, 1), targets.flatten())

        def measure() -> Mapping[str, float]:
            return {"validation_loss": nats_per_byte(network, text.validation, length)}

        fit(network, optimizer, loss, measure, curve, rows=windows.rows, batch_size=batch_size)
        with torch.inference_mode():
            test_loss = nats_per_byte(network, text.test, length)
    info = {
        "test_loss": test_loss,
        "parameters": sum(weights.numel() for weights in network.parameters()),
    }
    return Evaluation(curve.last("validation_loss"), info=info, curve=curve.columns)
