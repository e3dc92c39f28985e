"""Generates datasets of trajectories, in parallel and resumable, as one Parquet file per shard."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from optiformer.errors import ModelError
from optiformer.files import write_atomically
from optiformer.sequence.config import DataConfig
from optiformer.sequence.prior.problems import sample_problem
from optiformer.sequence.teachers import TEACHERS

FORMAT = 1
_SPAWN = multiprocessing.get_context("spawn")


def generate(
    config: DataConfig,
    folder: str | Path,
    *,
    processes: int = 1,
    progress: bool = True,
    limit_shards: int | None = None,
) -> Path:
    """Generate the missing shards of a dataset.

    Args:
        config: Settings of the data.
        folder: Destination; created if missing. A folder with a different configuration's data is refused.
        processes: Number of worker processes; 0 for this process.
        progress: Whether to show a progress bar.
        limit_shards: Stop after this many shards in total.

    Returns:
        The folder.

    Raises:
        ModelError: The folder holds data of a different configuration.
    """
    folder = Path(folder)
    _claim(config, folder)
    n_shards = -(-config.n_trajectories // config.shard_size)
    wanted = range(n_shards if limit_shards is None else min(limit_shards, n_shards))
    missing = [index for index in wanted if not shard_path(folder, index).exists()]
    from tqdm import tqdm

    bar = tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit="shard", disable=not progress)
    with bar:
        if processes == 0:
            for index in missing:
                write_shard(config, folder, index)
                bar.update()
        elif missing:
            with _single_threaded_children(), ProcessPoolExecutor(processes, mp_context=_SPAWN) as pool:
                for _ in pool.map(_write, [(config, folder, index) for index in missing]):
                    bar.update()
    return folder


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Limit child processes to one BLAS thread, since contention slows small matrices down."""
    variables = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    before = {variable: os.environ.get(variable) for variable in variables}
    os.environ.update(dict.fromkeys(variables, "1"))
    try:
        yield
    finally:
        for variable, value in before.items():
            if value is None:
                del os.environ[variable]
            else:
                os.environ[variable] = value


def shard_path(folder: Path, index: int) -> Path:
    """Path of a shard."""
    return folder / f"shard-{index:05d}.parquet"


def shards(folder: str | Path) -> list[Path]:
    """Existing shards, in order.

    Raises:
        ModelError: There are none.
    """
    found = sorted(Path(folder).glob("shard-*.parquet"))
    if not found:
        raise ModelError(f"There is no dataset in {folder}; generate it first.")
    return found


def rejections(folder: str | Path) -> Counter[str]:
    """Numbers of rejected functions, by reason."""
    import pyarrow.parquet as pq

    total: Counter[str] = Counter()
    for path in shards(folder):
        metadata = pq.read_schema(path).metadata or {}
        total.update(json.loads(metadata.get(b"rejected", b"{}")))
    return total


def _claim(config: DataConfig, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = json.dumps({"format": FORMAT, "config": asdict(config)}, indent=1)
    path = folder / "dataset.json"
    if path.exists():
        if json.loads(path.read_text()) != json.loads(content):
            raise ModelError(f"{folder} holds a dataset of another configuration; use another folder or delete it.")
        return
    write_atomically(path, lambda temporary: temporary.write_text(content + "\n"))


def _write(job: tuple[DataConfig, Path, int]) -> None:
    write_shard(*job)


def write_shard(config: DataConfig, folder: Path, index: int) -> None:
    """Generate one shard as a function of the configuration and the index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    started = time.perf_counter()
    rejected: Counter[str] = Counter()
    first = index * config.shard_size
    ids = range(first, min(first + config.shard_size, config.n_trajectories))
    rows = [make_row(config, function_id, rejected) for function_id in ids]
    schema = pa.schema(
        [
            ("function_id", pa.int64()),
            ("family", pa.string()),
            ("teacher", pa.string()),
            ("n_trials", pa.int32()),
            ("levels", pa.list_(pa.int16())),
            ("categorical", pa.list_(pa.bool_())),
            ("positions", pa.list_(pa.float32())),
            ("values", pa.list_(pa.float64())),
            ("truths", pa.list_(pa.float64())),
            ("f_best", pa.float64()),
            ("f_ref", pa.float64()),
        ],
        metadata={"rejected": json.dumps(rejected), "seconds": f"{time.perf_counter() - started:.3f}"},
    )
    table = pa.Table.from_pylist(rows, schema=schema)
    write_atomically(shard_path(folder, index), lambda path: pq.write_table(table, path, compression="zstd"))


def make_row(config: DataConfig, function_id: int, rejected: Counter[str]) -> dict[str, Any]:
    """One trajectory on one function as a row of the dataset."""
    rng = np.random.default_rng([config.seed, function_id])
    problem = sample_problem(rng, config.prior, rejected)
    shares = np.array([teacher.share for teacher in config.teachers])
    teacher = config.teachers[rng.choice(len(shares), p=shares / shares.sum())]
    with np.errstate(all="ignore"):
        trajectory = TEACHERS[teacher.name](problem, rng, teacher.n_trials)
    finite = trajectory.truths[np.isfinite(trajectory.truths)]
    return {
        "function_id": function_id,
        "family": problem.family,
        "teacher": teacher.name,
        "n_trials": teacher.n_trials,
        "levels": problem.layout.levels.tolist(),
        "categorical": problem.layout.categorical.tolist(),
        "positions": trajectory.positions.astype(np.float32).ravel().tolist(),
        "values": trajectory.values.tolist(),
        "truths": trajectory.truths.tolist(),
        "f_best": min(problem.f_best, float(finite.min())) if finite.size else problem.f_best,
        "f_ref": problem.f_ref,
    }
