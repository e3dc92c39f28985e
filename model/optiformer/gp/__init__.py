"""Gaussian processes of past scores, on NumPy and SciPy: kernels, posteriors, fits, expected improvement.

They know no network: :mod:`optiformer.surrogate` tells them which lengthscales to expect.
"""
