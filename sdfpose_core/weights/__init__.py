"""Locations and file format of network weights: safetensors with a header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.files import create_atomically, write_atomically

__all__ = [
    "COLOUR_FILE",
    "MASKS_FILE",
    "MILD",
    "RECOGNITION_FILE",
    "SHIPPED",
    "complete_weights",
    "own_or_shipped",
    "read_weights",
    "weights_file",
    "weights_kind",
    "write_weights",
]

SHIPPED = Path(__file__).parent
"""Folder of the weights shipped with the package."""

MILD = SHIPPED / "mild"
"""Encoders trained on low-noise depth and accurate masks only, the starting point of
`sdfpose bench adaptation`. Their decoders are in `SHIPPED`."""

COLOUR_FILE = "colour.safetensors"
"""Name of the colour network's weights, one file for all categories."""

MASKS_FILE = "masks.safetensors"
"""Name of the mask network's weights."""

RECOGNITION_FILE = "recognition.safetensors"
"""Name of the recognition network's weights, one file for all categories."""


def own_or_shipped(name: str, weights_dir: Path | str | None) -> Path:
    """Return the path of a file that serves all categories: of a folder, or else the shipped one.

    Args:
        name: name of the file.
        weights_dir: folder of the weights, None for the shipped ones.
    """
    own = SHIPPED if weights_dir is None else Path(weights_dir)
    return own / name if (own / name).exists() else SHIPPED / name


_FORMAT = "sdfpose/1"


def weights_file(category: str, kind: str, folder: Path | str | None = None) -> Path:
    """Return the path of a category's weights.

    Args:
        category: category name.
        kind: ``decoder`` or ``encoder``.
        folder: folder of the weights; None for the shipped weights.
    """
    return Path(folder or SHIPPED) / f"{category}.{kind}.safetensors"


def complete_weights(folder: Path | str, source: Path | str | None = None) -> None:
    """Copy missing weights and the confidence model from another folder.

    Args:
        folder: destination; created if missing.
        source: folder to copy from; None for the shipped weights.
    """
    folder, source = Path(folder), Path(source or SHIPPED)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted([*source.glob("*.safetensors"), *source.glob("*.json")]):
        if not (folder / path.name).exists():
            create_atomically(folder / path.name, path.read_bytes())


def write_weights(
    path: Path | str,
    kind: str,
    category: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a weights file atomically.

    Args:
        path: output file.
        kind: kind of network, e.g. ``decoder``.
        category: category that the network was trained for.
        settings: architecture, JSON-serialisable.
        tensors: parameters and buffers by name.
        dtype: precision of the stored floating-point tensors.
    """
    header = {
        "format": _FORMAT,
        "kind": kind,
        "category": category,
        "settings": json.dumps(dict(settings)),
    }
    stored = {
        name: (t.to(dtype) if t.is_floating_point() else t).detach().cpu().contiguous()
        for name, t in tensors.items()
    }
    # The file writer of safetensors creates files that only their owner can read.
    write_atomically(path, save(stored, metadata=header))


def weights_kind(path: Path | str, wanted: str) -> str:
    """Read the kind of network from a weights file's header; empty if not specified.

    Args:
        path: weights file.
        wanted: expected kind for the error message, e.g. ``decoder``.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    return _read(path, wanted, tensors=False)[0].get("kind", "")


def read_weights(path: Path | str, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read the settings and tensors, as float32, of a weights file.

    Raises:
        WeightsError: the file is missing, damaged or contains another kind of network.
    """
    header, tensors = _read(path, kind)
    if header.get("format") != _FORMAT or header.get("kind") != kind:
        found = f"{header.get('format', 'no format')} {header.get('kind', 'of no kind')}"
        raise WeightsError(f"{path}: contains '{found}': expected '{_FORMAT} {kind}'")
    try:
        settings = json.loads(header["settings"])
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"{path}: the header has no readable settings: expected a file written by sdfpose"
        ) from error
    return settings, {
        name: t.float() if t.is_floating_point() else t for name, t in tensors.items()
    }


def _read(
    path: Path | str, kind: str, *, tensors: bool = True
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read the header and optionally the tensors of a file."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; expected the {kind} of a trained category "
            "(--weights or weights_dir names the folder; by default it is that of the package)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: damaged, not a readable safetensors file ({error}); "
            "restore it from the package or train it again"
        ) from error
