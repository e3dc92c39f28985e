"""A third-party package for tests: optimizers and benchmarks that misbehave, found through entry points.

Written into a folder that goes onto ``PYTHONPATH``, metadata and all, so that worker processes find it too.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

ENTRY_POINTS = """
[optibench.optimizers]
bad-ask = misbehaving:BAD_ASK
bad-tell = misbehaving:BAD_TELL
bad-setup = misbehaving:BAD_SETUP
illegal = misbehaving:ILLEGAL
forgetful = misbehaving:FORGETFUL
[optibench.benchmarks]
misbehaving = misbehaving:FAMILY
"""

CODE = '''
import math, os, time
from pathlib import Path
from ConfigSpace import ConfigurationSpace, Float
from benchmarks import Benchmark, Evaluation, Family, Reference
from optimizers import Entry, Optimizer, Suggestion
from optimizers.random_search import RandomSearch


class BadAsk(RandomSearch):
    def ask(self, n=1):
        raise RuntimeError("no idea")


class BadTell(RandomSearch):
    def tell(self, observations):
        raise RuntimeError("not listening")


class BadSetup(RandomSearch):
    def __init__(self, space, *, seed, n_trials):
        raise RuntimeError("no such file")


class Illegal(RandomSearch):
    def ask(self, n=1):
        return [Suggestion({"x": 7.0})] * n


class Forgetful(RandomSearch):
    """Another random stream in every process: cannot be replayed."""

    def __init__(self, space, *, seed, n_trials):
        super().__init__(space, seed=int.from_bytes(os.urandom(3), "big"), n_trials=n_trials)


def entry(name, cls):
    return Entry(name=name, summary=name, target=f"misbehaving:{cls}", capabilities=RandomSearch.capabilities)


BAD_ASK, BAD_TELL, BAD_SETUP = entry("bad-ask", "BadAsk"), entry("bad-tell", "BadTell"), entry("bad-setup", "BadSetup")
ILLEGAL, FORGETFUL = entry("illegal", "Illegal"), entry("forgetful", "Forgetful")


class Misbehaving(Benchmark):
    """sphere in one dimension, with a habit: raise | nan | inf | die | sleep | log."""

    reference = Reference(f_best=0.0, f_ref=0.25, f_worst=1.0, source="analytic")

    def __init__(self, name):
        self.name, self.habit = name, name.rpartition("/")[2]
        self.space = ConfigurationSpace({"x": Float("x", (-1.0, 1.0))})

    def evaluate(self, config, *, seed, fidelity=None):
        x = config["x"]
        if self.habit == "raise" and x < 0:
            raise ValueError("x is negative")
        if self.habit in ("nan", "inf") and x < 0:
            return Evaluation(getattr(math, self.habit))
        if self.habit == "die" and x < -0.5:
            os.kill(os.getpid(), 9)
        if self.habit == "sleep":
            time.sleep(0.02)
        if "EVALUATION_LOG" in os.environ:
            with open(os.environ["EVALUATION_LOG"], "a") as log:
                log.write(f"{x!r}\\n")
        return Evaluation(x * x)


class Provider:
    habits = ("raise", "nan", "inf", "die", "sleep", "log")

    def names(self):
        return [f"misbehaving/{habit}" for habit in self.habits]

    def create(self, name):
        return Misbehaving(name)

    def missing(self):
        return None


provider = Provider()
FAMILY = Family("misbehaving", "for tests", "misbehaving:provider")
'''


def install(folder: Path) -> Path:
    """Write the package and its metadata; returns the folder for ``PYTHONPATH``."""
    metadata = folder / "misbehaving-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: misbehaving\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "misbehaving.py").write_text(textwrap.dedent(CODE))
    return folder
