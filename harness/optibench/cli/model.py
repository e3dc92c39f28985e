"""The commands for OptiFormer: training, and studies of its network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from optibench.cli.command import COUNT, FOLDER, Command, Value, Word, paths


def _configurations(begun: str) -> list[str]:
    """Shipped training configurations, and YAML files."""
    import optiformer

    folder = Path(optiformer.__file__).parent / "configs"
    names = sorted(path.stem for path in folder.rglob("*.yaml"))
    return [name for name in names if name.startswith(begun)] + paths(begun, ends=(".yaml", ".yml"))


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise ValueError(f"a time limit is a positive number of minutes, not {text!r}")
    return minutes


CONFIG = Value("configuration", complete=_configurations)


@click.command(cls=Command)
@click.argument("config", metavar="CONFIG", type=CONFIG)
@click.option("--out", type=FOLDER, metavar="DIR", help="checkpoints, logs and loss curve; default runs/NAME")
@click.option("--data", type=FOLDER, metavar="DIR", help="folder of the trajectories; default OUT/data")
@click.option("--minutes", type=Value("minutes", _minutes), metavar="N", help="limit of the total training time")
@click.option("-j", "--jobs", type=COUNT, default="1", metavar="N", help="processes that generate data; default 1")
def train(config: str, out: Path | None, data: Path | None, minutes: float | None, jobs: int) -> None:
    """Train an OptiFormer; the same --out resumes.

    CONFIG is a YAML file, or the name of a file in model/optiformer/configs/. Missing data is generated. Under torchrun
    it trains on several GPUs.
    """
    from optiformer.training.config import RunConfig

    RunConfig.load(config)  # a mistake is reported before torch is imported
    from optiformer.training.loop import main as train

    print(f"Checkpoint: {train(config, out=out, data=data, minutes=minutes, processes=jobs)}")


@click.command(cls=Command)
@click.argument("configs", nargs=-1, required=True, metavar="CONFIG...", type=CONFIG)
@click.option(
    "--against", type=Word(("parameters", "positions", "minutes")), default="parameters", help="default parameters"
)
@click.option("--out", type=FOLDER, default="runs/scaling", metavar="DIR", help="default runs/scaling")
def scaling(configs: Sequence[str], against: str, out: Path) -> None:
    """Fit a scaling law: held-out loss of trained networks against model size or training budget.

    CONFIGs are training configurations, at least three.
    """
    from optiformer.training.config import RunConfig

    for config in configs:
        RunConfig.load(config)  # a mistake is reported before torch is imported
    from optibench.studies.scaling import measure, write

    print(write(measure(list(configs)), against, out))


@click.command(cls=Command)
@click.argument(
    "spec",
    default="optiformer",
    metavar="SPEC",
    type=Value("file", complete=lambda begun: paths(begun, ends=(".yaml", ".yml"))),
)
@click.option("--seeds", type=COUNT, default="3", metavar="N", help="at least 2; default 3")
@click.option("--out", type=FOLDER, default="runs/variants", metavar="DIR", help="default runs/variants")
def variants(spec: str, seeds: int, out: Path) -> None:
    """Train variants of OptiFormer's network, or of a task's configuration, with the same seeds and compare them.

    SPEC is a YAML file, or the name of a shipped one; default optiformer. The output is a table with intervals and
    paired tests, box plots and training curves; the same --out resumes.
    """
    from optibench.studies.specifications import read
    from optibench.studies.variants import run

    print(run(read(spec), seeds, out, progress=lambda line: print(line, file=sys.stderr, flush=True)))


@click.command(cls=Command)
@click.option("--quick", is_flag=True, help="smaller, in under two minutes")
def smoke(quick: bool) -> int:
    """Check OptiFormer's pipeline end to end, with one line of output per phase."""
    from optiformer.evaluation.smoke import run

    return 0 if run(quick=quick) else 1
