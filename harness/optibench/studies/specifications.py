"""Specifications of variants to train and compare: of OptiFormer's network, or of a task that trains.

    base: optiformer-trunk            # a configuration of model/optiformer/configs/
    settings: {train: {steps: 150}}   # for all, override the base's
    control: as shipped               # a name for the base itself
    variants:                         # each overrides these settings
      LayerNorm: {surrogate: {variant: {norm: layernorm}}}

Networks have the same budget and are validated on the same held-out functions. The control's seed is the first one:
variants start with the same weights where shapes agree, and learn from the same batches.

    task: moe-router
    baseline: {learning_rate: 0.001}  # the control's; other parameters have the space's defaults
    control: untuned
    variants:                         # each changes the baseline
      wide: {units_1: 512}
      best found: reference           # the complete configuration behind the frozen reference
      metrics: [test_top2]              # of Evaluation.info, one table each
      fidelity: {epochs: 2}             # default: the highest
    first_seed: 2_000_000
    value: validation Top-2           # names of the value and of a step in the report
    step: epoch
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from optibench.errors import HarnessError
from optibench.studies.scaling import held_out
from optibench.studies.variants import Fit, Study, fit_network, fit_task
from optibench.yaml_file import Source, by_name, read_yaml
from optibench_reports.studies.variants import Measured

if TYPE_CHECKING:
    from optibench_benchmarks import Benchmark
    from optiformer.training.config import RunConfig

FOLDER = Path(__file__).parent / "specifications"


class OfNetworks(msgspec.Struct, frozen=True):
    """A base configuration with settings, the control's name, and the changes of each variant."""

    base: str
    control: str
    variants: Annotated[Mapping[str, Mapping[str, Any]], Meta(min_length=1)]
    settings: Mapping[str, Any] = {}


class OfTask(msgspec.Struct, frozen=True):
    """A task, its baseline, the control's name, the changes of each variant, and what is reported."""

    task: str
    control: str
    variants: Annotated[Mapping[str, Mapping[str, Any] | Literal["reference"]], Meta(min_length=1)]
    baseline: Mapping[str, Any] = {}
    metrics: tuple[str, ...] = ()
    fidelity: Mapping[str, Any] | None = None
    first_seed: Annotated[int, Meta(ge=0, lt=2**31)] = 3_000_000  # above the seeds of reference searches
    value: str = "value"
    step: str = "epoch"


def read(spec: str) -> Study:
    """Read a specification from a file, or a shipped one by name.

    Raises:
        HarnessError: It is missing, malformed or not a fair comparison; the message gives the line.
    """
    fields = dict.fromkeys((*OfTask.__struct_fields__, *OfNetworks.__struct_fields__))
    source = read_yaml(spec, "specification", fields, by_name(FOLDER))
    if not {"task", "base"} & set(source.values):
        raise HarnessError(f"{source.path}: give `task`, a task that trains, or `base`, a network's configuration.")
    kind: type[OfTask | OfNetworks] = OfTask if "task" in source.values else OfNetworks
    source.refuse_unknown(kind.__struct_fields__)
    content = source.decode(kind)
    if content.control in content.variants:
        raise HarnessError(f"{source.where('control')}: `variants` need names other than {content.control!r}, too.")
    return _of_task(source, content) if isinstance(content, OfTask) else _of_networks(source, content)


def _of_task(source: Source, content: OfTask) -> Study:
    from optibench_benchmarks import create
    from optibench_benchmarks.fidelities import complete
    from optibench_benchmarks.references.table import entries

    with _placed(source.where("task")):
        task = create(content.task)
    if task.sampling != "noisy":
        raise HarnessError(
            f"{source.where('task')}: the values of {task.name} do not depend on the seed: name a task that trains."
        )
    with _placed(source.where("fidelity")):
        complete(task.name, task.fidelity_space, content.fidelity)
    baseline = _complete(task, content.baseline, f"{source.where('baseline')}: `baseline`")
    fits: dict[str, Fit] = {content.control: partial(fit_task, task, baseline, content.fidelity)}
    for name, changes in content.variants.items():
        where = f"{source.where('variants', name)}: {name!r}"
        if changes == "reference":
            entry = entries().get(task.name)
            if entry is None or entry.best is None:
                raise HarnessError(
                    f"{where}: {task.name} has no reference configuration yet; list the changes instead."
                )
            config = _complete(task, entry.best, where)
        else:
            config = _complete(task, {**baseline, **changes}, where)
        fits[name] = partial(fit_task, task, config, content.fidelity)
    measured = Measured(content.value, content.step, task.direction, content.metrics)
    return Study(content.control, fits, content.first_seed, measured, place=source.where("metrics"))


@contextlib.contextmanager
def _placed(where: str) -> Iterator[None]:
    """Add the place in the file to a task's error."""
    from optibench_benchmarks import BenchmarkError

    try:
        yield
    except BenchmarkError as error:
        raise HarnessError(f"{where}: {error}") from None


def _complete(task: Benchmark, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A configuration completed with defaults, without inactive parameters."""
    from ConfigSpace.util import deactivate_inactive_hyperparameters

    try:
        unknown = set(given) - set(task.space)
        if unknown:
            raise ValueError(f"there is no parameter {', '.join(sorted(map(str, unknown)))}")
        everything = {name: parameter.default_value for name, parameter in task.space.items()} | dict(given)
        found = dict(deactivate_inactive_hyperparameters(everything, task.space))
    except Exception as error:
        raise HarnessError(f"{where} is not a configuration of {task.name}: {' '.join(str(error).split())}.") from None
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}


def _of_networks(source: Source, content: OfNetworks) -> Study:
    from optibench_reports.format.text import plural
    from optiformer.errors import ModelError
    from optiformer.training.config import RunConfig
    from optiformer.training.encodings import NEED_DATA

    control = content.control
    try:
        base = _changed(RunConfig.load(content.base), content.settings, f"{source.where('settings')}: settings")
        runs = {control: replace(base, name=control)}
        for name, settings in content.variants.items():
            where = f"{source.where('variants', name)}: {name}"
            runs[name] = _changed(base, {**settings, "name": name}, where)
    except ModelError as error:
        raise HarnessError(str(error)) from error
    if base.encoding in NEED_DATA:
        raise HarnessError(
            f"{source.where('base')}: `base` has the encoding {base.encoding}, which needs data: use one with the "
            "encoding surrogate."
        )
    for name, run in runs.items():
        where = f"{source.where('variants', name)}: {name!r}"
        if _judged(run) != _judged(base):
            raise HarnessError(
                f"{where} is validated on different functions than {control!r}: keep the prior and seed."
            )
        if _budget(run) != _budget(base):
            raise HarnessError(
                f"{where} is trained on {_budget(run):,} positions and {control!r} on {_budget(base):,}: give both "
                "the same steps x accumulation x batch_tokens."
            )
    positions = base.train.accumulation * base.train.batch_tokens
    note = f"{plural(base.train.steps, 'step')} of about {positions:,} positions each, or as many in other steps."
    fits = {name: partial(fit_network, run) for name, run in runs.items()}
    return Study(control, fits, base.train.seed, Measured("held-out loss, nats a candidate", "step"), note)


def _changed(run: RunConfig, settings: Mapping[str, Any], where: str) -> RunConfig:
    """A configuration with some settings changed; nested settings are merged."""
    return type(run).of(_over(asdict(run), settings), where)


def _over(content: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(content)
    for name, value in settings.items():
        inner = found.get(name)
        found[name] = _over(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found


def _judged(run: RunConfig) -> list[Any]:
    return held_out(json.loads(json.dumps(asdict(run))))


def _budget(run: RunConfig) -> int:
    """Approximate number of positions that a run is trained on."""
    return run.train.steps * run.train.accumulation * run.train.batch_tokens
