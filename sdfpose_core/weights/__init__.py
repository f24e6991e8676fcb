"""Locations and file format of network weights: safetensors with a header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from sdfpose_core.errors import WeightsError
from sdfpose_core.storage.files import write_atomically

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "COLOUR_FILE",
    "CONFIDENCE_FILE",
    "MASKS_FILE",
    "MILD",
    "RANKING_FILE",
    "RECOGNITION_FILE",
    "SHARED_FILES",
    "SHIPPED",
    "read_weights",
    "weights_category",
    "weights_file",
    "weights_kind",
    "write_weights",
]

SHIPPED = Path(__file__).parent
"""Folder of the packs shipped with the package, with the networks that serve all categories."""

MILD = SHIPPED / "mild"
"""Encoders trained on low-noise depth and accurate masks only, the starting point of
`sdfpose bench adaptation`, in one folder a category. Their decoders are those of the packs."""

COLOUR_FILE = "colour.safetensors"
"""Name of the colour network's weights, one file for all categories."""

MASKS_FILE = "masks.safetensors"
"""Name of the mask network's weights."""

RECOGNITION_FILE = "recognition.safetensors"
"""Name of the recognition network's weights, one file for all categories."""

RANKING_FILE = "mode_ranking.json"
"""Name of the ranking of the modes of an instance."""

CONFIDENCE_FILE = "confidence.json"
"""Name of the confidence model."""

SHARED_FILES = (COLOUR_FILE, MASKS_FILE, RECOGNITION_FILE, RANKING_FILE, CONFIDENCE_FILE)
"""Names of the files that serve all categories; a folder of packs may have its own."""

_FORMAT = "sdfpose/1"


def weights_file(category: str, kind: str, folder: Path | str | None = None) -> Path:
    """Return the path of a category's weights in a folder of packs that are named like theirs.

    Args:
        category: category name.
        kind: ``decoder`` or ``encoder``.
        folder: folder of packs; None for the shipped ones.
    """
    return Path(folder or SHIPPED) / category / f"{kind}.safetensors"


def write_weights(
    path: Path | str,
    kind: str,
    category: str,
    settings: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
) -> None:
    """Write a weights file atomically.

    Args:
        path: output file.
        kind: kind of network, e.g. ``decoder``.
        category: category that the network was trained for.
        settings: architecture, JSON-serialisable.
        tensors: parameters and buffers by name.
        dtype: precision of the stored floating-point tensors, by default single.
    """
    import torch  # headers are read without it
    from safetensors.torch import save

    header = {
        "format": _FORMAT,
        "kind": kind,
        "category": category,
        "settings": json.dumps(dict(settings)),
    }
    stored = {
        name: (t.to(dtype or torch.float32) if t.is_floating_point() else t)
        .detach()
        .cpu()
        .contiguous()
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


def weights_category(path: Path | str, wanted: str) -> str:
    """Read the category that a network was trained for from its header; empty if not specified.

    Args:
        path: weights file.
        wanted: expected kind for the error message, e.g. ``decoder``.

    Raises:
        WeightsError: the file is missing or damaged.
    """
    return _read(path, wanted, tensors=False)[0].get("category", "")


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
            "(--weights or weights_dirs names packs beside those of the package)"
        )
    try:
        with safe_open(path, framework="pt" if tensors else "np") as file:
            names = file.keys() if tensors else ()
            return file.metadata() or {}, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"{path}: damaged, not a readable safetensors file ({error}); "
            "restore it from the package or train it again"
        ) from error
