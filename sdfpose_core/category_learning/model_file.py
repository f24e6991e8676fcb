"""A file of models, which worker processes read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.storage.files import atomic_replace

__all__ = ["load_models", "save_models"]


def save_models(path: Path, models: Sequence[CadModel]) -> None:
    """Write models of one category to an ``.npz`` file, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_replace(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            names=np.array([x.name for x in models]),
            category=np.array(models[0].category),
            vertices=np.concatenate([x.vertices for x in models]),
            faces=np.concatenate([x.faces for x in models]),
            vertex_counts=np.array([len(x.vertices) for x in models]),
            face_counts=np.array([len(x.faces) for x in models]),
        )


def load_models(path: Path) -> list[CadModel]:
    """Read a file of `save_models`."""
    with np.load(path, allow_pickle=False) as arrays:
        vertices = np.split(arrays["vertices"], np.cumsum(arrays["vertex_counts"])[:-1])
        faces = np.split(arrays["faces"], np.cumsum(arrays["face_counts"])[:-1])
        category = str(arrays["category"])
        return [
            CadModel(str(name), category, v, f)
            for name, v, f in zip(arrays["names"], vertices, faces, strict=True)
        ]
