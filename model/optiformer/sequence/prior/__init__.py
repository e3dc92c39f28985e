"""The functions that OptiFormer trains on: seeded, picklable, vectorised, and none of them an evaluation function."""
