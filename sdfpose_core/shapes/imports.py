"""Import CAD models from files: single meshes and collections such as ShapeNet or NOCS.

`load_model` returns one watertight, oriented solid that is filled inside its outer surface. Other
meshes are repaired if that is safe (each step is noted), and rejected otherwise. `load_surface`
accepts any surface with an area and is used for evaluation.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from manifold3d import Error, Manifold, Mesh64
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.mesh_files import mesh_files, read_mesh
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.repair import close_by_shell, patch_small_holes
from sdfpose_core.shapes.solids import triangles

__all__ = [
    "ImportedModel",
    "ModelCollection",
    "import_model",
    "is_solid",
    "load_collection",
    "load_model",
    "load_surface",
]

_MIN_VOLUME_SHARE = 1e-3
"""Separate solids below this share of the total volume are removed."""

_GENERIC_NAMES = frozenset({"model", "model_normalized", "models", "mesh", "textured"})
"""File and folder names that do not identify a model."""


@dataclass(frozen=True)
class ImportedModel:
    """Solid imported from a file.

    Attributes:
        model: the solid.
        notes: descriptions of the repairs; empty if none were needed.
    """

    model: CadModel
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ModelCollection:
    """Usable models of a folder, and a report on the others.

    Attributes:
        models: in the order of their names.
        notes: repairs by model name.
        rejected: reason for rejecting a file, by path.
        excluded: existing models that the caller excluded.
        unknown_exclusions: excluded names that do not match any model.
    """

    models: tuple[CadModel, ...]
    notes: dict[str, tuple[str, ...]]
    rejected: dict[Path, str]
    excluded: tuple[str, ...]
    unknown_exclusions: tuple[str, ...]

    def report(self) -> str:
        """Format the report as lines of text."""
        lines = [
            f"{len(self.models)} models used, {len(self.rejected)} rejected, "
            f"{len(self.excluded)} excluded"
        ]
        lines += [f"repaired {name}: {'; '.join(notes)}" for name, notes in self.notes.items()]
        lines += [f"rejected {reason}" for reason in self.rejected.values()]
        lines += [f"excluded {name}" for name in self.excluded]
        lines += [
            f"warning: the excluded model '{name}' does not exist"
            for name in self.unknown_exclusions
        ]
        return "\n".join(lines)


def load_model(
    path: Path | str,
    category: str,
    *,
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    repair: bool = False,
    left_handed: bool = False,
) -> CadModel:
    """Import one solid without notes; arguments and errors are those of `import_model`."""
    imported = import_model(
        path, category, unit_m=unit_m, yaw_deg=yaw_deg, repair=repair, left_handed=left_handed
    )
    return imported.model


def import_model(
    path: Path | str,
    category: str,
    *,
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    repair: bool = False,
    left_handed: bool = False,
) -> ImportedModel:
    """Import one solid, y up, with repairs that do not change its shape.

    The import merges coincident vertices, patches small holes, makes the face orientation
    consistent, flips inside-out meshes, unites overlapping parts and removes inner surfaces.

    Args:
        path: mesh file, one of `MESH_SUFFIXES`.
        category: category name.
        unit_m: length of the file's unit in metres.
        yaw_deg: rotation about y that turns the model's front towards +x.
        repair: whether to replace a surface that is open or has several parts by a thin closed
            shell around it (`close_by_shell`). This moves the surface by about 0.5 % of the
            diagonal.
        left_handed: whether the file has z the other way round, as the CAD models of NOCS (of
            CAMERA, not of Real) have: read as they are, they are mirror images of the objects.

    Raises:
        MeshError: the file is missing or damaged, or the mesh is flat, not closed, has no faces,
            too many faces, several solids or vertices that are not finite. The message names the
            file.
    """
    path = Path(path)
    vertices, faces = _placed(path, unit_m, yaw_deg, left_handed)
    notes: list[str] = []
    try:
        solid = _solid(path, vertices, faces, notes)
    except MeshError as error:
        if not repair:
            raise
        vertices, closed_faces, offset = close_by_shell(vertices, faces)
        reason = str(error).removeprefix(f"{path}: ").partition(": expected")[0]
        notes.append(
            f"it {reason}, so a closed shell {offset:.2%} of the diagonal outside replaces it"
        )
        solid = _solid(path, vertices, closed_faces, notes)
    name = _model_name(path)
    return ImportedModel(CadModel.centred(name, category, *triangles(solid)), tuple(notes))


def load_surface(
    path: Path | str,
    category: str,
    *,
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    left_handed: bool = False,
) -> CadModel:
    """Read a closed or open mesh without repairs, for evaluation.

    Args:
        path: mesh file, one of `MESH_SUFFIXES`.
        category: category name.
        unit_m: length of the file's unit in metres.
        yaw_deg: rotation about y that turns the model's front towards +x.
        left_handed: see `import_model`.

    Raises:
        MeshError: the file is missing or damaged, or the mesh is flat, has no faces, too many
            faces or vertices that are not finite.
    """
    path = Path(path)
    vertices, faces = _placed(path, unit_m, yaw_deg, left_handed)
    return CadModel.centred(_model_name(path), category, vertices, faces)


def is_solid(path: Path | str) -> bool:
    """Whether a mesh, without repairs, bounds a volume without cavities (see `import_model`).

    Raises:
        MeshError: the file is missing or damaged, or contains no surface.
    """
    vertices, faces = read_mesh(Path(path))
    return _is_closed(vertices, faces) and len(_as_manifold(vertices, faces).decompose()) == 1


def load_collection(
    folder: Path | str,
    category: str,
    exclude: Collection[str] = (),
    *,
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    repair: bool = True,
    left_handed: bool = False,
) -> ModelCollection:
    """Import all models in a folder with any layout, e.g. flat, ShapeNet or NOCS.

    A model's name is its relative path without generic parts, e.g. ``1a2b`` for
    ``1a2b/models/model_normalized.obj``.

    Args:
        folder: folder to search recursively for files of `MESH_SUFFIXES`.
        category: category name.
        exclude: names of models to exclude.
        unit_m: length of the files' unit in metres.
        yaw_deg: rotation about y that turns the models' fronts towards +x.
        repair: see `import_model`.
        left_handed: see `import_model`.

    Raises:
        MeshError: the folder is missing or contains no usable mesh.
    """
    folder = Path(folder)
    files: dict[str, Path] = {}
    rejected: dict[Path, str] = {}
    unreadable: list[str] = []
    for path in mesh_files(folder, unreadable):
        used = files.setdefault(_model_name(path, folder), path)
        if used != path:
            rejected[path] = f"{path}: duplicate of the same model: {used.name} is used instead"
    rejected |= {Path(x.partition(": ")[0]): x for x in unreadable}
    exclusions = set(exclude)
    models: list[CadModel] = []
    notes: dict[str, tuple[str, ...]] = {}
    for name, path in files.items():
        if name in exclusions:
            continue
        try:
            imported = import_model(
                path,
                category,
                unit_m=unit_m,
                yaw_deg=yaw_deg,
                repair=repair,
                left_handed=left_handed,
            )
        except MeshError as error:
            rejected[path] = str(error)
            continue
        solid = imported.model
        models.append(CadModel(name, category, solid.vertices, solid.faces))
        if imported.notes:
            notes[name] = imported.notes
    if not models:
        reason = next(iter(rejected.values()), "all are excluded")
        raise MeshError(f"{folder}: none of its {len(files)} meshes is usable; first: {reason}")
    return ModelCollection(
        models=tuple(models),
        notes=notes,
        rejected=rejected,
        excluded=tuple(sorted(exclusions & files.keys())),
        unknown_exclusions=tuple(sorted(exclusions - files.keys())),
    )


def _model_name(path: Path, folder: Path | None = None) -> str:
    """Name of a model: the specific parts of its path relative to `folder`.

    Without a folder, the last specific part.
    """
    relative = path.relative_to(folder) if folder is not None else Path(*path.parts[-3:])
    parts = list(relative.with_suffix("").parts)
    specific = [part for part in parts if part not in _GENERIC_NAMES]
    if folder is None:
        return parts[-1] if parts[-1] in specific else (specific or parts)[-1]
    return "/".join(specific or parts[-1:])


def _placed(
    path: Path, unit_m: float, yaw_deg: float, left_handed: bool
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read vertices (V, 3), in metres, right-handed and rotated about y, and faces (F, 3)."""
    vertices, faces = read_mesh(path)
    if left_handed:
        vertices, faces = vertices * (1.0, 1.0, -1.0), faces[:, ::-1]
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return unit_m * vertices @ about_y.T, faces


def _solid(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64], notes: list[str]
) -> Manifold:
    """Make one filled solid from a mesh; append the repairs to `notes`."""
    reoriented = False
    if not _is_closed(vertices, faces):
        patched, more_faces, patches = patch_small_holes(vertices, faces)
        reoriented = not _is_closed(patched, more_faces)
        if reoriented:
            mesh = trimesh.Trimesh(vertices, faces, process=False)
            trimesh.repair.fix_winding(mesh)
            patched, more_faces, patches = patch_small_holes(vertices, np.asarray(mesh.faces))
            if not _is_closed(patched, more_faces):
                raise MeshError(_not_closed(path, faces))
            notes.append("faces with inconsistent orientation were flipped")
        vertices, faces = patched, more_faces
        if patches:
            notes.append(f"{patches} small holes were patched")
    parts = _as_manifold(vertices, faces).decompose()
    negative = [part for part in parts if part.volume() < 0.0]
    filled = [part for part in parts if part.volume() > 0.0]
    cavities = [part for part in negative if any(_encloses(other, part) for other in filled)]
    inside_out = [part for part in negative if part not in cavities]
    if cavities:
        notes.append(f"{len(cavities)} inner surfaces were removed to fill the solid")
    if inside_out:
        if not reoriented:
            notes.append("the mesh was inside out and was flipped")
        filled += [_inverted(part) for part in inside_out]
    if not filled:
        raise MeshError(f"{path}: does not enclose a volume: expected a solid")
    if len(filled) > 1:
        notes.append(f"{len(filled)} closed parts were united")
    return _largest(path, sum(filled[1:], filled[0]), notes)


def _largest(path: Path, solid: Manifold, notes: list[str]) -> Manifold:
    """Return the only significant piece of a solid."""
    pieces = sorted(
        (piece for piece in solid.decompose() if piece.volume() > 0.0),
        key=lambda piece: -piece.volume(),
    )
    whole = sum(piece.volume() for piece in pieces)
    large = [piece for piece in pieces if piece.volume() > _MIN_VOLUME_SHARE * whole]
    if len(large) != 1:
        raise MeshError(
            f"{path}: contains {len(large)} separate solids: expected one object per file, with "
            "touching parts"
        )
    if len(pieces) > 1:
        notes.append(f"{len(pieces) - 1} tiny separate pieces were removed")
    return large[0]


def _as_manifold(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> Manifold:
    return Manifold(
        Mesh64(np.ascontiguousarray(vertices), np.ascontiguousarray(faces, dtype=np.uint64))
    )


def _is_closed(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> bool:
    solid = _as_manifold(vertices, faces)
    return bool(solid.status() == Error.NoError and not solid.is_empty())


def _inverted(part: Manifold) -> Manifold:
    vertices, faces = triangles(part)
    return _as_manifold(vertices, faces[:, ::-1].astype(np.int64))


def _encloses(outer: Manifold, inner: Manifold) -> bool:
    """Whether `inner`, an inward-oriented surface, lies inside `outer`."""
    a, b = np.asarray(outer.bounding_box()), np.asarray(inner.bounding_box())
    if not (np.all(a[:3] <= b[:3]) and np.all(b[3:] <= a[3:])):
        return False
    body = _inverted(inner)
    return bool((body - outer).volume() < 1e-3 * body.volume())


def _not_closed(path: Path, faces: NDArray[np.int64]) -> str:
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    single, many = int(np.sum(count == 1)), int(np.sum(count > 2))
    return (
        f"{path}: is not watertight (of {len(count)} edges, {single} border one face and {many} "
        "more than two): expected a closed solid; close it, or allow its repair by a shell"
    )
