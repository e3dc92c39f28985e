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
stubborn = misbehaving:STUBBORN
hang-setup = misbehaving:HANG_SETUP
hang-ask = misbehaving:HANG_ASK
hang-tell = misbehaving:HANG_TELL
crash-ask = misbehaving:CRASH_ASK
watchful = misbehaving:WATCHFUL
odd-types = misbehaving:ODD_TYPES
[optibench.benchmarks]
misbehaving = misbehaving:FAMILY
"""

CODE = '''
import ctypes, dataclasses, itertools, math, multiprocessing, os, signal, time
from pathlib import Path
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from optibench_benchmarks import Benchmark, Evaluation, Family, Reference
from optibench_optimizers import Entry, Optimizer, Suggestion
from optibench_optimizers.adapters.random_search import RandomSearch


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


class Stubborn(Forgetful):
    """The same, and says so."""

    capabilities = dataclasses.replace(RandomSearch.capabilities, replay=False)


def hang():
    """A loop in C that answers no signal."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    sum(itertools.repeat(0))


def crash():
    ctypes.string_at(0)


class HangSetup(RandomSearch):
    def __init__(self, space, *, seed, n_trials):
        hang()


class Counting(RandomSearch):
    told = 0

    def tell(self, observations):
        self.told += len(observations)


class HangAsk(Counting):
    def ask(self, n=1):
        if self.told == 6:
            hang()
        return super().ask(n)


class HangTell(Counting):
    def tell(self, observations):
        super().tell(observations)
        if self.told == 6:
            hang()


class CrashAsk(Counting):
    def ask(self, n=1):
        if self.told == 6:
            crash()
        return super().ask(n)


class OddTypes(RandomSearch):
    """Proposes what is no suggestion, another kind each time."""

    def ask(self, n=1):
        config = super().ask(n)[0].config
        self.asked = getattr(self, "asked", -1) + 1
        odd = [[dict(config)], None, [Suggestion(None)], [Suggestion({"x": {0.5}})], [None]]
        return odd[self.asked % len(odd)]


class Watchful(RandomSearch):
    """Fails where a process that an objective left behind is gone."""

    def ask(self, n=1):
        for pid in os.listdir(os.environ["SURVIVORS"]):
            os.kill(int(pid), 0)
        return super().ask(n)


def entry(name, cls, capabilities=RandomSearch.capabilities):
    return Entry(name=name, summary=name, target=f"misbehaving:{cls}", capabilities=capabilities)


STUBBORN = entry("stubborn", "Stubborn", Stubborn.capabilities)
HANG_SETUP, HANG_ASK = entry("hang-setup", "HangSetup"), entry("hang-ask", "HangAsk")
WATCHFUL, ODD_TYPES = entry("watchful", "Watchful"), entry("odd-types", "OddTypes")
HANG_TELL, CRASH_ASK = entry("hang-tell", "HangTell"), entry("crash-ask", "CrashAsk")
BAD_ASK, BAD_TELL, BAD_SETUP = entry("bad-ask", "BadAsk"), entry("bad-tell", "BadTell"), entry("bad-setup", "BadSetup")
ILLEGAL, FORGETFUL = entry("illegal", "Illegal"), entry("forgetful", "Forgetful")


class Misbehaving(Benchmark):
    """sphere in one dimension, with a habit."""

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
        if self.habit == "die-once" and x < -0.5 and first(self.name, seed):
            os.kill(os.getpid(), 9)
        if self.habit == "exit" and x < -0.5:
            os._exit(3)
        if self.habit == "crash" and x < -0.5:
            crash()
        if self.habit == "hang" and x < -0.5:
            hang()
        if self.habit == "hog" and x < -0.5:
            kept = b"x" * 300_000_000
            time.sleep(60)
        if self.habit.startswith("fork") and x < -0.5:
            leave_a_survivor(self.habit)
        if self.habit == "daemon" and x < -0.5 and first(self.name):
            leave_a_survivor(self.habit)
        if self.habit == "sleep":
            time.sleep(0.02)
        if "EVALUATION_LOG" in os.environ:
            with open(os.environ["EVALUATION_LOG"], "a") as log:
                log.write(f"{x!r}\\n")
        return Evaluation(x * x)


def survive(write):
    """What a child does: says who it is, and lives on with all that it inherited."""
    if "SURVIVORS" in os.environ:
        (Path(os.environ["SURVIVORS"]) / str(os.getpid())).touch()
    os.write(write, b"!")
    time.sleep(300)
    os._exit(0)


def leave_a_survivor(habit):
    """Start a process as the habit says, wait until it says who it is, and crash, hang or (a daemon) go on."""
    read, write = os.pipe()
    if habit == "fork-multiprocessing":
        multiprocessing.get_context("fork").Process(target=survive, args=(write,)).start()
    elif os.fork() == 0:
        if habit in ("fork-session", "daemon"):
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
        survive(write)
    os.read(read, 1)
    if habit == "fork-hang":
        hang()
    if habit != "daemon":
        crash()


def first(*words):
    """Whether this is asked for the first time, of any process; never without a folder to note it in."""
    if "ONCE" not in os.environ:
        return False
    try:
        (Path(os.environ["ONCE"]) / "-".join(map(str, words)).replace("/", "-")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Conditional(Benchmark):
    """A conditional space of four parameters; kills its worker once, in the 13th trial."""

    name = "misbehaving/conditional"
    reference = Reference(f_best=0.0, f_ref=0.25, f_worst=1.0, source="analytic")

    def __init__(self):
        kind, depth = Categorical("kind", ["a", "b", "c"]), Integer("depth", (1, 9))
        self.space = ConfigurationSpace()
        self.space.add(Float("x", (-1.0, 1.0)), Float("rate", (1e-5, 1.0), log=True), kind, depth)
        self.space.add(EqualsCondition(depth, kind, "b"))
        self.fidelity_space = ConfigurationSpace({"epochs": Integer("epochs", (1, 9), default=9)})

    def evaluate(self, config, *, seed, fidelity=None):
        from optibench.plan.cells import derived_seed

        index = (seed - derived_seed("evaluation", self.name, 0)) % 2**31  # the grid has one seed
        if index == 12 and first(self.name, *sorted(config.items())):
            os.kill(os.getpid(), 9)
        cut = 1 / (fidelity or {}).get("epochs", 9)
        return Evaluation(config["x"] ** 2 + config["rate"] + 0.1 * config.get("depth", 3) + len(config["kind"]) + cut)


class Provider:
    habits = ("raise", "nan", "inf", "die", "die-once", "exit", "crash", "hang", "hog", "sleep", "log",
              "fork", "fork-session", "fork-multiprocessing", "fork-hang", "daemon")

    def names(self):
        return [f"misbehaving/{habit}" for habit in (*self.habits, "conditional")]

    def create(self, name):
        return Conditional() if name == Conditional.name else Misbehaving(name)

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
