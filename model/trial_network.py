"""The trial-set network: a Llama backbone over a set of trials and a set of candidates.

One position is one past trial (configuration and score together) or one candidate (configuration only). All
``position_ids`` are equal, so positions carry no order; a 4-D mask lets trials see trials and lets a candidate see the
trials and itself. One forward pass gives a distribution of the squashed score for every candidate.
"""

from __future__ import annotations

from typing import Any

import torch

from model.config import NetworkConfig
from model.trial_config import TrialSetConfig

MASKED = -1e9
NORM_EPSILON = 1e-6
#: Standard deviation of fresh weights. With Llama's .02 a narrow network starts nearly linear, its attention uniform.
SPREAD = 0.05
#: A tied head starts as a similarity kernel; this sets how local it is.
SHARPNESS = 1.8


class TrialSetNetwork(torch.nn.Module):
    """Trials and candidates in, logits of the candidates' scores out.

    Args:
        encoding: The encoding.
        config: The backbone's shape; ``tie_query_key`` starts every head with W_k = W_q.
    """

    def __init__(self, encoding: TrialSetConfig, config: NetworkConfig) -> None:
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
        self.head = torch.nn.Linear(config.hidden_size, encoding.bins)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()
            if config.tie_query_key:
                for layer in backbone.layers:
                    layer.self_attn.q_proj.weight.mul_(SHARPNESS)
                    layer.self_attn.k_proj.weight.copy_(layer.self_attn.q_proj.weight)

    def forward(self, trials: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
        """Logits of the candidates' scores.

        Args:
            trials: (B, n, width), from :func:`model.trial_features.trial_features`.
            candidates: (B, q, width), from :func:`model.trial_features.candidate_features`.

        Returns:
            (B, q, bins).
        """
        n = trials.shape[1]
        embedded = self.embed(torch.cat([trials, candidates], 1))
        mask = attention_mask(n, candidates.shape[1], embedded.device).to(embedded.dtype)
        places = torch.zeros(1, embedded.shape[1], dtype=torch.long, device=embedded.device)
        hidden = self.backbone(
            inputs_embeds=embedded,
            attention_mask=mask.expand(len(embedded), -1, -1, -1),
            position_ids=places,
            use_cache=False,
        ).last_hidden_state
        logits: torch.Tensor = self.head(hidden[:, n:])
        return logits


def attention_mask(n_trials: int, n_candidates: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """The additive mask, (1, 1, n + q, n + q): everyone sees the trials, a candidate also itself, and nothing else."""
    total = n_trials + n_candidates
    seen = torch.eye(total, dtype=torch.bool, device=device)
    seen[:, :n_trials] = True
    return torch.zeros(total, total, device=device).masked_fill_(~seen, MASKED)[None, None]


def build(encoding: TrialSetConfig, config: NetworkConfig, *, seed: int | None = None) -> TrialSetNetwork:
    """A fresh network.

    Args:
        encoding: The encoding.
        config: The backbone's shape.
        seed: Seeds the initial weights; torch's global state as it is if ``None``.
    """
    if seed is not None:
        torch.manual_seed(seed)
    return TrialSetNetwork(encoding, config)
