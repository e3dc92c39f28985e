"""The prior of the surrogate: batches of random spaces and functions, as seeded torch tensors on any device."""
