"""CAD models from files: single meshes and collections such as ShapeNet's and NOCS's.

What `load_model` returns is one solid: filled inside its outer surface, watertight, oriented. A
file that is no such solid is mended where that is safe (each step is noted) and refused otherwise.
`load_surface` asks for less, a surface with an area, and serves evaluation.
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

_CRUMB = 1e-3
"""Separate solids below this share of the volume are dropped."""

_GENERIC_NAMES = frozenset({"model", "model_normalized", "models", "mesh", "textured"})
"""File and folder names of collections that do not tell models apart."""


@dataclass(frozen=True)
class ImportedModel:
    """A solid from a file.

    Attributes:
        model: the solid.
        notes: what was mended, in words; empty for a faultless file.
    """

    model: CadModel
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ModelCollection:
    """The usable models of a folder, and an account of the others.

    Attributes:
        models: in the order of their names.
        notes: what was mended, by model name.
        refused: why a file was refused, by path.
        excluded: names that the caller left out and that were there.
        unknown_exclusions: names that the caller left out and that no model bears.
    """

    models: tuple[CadModel, ...]
    notes: dict[str, tuple[str, ...]]
    refused: dict[Path, str]
    excluded: tuple[str, ...]
    unknown_exclusions: tuple[str, ...]

    def report(self) -> str:
        """The account in lines of text."""
        lines = [
            f"{len(self.models)} models used, {len(self.refused)} refused, "
            f"{len(self.excluded)} excluded"
        ]
        lines += [f"mended {name}: {'; '.join(what)}" for name, what in self.notes.items()]
        lines += [f"refused {reason}" for reason in self.refused.values()]
        lines += [f"excluded {name}" for name in self.excluded]
        lines += [
            f"warning: no model is called '{name}', which was to be excluded"
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
) -> CadModel:
    """Read one solid: the `model` of `import_model`, whose arguments and errors it has."""
    imported = import_model(path, category, unit_m=unit_m, yaw_deg=yaw_deg, repair=repair)
    return imported.model


def import_model(
    path: Path | str,
    category: str,
    *,
    unit_m: float = 1.0,
    yaw_deg: float = 0.0,
    repair: bool = False,
) -> ImportedModel:
    """Read one solid, y up, and mend what can be mended without changing its shape.

    Coincident vertices are merged, small holes are patched, faces that disagree are turned, an
    inside-out mesh is flipped, overlapping parts are united and inner surfaces dropped, so that
    the solid is filled.

    Args:
        path: a mesh of one of `MESH_SUFFIXES`.
        category: name of its category.
        unit_m: length of the file's unit in metres.
        yaw_deg: turn about y that brings the model's front toward +x.
        repair: whether a surface that is not closed, or falls into parts, may be replaced by a
            thin closed shell around it (`close_by_shell`), which moves it by about 0.5 % of the
            diagonal.

    Raises:
        MeshError: the file is missing or damaged, or the mesh has no faces, is flat, has vertices
            that are not finite, is not closed, holds several solids or too many faces. The
            message names the file.
    """
    path = Path(path)
    vertices, faces = _placed(path, unit_m, yaw_deg)
    notes: list[str] = []
    try:
        solid = _solid(path, vertices, faces, notes)
    except MeshError as error:
        if not repair:
            raise
        vertices, closed_faces, moved = close_by_shell(vertices, faces)
        reason = str(error).removeprefix(f"{path}: ").partition(": expected")[0]
        notes.append(
            f"it {reason}, so a closed shell {moved:.2%} of the diagonal outside was put around it"
        )
        solid = _solid(path, vertices, closed_faces, notes)
    name = _model_name(path)
    return ImportedModel(CadModel.centred(name, category, *triangles(solid)), tuple(notes))


def load_surface(
    path: Path | str, category: str, *, unit_m: float = 1.0, yaw_deg: float = 0.0
) -> CadModel:
    """Read a mesh as it is, closed or not, for evaluation.

    Args:
        path: a mesh of one of `MESH_SUFFIXES`.
        category: name of its category.
        unit_m: length of the file's unit in metres.
        yaw_deg: turn about y that brings the model's front toward +x.

    Raises:
        MeshError: the file is missing or damaged, or the mesh has no faces, is flat, has vertices
            that are not finite or too many faces.
    """
    path = Path(path)
    vertices, faces = _placed(path, unit_m, yaw_deg)
    return CadModel.centred(_model_name(path), category, vertices, faces)


def is_solid(path: Path | str) -> bool:
    """Whether a mesh, as it is, bounds a volume without hollows (see `import_model`).

    Raises:
        MeshError: the file is missing or damaged, or holds no surface.
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
) -> ModelCollection:
    """Read all models below a folder, in whatever layout: flat, ShapeNet's, NOCS's.

    A model is named by its path below the folder without the parts that all models share, e.g.
    ``1a2b`` for ``1a2b/models/model_normalized.obj``.

    Args:
        folder: searched with all its subfolders for files of `MESH_SUFFIXES`.
        category: name of the models' category.
        exclude: names of models to leave out.
        unit_m: length of the files' unit in metres.
        yaw_deg: turn about y that brings the models' fronts toward +x.
        repair: as in `import_model`.

    Raises:
        MeshError: the folder is missing, holds no mesh, or none that can be used.
    """
    folder = Path(folder)
    files: dict[str, Path] = {}
    refused: dict[Path, str] = {}
    for path in mesh_files(folder):
        used = files.setdefault(_model_name(path, folder), path)
        if used != path:
            refused[path] = f"{path}: {used.name} beside it is used for the same model"
    unwanted = set(exclude)
    models: list[CadModel] = []
    notes: dict[str, tuple[str, ...]] = {}
    for name, path in files.items():
        if name in unwanted:
            continue
        try:
            imported = import_model(path, category, unit_m=unit_m, yaw_deg=yaw_deg, repair=repair)
        except MeshError as error:
            refused[path] = str(error)
            continue
        found = imported.model
        models.append(CadModel(name, category, found.vertices, found.faces))
        if imported.notes:
            notes[name] = imported.notes
    if not models:
        reason = next(iter(refused.values()), "all are excluded")
        raise MeshError(f"{folder}: none of its {len(files)} meshes can be used; first: {reason}")
    return ModelCollection(
        models=tuple(models),
        notes=notes,
        refused=refused,
        excluded=tuple(sorted(unwanted & files.keys())),
        unknown_exclusions=tuple(sorted(unwanted - files.keys())),
    )


def _model_name(path: Path, folder: Path | None = None) -> str:
    """Name of a model: the telling parts of its path below `folder`, or of its own end."""
    relative = path.relative_to(folder) if folder is not None else Path(*path.parts[-3:])
    parts = list(relative.with_suffix("").parts)
    telling = [part for part in parts if part not in _GENERIC_NAMES]
    if folder is None:
        # only as much of the path as it takes to tell models apart
        return parts[-1] if parts[-1] in telling else (telling or parts)[-1]
    return "/".join(telling or parts[-1:])


def _placed(
    path: Path, unit_m: float, yaw_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (V, 3), metres, turned about y, and faces (F, 3) of a sound file."""
    vertices, faces = read_mesh(path)
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return unit_m * vertices @ about_y.T, faces


def _solid(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64], notes: list[str]
) -> Manifold:
    """One filled solid from a mesh; `notes` gains what had to be mended."""
    turned = False
    if not _is_closed(vertices, faces):
        patched, more_faces, patches = patch_small_holes(vertices, faces)
        turned = not _is_closed(patched, more_faces)
        if turned:
            mesh = trimesh.Trimesh(vertices, faces, process=False)
            trimesh.repair.fix_winding(mesh)
            patched, more_faces, patches = patch_small_holes(vertices, np.asarray(mesh.faces))
            if not _is_closed(patched, more_faces):
                raise MeshError(_not_closed(path, faces))
            notes.append("faces that disagreed on the outside were turned")
        vertices, faces = patched, more_faces
        if patches:
            notes.append(f"{patches} small holes were patched")
    parts = _as_manifold(vertices, faces).decompose()
    flipped = [part for part in parts if part.volume() < 0.0]
    filled = [part for part in parts if part.volume() > 0.0]
    hollows = [part for part in flipped if any(_encloses(other, part) for other in filled)]
    outside_in = [part for part in flipped if part not in hollows]
    if hollows:
        notes.append(f"{len(hollows)} inner surfaces were dropped: a solid is filled")
    if outside_in:
        if not turned:
            notes.append("the mesh was inside out and was flipped")
        filled += [_inverted(part) for part in outside_in]
    if not filled:
        raise MeshError(f"{path}: bounds no volume: expected a solid")
    if len(filled) > 1:
        notes.append(f"{len(filled)} closed parts were united")
    return _largest(path, sum(filled[1:], filled[0]), notes)


def _largest(path: Path, solid: Manifold, notes: list[str]) -> Manifold:
    """The only piece of a solid that is more than a crumb."""
    pieces = sorted(
        (piece for piece in solid.decompose() if piece.volume() > 0.0),
        key=lambda piece: -piece.volume(),
    )
    whole = sum(piece.volume() for piece in pieces)
    large = [piece for piece in pieces if piece.volume() > _CRUMB * whole]
    if len(large) != 1:
        raise MeshError(
            f"{path}: holds {len(large)} separate solids: expected one object per file, its "
            "parts touching"
        )
    if len(pieces) > 1:
        notes.append(f"{len(pieces) - 1} crumbs were dropped")
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
    """Whether `inner`, an inward oriented surface, lies inside `outer`."""
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
        f"{path}: is not watertight ({single} edges border one face, {many} more than two, of "
        f"{len(count)}): expected a closed solid; close it, or allow its repair by a shell"
    )
