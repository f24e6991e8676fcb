"""Sizes of the CAD models and scans of the NOCS data, and the benchmark's frames of the mugs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.images import read_text
from sdfpose_core.datasets.nocs_frames import MugFrame
from sdfpose_core.errors import ConfigurationError, FrameError, MeshError, PickleError
from sdfpose_core.shapes.mesh_files import MESH_SUFFIXES, read_mesh
from sdfpose_core.storage.pickles import load_pickle

__all__ = ["NOCS_MODEL_FOLDERS", "SYNSETS", "NocsModels", "model_folder"]

NOCS_MODEL_FOLDERS = {
    "CAMERA/train": "train",
    "CAMERA/val": "val",
    "Real/train": "real_train",
    "Real/test": "real_test",
}
"""Folder below ``obj_models`` of the CAD models or scans of each part."""

SYNSETS = {
    "bottle": "02876657",
    "bowl": "02880940",
    "camera": "02942699",
    "can": "02946921",
    "laptop": "03642806",
    "mug": "03797390",
}
"""Folder names in ShapeNet, in the order of the class ids."""

_MUG_META = "mug_meta.pkl"

_SHIFTS: dict[str, tuple[float, float, float]] = {
    "3a7439cfaa9af51faf1af397e14a566d": (0.115, 0.0, 0.0),
    "5b0c679eb8a2156c4314179664d18101": (0.083, 0.0, -0.044),
    "649a51c711dc7f3b32e150233fdd42e9": (0.0, 0.0, -0.017),
    "bf2b5e941b43d030138af902bc222a59": (0.0534, 0.0, 0.0),
    "ca198dc3f7dc0cacec6338171298c66b": (0.120, 0.0, 0.0),
    "f42a9784d165ad2f5e723252788c3d6e": (0.117, 0.0, -0.026),
}
"""Shifts of the mugs of CAMERA whose body is not as wide as their box along z: the benchmark's
``mug_meta.pkl`` has these values (Object-DeformNet, ``preprocess/shape_data.py``)."""


def model_folder(models: Path, category: str) -> Path | None:
    """Find the folder of a category's CAD models, None if there is none.

    Args:
        models: ``obj_models/train`` or ``obj_models/val``.
        category: one of the six categories.
    """
    number = 1 + list(SYNSETS).index(category)
    names = (SYNSETS[category], f"{number:08d}", category)
    return next((models / x for x in names if (models / x).is_dir()), None)


class NocsModels:
    """Sizes of the models of a part, read when they are asked for.

    The models of CAMERA are ``SYNSET/NAME/model.obj``, those of Real ``NAME.obj``. Beside them,
    ``bbox.txt`` has the corners of the box and ``NAME.txt`` its sides, from which the size is taken
    where they exist. All published models are centred at their origin.

    Args:
        root: the data folder.
        part: key of `NOCS_MODEL_FOLDERS`.

    Raises:
        ConfigurationError: the part is unknown.
    """

    def __init__(self, root: Path | str, part: str) -> None:
        if part not in NOCS_MODEL_FOLDERS:
            raise ConfigurationError(
                f"part '{part}' is unknown: expected one of {', '.join(NOCS_MODEL_FOLDERS)}"
            )
        self.folder = Path(root) / "obj_models" / NOCS_MODEL_FOLDERS[part]
        self.meta_file = Path(root) / "obj_models" / _MUG_META
        self._files: dict[str, list[Path]] | None = None
        self._sizes: dict[str, NDArray[np.float64] | None] = {}
        self._meta: dict[str, MugFrame] | None = None

    def size(self, name: str, problems: list[str]) -> NDArray[np.float64] | None:
        """Measure a model: twice its largest absolute coordinate per axis, (3,).

        The unit is the diagonal of its box, as in the maps of object coordinates.

        Args:
            name: name of the model.
            problems: receives a sentence if the model is missing or unreadable, once per model.

        Returns:
            The size, None if it is unknown.
        """
        if name not in self._sizes:
            self._sizes[name] = self._measured(name, problems)
        return self._sizes[name]

    def mug_frame(self, name: str, size: NDArray[np.floating], problems: list[str]) -> MugFrame:
        """Return the benchmark's frame of a mug.

        Args:
            name: name of its model.
            size: (3,) size of the model, used if ``mug_meta.pkl`` does not have the model.
            problems: receives a sentence if ``mug_meta.pkl`` is unusable, once.
        """
        if self._meta is None:
            self._meta = self._published_frames(problems)
        if name in self._meta:
            return self._meta[name]
        shift = _SHIFTS.get(name)
        return MugFrame.of_box(size) if shift is None else MugFrame.shifted(size, shift)

    def _measured(self, name: str, problems: list[str]) -> NDArray[np.float64] | None:
        if self._files is None:
            self._files = _model_files(self.folder)
        files = self._files.get(name, [])
        # Text files first: they are read in no time.
        for path in sorted(files, key=lambda x: x.suffix != ".txt"):
            try:
                low, high = _corners(path)
            except (FrameError, MeshError, ValueError) as error:
                reason = str(error)
                problems.append(reason if str(path) in reason else f"{path}: {reason}")
                continue
            return np.asarray(
                2.0 * np.maximum(np.abs(low), np.abs(high)) / np.linalg.norm(high - low)
            )
        problems.append(
            f"{self.folder}: has no usable model '{name}': the size of its instances is taken from "
            "the file of true poses, or from their maps of object coordinates"
        )
        return None

    def _published_frames(self, problems: list[str]) -> dict[str, MugFrame]:
        if not self.meta_file.is_file():
            return {}
        try:
            content = load_pickle(self.meta_file)
        except PickleError as error:
            problems.append(f"{error}; the frames of mugs are computed from their models")
            return {}
        frames, wrong = {}, []
        for name, entry in content.items() if isinstance(content, Mapping) else ():
            try:
                shift = np.asarray(entry[0], np.float64)
                scale = float(entry[1])
            except (TypeError, ValueError, LookupError):
                shift, scale = np.zeros(0), 0.0
            if shift.shape == (3,) and np.isfinite([*shift, scale]).all() and scale > 0.0:
                frames[str(name)] = MugFrame(shift, scale)
            else:
                wrong.append(str(name))
        if wrong or not isinstance(content, Mapping):
            what = f"has unusable entries ({', '.join(wrong[:5])})" if wrong else "is no dictionary"
            problems.append(
                f"{self.meta_file}: {what}: expected model names with a shift (3,) and a positive "
                "scale; the frames of those mugs are computed from their models"
            )
        return frames


def _model_files(folder: Path) -> dict[str, list[Path]]:
    """List the files that tell the size of a model, by its name."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.suffix.lower() not in (*MESH_SUFFIXES, ".txt") or not path.is_file():
            continue
        in_own_folder = path.stem == "model" or path.name == "bbox.txt"
        files.setdefault(path.parent.name if in_own_folder else path.stem, []).append(path)
    return files


def _corners(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the lower and the upper corner (3,) of a model from a mesh or a text file.

    Raises:
        MeshError: the mesh is unusable.
        FrameError, ValueError: the text file is unusable.
    """
    if path.suffix != ".txt":
        vertices, _ = read_mesh(path)
        return vertices.min(axis=0), vertices.max(axis=0)
    values = np.array(read_text(path).split(), dtype=np.float64)
    if len(values) not in (3, 6):
        raise ValueError(f"has {len(values)} numbers: expected three sides, or two corners")
    values = np.stack([-0.5 * values, 0.5 * values]) if len(values) == 3 else values.reshape(2, 3)
    low, high = values.min(axis=0), values.max(axis=0)
    if not (np.isfinite(values).all() and (high > low).all()):
        raise ValueError(f"has the corners {values.tolist()}: expected a box with a volume")
    return low, high
