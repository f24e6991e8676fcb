"""Weights: where they are, and one file format for all networks (safetensors with a header)."""

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
from sdfpose_core.storage.files import write_atomically

__all__ = [
    "MILD",
    "SHIPPED",
    "complete_weights",
    "read_weights",
    "weights_file",
    "weights_kind",
    "write_weights",
]

SHIPPED = Path(__file__).parent
"""The folder of the weights that ship with the package."""

MILD = SHIPPED / "mild"
"""Encoders that know good cameras and careful masks alone: where `sdfpose bench adaptation` starts.
The decoders are those of `SHIPPED`."""

_FORMAT = "sdfpose/1"


def weights_file(category: str, kind: str, folder: Path | str | None = None) -> Path:
    """Path of a category's weights; `kind` is ``decoder`` or ``encoder``.

    Args:
        category: name of the category.
        kind: which network.
        folder: where to look; None for the shipped weights.
    """
    return Path(folder or SHIPPED) / f"{category}.{kind}.safetensors"


def complete_weights(folder: Path | str, source: Path | str | None = None) -> None:
    """Copy the weights and the confidence model that a folder lacks from another one.

    Args:
        folder: is made where it is not there.
        source: where from; None for the shipped weights.
    """
    folder, source = Path(folder), Path(source or SHIPPED)
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted([*source.glob("*.safetensors"), *source.glob("*.json")]):
        if not (folder / path.name).exists():
            write_atomically(folder / path.name, path.read_bytes())


def write_weights(
    path: Path | str,
    kind: str,
    category: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a weights file; a reader sees the old file or the whole new one.

    Args:
        path: the file.
        kind: which network, e.g. ``decoder``.
        category: name of the category that it was trained for.
        settings: architecture, JSON-serialisable.
        tensors: parameters and buffers by name.
        dtype: precision in which floating-point tensors are stored.
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
    # safetensors' own writer gives files that their owner alone can read.
    write_atomically(path, save(stored, metadata=header))


def weights_kind(path: Path | str, wanted: str) -> str:
    """Which network a weights file says that it holds; empty where it says nothing.

    Args:
        path: the file.
        wanted: for the message where there is none, e.g. ``decoder``.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    return _read(path, wanted, tensors=False)[0].get("kind", "")


def read_weights(path: Path | str, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and float32 tensors of a weights file.

    Raises:
        WeightsError: the file is missing, damaged or holds another kind of network.
    """
    header, tensors = _read(path, kind)
    if header.get("format") != _FORMAT or header.get("kind") != kind:
        found = f"{header.get('format', 'no format')} {header.get('kind', 'of no kind')}"
        raise WeightsError(f"{path}: holds '{found}': expected '{_FORMAT} {kind}'")
    try:
        settings = json.loads(header["settings"])
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: its header has no readable settings") from error
    return settings, {
        name: t.float() if t.is_floating_point() else t for name, t in tensors.items()
    }


def _read(
    path: Path | str, kind: str, *, tensors: bool = True
) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and, where they are asked for, tensors of a file."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(
            f"{path}: no such weights file; expected the {kind} of a trained category "
            "(make weights trains the shipped ones)"
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys() if tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: damaged, not a readable safetensors file ({error}); "
            "restore it from the package or train it anew"
        ) from error
