"""The surrogate's prior: batches of random spaces, functions and histories as seeded torch tensors."""
