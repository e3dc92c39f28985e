"""Precision of matrix products in training; inference is always float32."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from optiformer.training.config import Precision

#: Values of ``ONEDNN_MAX_CPU_ISA`` that disable oneDNN's AVX-512 bf16 instructions.
WITHOUT_BF16 = ("AVX512_CORE", "AVX512_CORE_VNNI")


def chosen(precision: Precision, device: str) -> Precision:
    """``precision``; for ``auto`` bf16 if the device supports it in hardware, else fp32.

    Args:
        precision: ``auto`` | ``fp32`` | ``bf16`` | ``fp16``.
        device: ``cpu`` | ``cuda``.
    """
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported(including_emulation=False) if device == "cuda" else cpu_has_bf16()
    return "bf16" if fast else "fp32"


def cpu_has_bf16() -> bool:
    """Whether CPU and torch support bf16 products in hardware; without, bf16 takes 2 to 7 times as long as fp32."""
    if not torch._C._has_mkldnn or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False  # so it is under ONEDNN_MAX_CPU_ISA=AVX2
    if torch.cpu._is_avx512_bf16_supported():  # every x86 CPU with AMX has these, too
        limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", ""))
        return limit.upper() not in WITHOUT_BF16 and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return _arm_has_bf16()


def _arm_has_bf16(path: Path = Path("/proc/cpuinfo")) -> bool:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any({"bf16", "svebf16"} & set(line.split()) for line in lines if line.startswith("Features"))


def described() -> str:
    """``bf16 on cpu``, or ``fp32 on cpu`` and why."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    found = chosen("auto", device)
    return f"{found} on {device}" + ("" if found == "bf16" else ": no bf16 instructions that torch may use")


if __name__ == "__main__":
    print(described())
