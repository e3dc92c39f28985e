"""What could be other in OptiFormer's network or its training: train each at equal budget and compare by seed.

``optibench variants`` reads a specification, a shipped one by name or a YAML file:

    base: set-kernels                 # a configuration of model/optiformer/configs/
    settings: {train: {steps: 150}}   # of all, over the base's
    control: as shipped               # a name for the base itself
    variants:                         # settings over these, each by itself
      LayerNorm: {trialset: {variant: {norm: layernorm}}}

A variant has the control's seed, so that they start with the same weights where they have the same, learn from the same
batches and are judged by the same held-out functions. What is trained is kept in the output folder: the same command
goes on where it was stopped, and more seeds are trained beside those that are there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.studies.scaling import held_out
from optibench.yaml_file import by_name, read_yaml

if TYPE_CHECKING:
    import pandas as pd

    from optiformer.training.config import RunConfig

FOLDER = Path(__file__).parent / "networks"


class Specification(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file says: a configuration with some settings, what it is called, and what each variant changes."""

    base: str
    settings: Mapping[str, Any]
    control: str
    variants: Annotated[Mapping[str, Mapping[str, Any]], Meta(min_length=1)]


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        control: The name of what the others are compared with.
        runs: Training configurations by name, the control first.
    """

    control: str
    runs: Mapping[str, RunConfig]


def read(spec: str) -> Comparison:
    """Read a specification.

    Raises:
        HarnessError: It is not there or malformed, or the variants have unequal budgets or held-out functions.
    """
    from optiformer.errors import ModelError
    from optiformer.training.config import RunConfig
    from optiformer.training.encodings import NEED_DATA

    source = read_yaml(spec, "specification", Specification.__struct_fields__, by_name(FOLDER))
    path, content = source.path, source.decode(Specification)
    control, names = content.control, list(content.variants)
    if len({control, *names}) <= len(names):
        raise HarnessError(f"{path}: `variants` have names that differ, and from {control!r} too.")
    try:
        base = _changed(RunConfig.load(content.base), content.settings, f"{path}: settings")
        runs = {control: replace(base, name=control)}
        for name, settings in content.variants.items():
            runs[name] = _changed(base, {**settings, "name": name}, f"{path}: {name}")
    except ModelError as error:
        raise HarnessError(str(error)) from error
    if base.encoding in NEED_DATA:
        raise HarnessError(f"{path}: `base` has the encoding {base.encoding}, which needs data: give one of trialset.")
    for name, run in runs.items():
        if _judged(run) != _judged(base):
            raise HarnessError(
                f"{path}: {name!r} is judged by other functions than {control!r}: keep the prior and seed."
            )
        if _budget(run) != _budget(base):
            raise HarnessError(
                f"{path}: {name!r} is trained on {_budget(run):,} positions and {control!r} on {_budget(base):,}: give "
                "them the same steps x accumulation x batch_tokens."
            )
    return Comparison(control, runs)


def _changed(run: RunConfig, settings: Mapping[str, Any], where: str) -> RunConfig:
    """A configuration with some settings changed, nested ones by themselves."""
    from optiformer.settings import build
    from optiformer.training.config import RunConfig

    return build(RunConfig, _over(asdict(run), settings), where)


def _over(content: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(content)
    for name, value in settings.items():
        inner = found.get(name)
        found[name] = _over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found


def _judged(run: RunConfig) -> list[Any]:
    return held_out(json.loads(json.dumps(asdict(run))))


def _budget(run: RunConfig) -> int:
    """Positions that a run is trained on, about."""
    return run.train.steps * run.train.accumulation * run.train.batch_tokens


def train(
    compared: Comparison, seeds: int, out: Path, *, progress: Callable[[str], None] = lambda line: None
) -> pd.DataFrame:
    """Train every variant with the same seeds: the base's and those after it, all variants of one before the next.

    Args:
        compared: From :func:`read`.
        seeds: How many, at least two.
        out: Where runs are kept, in ``trained``.
        progress: Told of each training.

    Returns:
        One row for each validation: ``variant``, ``seed``, ``epoch`` (the training steps so far), ``value`` (nats a
        candidate), ``error``, ``parameters``; a training that failed has one row, without a value.

    Raises:
        HarnessError: There are too few seeds, or the folder cannot be written.
    """
    import pandas as pd

    if seeds < 2:
        raise HarnessError(f"A comparison needs at least 2 seeds, not {seeds}.")
    rows: list[dict[str, Any]] = []
    try:
        for number in range(seeds):
            for name, run in compared.runs.items():
                seed = run.train.seed + number
                found = _one(replace(run, train=replace(run.train, seed=seed)), out / "trained")
                rows += [{"variant": name, "seed": seed, **row} for row in found]
                last = found[-1]
                progress(f"{name}, seed {seed}: {last['error'] or format(last['value'], '.4f')}")
    except OSError as error:
        raise HarnessError(f"Cannot write to {out}: {error.strerror}; choose another --out.") from error
    return pd.DataFrame(rows)


def _one(run: RunConfig, folder: Path) -> list[dict[str, Any]]:
    """One training's validations, by ascending step."""
    from optiformer.errors import ModelError
    from optiformer.files import CONFIG
    from optiformer.training.loop import train as fit

    out = folder / run.digest()
    try:
        best = fit(run, folder, out, progress=False)
    except ModelError as error:
        return [{"epoch": 0, "value": float("nan"), "error": str(error), "parameters": 0}]
    parameters = json.loads((best / CONFIG).read_text())["info"]["parameters"]
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = {entry["step"]: entry["validation_loss"] for entry in entries if "validation_loss" in entry}
    return [
        {"epoch": step, "value": losses[step], "error": "", "parameters": parameters}
        for step in sorted(losses)
        if step % run.train.validate_every == 0 or step == run.train.steps
    ]


def write(trained: pd.DataFrame, compared: Comparison, out: Path) -> str:
    """Write the comparison (see :func:`optibench_reports.studies.variants.write`); returns its Markdown with a sentence
    on the budget.

    Raises:
        ReportError: The control has no trainings.
        HarnessError: The folder cannot be written.
    """
    from optibench_reports.format.text import plural
    from optibench_reports.studies.variants import write as write_report

    run = compared.runs[compared.control]
    sizes = trained.loc[trained["parameters"] > 0, "parameters"]
    budget = (
        f"Networks of {sizes.min():,} to {sizes.max():,} parameters, {plural(run.train.steps, 'step')} of about "
        f"{run.train.accumulation * run.train.batch_tokens:,} positions each, or as many positions in other steps."
    )
    try:
        text = write_report(trained, out, control=compared.control, unit="nats a candidate", step="step", note=budget)
    except OSError as error:
        raise HarnessError(f"Cannot write to {out}: {error.strerror}; choose another --out.") from error
    return text
