"""Gaussian processes on NumPy and SciPy: kernels, posteriors, MAP fits, expected improvement, failures.

Nothing here imports a network; :mod:`optiformer.surrogate` passes in the lengthscales that one predicts.
"""
