"""The prior's functions: right kernels, reproducible, picklable, never degenerate, never an evaluation function."""

from __future__ import annotations

import pickle
from collections import Counter

import numpy as np
import pytest
from tests.model.evaluation_functions import EVALUATION_FUNCTIONS, best_shifted_fit

from optiformer.errors import ModelError
from optiformer.sequence.prior.audit import is_separable_bowl
from optiformer.sequence.prior.gp import KERNELS, KernelName, covariance, gpytorch_covariance, sample_gp
from optiformer.sequence.prior.problems import PriorConfig, find_flaw, sample_problem
from optiformer.sequence.prior.symbolic import BINARY, UNARY, SymbolicFunction, sample_symbolic


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_are_gpytorchs(kernel: KernelName) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((40, 4))
    lengthscales = np.array([0.2, 1.3, np.inf, 0.7])
    periods = rng.uniform(0.5, 2.0, 4)
    ours = covariance(kernel, points, points, lengthscales, periods)
    assert np.allclose(ours, gpytorch_covariance(kernel, points, lengthscales, periods), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_gp_sample_has_unit_variance_at_its_anchors_and_passes_through_its_draw(seed: int) -> None:
    samples = [sample_gp(np.random.default_rng([seed, i]), 3, n_anchors=60) for i in range(80)]
    values = np.array([sample(sample.anchors)[0] for sample in samples])
    assert abs(values.mean()) < 0.5
    assert 0.6 < values.std() < 1.5


def test_irrelevant_dimensions_have_no_effect() -> None:
    rng = np.random.default_rng(3)
    sample = next(s for s in (sample_gp(rng, 6) for _ in range(50)) if np.isinf(s.lengthscales).any())
    x = rng.random((10, 6))
    y = np.where(np.isinf(sample.lengthscales), rng.random((10, 6)), x)
    assert np.allclose(sample(x), sample(y))


def test_problems_are_reproducible_picklable_and_vectorised() -> None:
    for seed in range(20):
        problem, again = (sample_problem(np.random.default_rng(seed), PriorConfig()) for _ in range(2))
        x = np.random.default_rng(1).random((30, problem.layout.dimensions))
        values = problem(x)
        assert np.array_equal(values, again(x))
        assert np.array_equal(values, pickle.loads(pickle.dumps(problem))(x))
        assert np.allclose(values, [problem(row[None])[0] for row in x], rtol=1e-9, atol=1e-9)
        assert problem.regret(problem.f_best) == 0
        assert problem.regret(problem.f_ref) == pytest.approx(1)


def test_degenerate_functions_are_rejected_and_counted() -> None:
    x = np.linspace(0, 1, 200)
    assert find_flaw(np.full(200, 3.0)) == "constant"
    assert find_flaw(np.where(x > 0.6, x, 0.0)) == "nearly constant"
    assert find_flaw(np.where(x == 0, 1e6, 0.0)) == "nearly constant"
    assert find_flaw(np.where(x == 0, np.inf, x)) == "not finite"
    assert find_flaw(x) == ""
    rejected: Counter[str] = Counter()
    rng = np.random.default_rng(0)
    config = PriorConfig(gp=0.0, symbolic=1.0, mixed=0.0, dimensions=(1, 2))
    problems = [sample_problem(rng, config, rejected) for _ in range(150)]
    assert {problem.family for problem in problems} == {"symbolic"}
    assert rejected["constant"] + rejected["nearly constant"] > 0
    assert rejected["evaluation function"] > 0


def test_conditional_parameters_matter_only_while_active() -> None:
    config = PriorConfig(discrete=1.0, conditional=1.0, dimensions=(6,))
    rng = np.random.default_rng(5)
    seen = 0
    for _ in range(40):
        problem = sample_problem(rng, config)
        layout = problem.layout
        if (layout.parents < 0).all():
            continue
        x = layout.snap(rng.random((20, 6)))
        active = layout.active(x)
        changed = np.where(active, x, layout.snap(rng.random((20, 6))))
        assert np.array_equal(problem(x), problem(changed))
        seen += int((~active).any())
    assert seen > 10


@pytest.mark.parametrize("operator", [*UNARY, *BINARY])
def test_every_operator_is_finite_on_the_cube(operator: str) -> None:
    x = ("x", 0)
    tree = (operator, x) if operator in UNARY else (operator, ("const", 1.0), x)
    values = SymbolicFunction(tree)(np.linspace(0, 1, 101)[:, None])
    assert np.isfinite(values).all()
    assert values.std() > 0


def test_expressions_read_as_text_and_use_every_operator_sometimes() -> None:
    rng = np.random.default_rng(0)
    texts = " ".join(str(sample_symbolic(rng, 4)) for _ in range(200))
    assert all(f"{name}(" in texts for name in UNARY)
    assert all(f" {name} " in texts for name in BINARY)
    assert str(SymbolicFunction(("+", ("x", 1), ("sin", ("const", 0.5))))) == "(x1 + sin(0.5))"


def test_a_wrong_prior_is_refused() -> None:
    with pytest.raises(ModelError, match="sum to 1"):
        PriorConfig(gp=0.9)


# ------------------------------------------------------------------------------------------------ leakage audit


@pytest.mark.parametrize("name", EVALUATION_FUNCTIONS)
def test_the_audit_finds_a_shifted_and_rescaled_copy(name: str) -> None:
    function, half_width = EVALUATION_FUNCTIONS[name]
    shift = np.array([0.21, -0.34])
    fit = best_shifted_fit(lambda x: 3 - 0.2 * function((2 * x - 1 - shift) * half_width), 2, name, n_shifts=0x400)
    smooth = name not in ("rastrigin", "griewank", "schwefel", "levy")
    assert fit > (0.97 if smooth else 0.5)


def test_the_audit_recognises_bowls_and_only_those() -> None:
    centre = np.array([0.3, 0.8, 0.5])
    assert is_separable_bowl(lambda x: ((x - centre) ** 2).sum(1), 3)
    assert is_separable_bowl(lambda x: 5 - (np.array([1, 40, 3]) * (x - centre) ** 2).sum(1), 3)
    assert not is_separable_bowl(lambda x: x @ np.array([1.0, 2.0, 3.0]), 3)
    assert not is_separable_bowl(lambda x: np.sin(6 * x).sum(1), 3)
    assert not is_separable_bowl(lambda x: ((x[:, 0] - x[:, 1]) * x[:, 2]) ** 2, 3)


def test_no_evaluation_function_nor_its_shifted_copy_is_in_the_prior() -> None:
    rng = np.random.default_rng(2026)
    worst: dict[str, float] = dict.fromkeys(EVALUATION_FUNCTIONS, 0.0)
    for _ in range(60):
        problem = sample_problem(rng, PriorConfig(dimensions=(2, 3, 5)))
        assert not is_separable_bowl(problem.function, problem.layout.dimensions)
        for name in EVALUATION_FUNCTIONS:
            if name == "branin" and problem.layout.dimensions != 2:
                continue
            fit = best_shifted_fit(problem.function, problem.layout.dimensions, name, n_shifts=16)
            worst[name] = max(worst[name], fit)
    assert max(worst.values()) < 0.999, worst
