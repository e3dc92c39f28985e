"""Constants of the Llama backbone that its own decoder shares."""

from __future__ import annotations

MAX_POSITIONS = 8192
ROPE_THETA = 10_000.0
