"""Eight processes on one Optuna study, in a journal file and on a PostgreSQL server that the test starts."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.pool import NullPool

WORKER = """
import sys, optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optiformer import OptiFormerSampler

optuna.logging.set_verbosity(optuna.logging.ERROR)
where = sys.argv[1]
storage = where if "://" in where else JournalStorage(JournalFileBackend(where))
study = optuna.load_study(study_name="s", storage=storage, sampler=OptiFormerSampler())
study.optimize(lambda t: t.suggest_float("x", 0, 1) ** 2 + t.suggest_float("y", 0, 1), n_trials=5)
"""


def eight_processes(where: str, storage: BaseStorage) -> None:
    """Eight processes, five trials each, on one study."""
    optuna.create_study(study_name="s", storage=storage)
    command = [sys.executable, "-c", WORKER, where]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(8)]
    assert [(worker.communicate()[1], worker.returncode) for worker in workers] == [("", 0)] * 8
    study = optuna.load_study(study_name="s", storage=storage)
    assert len({(trial.params["x"], trial.params["y"]) for trial in study.trials}) == 40
    assert study.best_value < 0.1


@pytest.mark.heavy
def test_eight_processes_share_a_study_in_a_journal_file(tmp_path: Path) -> None:
    file = str(tmp_path / "journal.log")
    eight_processes(file, JournalStorage(JournalFileBackend(file)))


@pytest.fixture
def postgresql() -> Iterator[str]:
    """The address of a database of its own on a PostgreSQL server of its own."""
    pytest.importorskip("psycopg", reason="pip install 'psycopg[binary]'")
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("apt-get install postgresql")
    root = os.geteuid() == 0  # as whom PostgreSQL does not run
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if root else {}
    with tempfile.TemporaryDirectory(prefix="optiformer-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        if root:
            shutil.chown(folder, "postgres", "postgres")
        data = f"{folder}/data"

        def call(*command: str) -> None:
            subprocess.run(
                [folders[-1] / command[0], *command[1:]], check=True, cwd=folder, stdout=subprocess.DEVNULL, **user
            )

        call("initdb", "-D", data, "-U", "optuna", "--auth=trust", "--no-sync")
        probe.close()
        options = f"-h 127.0.0.1 -p {port} -k {folder}"
        call("pg_ctl", "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            call("createdb", "-h", folder, "-p", str(port), "-U", "optuna", "studies")
            yield f"postgresql+psycopg://optuna@127.0.0.1:{port}/studies"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.mark.heavy
def test_eight_processes_share_a_study_in_postgresql(postgresql: str) -> None:
    storage = RDBStorage(postgresql, engine_kwargs={"poolclass": NullPool})  # leaves no connection open
    eight_processes(postgresql, storage)
    storage.remove_session()
    storage.engine.dispose()
