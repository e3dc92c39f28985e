"""Random expression trees over the unit cube: sin, cos, exp, abs, sqrt, square, negate; +, -, *, protected division.

Trees are nested tuples, evaluated recursively.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNARY: dict[str, Callable[[Array], Array]] = {
    "sin": lambda a: np.sin(3.0 * a),
    "cos": lambda a: np.cos(3.0 * a),
    "exp": lambda a: np.exp(np.clip(a, -20.0, 5.0)),
    "abs": np.abs,
    "sqrt": lambda a: np.sqrt(np.abs(a)),
    "square": np.square,
    "negate": np.negative,
}
BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": lambda a, b: a / np.where(np.abs(b) < 0.1, np.where(b < 0, -0.1, 0.1), b),
}
Tree = tuple[Any, ...]


@dataclass(frozen=True)
class SymbolicFunction:
    """An expression over coordinates ``2 x - 1``.

    Attributes:
        tree: ``("x", i)``, ``("const", c)``, ``(unary, tree)`` or ``(binary, tree, tree)``.
    """

    tree: Tree

    def __call__(self, x: Array) -> Array:
        """Values at points of the unit cube, (N, D) -> (N,)."""
        return np.broadcast_to(_walk(self.tree, 2.0 * x - 1.0), len(x)).astype(np.float64)

    def __str__(self) -> str:
        return _text(self.tree)


def _walk(tree: Tree, x: Array) -> Array:
    head = tree[0]
    if head == "x":
        return np.asarray(x[:, tree[1]])
    if head == "const":
        return np.asarray(tree[1])
    if head in UNARY:
        return UNARY[head](_walk(tree[1], x))
    return BINARY[head](_walk(tree[1], x), _walk(tree[2], x))


def _text(tree: Tree) -> str:
    if tree[0] == "x":
        return f"x{tree[1]}"
    if tree[0] == "const":
        return f"{tree[1]:.3g}"
    if len(tree) == 2:
        return f"{tree[0]}({_text(tree[1])})"
    return f"({_text(tree[1])} {tree[0]} {_text(tree[2])})"


def sample_symbolic(rng: np.random.Generator, dimensions: int) -> SymbolicFunction:
    """Sample an expression whose leaves are mostly distinct coordinates."""
    n_leaves = int(rng.integers(2, 2 * dimensions + 3))
    coordinates = list(rng.permutation(dimensions))

    def leaf() -> Tree:
        if rng.random() < 0.2:
            return ("const", float(rng.normal(0.0, 1.5)))
        index = coordinates.pop() if coordinates else rng.integers(dimensions)
        shifted: Tree = ("-", ("x", int(index)), ("const", float(rng.uniform(-0.9, 0.9))))
        return ("*", shifted, ("const", float(np.exp(rng.normal(0.3, 0.7)))))

    def wrap(tree: Tree, probability: float) -> Tree:
        return (str(rng.choice(list(UNARY))), tree) if rng.random() < probability else tree

    trees = [wrap(leaf(), 0.7) for _ in range(n_leaves)]
    while len(trees) > 1:
        a, b = (trees.pop(int(rng.integers(len(trees)))) for _ in range(2))
        operator = str(rng.choice(list(BINARY), p=[0.4, 0.2, 0.25, 0.15]))
        trees.append(wrap((operator, a, b), 0.4))
    return SymbolicFunction(trees[0])
