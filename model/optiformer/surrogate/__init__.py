"""The surrogate for inference, on NumPy and SciPy: past trials in, predictions for candidates out."""
