"""Tasks that really train: every evaluation fits a model and scores it on held-out data.

| names | what is trained | data |
|---|---|---|
| ``mnist/mlp-10k``, ``mnist/mlp`` | a multilayer perceptron | MNIST's IDX files, fetched |
| ``digits/mlp`` | the same network | scikit-learn's digits, shipped |
| ``hpobench/ml/<model>/<data set>`` | HPOBench's six kinds of models | scikit-learn's, shipped; OpenML's, fetched |
| ``moe-router`` | a predictor of a mixture of experts' routing | generated; real traces from Parquet |
| ``cifar/cnn`` | a small convolutional network | CIFAR-10, fetched |
| ``mainrun/gpt`` | a small GPT | generated headlines; real ones from a file |
| ``attention/<framework>-<variant>`` | language models that differ in attention | generated stories; TinyStories |

All are :class:`~optibench_benchmarks.training.base.TrainingBenchmark`: a value is a validation metric at the last step,
test data is scored and reported in ``info`` and never optimized, ``curve`` has the metrics by step, ``seed`` drives
everything random but the split, and the same seed on one thread gives the same value to the last bit.

Importing this package or building a task imports neither torch nor scikit-learn; the first evaluation does.
"""
