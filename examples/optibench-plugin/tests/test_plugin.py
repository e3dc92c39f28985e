"""The conformance suites of optibench on what this package registers."""

from optibench_benchmarks.conformance import BenchmarkConformance
from optibench_optimizers.conformance.suite import OptimizerConformance


class TestHillClimber(OptimizerConformance):
    spec = "hill-climber"


class TestBoldHillClimber(OptimizerConformance):
    spec = "hill-climber:stdev=0.8"


class TestBits(BenchmarkConformance):
    name = "bits/20"


class TestOneBit(BenchmarkConformance):
    name = "bits/1"
