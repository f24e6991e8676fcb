"""Export networks to ONNX and check each file in onnxruntime.

Files contain float32 graphs for any number B of objects and, for decoders, any number N of points;
that of the mask network takes any number of images of any even size.
Graphs are traced, so each is run at sizes other than the traced ones and compared with the network.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.jit._trace import TracerWarning

from sdfpose_core.encoder.fast import FastEncoder
from sdfpose_core.encoder.ssc6d import Ssc6dEncoder
from sdfpose_core.errors import ConfigurationError, ExportError
from sdfpose_core.export.onnx_graphs import OnnxGraph, decoder_graphs, encoder_graph, mask_graph
from sdfpose_core.export.opsets import DEFAULT_OPSET, OPSETS
from sdfpose_core.masks.network import MaskNetwork
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.storage.files import atomic_replace

__all__ = [
    "ExportedFile",
    "export_decoder",
    "export_encoder",
    "export_masks",
]

_TRACED = (2, 5)
"""Numbers of objects and points for tracing: more than one, because some code treats a single one
specially, and few, because some code splits large batches."""

_CHECKED = ((1, 257), (3, 100))
"""Numbers of objects and points for checking."""

_FATAL = 4
"""Log level of onnxruntime; its errors are raised anyway."""


@dataclass(frozen=True)
class ExportedFile:
    """An exported and checked file.

    Attributes:
        path: path of the file.
        size: size in bytes.
        deviation: largest difference from PyTorch, relative to the output's largest value.
        tolerance: largest allowed deviation.
    """

    path: Path
    size: int
    deviation: float
    tolerance: float


def export_decoder(
    decoder: SdfDecoder | DeepSdf,
    category: str,
    folder: Path | str,
    *,
    opset: int = DEFAULT_OPSET,
) -> list[ExportedFile]:
    """Write ``CATEGORY_decoder.onnx`` and ``CATEGORY_decoder_jacobian.onnx``.

    Args:
        decoder: decoder in evaluation mode, on the CPU.
        category: name of the category.
        folder: output folder; created if missing.
        opset: ONNX opset version, one of `OPSETS`.

    Raises:
        ExportError: onnx or onnxruntime is missing, or a graph differs from the network.
        ConfigurationError: the opset is not supported.
        OSError: a file cannot be written.
    """
    return [_write(x, category, Path(folder), opset) for x in decoder_graphs(decoder)]


def export_encoder(
    encoder: FastEncoder | Ssc6dEncoder,
    category: str,
    folder: Path | str,
    *,
    opset: int = DEFAULT_OPSET,
) -> ExportedFile:
    """Write ``CATEGORY_encoder.onnx``; arguments and errors as in `export_decoder`."""
    return _write(encoder_graph(encoder), category, Path(folder), opset)


def export_masks(
    network: MaskNetwork, folder: Path | str, *, opset: int = DEFAULT_OPSET
) -> ExportedFile:
    """Write ``masks.onnx``; arguments and errors as in `export_decoder`."""
    return _write(mask_graph(network), "", Path(folder), opset)


class _CheckError(Exception):
    """A graph does not compute the expected outputs."""


def _write(graph: OnnxGraph, category: str, folder: Path, opset: int) -> ExportedFile:
    """Export a graph of a category, or of none."""
    if opset not in OPSETS:
        raise ConfigurationError(f"opset {opset}: expected {OPSETS[0]} to {OPSETS[-1]}")
    onnx, runtime = _require("onnx"), _require("onnxruntime")
    path = folder / (f"{category}_{graph.name}.onnx" if category else f"{graph.name}.onnx")
    with atomic_replace(path) as temporary, torch.no_grad():
        _trace(graph, temporary, opset)
        model = onnx.load(temporary)
        _describe(model, graph, category)
        content: bytes = model.SerializeToString()
        try:
            onnx.checker.check_model(model, full_check=True)
            deviation = _deviation(graph, partial(_run, runtime, content))
        except (
            _CheckError,
            onnx.checker.ValidationError,
            onnx.shape_inference.InferenceError,
        ) as error:
            raise ExportError(
                f"{path}: not written, because {_first_line(error)}: expected the same outputs as "
                "from torch; try another opset, or other releases of torch and onnxruntime"
            ) from error
        temporary.write_bytes(content)
    return ExportedFile(path, len(content), deviation, graph.tolerance)


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExportError(
            f"{package} cannot be imported ({error}): the export needs it, install it with "
            "pip install onnx onnxruntime"
        ) from error


def _trace(graph: OnnxGraph, path: Path, opset: int) -> None:
    """Export the graph with PyTorch's tracing exporter; the newer one needs onnxscript."""
    with warnings.catch_warnings(), _layer_by_layer():
        # The check of the graph reveals anything that tracing fixed by mistake.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            torch.onnx.export(
                graph.module,
                graph.examples(*_TRACED),
                str(path),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes=graph.dynamic_axes,
                opset_version=opset,
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise ExportError(
                f"torch {torch.__version__} cannot export the {graph.name} with opset {opset} "
                f"({_first_line(error)}): expected another opset or release of torch"
            ) from error


@contextmanager
def _layer_by_layer() -> Iterator[None]:
    """Disable the fused transformer operation, which ONNX does not have."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _describe(model: Any, graph: OnnxGraph, category: str) -> None:
    """Add metadata and descriptions of the tensors to the file."""
    of_category = {"category": category} if category else {}
    for key, value in {**graph.metadata, **of_category, "sdfpose_version": _version()}.items():
        model.metadata_props.add(key=key, value=value)
    subject = f"; category {category}" if category else ""
    model.doc_string = f"sdfpose: {graph.metadata['description']}{subject}"
    examples = graph.examples(*_TRACED)
    tensors = (*examples, *graph.reference(*examples))
    meanings = {**graph.inputs, **graph.outputs}
    dynamic = graph.dynamic_axes
    for tensor, example in zip((*model.graph.input, *model.graph.output), tensors, strict=True):
        tensor.doc_string = "({}), {}".format(*meanings[tensor.name])
        for i, size in enumerate(example.shape):
            if i not in dynamic[tensor.name]:
                tensor.type.tensor_type.shape.dim[i].dim_value = size


def _version() -> str:
    try:
        return metadata.version("sdfpose")
    except metadata.PackageNotFoundError:
        return "unknown"


def _deviation(
    graph: OnnxGraph, run: Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
) -> float:
    """Largest relative deviation from the reference over all sizes and outputs.

    Args:
        graph: exported graph.
        run: computes its outputs from inputs by name.

    Raises:
        _CheckError: the deviation exceeds the tolerance.
    """
    largest = 0.0
    for objects, count in _CHECKED:
        examples = graph.examples(objects, count)
        outputs = run({k: x.numpy() for k, x in zip(graph.inputs, examples, strict=True)})
        references = graph.reference(*examples)
        for name, output, reference in zip(graph.outputs, outputs, references, strict=True):
            deviation = _relative_deviation(output, reference.numpy())
            if not deviation <= graph.tolerance:
                raise _CheckError(
                    f"with {objects} objects '{name}' deviates by {deviation:.1e}, more than "
                    f"{graph.tolerance:.0e}"
                )
            largest = max(largest, deviation)
    return largest


def _relative_deviation(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference over the largest expected value; infinite if the shapes differ."""
    if actual.shape != expected.shape:
        return np.inf
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


def _run(runtime: Any, content: bytes, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Run a model in onnxruntime and return its outputs.

    Raises:
        _CheckError: the model cannot be run.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _FATAL
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs: list[NDArray[Any]] = session.run(None, inputs)
    except Exception as error:  # onnxruntime's exceptions have no common base class
        raise _CheckError(f"onnxruntime fails with {_first_line(error)}") from error
    return outputs


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
