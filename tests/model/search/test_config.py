"""The settings of the search."""

from __future__ import annotations

import pytest

from optiformer.errors import ModelError
from optiformer.search.config import PRESETS, with_settings


def test_presets_are_ordered_by_effort_and_wrong_settings_refused() -> None:
    efforts = [
        (p.uniform + p.local + p.refinements * p.refined) / (1 + 100 * p.batch_fraction) for p in PRESETS.values()
    ]
    assert efforts == sorted(efforts)
    assert list(PRESETS) == ["fast", "default", "thorough"]
    with pytest.raises(ModelError, match="there is fast, default, thorough"):
        with_settings("slow")
    with pytest.raises(ModelError, match="Setting 'temperature' must be a number above 0"):
        with_settings("fast", temperature=0.0)
    with pytest.raises(ModelError, match="Unknown acquisition"):
        with_settings("fast", acquisition="ucb")
    with pytest.raises(ModelError, match="'batch_fraction' must be a number from 0 to 1, not 3"):
        with_settings("fast", batch_fraction=3)
