"""Number of cores available to this process, by affinity and cgroup quota.

Never imports anything that starts threads: BLAS reads the environment when it is imported.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable(root: Path = Path("/")) -> int:
    """Cores available to this process, at least 1; a quota of 1.5 cores counts as 2.

    Args:
        root: Where ``/proc`` and the cgroup file systems are looked for.
    """
    return max(1, min([allowed(), *(math.ceil(quota) for quota in _quotas(root))]))


def allowed() -> int:
    """Cores in the process's affinity mask (``taskset``, cpusets, Slurm)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        return os.cpu_count() or 1


def described() -> str:
    """``2 cores``, or ``2 of 64 cores usable``."""
    found, machine = usable(), os.cpu_count() or 1
    words = f"{machine} core{'s' if machine > 1 else ''}"
    return words if found == machine else f"{found} of {words} usable"


def _quotas(root: Path) -> Iterator[float]:
    """Quotas, in cores, of the process's cgroup and its parents."""
    try:
        memberships = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    cgroups = dict(line.split(":", 2)[1:] for line in memberships if line.count(":") >= 2)
    for mount in mounts:
        left, _, right = mount.partition(" - ")
        inside, place = left.split(" ")[3:5]
        kind, _, options = right.split(" ", 2)
        if kind == "cgroup2":
            path = cgroups.get("", "/")
        elif kind == "cgroup" and "cpu" in options.split(","):
            path = next((path for names, path in cgroups.items() if "cpu" in names.split(",")), "/")
        else:
            continue
        for folder in _folders(root / place.lstrip("/"), path, inside):
            quota = _quota(folder)
            if quota is not None:
                yield quota


def _folders(mount: Path, path: str, inside: str) -> Iterator[Path]:
    """Folders of the cgroup and its parents as far as mounted; in a container its own is the mount's root."""
    own = PurePosixPath(path)
    relative = own.relative_to(inside) if own.is_relative_to(inside) else PurePosixPath()
    for part in (relative, *relative.parents):
        if ".." not in part.parts:
            yield mount / part


def _quota(folder: Path) -> float | None:
    """Cores that a cgroup allows; ``None`` for no limit."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="utf-8")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="utf-8")
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or `max`
        return None
