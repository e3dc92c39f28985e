"""Six checks of ``optiformer-seq``, from data to an Optuna study."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from optiformer.evaluation.probes import probe
from optiformer.evaluation.probes import space as probe_space
from optiformer.network_config import PRESETS
from optiformer.sequence.config import AugmentConfig, DataConfig, TeacherShare
from optiformer.sequence.dataset import TrajectoryStore
from optiformer.sequence.network import build_network, count_parameters
from optiformer.sequence.policy import Policy
from optiformer.sequence.prior.problems import PriorConfig, find_flaw
from optiformer.sequence.tokenizer import SPECIAL, ScoreScale, Tokenizer
from optiformer.sequence.trajectories import generate, rejections
from optiformer.space.parameter import Parameter
from optiformer.space.space import Space
from optiformer.space.trial import Trial
from optiformer.training.config import RunConfig, TrainConfig

Steps = list[tuple[str, Callable[[Path], tuple[bool, str]]]]
"""Names and checks, which share a folder and return a verdict and figures."""
#: Minimum relative decrease of the training loss within a hundred steps.
MIN_DECREASE = 0.3
#: Maximum number of steps until the loss is below ln(vocabulary).
MAX_STEPS_TO_BOUND = 5


def steps(quick: bool) -> Steps:
    """The six checks."""
    run = _configuration(quick)
    return [
        ("data", lambda folder: check_data(run, folder)),
        ("tokenizer", lambda folder: check_tokenizer()),
        ("network", lambda folder: check_network(run)),
        ("training", lambda folder: check_training(run, folder)),
        ("probes", lambda folder: check_probes(quick)),
        ("Optuna study", lambda folder: check_study(quick)),
    ]


def _configuration(quick: bool) -> RunConfig:
    steps = 100 if quick else 400
    return RunConfig(
        "smoke",
        data=DataConfig(
            n_trajectories=48,
            shard_size=48,
            seed=1,
            teachers=(TeacherShare("tpe", 0.6, 22), TeacherShare("cmaes", 0.2, 22), TeacherShare("random", 0.2, 22)),
            prior=PriorConfig(gp=0.5, symbolic=0.5, mixed=0.0, dimensions=(1, 2, 3, 4)),
        ),
        # Equal weights give the next-token cross-entropy, which ln(vocabulary) bounds.
        augment=AugmentConfig(frame_weight=1.0, score_weight=1.0, improvement_weight=1.0, max_trials=20),
        network=PRESETS["pico"],
        train=TrainConfig(
            steps=steps, batch_tokens=1024, learning_rate=3e-3, validate_every=steps, validation_batches=1, threads=1
        ),
    )


def check_data(run: RunConfig, folder: Path) -> tuple[bool, str]:
    """About 1,000 trials on smooth and rough functions, none of them degenerate."""
    generate(run.data, folder / "data", processes=0, progress=False)
    store = TrajectoryStore(folder / "data", "train")
    trajectories = [store[i] for i in range(len(store))]
    n_trials = sum(len(t.values) for t in trajectories)
    degenerate = sum(bool(find_flaw(t.truths)) for t in trajectories)
    import pyarrow.parquet as pq

    families = pq.read_table(folder / "data" / "shard-00000.parquet", columns=["family"])["family"].to_pylist()
    smooth, rough = families.count("gp"), families.count("symbolic")
    rejected = sum(rejections(folder / "data").values())
    figures = f"{n_trials} trials, {smooth} smooth and {rough} symbolic functions, {degenerate} degenerate"
    return n_trials >= 900 and degenerate == 0 and min(smooth, rough) > 0, f"{figures}, {rejected} rejected"


def check_tokenizer() -> tuple[bool, str]:
    """Values of every kind round-trip within one bin; special tokens are in place."""
    space = Space(
        (
            Parameter("rate", "float", 1e-5, 1.0, log=True),
            Parameter("share", "float", -2.0, 3.0),
            Parameter("depth", "int", 1, 12),
            Parameter("width", "int", 1, 4096, log=True),
            Parameter("size", "ordinal", choices=(16, 64, 256)),
            Parameter("kind", "categorical", choices=("a", "b", "c")),
        )
    )
    tokenizer, rng = Tokenizer(space), np.random.default_rng(0)
    trials = [Trial({p.name: p.value(float(rng.random())) for p in space.parameters}, float(v)) for v in range(200)]
    scale = ScoreScale.of(np.arange(200.0))
    tokens = tokenizer.encode_history(trials, scale, end=True)
    worst = 0.0
    for trial, back in zip(trials, tokenizer.decode_history(tokens, scale), strict=True):
        for p in space.parameters:
            worst = max(worst, abs(p.position(trial.config[p.name]) - p.position(back.config[p.name])) * 1000)
    vocabulary = tokenizer.vocabulary
    frame = [vocabulary.special("BOS"), vocabulary.target(0), vocabulary.special("TRIAL_SEP")]
    right = tokens[:3].tolist() == frame and tokens[-1] == vocabulary.special("EOS")
    right &= sorted(map(vocabulary.special, SPECIAL)) == list(range(1000, 1000 + len(SPECIAL)))
    figures = f"largest error {worst:.2f} bins over 200 trials, {len(vocabulary)} tokens, special tokens"
    return worst <= 1.0 and right, f"{figures} {'in place' if right else 'misplaced'}"


def check_network(run: RunConfig) -> tuple[bool, str]:
    """Build the network and report its size and memory."""
    network = build_network(run.network, run.vocabulary, seed=0)
    count = count_parameters(network)
    megabytes = sum(p.numel() * p.element_size() for p in network.parameters()) / 2**20
    training = 4 * megabytes  # weights, gradients, two moments
    return count > 0, f"{count:,} parameters, {megabytes:.1f} MiB of weights, {training:.1f} MiB with AdamW's state"


def check_training(run: RunConfig, folder: Path) -> tuple[bool, str]:
    """A short training: the loss soon falls below ln(vocabulary) and keeps decreasing."""
    import json

    from optiformer.training.loop import train

    started = time.monotonic()
    train(run, folder / "data", folder / "run", progress=False)
    seconds = time.monotonic() - started
    lines = (folder / "run" / "log.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if "loss" in entry]
    losses = [entry["loss"] for entry in entries]
    bound = math.log(len(run.vocabulary))
    after = float(np.mean(losses[90:100]))
    fall = 1 - after / losses[0]
    first = next((step for step, loss in enumerate(losses, start=1) if loss < bound), len(losses))
    figures = f"loss {losses[0]:.2f}, below ln(vocabulary) {bound:.2f} from step {first}, "
    figures += f"{after:.2f} after 100 steps (-{fall:.0%})"
    if len(losses) > 100:
        figures += f", {np.mean(losses[-10:]):.2f} after {len(losses)}"
    return first <= MAX_STEPS_TO_BOUND and fall >= MIN_DECREASE, f"{figures}, {seconds / len(losses):.2f} s a step"


def check_probes(quick: bool) -> tuple[bool, str]:
    """Proposals of the shipped network are closer to the best trial than random ones, and diverse."""
    policy = Policy(probe_space())
    found = probe(
        lambda trials, n, rng: policy.suggest(trials, n, rng=rng),
        histories=4 if quick else 12,
        batch=48 if quick else 256,
    )
    figures = f"exploitation: distance to the best {found.exploitation:.2f}x that of chance; "
    figures += f"exploration: spread {found.exploration:.3f} (uniform .289), {found.repeats} repeats"
    return found.exploitation < 0.85 and found.exploration > 0.02 and found.repeats == 0, figures


def check_study(quick: bool) -> tuple[bool, str]:
    """Ten-trial Optuna studies on (x - 2)^2."""
    import optuna

    from optiformer.sampler import OptiFormerSampler
    from optiformer.sequence.network import default_checkpoint

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    bests = []
    try:
        for seed in range(7 if quick else 15):
            study = optuna.create_study(sampler=OptiFormerSampler(default_checkpoint(), seed=seed))
            study.optimize(lambda trial: (trial.suggest_float("x", -10, 10) - 2) ** 2, n_trials=10)
            bests.append(study.best_value)
            if len(study.trials) != 10 or not all(-10 <= t.params["x"] <= 10 for t in study.trials):
                return False, f"seed {seed}: {len(study.trials)} trials, some out of range"
    finally:
        optuna.logging.set_verbosity(verbosity)
    median = float(np.median(bests))
    return median < 1.0, f"median best of {len(bests)} studies {median:.4f} (optimum 0, must be below 1)"
