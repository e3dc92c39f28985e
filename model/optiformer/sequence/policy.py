"""The sequence policy: samples configurations token by token, with invalid values masked, given past trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from optiformer.errors import ModelError
from optiformer.sequence.config import MAX_TEMPERATURE, SamplingConfig
from optiformer.sequence.decoder import Cache
from optiformer.sequence.network import Checkpoint, default_checkpoint, load
from optiformer.sequence.tokenizer import ScoreScale, Tokenizer
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import BEST_SHARE, FAILED_SHARE, Trial

Config = dict[str, Any]
REPEATS = 4
#: Maximum exploration probability per parameter.
MAX_EXPLORATION = 0.1
UNTOUCHED = SamplingConfig()


class Policy:
    """Proposes configurations of a space.

    Args:
        space: The search space. Parameters beyond the vocabulary's names are sampled uniformly.
        checkpoint: A loaded checkpoint, its folder, or ``None`` for the one shipped with the package.
        sampling: Overrides the checkpoint's sampling settings.
        rerank: Number of samples per proposal, of which the one with the largest predicted expected improvement is
            proposed (Chen et al., 2022, section 5.3); 0 for none.
        device: Device of the network if the checkpoint is loaded here.
    """

    def __init__(
        self,
        space: Space,
        checkpoint: Checkpoint | str | Path | None = None,
        *,
        sampling: SamplingConfig | None = None,
        rerank: int = 0,
        device: str = "cpu",
    ) -> None:
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load(default_checkpoint() if checkpoint is None else checkpoint, device=device)
        if checkpoint.encoding != "seq":
            raise ModelError(f"A policy needs a checkpoint of the encoding seq; this one's is {checkpoint.encoding!r}.")
        if rerank < 0:
            raise ModelError(f"Policy: rerank counts samples, 0 or more; not {rerank}.")
        self.space = space
        self.rerank = rerank
        self.sampling = sampling or checkpoint.sampling
        self.tokenizer = Tokenizer(space, checkpoint.vocabulary, overflow=True)
        self.decoder = checkpoint.decoder
        self._valid = {
            p.name: torch.from_numpy(self.tokenizer.valid_tokens(p)).to(self.decoder.device)
            for p in self.tokenizer.parameters
        }

    def suggest(
        self,
        trials: Sequence[Trial],
        n: int = 1,
        *,
        rng: np.random.Generator,
        pending: Sequence[Mapping[str, Any]] = (),
    ) -> list[Config]:
        """Propose ``n`` configurations, distinct from each other and from past ones if possible.

        Args:
            trials: All past trials, in any order.
            n: Number of proposals; they share one encoding of the history.
            rng: Random generator.
            pending: Configurations being evaluated: they are avoided, and encoded with the median value.

        Raises:
            ModelError: A past configuration has a value outside its range.
        """
        finite = [t for t in trials if t.value is not None and np.isfinite(t.value)]
        if len(finite) < self.sampling.n_startup or not self.tokenizer.parameters:
            return [self.uniform(rng) for _ in range(n)]
        seen = {self._key(config) for config in (*(t.config for t in trials), *pending)}
        context = self._encode(trials, pending)
        cache = self.decoder.empty()
        self.decoder.advance(context, cache)
        proposals: list[Config] = []
        for attempt in range(REPEATS + 1):
            # After repeats the temperature rises, since the policy is certain of past configurations.
            temperature_factor = 1.0 + attempt / 2
            for config in self._propose(n - len(proposals), cache, rng, temperature_factor):
                key = self._key(config)
                if key not in seen or attempt == REPEATS:
                    seen.add(key)
                    proposals.append(config)
            if len(proposals) == n:
                break
        return proposals

    def uniform(self, rng: np.random.Generator) -> Config:
        """A uniform random configuration."""
        config: Config = {}
        for parameter in self.space.parameters:
            if self.space.is_active(parameter, config):
                config[parameter.name] = parameter.value(float(rng.random()))
        return config

    def _key(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        encode = self.tokenizer.encode_value
        return tuple(encode(p, config[p.name]) if p.name in config else -1 for p in self.tokenizer.parameters)

    def _encode(self, trials: Sequence[Trial], pending: Sequence[Mapping[str, Any]] = ()) -> torch.Tensor:
        """The context, worst trial first, and the separator of the next trial; (1, L).

        Pending configurations, at most half of the context, have the median value (a constant liar; Ginsbourger et al.,
        2010).
        """
        budget = self.sampling.max_tokens // self.tokenizer.trial_length - 1
        values = np.array([np.nan if t.value is None or not np.isfinite(t.value) else t.value for t in trials])
        scale = ScoreScale.of(values, self.sampling.margin)
        limit = max(1, min(self.sampling.context_trials, budget))
        median = float(np.nanmedian(values))
        lies = [Trial(dict(config), median) for config in reversed(pending)][: limit // 2]
        rows = select_context(values, limit - len(lies))
        place = int((~(values[rows] <= median)).sum())
        context = [trials[i] for i in rows]
        tokens = self.tokenizer.encode_history([*context[:place], *lies, *context[place:]], scale)
        tokens = np.append(tokens, self.tokenizer.vocabulary.special("TRIAL_SEP"))
        return torch.from_numpy(tokens)[None].to(self.decoder.device)

    def _propose(self, n: int, context: Cache, rng: np.random.Generator, temperature_factor: float) -> list[Config]:
        """``n`` samples, or the best of every ``rerank``."""
        k = self.rerank or 1
        configs, values = self._sample(n * k, context, rng, temperature_factor)
        best = values.reshape(n, k).argmax(axis=1)
        return [configs[i * k + int(j)] for i, j in enumerate(best)]

    def _sample(
        self, n: int, context: Cache, rng: np.random.Generator, temperature_factor: float
    ) -> tuple[list[Config], NDArray[np.float64]]:
        """Sample ``n`` configurations, with their expected improvements, (n,), if there is a ``rerank``."""
        vocabulary = self.tokenizer.vocabulary
        cache = context.expand(n)
        configs: list[Config] = [{} for _ in range(n)]
        new_tokens: list[NDArray[np.int64]] = []
        slots = dict(zip((p.name for p in self.tokenizer.parameters), self.tokenizer.slots, strict=True))
        for parameter in self.space.parameters:
            active = np.array([self.space.is_active(parameter, config) for config in configs])
            if parameter.name not in slots:
                for row in np.flatnonzero(active):
                    position = 0.5 if parameter.n_levels == 1 else float(rng.random())
                    configs[row][parameter.name] = parameter.value(position)
                continue
            tokens = np.full(n, vocabulary.special("INACTIVE"))
            new_tokens.append(np.full(n, vocabulary.name(slots[parameter.name])))
            if active.any():
                stacked = torch.from_numpy(np.stack(new_tokens, axis=1)).to(self.decoder.device)
                hidden = self.decoder.advance(stacked, cache)
                chosen = self._choose(parameter, hidden, rng, temperature_factor)
                new_tokens = []
                for row in np.flatnonzero(active):
                    value = self.tokenizer.decode_value(parameter, int(chosen[row]))
                    configs[row][parameter.name] = value
                    tokens[row] = self.tokenizer.encode_value(parameter, value)  # a discrete value's own bin
            new_tokens.append(tokens)
        if not self.rerank:
            return configs, np.zeros(n)
        new_tokens.append(np.full(n, vocabulary.special("SCORE")))
        hidden = self.decoder.advance(torch.from_numpy(np.stack(new_tokens, axis=1)).to(self.decoder.device), cache)
        return configs, self._expected_improvement(hidden)

    def _expected_improvement(self, hidden: torch.Tensor) -> NDArray[np.float64]:
        """Expected improvement over the best trial in units of the distance from target to median, (B,)."""
        n_bins = self.tokenizer.vocabulary.n_bins
        bins = torch.arange(n_bins, device=self.decoder.device)
        probabilities = token_probabilities(self.decoder.logits(hidden, bins).double().cpu().numpy(), UNTOUCHED)
        unit = ScoreScale(0.0, 1.0)  # the target at 0, the median at 1
        values = unit.value((np.arange(n_bins) + 0.5) / n_bins)
        best = self.sampling.margin / (1 + self.sampling.margin)
        return np.asarray(probabilities @ np.maximum(best - values, 0.0))

    def _choose(
        self, parameter: Parameter, hidden: torch.Tensor, rng: np.random.Generator, temperature_factor: float
    ) -> NDArray[np.int64]:
        """A token per row."""
        valid = self._valid[parameter.name]
        logits = self.decoder.logits(hidden, valid).double().cpu().numpy()
        temperature = min(
            max(self.sampling.temperature, 0.2 * (temperature_factor > 1)) * temperature_factor, MAX_TEMPERATURE
        )
        share = min(self.sampling.exploration / len(self.tokenizer.parameters), MAX_EXPLORATION)
        index = choose(logits, replace(self.sampling, temperature=temperature), rng.random(len(logits)), share)
        return np.asarray(valid.cpu().numpy()[index])


def choose(
    logits: NDArray[np.float64], sampling: SamplingConfig, uniforms: NDArray[np.float64], uniform_share: float = 0.0
) -> NDArray[np.int64]:
    """Sample an index per row, (B, V) -> (B,), by inverting the cumulative distribution at ``uniforms``, (B,)."""
    cumulative = token_probabilities(logits, sampling, uniform_share).cumsum(axis=1)
    cumulative /= cumulative[:, -1:]
    return np.asarray((cumulative <= uniforms[:, None]).sum(axis=1).clip(max=logits.shape[1] - 1))


def token_probabilities(
    logits: NDArray[np.float64], sampling: SamplingConfig, uniform_share: float = 0.0
) -> NDArray[np.float64]:
    """Probabilities after temperature, top-k and top-p, mixed with a uniform share, (B, V)."""
    if sampling.temperature == 0:
        probabilities = np.asarray(logits == logits.max(axis=1, keepdims=True), dtype=np.float64)
        probabilities = probabilities * (probabilities.cumsum(axis=1) <= 1)  # ties go to the first
    else:
        probabilities = np.exp((logits - logits.max(axis=1, keepdims=True)) / sampling.temperature)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if sampling.top_k or sampling.top_p < 1:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        ranked = np.take_along_axis(probabilities, order, axis=1)
        keep = ranked.cumsum(axis=1) - ranked < sampling.top_p
        if sampling.top_k:
            keep[:, sampling.top_k :] = False
        np.put_along_axis(probabilities, order, np.where(keep, ranked, 0.0), axis=1)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return np.asarray((1 - uniform_share) * probabilities + uniform_share / logits.shape[1])


def select_context(values: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Trials of the context, worst first: the best, and the others evenly by rank.

    Args:
        values: Values to minimize, NaN for failed trials; shape (N,).
        limit: Maximum number of trials.

    Returns:
        Indices: a few failed trials (the latest), then the others from worst to best.
    """
    failed = np.flatnonzero(np.isnan(values))
    good = np.flatnonzero(~np.isnan(values))
    failed = failed[len(failed) - min(len(failed), int(FAILED_SHARE * limit)) :]
    limit -= len(failed)
    ranked = good[np.argsort(values[good], kind="stable")]
    if len(ranked) > limit:
        n_best = max(1, round(BEST_SHARE * limit))
        others = np.linspace(n_best, len(ranked) - 1, limit - n_best).round().astype(np.int64)
        ranked = np.concatenate([ranked[:n_best], ranked[others]])
    return np.concatenate([failed, ranked[::-1]])
