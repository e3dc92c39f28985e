"""Tasks that really train: every evaluation fits a model and scores it on held-out data.

| names | what is trained | data |
|---|---|---|
| ``mnist/mlp-10k``, ``mnist/mlp`` | a multilayer perceptron | MNIST's IDX files, fetched |
| ``digits/mlp`` | the same network | scikit-learn's digits, shipped |

All are :class:`~benchmarks.training.base.TrainingBenchmark`: a value is a validation metric at the last step, test data
is scored and reported in ``info`` and never optimized, ``curve`` has the metrics by step, ``seed`` drives everything
random but the split, and the same seed on one thread gives the same value to the last bit.

Importing this package or building a task imports neither torch nor scikit-learn; the first evaluation does.
"""
