"""Networks of a category as ONNX files, each checked against torch in onnxruntime.

Files hold float32 graphs for any number B of objects and, of decoders, any number N of points.
They are traced, so each is run at other sizes than the traced one and compared with the network.
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
from sdfpose_core.export.onnx_graphs import OnnxGraph, decoder_graphs, encoder_graph
from sdfpose_core.sdf.decoder import SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf
from sdfpose_core.storage.files import replacing

__all__ = ["DEFAULT_OPSET", "OPSETS", "ExportedFile", "export_decoder", "export_encoder"]

OPSETS = range(14, 21)
"""Versions of ONNX's operators that can be asked for."""

DEFAULT_OPSET = 17

_TRACED = (2, 5)
"""Objects and points that graphs are traced with: more than one of each, for code that treats one
on its own, and few, for code that takes many in pieces."""

_CHECKED = ((1, 257), (3, 100))
"""Objects and points that graphs are checked with."""

_FATAL = 4
"""What onnxruntime logs: its errors are raised anyway."""


@dataclass(frozen=True)
class ExportedFile:
    """A file that was written and checked.

    Attributes:
        path: where it is.
        size: bytes.
        deviation: the largest difference from torch, relative to the output's largest value.
        tolerance: of the deviation.
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
        decoder: in evaluation mode, on the CPU.
        category: its name.
        folder: where the files go; is made where it is not there.
        opset: version of ONNX's operators, one of `OPSETS`.

    Raises:
        ExportError: onnx or onnxruntime is missing, or a graph differs from the network.
        ConfigurationError: there is no such opset.
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
    """Write ``CATEGORY_encoder.onnx``; arguments and errors as of `export_decoder`."""
    return _write(encoder_graph(encoder), category, Path(folder), opset)


class _CheckError(Exception):
    """A graph does not compute what it should."""


def _write(graph: OnnxGraph, category: str, folder: Path, opset: int) -> ExportedFile:
    if opset not in OPSETS:
        raise ConfigurationError(f"opset {opset}: expected {OPSETS[0]} to {OPSETS[-1]}")
    onnx, runtime = _needed("onnx"), _needed("onnxruntime")
    path = folder / f"{category}_{graph.name}.onnx"
    with replacing(path) as temporary, torch.no_grad():
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
                f"{path}: was not written, for {_first_line(error)}: expected the same as from "
                "torch; try another opset, or other releases of torch and onnxruntime"
            ) from error
        temporary.write_bytes(content)
    return ExportedFile(path, len(content), deviation, graph.tolerance)


def _needed(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ExportError(
            f"{package} cannot be loaded ({error}): expected it for the export, "
            "pip install sdfpose[export]"
        ) from error


def _trace(graph: OnnxGraph, path: Path, opset: int) -> None:
    """Write the graph as torch's exporter of traces makes it; the other one needs onnxscript."""
    with warnings.catch_warnings(), _layer_by_layer():
        # What was fixed by tracing shows when the graph is checked.
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
    """Transformers run as single operations, not as one that ONNX does not know."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _describe(model: Any, graph: OnnxGraph, category: str) -> None:
    """Say in the file what it is and what its tensors mean."""
    facts = {**graph.metadata, "category": category, "sdfpose_version": _version()}
    for key, value in facts.items():
        model.metadata_props.add(key=key, value=value)
    model.doc_string = f"sdfpose: {graph.metadata['description']}; category {category}"
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
    """The largest relative deviation from the reference, of all sizes and outputs.

    Args:
        graph: what was exported.
        run: computes its outputs from inputs by name.

    Raises:
        _CheckError: it is above the tolerance.
    """
    largest = 0.0
    for objects, count in _CHECKED:
        examples = graph.examples(objects, count)
        found = run({k: x.numpy() for k, x in zip(graph.inputs, examples, strict=True)})
        expected = graph.reference(*examples)
        for name, theirs, ours in zip(graph.outputs, found, expected, strict=True):
            deviation = _relative_deviation(theirs, ours.numpy())
            if not deviation <= graph.tolerance:
                raise _CheckError(
                    f"of {objects} objects '{name}' deviates by {deviation:.1e}, more than "
                    f"{graph.tolerance:.0e}"
                )
            largest = max(largest, deviation)
    return largest


def _relative_deviation(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Largest difference by the largest expected value; infinite where shapes differ."""
    if found.shape != expected.shape:
        return np.inf
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def _run(runtime: Any, content: bytes, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Outputs of a file's content in onnxruntime.

    Raises:
        _CheckError: it cannot be run.
    """
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = _FATAL
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        outputs: list[NDArray[Any]] = session.run(None, inputs)
    except Exception as error:  # onnxruntime's have no base of their own
        raise _CheckError(f"onnxruntime fails with {_first_line(error)}") from error
    return outputs


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
