"""Codes and surfaces of the CAD models of NOCS, with which encoders are trained."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.errors import MeshError, WeightsError
from sdfpose_core.sdf.training import codes_file, load_model_codes
from sdfpose_core.shapes.imports import load_surface
from sdfpose_core.shapes.mesh_files import mesh_files
from sdfpose_core.shapes.sdf_samples import sample_surface
from sdfpose_core.storage.files import atomic_replace

__all__ = ["ModelSurfaces", "prepared_codes", "surfaces_file"]

_POINTS = 1024
"""Points per model, as in the published preparation."""


@dataclass(frozen=True)
class ModelSurfaces:
    """Surface points of several models.

    Attributes:
        names: names of the models.
        points: (S, P, 3) float32, normalised object units.
    """

    names: tuple[str, ...]
    points: NDArray[np.float32]

    @classmethod
    def sample(cls, folders: Sequence[Path], category: str, problems: list[str]) -> ModelSurfaces:
        """Sample the models of a category in CAMERA, ``FOLDER/NAME/model.obj``.

        These models are stored left-handed, those of Real are not.

        Args:
            folders: folders of the category, e.g. ``obj_models/train/03797390``.
            category: category of the models.
            problems: receives one sentence for each unreadable model.
        """
        names, points = [], []
        files: list[Path] = []
        for folder in folders:
            try:
                files += mesh_files(folder, problems)
            except MeshError as error:
                problems.append(f"{error}; skipped")
        for path in files:
            try:
                model = load_surface(path, category, left_handed=True)
            except MeshError as error:
                problems.append(f"{error}; skipped")
                continue
            name = path.parent.name
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            names.append(name)
            points.append(sample_surface(model.normalised_vertices, model.faces, rng, _POINTS))
        return cls(tuple(names), np.array(points, dtype=np.float32).reshape(-1, _POINTS, 3))

    def select(self, names: Sequence[str]) -> ModelSurfaces:
        """Return the surfaces of some of the models, in the given order."""
        row = {name: i for i, name in enumerate(self.names)}
        return ModelSurfaces(tuple(names), self.points[[row[x] for x in names]])

    def save(self, path: Path) -> None:
        """Write an ``.npz`` file atomically."""
        with atomic_replace(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, names=np.array(self.names, dtype=str), points=self.points)

    @classmethod
    def load(cls, path: Path) -> ModelSurfaces:
        """Read a file written by `save`.

        Raises:
            MeshError: the file is missing or damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(tuple(file["names"].tolist()), file["points"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise MeshError(
                f"{path}: contains no surfaces of models ({error}): delete it and run "
                "training/prepare_nocs.py again"
            ) from error


def prepared_codes(data: Path, category: str, decoder: Path) -> tuple[list[str], Tensor]:
    """Load the names of a category's models and their codes (S, D).

    Args:
        data: folder of the prepared data.
        category: category of the models.
        decoder: decoder file to which the codes belong.

    Raises:
        WeightsError: there are no codes for the decoder, or they cannot be read.
    """
    path = codes_file(data / "codes", category, decoder)
    if not path.is_file():
        raise WeightsError(
            f"{path}: the CAD models have no codes for {decoder}: run training/prepare_nocs.py "
            f"with --weights {decoder.parent} --category {category}"
        )
    codes = load_model_codes(path)
    return list(codes), torch.stack(list(codes.values()))


def surfaces_file(folder: Path, category: str) -> Path:
    """Return the path of the surfaces of a category's models below the folder of the codes."""
    return folder / f"{category}.surfaces.npz"
