"""The surrogate: a Llama backbone over a set of trials and a set of candidates.

A token is a past trial (configuration and score) or a candidate (configuration only). All ``position_ids`` are equal,
so the network is invariant to the order of trials. A 4-D mask lets trials attend to trials and a candidate to the
trials and itself. One forward pass predicts a distribution of the transformed score for every candidate. The kernel
heads (:mod:`optiformer.surrogate.network.kernel_heads`) join after ``kernels_after`` layers, and ``variant`` replaces
Llama's layers by those of :mod:`optiformer.surrogate.network.layers`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from optiformer.network_config import NetworkConfig
from optiformer.surrogate.checkpoint import SurrogateCheckpoint, arrays
from optiformer.surrogate.config import SurrogateConfig
from optiformer.surrogate.network.features import SlotKinds, candidate_features, trial_features
from optiformer.surrogate.network.kernel_heads import KernelHeads, by_relevance
from optiformer.surrogate.network.layers import hide, vary
from optiformer.surrogate.network.prediction import Prediction

MASKED = -1e9
#: Standard deviation of initial weights; at Llama's .02 a narrow network starts nearly linear, its attention uniform.
SPREAD = 0.05
#: With W_k = W_q attention starts as a similarity kernel; this factor sets its width.
SHARPNESS = 1.8


class SurrogateNetwork(torch.nn.Module):
    """Predicts candidates' scores from trials.

    Args:
        encoding: Settings of the encoding.
        config: Shape of the backbone; ``tie_query_key`` initializes every head with W_k = W_q.
    """

    def __init__(self, encoding: SurrogateConfig, config: NetworkConfig) -> None:
        from transformers import LlamaConfig, LlamaModel

        super().__init__()
        self.embed = torch.nn.Linear(encoding.width, config.hidden_size)
        backbone: Any = LlamaModel(
            LlamaConfig(
                vocab_size=1,
                **config.llama(),
                initializer_range=SPREAD,
                pad_token_id=None,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        backbone.set_input_embeddings(torch.nn.Identity())  # tokens are vectors: there is no vocabulary
        backbone.set_attn_implementation("sdpa")
        self.backbone = backbone
        self.encoding = encoding
        self.kernels = KernelHeads(encoding, config.hidden_size) if encoding.kernels_after else None
        self.head = torch.nn.Linear(config.hidden_size, encoding.bins)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()
            if encoding.variant.other_layers:  # last, so that unchanged parts keep their initial weights
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
        """Predict the candidates' scores.

        Args:
            kinds: Types of the slots.
            trials: Past trials in [0, 1], (B, n, S).
            trials_active: Which parameters they have, (B, n, S).
            score: Their transformed scores, (B, n).
            failed: Which failed, (B, n).
            candidates: Candidates in [0, 1], (B, q, S).
            candidates_active: Which parameters they have, (B, q, S).

        Returns:
            One mixture per candidate, (B, q, ...).
        """
        n, q = trials.shape[1], candidates.shape[1]
        order = None
        if self.encoding.sorted:
            order = by_relevance(kinds, trials, trials_active, score, ~failed)
        observed = trial_features(
            self.encoding, kinds.of(order), _columns(trials, order), _columns(trials_active, order), score, failed
        )
        queried = candidate_features(
            self.encoding, kinds.of(order), _columns(candidates, order), _columns(candidates_active, order), n
        )
        variant = self.encoding.variant
        if self.training and variant.masking:
            observed = hide(observed, self.encoding.slots, self.encoding.slot_width, variant.masking)
        hidden = self.embed(torch.cat([observed, queried], 1))
        mask = attention_mask(n, q, hidden.device).to(hidden.dtype).expand(len(hidden), -1, -1, -1)
        places = torch.zeros(1, n + q, dtype=torch.long, device=hidden.device)
        rotations = self.backbone.rotary_emb(hidden, places)
        mean = deviation = None
        for index, layer in enumerate(self.backbone.layers):
            if self.kernels is not None and index == self.encoding.kernels_after:
                gp, loo_features = self.kernels.solve(kinds, trials, trials_active, score, failed, hidden[:, :n], order)
                mean, deviation = self.kernels.posterior(gp, kinds, candidates, candidates_active)
                posteriors = torch.cat([loo_features, self.kernels.posterior_features(gp, mean, deviation)], 1)
                hidden = hidden + self.kernels.inject(posteriors)
            hidden = (
                layer(hidden, n, mask)
                if variant.other_layers
                else layer(hidden, attention_mask=mask, position_ids=places, position_embeddings=rotations)
            )
        hidden = self.backbone.norm(hidden[:, n:])
        logits = self.head(hidden)
        if self.kernels is None or mean is None or deviation is None:
            return Prediction(logits)
        return self.kernels.mixture(hidden, logits, mean, deviation)


def _columns(matrix: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Columns of (B, m, S), reordered by (B, S) indices."""
    return matrix if order is None else matrix.gather(2, order[:, None].expand(-1, matrix.shape[1], -1))


def attention_mask(n_trials: int, n_candidates: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Additive mask, (1, 1, n + q, n + q): every token attends to the trials, a candidate also to itself."""
    total = n_trials + n_candidates
    seen = torch.eye(total, dtype=torch.bool, device=device)
    seen[:, :n_trials] = True
    return torch.zeros(total, total, device=device).masked_fill_(~seen, MASKED)[None, None]


def build(encoding: SurrogateConfig, config: NetworkConfig, *, seed: int | None = None) -> SurrogateNetwork:
    """A network with initial weights.

    Args:
        encoding: Settings of the encoding.
        config: Shape of the backbone.
        seed: Seed of the initial weights; ``None`` uses torch's global random state.
    """
    if seed is not None:
        torch.manual_seed(seed)
    return SurrogateNetwork(encoding, config)


def untrained(checkpoint: SurrogateCheckpoint) -> SurrogateCheckpoint:
    """The same network with initial weights, of seed 0: a control."""
    with torch.random.fork_rng():
        network = build(checkpoint.encoding, checkpoint.config, seed=0)
    return replace(checkpoint, weights=arrays(network.state_dict()))
