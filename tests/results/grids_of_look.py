"""What the two looks share: their grids as files, their forecast, and the tables in their pages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from committed import ROOT

from optibench.runs.forecast import dry_run
from optibench_reports.stats.ratios import Ratio

BLOCK = re.compile(r"(?<=<!-- begin: look -->\n).*?(?=<!-- end: look -->)", re.DOTALL)
"""Where a page has the tables."""


@dataclass(frozen=True)
class Look:
    """A look: grids that are run once, and a page.

    Attributes:
        script: Name of the script that makes its grids.
        of: First words of the comment in a grid's file.
        grids: Makes the grids, by name.
        evaluation: Mean seconds of an evaluation by the first part of a task's name; .001 for the others.
        tables: Makes the results as Markdown.
        page: Where the tables stand.
    """

    script: str
    of: str
    grids: Callable[[], dict[str, dict[str, Any]]]
    evaluation: Mapping[str, float]
    tables: Callable[[], str]
    page: Path

    @property
    def folder(self) -> Path:
        """Folder of the grids and of their results."""
        return ROOT / "results" / self.script.replace("_", "-")

    def text(self, name: str, grid: Mapping[str, Any]) -> str:
        """A grid as YAML."""
        head = f"# {self.of}; python tests/results/{self.script}.py --write makes it\n"
        return head + yaml.safe_dump({"name": f"look-{name}", **grid}, sort_keys=False, width=110)

    def forecast(self) -> dict[str, float]:
        """Core-hours of each grid."""
        hours = {}
        for name, grid in self.grids().items():
            seconds = dry_run(str(self.folder / f"{name}.yaml"), {"jobs": 1}).seconds
            evaluations = sum(self.evaluation.get(task.partition("/")[0], 1e-3) for task in grid["benchmarks"])
            hours[name] = (seconds + evaluations * len(grid["optimizers"]) * grid["seeds"] * grid["trials"]) / 3600
        return hours

    def main(self) -> int:
        """Run the script with the command line's option."""
        if "--write" in sys.argv[1:]:
            self.folder.mkdir(exist_ok=True)
            for name, grid in self.grids().items():
                (self.folder / f"{name}.yaml").write_text(self.text(name, grid), encoding="utf-8")
        elif "--forecast" in sys.argv[1:]:
            hours = self.forecast()
            hours["all"] = sum(hours.values())
            print("\n".join(f"{name:12} {each:5.1f} core-hours" for name, each in hours.items()))
        elif "--page" in sys.argv[1:]:
            found, text = self.tables(), self.page.read_text(encoding="utf-8")
            self.page.write_text(BLOCK.sub(lambda match: found, text), encoding="utf-8")
        else:
            print(self.tables())
        return 0


def shown(one: Ratio) -> str:
    """A ratio with its interval."""
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"


def p_words(value: float) -> str:
    """A p value with four digits."""
    return f"{value:.4f}" if value >= 1e-4 else "< .0001"
