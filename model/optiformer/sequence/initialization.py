"""Initial weights in which three attention heads copy a parameter's earlier values.

A Llama learns such heads itself (one attends to the previous token, others match names), but only after tens of
millions of tokens, more than two CPU cores process in an hour. :func:`start_copying` sets these heads and the
embeddings and leaves other weights random; all weights are trained. The residual stream is divided into blocks of one
head's width: a constant and the numbers, the names, the previous token's name, and the rest.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from optiformer.sequence.tokenizer import Vocabulary

if TYPE_CHECKING:
    import torch

N_FREQUENCIES = 24
#: Norm of an initial embedding (128 coordinates of standard deviation .02), and of its constant part.
NORM, CONSTANT = 0.225, 0.2


def start_copying(network: Any, vocabulary: Vocabulary) -> None:
    """Overwrite the embeddings, one head of the first layer and two of the second, in place."""
    import torch

    config = network.config
    width = config.hidden_size // config.num_attention_heads
    with torch.no_grad():
        _embed(network.model.embed_tokens.weight, vocabulary, width)
        first, second = (layer.self_attn for layer in network.model.layers[:2])
        frequencies = config.rope_parameters["rope_theta"] ** (-torch.arange(width // 2) / (width // 2))
        _look_at_previous_token(first, width, frequencies)
        for head, recency in ((0, 0.12), (1, 0.03)):
            _match_names(second, head, width, recency)


def smooth_embeddings(n_bins: int, width: int) -> torch.Tensor:
    """Number embeddings whose similarity decreases smoothly with distance, (n_bins, width).

    Random mixtures of cosines ``cos(pi k v)`` with amplitudes falling as ``1 / (1 + k / 4)``, scaled to :data:`NORM`.
    """
    import torch

    positions = (torch.arange(n_bins) + 0.5) / n_bins
    k = torch.arange(1, N_FREQUENCIES + 1)
    features = torch.cos(math.pi * k * positions[:, None]) / (1 + k / 4)
    mixing = torch.linalg.qr(torch.randn(max(width, N_FREQUENCIES), max(width, N_FREQUENCIES)))[0]
    table = features @ mixing[:N_FREQUENCIES, :width]
    return torch.as_tensor(NORM * table / table.norm(dim=1).mean())


def _embed(table: torch.Tensor, vocabulary: Vocabulary, width: int) -> None:
    import torch

    table.mul_(0.1)  # a little of everything everywhere
    table[:, 0] = CONSTANT
    table[: vocabulary.n_bins, 1:width] += smooth_embeddings(vocabulary.n_bins, width - 1)
    names = torch.randn(len(vocabulary.names), width)
    first = vocabulary.name(0)
    table[first : first + len(names), width : 2 * width] += NORM * names / names.norm(dim=1, keepdim=True)
    choices = torch.randn(vocabulary.n_categories, width - 1)
    table[vocabulary.category(0) :, 1:width] += NORM * choices / choices.norm(dim=1, keepdim=True)
    specials = torch.randn(first - vocabulary.n_bins, table.shape[1] - 3 * width)
    table[vocabulary.n_bins : first, 3 * width :] += NORM * specials / specials.norm(dim=1, keepdim=True)


def _look_at_previous_token(attention: Any, width: int, frequencies: torch.Tensor) -> None:
    """Head 0: the score ``sum_i cos(theta_i (distance - 1))`` peaks one token back; copies names to their block."""
    import torch

    half, head = width // 2, slice(0, width)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[head] = 0.0
    sharp = min(6, half)
    attention.q_proj.weight[:sharp, 0] = 0.9
    attention.k_proj.weight[:sharp, 0] = 0.9 * torch.cos(frequencies[:sharp])
    attention.k_proj.weight[half : half + sharp, 0] = 0.9 * torch.sin(frequencies[:sharp])
    attention.v_proj.weight[head, width : 2 * width] = torch.eye(width)
    attention.o_proj.weight[:, head] = 0.0
    attention.o_proj.weight[2 * width : 3 * width, head] = 0.024 * torch.eye(width)


def _match_names(attention: Any, head: int, width: int, recency: float) -> None:
    """A name attends to values that follow the same name, preferably recent ones, and copies them."""
    import torch

    half, start = width // 2, head * width
    rows = slice(start, start + width)
    for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
        projection.weight[rows] = 0.0
    slow = [start + i for i in range(half - 6, half)] + [start + i for i in range(width - 6, width)]
    code = torch.linalg.qr(torch.randn(width, len(slow)))[0].T
    attention.q_proj.weight[slow, width : 2 * width] = 1.4 * code
    attention.k_proj.weight[slow, 2 * width : 3 * width] = 1.4 * code
    middle = slice(start + half - 11, start + half - 8)
    attention.q_proj.weight[middle, 0] = math.sqrt(recency)
    attention.k_proj.weight[middle, 0] = math.sqrt(recency)
    attention.v_proj.weight[rows, :width] = torch.eye(width)
    attention.v_proj.weight[start, 0] = 0.0
    attention.o_proj.weight[:, rows] = 0.0
    attention.o_proj.weight[:width, rows] = 0.05 * torch.eye(width)
