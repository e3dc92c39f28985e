"""Which trials of a long history the surrogates see."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from optiformer.surrogate.history import subsample


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(0, 300), st.integers(4, 64))
def test_long_histories_are_subsampled_to_the_best_some_failures_and_the_rest_by_rank(
    worked: int, broken: int, most: int
) -> None:
    rng = np.random.default_rng(worked)
    failed = rng.permutation(np.arange(worked + broken) < broken)
    scores = np.where(failed, 9.0, rng.random(worked + broken))
    rows = subsample(scores, failed, most)
    assert len(rows) == min(most, worked + broken)
    assert len(set(rows.tolist())) == len(rows)
    assert int(np.argmin(np.where(failed, np.inf, scores))) in rows
    assert (np.diff(rows) > 0).all()


@given(st.integers(130, 400))
@settings(max_examples=10, deadline=None)
def test_a_subsample_has_the_best_and_the_latest_trials(n: int) -> None:
    scores, failed = np.random.default_rng(n).random(n), np.zeros(n, dtype=bool)
    rows = set(subsample(scores, failed, 100).tolist())
    assert set(np.argsort(scores)[:50].tolist()) <= rows
    assert set(range(n - 20, n)) <= rows
    assert rows == set(subsample(scores, failed, 100).tolist())
