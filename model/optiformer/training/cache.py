"""Cache of trained configurations, used by grids whose cells need a trained checkpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optiformer.files import CONFIG, WEIGHTS
from optiformer.training.config import RunConfig


@dataclass(frozen=True)
class Trained:
    """A trained configuration.

    Attributes:
        checkpoint: The folder to give to ``Policy`` or ``OptiFormerSampler``.
        seconds: Training time without data generation, recorded at the time.
        precision: Precision of its steps.
        cached: Whether it was cached.
    """

    checkpoint: Path
    seconds: float
    precision: str
    cached: bool

    def cost(self) -> dict[str, Any]:
        """The training cost that a grid records."""
        return {"seconds": self.seconds, "precision": self.precision, "cached": self.cached}


def cache_folder(config_path: str | Path, cache_dir: str | Path | None = None) -> Path:
    """Folder of a configuration's run, named by a hash of everything that determines its weights."""
    if cache_dir is None:
        import platformdirs

        cache_dir = Path(platformdirs.user_cache_dir("optiformer-bench")) / "trained"
    return Path(cache_dir) / RunConfig.load(config_path).digest()


def train_cached(config_path: str | Path, cache_dir: str | Path | None = None, *, progress: bool = True) -> Trained:
    """Train a configuration unless it is cached; an interrupted training resumes.

    Args:
        config_path: The YAML file.
        cache_dir: Folder of trained runs; ``None`` for a user cache folder.
        progress: Whether to print progress.

    Raises:
        ModelError: The configuration is invalid or training failed.
    """
    folder = cache_folder(config_path, cache_dir)
    checkpoint, done = folder / "best", folder / "done.json"
    cached = done.exists() and (checkpoint / CONFIG).exists() and (checkpoint / WEIGHTS).exists()
    if not cached:
        from optiformer.files import write_atomically
        from optiformer.training.loop import main

        main(config_path, out=folder, progress=progress)
        steps = sorted((folder / "checkpoints").glob("step-*/progress.json"))
        took = json.dumps({"seconds": json.loads(steps[-1].read_text())["seconds"]})
        write_atomically(done, lambda path: path.write_text(took))
    precision = json.loads((checkpoint / CONFIG).read_text())["info"].get("precision", "an unknown precision")
    return Trained(checkpoint, float(json.loads(done.read_text())["seconds"]), precision, cached)
