"""The trial-set network for inference, on NumPy and SciPy: past trials in, beliefs about candidates out."""
