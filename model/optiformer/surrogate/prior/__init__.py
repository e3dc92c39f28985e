"""The prior of the trial-set model: batches of random spaces and functions, as seeded torch tensors on any device."""
