"""Constants of the Llama backbone that its own decoder shares."""

from __future__ import annotations

MAX_POSITIONS = 8192
NORM_EPSILON, ROPE_THETA = 1e-6, 10_000.0
