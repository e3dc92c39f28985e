"""The surrogate: a Llama backbone over a set of trials and a set of candidates.

One position is one past trial (configuration and score together) or one candidate (configuration only). All
``position_ids`` are equal, so positions carry no order; a 4-D mask lets trials see trials and lets a candidate see the
trials and itself. One forward pass gives a distribution of the squashed score for every candidate. After
``kernels_after`` layers, :mod:`optiformer.surrogate.network.kernel_heads` join, if the encoding has them. ``variant``
puts other layers (:mod:`optiformer.surrogate.network.layers`) in Llama's place.
"""

from __future__ import annotations

from typing import Any

import torch

from optiformer.network_config import NetworkConfig
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.features import SlotKinds, candidate_features, trial_features
from optiformer.surrogate.network.kernel_heads import KernelHeads, most_telling_first
from optiformer.surrogate.network.layers import hide, vary
from optiformer.surrogate.network.prediction import Prediction

MASKED = -1e9
NORM_EPSILON = 1e-6
#: Standard deviation of fresh weights. With Llama's .02 a narrow network starts nearly linear, its attention uniform.
SPREAD = 0.05
#: A tied head starts as a similarity kernel; this sets how local it is.
SHARPNESS = 1.8


class SurrogateNetwork(torch.nn.Module):
    """Trials and candidates in, logits of the candidates' scores out.

    Args:
        encoding: The encoding.
        config: The backbone's shape; ``tie_query_key`` starts every head with W_k = W_q.
    """

    def __init__(self, encoding: SurrogateConfig, config: NetworkConfig) -> None:
        from transformers import LlamaConfig, LlamaModel

        super().__init__()
        self.embed = torch.nn.Linear(encoding.width, config.hidden_size)
        backbone: Any = LlamaModel(
            LlamaConfig(
                vocab_size=1,
                hidden_size=config.hidden_size,
                num_hidden_layers=config.n_layers,
                num_attention_heads=config.n_heads,
                num_key_value_heads=config.n_heads,
                intermediate_size=config.intermediate_size,
                rms_norm_eps=NORM_EPSILON,
                initializer_range=SPREAD,
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        backbone.set_input_embeddings(torch.nn.Identity())  # positions come as vectors: there is no vocabulary
        backbone.set_attn_implementation("sdpa")
        self.backbone = backbone
        self.encoding = encoding
        self.kernels = KernelHeads(encoding, config.hidden_size) if encoding.kernels_after else None
        self.head = torch.nn.Linear(config.hidden_size, encoding.bins)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()
            if encoding.variant.other_layers:  # last, so that what stays starts with the same weights
                vary(backbone, encoding.variant, SPREAD)
            if config.tie_query_key:
                for layer in backbone.layers:
                    layer.self_attn.q_proj.weight.mul_(SHARPNESS)
                    layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)

    def forward(
        self,
        kinds: SlotKinds,
        trials: torch.Tensor,
        trials_active: torch.Tensor,
        score: torch.Tensor,
        failed: torch.Tensor,
        candidates: torch.Tensor,
        candidates_active: torch.Tensor,
    ) -> Prediction:
        """The candidates' predicted scores.

        Args:
            kinds: The slots' kinds.
            trials: Positions of past trials, (B, n, S); see
                :func:`optiformer.surrogate.network.features.trial_features`.
            trials_active: Which parameters they have, (B, n, S).
            score: Their squashed scores, (B, n).
            failed: Which failed, (B, n).
            candidates: Positions of candidates, (B, q, S).
            candidates_active: Which parameters they have, (B, q, S).

        Returns:
            A mixture for every candidate, (B, q, ...).
        """
        n, q = trials.shape[1], candidates.shape[1]
        order = None
        if self.encoding.sorted:
            order = most_telling_first(kinds, trials, trials_active, score, ~failed)
        told = trial_features(
            self.encoding, kinds.of(order), _columns(trials, order), _columns(trials_active, order), score, failed
        )
        asked = candidate_features(
            self.encoding, kinds.of(order), _columns(candidates, order), _columns(candidates_active, order), n
        )
        variant = self.encoding.variant
        if self.training and variant.masking:
            told = hide(told, self.encoding.slots, self.encoding.slot_width, variant.masking)
        hidden = self.embed(torch.cat([told, asked], 1))
        mask = attention_mask(n, q, hidden.device).to(hidden.dtype).expand(len(hidden), -1, -1, -1)
        places = torch.zeros(1, n + q, dtype=torch.long, device=hidden.device)
        turns = self.backbone.rotary_emb(hidden, places)
        mean = deviation = None
        for index, layer in enumerate(self.backbone.layers):
            if self.kernels is not None and index == self.encoding.kernels_after:
                solved, left_out = self.kernels.solve(kinds, trials, trials_active, score, failed, hidden[:, :n], order)
                mean, deviation = self.kernels.posterior(solved, kinds, candidates, candidates_active)
                posteriors = torch.cat([left_out, self.kernels.features(solved, mean, deviation)], 1)
                hidden = hidden + self.kernels.inject(posteriors)
            hidden = (
                layer(hidden, n, mask)
                if variant.other_layers
                else layer(hidden, attention_mask=mask, position_ids=places, position_embeddings=turns)
            )
        hidden = self.backbone.norm(hidden[:, n:])
        logits = self.head(hidden)
        if self.kernels is None or mean is None or deviation is None:
            return Prediction(logits)
        return self.kernels.mixture(hidden, logits, mean, deviation)


def _columns(matrix: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Columns of (B, m, S) in another order, (B, S)."""
    return matrix if order is None else matrix.gather(2, order[:, None].expand(-1, matrix.shape[1], -1))


def attention_mask(n_trials: int, n_candidates: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The additive mask, (1, 1, n + q, n + q): everyone sees the trials, a candidate also itself, and nothing else."""
    total = n_trials + n_candidates
    seen = torch.eye(total, dtype=torch.bool, device=device)
    seen[:, :n_trials] = True
    return torch.zeros(total, total, device=device).masked_fill_(~seen, MASKED)[None, None]


def build(encoding: SurrogateConfig, config: NetworkConfig, *, seed: int | None = None) -> SurrogateNetwork:
    """A fresh network.

    Args:
        encoding: The encoding.
        config: The backbone's shape.
        seed: Seeds the initial weights; torch's global state as it is if ``None``.
    """
    if seed is not None:
        torch.manual_seed(seed)
    return SurrogateNetwork(encoding, config)
