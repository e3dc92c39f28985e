"""The two distributions as their users have them: built, installed outside the checkout, beside files of other
names."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("optiformer", "optibench", "optibench_benchmarks", "optibench_optimizers", "optibench_reports")
TUNE = """
import optuna
from optiformer import OptiFormerSampler

study = optuna.create_study(sampler=OptiFormerSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("x", -5, 5) ** 2, n_trials=8)
print(len(study.trials))
"""
GRID = ("-o", "random,optiformer", "-b", "synthetic/branin-2d", "-s", "1", "-t", "14", "-j", "2", "--out", "runs/cli")


def call(*command: str | Path, where: Path) -> str:
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A wheel of each distribution, built from its source distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT / "model", ROOT):
        out = folder / (source.name + "-sdist")
        call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", out, where=source)
        (archive,) = out.iterdir()
        with tarfile.open(archive) as file:
            file.extractall(out, filter="data")
        unpacked = out / archive.name.removesuffix(".tar.gz")
        call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, where=unpacked)
    return sorted(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the wheels, and the dependencies of this one."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder, "install", "--quiet", "--no-index", "--no-deps"]
    call(*pip, "--force-reinstall", *wheels, where=folder)
    return folder / "bin"


def test_wheels_hold_the_packages_and_nothing_else(wheels: list[Path], installed: Path, tmp_path: Path) -> None:
    assert [wheel.name.partition("-")[0] for wheel in wheels] == ["optiformer", "optiformer_bench"]
    assert wheels[0].stat().st_size < 6e6
    site = installed.parent / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    ours = {path.name for path in site.iterdir() if path.suffix not in (".pth", ".dist-info")} - {"__pycache__"}
    assert ours == set(PACKAGES)
    shown = call(installed / "python", "-c", "import optiformer; print(optiformer.__file__)", where=tmp_path)
    assert Path(shown.strip()).is_relative_to(installed.parent)


def test_what_is_installed_runs_a_grid_and_a_study(installed: Path, tmp_path: Path) -> None:
    assert "optiformer" in call(installed / "optibench", "run", *GRID, where=tmp_path)
    assert (tmp_path / "runs" / "cli" / "report" / "report.html").exists()
    assert call(installed / "python", "-c", TUNE, where=tmp_path).strip() == "8"


def test_a_users_own_files_of_common_names_do_no_harm(tmp_path: Path) -> None:
    for name in ("model", "harness", "reports"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('the user's own {name}.py')\n")
    (tmp_path / "benchmarks.py").write_text("raise SystemExit('the user's own benchmarks.py')\n")
    (tmp_path / "optimizers").mkdir()
    (tmp_path / "optimizers" / "__init__.py").write_text("raise SystemExit('the user's own optimizers')\n")
    (tmp_path / "tune.py").write_text(TUNE)
    assert call(sys.executable, "tune.py", where=tmp_path).strip() == "8"
    pages = [ROOT / "README.md", ROOT / "model" / "README.md"]
    snippets = [code for page in pages for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
    (tmp_path / "readme.py").write_text("\n".join(snippets))
    assert len(snippets) >= 2
    call(sys.executable, "readme.py", where=tmp_path)
    call(sys.executable, "-m", "optibench.cli.main", "run", *GRID, "--no-report", where=tmp_path)
    shown = call(sys.executable, "-m", "optibench.cli.main", "status", "runs/cli", where=tmp_path)
    assert "2 of 2 cells finished, 28 of 28 trials done" in shown


@pytest.mark.heavy
def test_a_type_checker_sees_the_python_api(tmp_path: Path) -> None:
    source = ROOT / "tests" / "harness" / "api" / "typed_user.py"
    (tmp_path / "user.py").write_text(source.read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    wrong = {number for number, line in enumerate(source.read_text().splitlines(), 1) if line.endswith("# wrong")}
    assert {int(line.split(":")[1]) for line in done.stdout.splitlines() if "error:" in line} == wrong
    assert len(wrong) == 3


@pytest.mark.heavy
def test_a_type_checker_sees_our_types_in_a_users_file(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        "import optibench_benchmarks\nfrom optiformer import OptiFormerSampler\n"
        "value: str = optibench_benchmarks.create('demo').evaluate({}, seed=0).value\n"
        "OptiFormerSampler(preset=3)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "user.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert 'user.py:3: error: Incompatible types in assignment (expression has type "float"' in done.stdout
    assert 'user.py:4: error: Argument "preset" to "OptiFormerSampler" has incompatible type "int"' in done.stdout
    assert "Found 2 errors in 1 file" in done.stdout
