"""CAD models from files: single meshes and collections such as ShapeNet's and NOCS's.

What `load_model` returns is one solid: filled inside its outer surface, watertight, oriented. A
file that is no such solid is mended where that is safe (each step is noted) and refused otherwise.
`load_surface` asks for less, a surface with an area, and serves evaluation.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from manifold3d import Error, Manifold, Mesh64
from numpy.typing import NDArray

from sdfpose_core.errors import MeshError
from sdfpose_core.shapes.model import CadModel
from sdfpose_core.shapes.repair import close_by_shell, patch_small_holes
from sdfpose_core.shapes.solids import triangles

__all__ = [
    "MAX_FACES",
    "MESH_SUFFIXES",
    "ImportedModel",
    "ModelCollection",
    "import_model",
    "is_solid",
    "load_collection",
    "load_model",
    "load_surface",
    "mesh_files",
]

MESH_SUFFIXES = (".glb", ".obj", ".off", ".ply", ".stl")
"""File types that are read."""

MAX_FACES = 2_000_000
"""Meshes with more faces are refused, before they fill the memory."""

_BYTES_PER_FACE = 400
"""No file type needs more, with its share of the vertices: a larger file is refused unread."""

_BLOCK_BYTES = 1 << 24

_MERGE = 1e-6
"""Vertices this close, in diagonals of the box, are one."""

_FLAT = 1e-4
"""A mesh whose thinnest side is below this share of its diagonal has no inside."""

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


def mesh_files(folder: Path) -> list[Path]:
    """All files of `MESH_SUFFIXES` below a folder, sorted.

    Raises:
        MeshError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise MeshError(f"{folder}: is no folder: expected one with {_suffixes()} files")
    files = [
        x for x in sorted(folder.rglob("*")) if x.suffix.lower() in MESH_SUFFIXES and x.is_file()
    ]
    if not files:
        raise MeshError(f"{folder}: holds no mesh: expected {_suffixes()} files")
    return files


def is_solid(path: Path | str) -> bool:
    """Whether a mesh, as it is, bounds a volume without hollows (see `import_model`).

    Raises:
        MeshError: the file is missing or damaged, or holds no surface.
    """
    vertices, faces = _cleaned(Path(path), *_read(Path(path)))
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


def _suffixes() -> str:
    return ", ".join(MESH_SUFFIXES)


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
    vertices, faces = _cleaned(path, *_read(path))
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    about_y = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return unit_m * vertices @ about_y.T, faces


def _read(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    if not path.is_file():
        raise MeshError(f"{path}: no such file: expected a mesh ({_suffixes()})")
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise MeshError(f"{path}: type '{path.suffix}' is not read: expected {_suffixes()}")
    size = path.stat().st_size
    if size > _BYTES_PER_FACE * MAX_FACES:
        raise MeshError(_too_many(path, f"{size / 1e9:.1f} GB"))
    count = _announced_faces(path, size)
    if count > MAX_FACES:
        raise MeshError(_too_many(path, f"{count:,} faces"))
    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        vertices = np.asarray(mesh.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.asarray(mesh.faces, dtype=np.int64).reshape(-1, 3)
    except Exception as error:  # the readers raise whatever a damaged file leads them to
        raise MeshError(
            f"{path}: cannot be read as {path.suffix[1:]} ({type(error).__name__}: {error}): "
            "the file is damaged, cut short or holds no mesh"
        ) from error
    return vertices, faces


def _announced_faces(path: Path, size: int) -> int:
    """Faces that a file holds by its header or its lines; 0 where that takes a parser."""
    with path.open("rb") as file:
        head = file.read(4096)
        if path.suffix.lower() == ".obj":
            count = head.count(b"\nf ")
            while block := file.read(_BLOCK_BYTES):
                count += block.count(b"\nf ")
            return count
    if path.suffix.lower() == ".stl":
        binary = len(head) >= 84 and 84 + 50 * int.from_bytes(head[80:84], "little") == size
        return int.from_bytes(head[80:84], "little") if binary else 0
    pattern = {".ply": rb"element face (\d+)", ".off": rb"^OFF\s+\d+\s+(\d+)"}
    found = re.search(pattern.get(path.suffix.lower(), rb"(?!)"), head)
    return int(found[1]) if found else 0


def _too_many(path: Path, amount: str) -> str:
    return (
        f"{path}: {amount} is more than is read: expected at most {MAX_FACES:,} faces; decimate "
        "it first (some 50,000 faces are plenty)"
    )


def _cleaned(
    path: Path, vertices: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge coincident vertices and drop faces without corners of their own."""
    if len(faces) == 0:
        raise MeshError(f"{path}: has no faces: expected a triangle mesh, not a point cloud")
    if len(faces) > MAX_FACES:
        raise MeshError(_too_many(path, f"{len(faces):,} faces"))
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise MeshError(f"{path}: a face names a vertex that is not there: the file is damaged")
    used = np.unique(faces)
    bad = int(np.count_nonzero(~np.isfinite(vertices[used]).all(axis=1)))
    if bad:
        raise MeshError(
            f"{path}: {bad} of {len(used)} vertices are NaN or infinite: export the mesh again"
        )
    low = vertices[used].min(axis=0)
    extent = vertices[used].max(axis=0) - low
    diagonal = float(np.linalg.norm(extent))
    if diagonal <= 0.0 or float(extent.min()) < _FLAT * diagonal:
        raise MeshError(
            f"{path}: is flat (sides {extent[0]:.3g} x {extent[1]:.3g} x {extent[2]:.3g}): "
            "expected a surface around a volume"
        )
    cell = np.round((vertices[used] - low) / (_MERGE * diagonal)).astype(np.int64)
    _, first, group = np.unique(cell, axis=0, return_index=True, return_inverse=True)
    renumber = np.zeros(len(vertices), dtype=np.int64)
    renumber[used] = group.reshape(-1)
    merged = renumber[faces]
    distinct = (
        (merged[:, 0] != merged[:, 1])
        & (merged[:, 1] != merged[:, 2])
        & (merged[:, 2] != merged[:, 0])
    )
    merged = merged[distinct]
    _, once = np.unique(np.sort(merged, axis=1), axis=0, return_index=True)
    return vertices[used][first], merged[np.sort(once)]


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
