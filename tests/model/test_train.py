"""The training loop: exact resume, averaged weights, early stopping, NaN, workers."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from optiformer.errors import ModelError
from optiformer.network_config import NetworkConfig
from optiformer.sequence.config import AugmentConfig, DataConfig, TeacherShare
from optiformer.sequence.network import load
from optiformer.sequence.prior.problems import PriorConfig
from optiformer.sequence.trajectories import generate
from optiformer.training import precision
from optiformer.training.cache import train_cached
from optiformer.training.config import RunConfig, TrainConfig
from optiformer.training.encoding import Loss
from optiformer.training.loop import parameter_groups, train
from optiformer.training.schedules import learning_rate
from optiformer.training.sequence import SequenceEncoding
from optiformer.training.state import Progress, save_state

NETWORK = NetworkConfig(64, 2, 4, 96, copying_start=True, tie_embeddings=True)
RUN = RunConfig(
    "test",
    data=DataConfig(100, 50, 1, (TeacherShare("random", 1.0, 40),), PriorConfig(dimensions=(2, 3))),
    augment=AugmentConfig(max_trials=8),
    network=NETWORK,
    train=TrainConfig(
        steps=12, batch_tokens=800, learning_rate=3e-3, validate_every=4, validation_batches=2, precision="fp32"
    ),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(RUN.data, tmp_path_factory.mktemp("data"), processes=0, progress=False)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load(folder).network.state_dict())


def test_a_stopped_run_resumes_exactly(data: Path, tmp_path: Path) -> None:
    whole = train(RUN, data, tmp_path / "whole", progress=False)
    for stop in (3, 7):
        train(RUN, data, tmp_path / "parts", progress=False, steps=stop)
    (tmp_path / "parts" / "checkpoints" / "step-00000099").mkdir()  # a newer one that was cut off
    parts = train(RUN, data, tmp_path / "parts", progress=False)
    finals = []
    for name in ("whole", "parts"):
        folder = tmp_path / name / "checkpoints" / "step-00000012"
        finals.append((folder / "state.safetensors").read_bytes())
        place = json.loads((folder / "progress.json").read_text())["place"]
        assert place["pool"] + place["epoch"] > 0
    assert finals[0] == finals[1]
    assert weights(whole).keys() == weights(parts).keys()


def test_training_lowers_the_loss_and_leaves_a_usable_checkpoint(data: Path, tmp_path: Path) -> None:
    run = replace(RUN, train=replace(RUN.train, steps=40, accumulation=2))
    best = train(run, data, tmp_path, progress=False)
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [entry["loss"] for entry in entries if "loss" in entry]
    assert len(losses) == 40
    assert losses[0] < math.log(len(run.vocabulary)) + 0.3
    assert sum(losses[-5:]) / 5 < losses[0] - 0.15
    checkpoint = load(best)
    assert checkpoint.info["steps"] in range(4, 41)
    assert checkpoint.info["validation_loss"] == min(e["validation_loss"] for e in entries if "validation_loss" in e)
    assert checkpoint.info["tokens_per_second"] > 0
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"


def test_nan_stops_with_the_last_good_checkpoint_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(RUN, data, tmp_path, progress=False, steps=4)
    original = SequenceEncoding.loss

    def broken(self: SequenceEncoding, network: object, batch: object, device: str) -> Loss:
        loss = original(self, network, batch, device)
        return replace(loss, total=loss.total * float("nan"))

    monkeypatch.setattr(SequenceEncoding, "loss", broken)
    with pytest.raises(ModelError, match="became nan at step 5; the last good checkpoint is kept"):
        train(RUN, data, tmp_path, progress=False)
    assert (tmp_path / "checkpoints" / "step-00000004" / "state.safetensors").exists()
    monkeypatch.undo()
    assert train(RUN, data, tmp_path, progress=False).exists()


def test_early_stopping_counts_validations_without_progress(data: Path, tmp_path: Path) -> None:
    run = replace(RUN, train=replace(RUN.train, steps=400, learning_rate=1e-12, ema=0.0, validate_every=1, patience=3))
    train(run, data, tmp_path, progress=False)
    progress = json.loads(next((tmp_path / "checkpoints").glob("step-*/progress.json")).read_text())
    assert progress["step"] < 60


def test_checkpoints_of_another_configuration_are_refused(data: Path, tmp_path: Path) -> None:
    train(RUN, data, tmp_path, progress=False, steps=2)
    with pytest.raises(ModelError, match="another configuration"):
        train(replace(RUN, augment=AugmentConfig(max_trials=9)), data, tmp_path, progress=False)


def test_weight_decay_spares_norms() -> None:
    from optiformer.sequence.network import build_network

    network = build_network(NETWORK, RUN.vocabulary)
    decayed, spared = parameter_groups(network, RUN.train)
    assert decayed["weight_decay"] == 0.1
    assert spared["weight_decay"] == 0
    assert len(spared["params"]) == 5
    assert all(p.dim() == 1 for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(list(network.parameters()))


def test_the_learning_rate_rises_then_falls_along_a_cosine() -> None:
    config = TrainConfig(learning_rate=1.0, warmup=0.1, final_rate=0.1)
    rates = [learning_rate(config, i / 100) for i in range(101)]
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == rates[10] == pytest.approx(1.0)
    assert rates[55] == pytest.approx(0.55)
    assert rates[100] == pytest.approx(0.1)


def test_impossible_settings_are_clear_errors(data: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="has none"):
            train(replace(RUN, train=replace(RUN.train, device="cuda")), data, tmp_path, progress=False)
    with pytest.raises(ModelError, match="fp16 needs a GPU"):
        train(replace(RUN, train=replace(RUN.train, device="cpu", precision="fp16")), data, tmp_path, progress=False)
    with pytest.raises(ModelError, match="'encoding' must be one of seq, surrogate, not 'other'"):
        replace(RUN, encoding="other")


def test_a_configuration_is_trained_once_and_then_cached(tmp_path: Path, small_run: str) -> None:
    config = tmp_path / "small.yaml"
    config.write_text(small_run)
    first = train_cached(config, tmp_path / "cache", progress=False)
    stamp = (first.checkpoint / "model.safetensors").stat().st_mtime_ns
    second = train_cached(config, tmp_path / "cache", progress=False)
    assert second.checkpoint == first.checkpoint
    assert (second.checkpoint / "model.safetensors").stat().st_mtime_ns == stamp
    assert second.seconds == first.seconds > 0
    assert (first.cached, second.cached) == (False, True)
    config.write_text(small_run + "sampling: {temperature: 0.5}\n")
    cooler = train_cached(config, tmp_path / "cache", progress=False)
    assert cooler.cached
    config.write_text(small_run.replace("steps: 2", "steps: 3"))
    assert not train_cached(config, tmp_path / "cache", progress=False).cached


@pytest.mark.heavy
@pytest.mark.parametrize(("steps", "minutes"), [(3, 0), (1_000_000, 0.03)])
def test_two_processes_train_together(steps: int, minutes: float, tmp_path: Path, small_run: str) -> None:
    """By the clock as well: each process has its own, and all must stop at the same step."""
    config = tmp_path / "small.yaml"
    config.write_text(small_run.replace("steps: 2", f"steps: {steps}"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = f"{str(config)!r}, out={str(tmp_path / 'two')!r}, minutes={minutes}, processes=0"
    code = f"from optiformer.training.loop import main; main({given})"
    base = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    generate(RunConfig.load(config).data, tmp_path / "two" / "data", processes=0, progress=False)
    workers = [
        subprocess.Popen([sys.executable, "-c", code], env={**base, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(2)
    ]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    made = load(tmp_path / "two" / "best").info["steps"]
    assert made == 3 if steps == 3 else made > 0
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert sum("loss" in entry for entry in log) >= min(made, 3)


def test_a_checkpoint_that_finds_no_room_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = torch.nn.Linear(2, 1)

    def full(tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optiformer.training.state.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_state(tmp_path, Progress(step=1), network, torch.optim.SGD(network.parameters()), {})
    assert not list(tmp_path.iterdir())


INSTRUCTIONS = """
from optiformer.training import precision
print(precision.chosen("auto", "cpu"), precision.chosen("bf16", "cpu"))
"""


@pytest.mark.parametrize(
    "limits",
    [
        {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
        {"ATEN_CPU_CAPABILITY": "avx2"},
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},  # AVX-512 from before there were bf16 instructions
        {"ONEDNN_MAX_CPU_ISA": "avx2"},
    ],
)
def test_without_bf16_instructions_training_is_in_fp32_unless_told(limits: dict[str, str]) -> None:
    command = [sys.executable, "-c", INSTRUCTIONS]
    done = subprocess.run(command, env={**os.environ, **limits}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fp32", "bf16"]


@pytest.mark.parametrize(
    ("cpu", "expected"),
    [
        ("flags : fpu avx512_bf16 amx_bf16", False),  # of an x86 CPU, which torch itself is asked about
        ("Features : fp asimd i8mm bf16", True),
        ("Features : fp asimd svebf16", True),
        ("Features : fp asimd", False),
    ],
)
def test_an_arm_cpu_says_whether_it_has_bf16(cpu: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{cpu}\n")
    assert precision._arm_has_bf16(tmp_path / "cpuinfo") is expected
    assert not precision._arm_has_bf16(tmp_path / "none")


def test_auto_is_bf16_where_the_cpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optiformer.training.precision.cpu_has_bf16", lambda: True)
    assert [precision.chosen(asked, "cpu") for asked in ("auto", "fp32")] == ["bf16", "fp32"]
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation)
    assert precision.chosen("auto", "cuda") == "fp32"  # a GPU that only emulates it


@pytest.mark.parametrize("encoding", ["seq", "surrogate"])
def test_a_training_goes_on_in_another_precision_and_says_so(
    encoding: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = replace(RUN.train, precision="auto", steps=4, batch_tokens=200, validate_every=2, validation_batches=1)
    run = replace(RUN, encoding=encoding, train=settings)
    losses = iter((2.0, 1.0))
    monkeypatch.setattr("optiformer.training.loop.validate", lambda *_: next(losses))  # the last checkpoint is the best
    monkeypatch.setattr("optiformer.training.precision.cpu_has_bf16", lambda: True)
    assert load_info(train(run, data, tmp_path, steps=2))["precision"] == "bf16"
    assert "in bf16" in capsys.readouterr().out
    monkeypatch.setattr("optiformer.training.precision.cpu_has_bf16", lambda: False)
    info = load_info(train(run, data, tmp_path))
    assert (info["precision"], info["steps"]) == ("bf16 for 2 steps, fp32 for 2 steps", 4)
    assert "Trained so far in bf16; training goes on in fp32." in capsys.readouterr().out
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [entry["precision"] for entry in entries if "validation_loss" in entry] == ["bf16", info["precision"]]


def load_info(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "config.json").read_text())["info"])


def test_a_precision_that_was_demanded_is_another_training() -> None:
    digests = {
        name: replace(RUN, train=replace(RUN.train, precision=name)).digest()
        for name in ("auto", "fp32", "bf16", "fp16")
    }
    assert len(set(digests.values())) == 4


def test_torch_has_no_more_threads_than_there_are_cores(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, found = torch.get_num_threads(), []
    monkeypatch.setattr("optiformer.cores.usable", lambda: 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", found.append)
    for threads in (0, 5):
        run = replace(RUN, train=replace(RUN.train, threads=threads, steps=1))
        train(run, data, tmp_path / str(threads), progress=False)
    assert found == [3, 5]
    monkeypatch.undo()
    assert torch.get_num_threads() == before
