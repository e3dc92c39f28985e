"""The trial-set network on ONNX Runtime, exported from a checkpoint; tests hold it to torch's decoder.

Three graphs: trials up to the kernel heads, trials above them, candidates. The kernel heads' small linear systems stay
in double precision outside. Graphs are exported once a checkpoint and kept in the user's cache.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from model.generate import write_atomically
from model.kernel_heads import WIDTH
from model.trial_checkpoint import TrialSetCheckpoint
from model.trial_decoder import TrialSetDecoder

OPSET = 17
#: The graphs: inputs and outputs, each with the name of its dimension that may vary, and which dimension that is.
GRAPHS = {
    "lower": ({"features": ("n", 1)}, {"hidden": ("n", 0), "keys": ("n", 2), "values": ("n", 2)}),
    "upper": ({"hidden": ("n", 0), "left_out": ("n", 1)}, {"keys": ("n", 2), "values": ("n", 2)}),
    "candidates": (
        {"features": ("m", 1), "posteriors": ("m", 1), "keys": ("n", 2), "values": ("n", 2)},
        {"hidden": ("m", 0), "logits": ("m", 0)},
    ),
}


class OnnxDecoder(TrialSetDecoder):
    """Scores candidates with ONNX Runtime on the CPU, on as many threads as torch is set to.

    Args:
        checkpoint: The trained network.
        int8: Whether to quantize the layers' weights dynamically.
        folder: Where the graphs are kept; the user's cache if ``None``.
    """

    def __init__(self, checkpoint: TrialSetCheckpoint, *, int8: bool = False, folder: Path | None = None) -> None:
        super().__init__(checkpoint, torch.float32)
        folder = _cache(checkpoint) if folder is None else folder
        self._sessions = {name: _session(path) for name, path in export(checkpoint, folder, int8=int8).items()}

    def lower(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See :meth:`model.trial_decoder.TrialSetDecoder.lower`."""
        hidden, keys, values = self._run("lower", self._padded(features))
        return hidden, keys, values

    def upper(self, hidden: torch.Tensor, left_out: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`model.trial_decoder.TrialSetDecoder.upper`."""
        keys, values = self._run("upper", hidden, left_out)
        return keys, values

    def candidates(
        self, features: torch.Tensor, posteriors: torch.Tensor | None, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :meth:`model.trial_decoder.TrialSetDecoder.candidates`; not differentiable."""
        told = [] if posteriors is None else [posteriors]
        hidden, logits = self._run("candidates", self._padded(features), *told, keys, values)
        return hidden, logits

    def _run(self, name: str, *inputs: torch.Tensor) -> list[torch.Tensor]:
        session = self._sessions[name]
        names = [entry.name for entry in session.get_inputs()]
        fed = {key: tensor.detach().contiguous().numpy() for key, tensor in zip(names, inputs, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, fed)]

    def _padded(self, features: torch.Tensor) -> torch.Tensor:
        """Features with zeros for the slots that are not there."""
        missing = self.encoding.width - features.shape[2]
        if not missing:
            return features
        used = self.encoding.slots * self.encoding.slot_width - missing
        zeros = features.new_zeros(1, features.shape[1], missing)
        return torch.cat([features[..., :used], zeros, features[..., used:]], 2)


def export(checkpoint: TrialSetCheckpoint, folder: Path, *, int8: bool = False) -> dict[str, Path]:
    """Write the graphs that are not in a folder yet.

    Args:
        checkpoint: The trained network.
        folder: Where; created if missing.
        int8: Whether to quantize them.

    Returns:
        The file of each graph.
    """
    decoder = TrialSetDecoder(checkpoint, torch.float32)
    names = GRAPHS if checkpoint.encoding.kernels_after else ("lower", "candidates")
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name in names:
        whole, small = folder / f"{name}.onnx", folder / f"{name}-int8.onnx"
        if not whole.exists():
            write_atomically(whole, functools.partial(_export, decoder, name))
        if int8 and not small.exists():
            write_atomically(small, functools.partial(_quantize, whole))
        files[name] = small if int8 else whole
    return files


class _Graph(torch.nn.Module):
    """One of the decoder's methods as a module."""

    def __init__(self, decoder: TrialSetDecoder, name: str) -> None:
        super().__init__()
        self.decoder, self.name = decoder, name

    def forward(self, *inputs: torch.Tensor) -> Sequence[torch.Tensor]:
        if self.name == "candidates" and len(inputs) == 3:
            return self.decoder.candidates(inputs[0], None, *inputs[1:])
        found: Sequence[torch.Tensor] = getattr(self.decoder, self.name)(*inputs)
        return found


def _export(decoder: TrialSetDecoder, name: str, path: Path) -> None:
    encoding, config = decoder.encoding, decoder.config
    cache = torch.randn(config.n_layers, config.n_heads, 9, config.hidden_size // config.n_heads)
    examples = {
        "features": torch.randn(1, 9, encoding.width),
        "hidden": torch.randn(9, config.hidden_size),
        "left_out": torch.randn(1, 9, WIDTH),
        "posteriors": torch.randn(1, 9, WIDTH),
        "keys": cache,
        "values": cache.clone(),
    }
    inputs, outputs = GRAPHS[name]
    names = [key for key in inputs if encoding.kernels_after or key != "posteriors"]
    axes = {key: {axis: label} for key, (label, axis) in {**inputs, **outputs}.items()}
    # torch's newer exporter needs a further package; this one is part of every torch that the project admits.
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Graph(decoder, name).eval(),
            tuple(examples[key] for key in names),
            str(path),
            input_names=names,
            output_names=list(outputs),
            dynamic_axes={key: axes[key] for key in (*names, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantize(source: Path, target: Path) -> None:
    import logging

    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    constants = [node for node in model.graph.node if node.op_type == "Constant"]
    for node in constants:  # the quantizer looks at initializers only
        tensor = node.attribute[0].t
        tensor.name = node.output[0]
        model.graph.initializer.append(tensor)
        model.graph.node.remove(node)
    logging.disable(logging.WARNING)  # "please consider pre-processing": the graph's shapes vary, there is none
    try:
        quantize_dynamic(model, target, weight_type=QuantType.QInt8, per_channel=True)
    finally:
        logging.disable(logging.NOTSET)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _cache(checkpoint: TrialSetCheckpoint) -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("optiformer-bench")) / "onnx" / checkpoint.digest()
