from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _room_for_smacs_trees() -> Iterator[None]:
    """SMAC clears room for 2**20 leaves in every tree, a second per forest; here one leaf per row.

    The forest is the same. SMAC itself does not do this, so the adapter must not either.
    """
    from smac.model.random_forest import RandomForest

    train = RandomForest._train

    def trained(self: Any, X: np.ndarray, y: np.ndarray) -> Any:
        self._rf_opts["max_leaf_nodes"] = max(2, len(X))
        return train(self, X, y)

    patch = pytest.MonkeyPatch()
    patch.setattr(RandomForest, "_train", trained)
    yield
    patch.undo()
