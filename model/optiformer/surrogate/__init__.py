"""The surrogate for inference, on NumPy and SciPy: past trials in, beliefs about candidates out."""
