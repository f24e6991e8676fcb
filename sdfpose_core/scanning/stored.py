"""Scans in a work folder: mesh, picture and report of each recording."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import trimesh

from sdfpose_core.errors import ScanError
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.scanning.reading import Recording, read_views
from sdfpose_core.scanning.scan import scan_object
from sdfpose_core.shapes.contact_sheet import six_sides
from sdfpose_core.storage.files import write_atomically

__all__ = ["StoredScan", "stored_scan"]

_RECIPE = 1
"""Version of the reconstruction. Increase it when results change with equal recordings."""


@dataclass(frozen=True)
class StoredScan:
    """Files of a scan.

    Attributes:
        mesh: PLY file, metres, y up.
        picture: the mesh from six sides.
        report: how it was made, and what to look at.
        problems: why images were left out.
    """

    mesh: Path
    picture: Path
    report: str
    problems: tuple[str, ...]


def stored_scan(
    recording: Recording, folder: Path, name: str, settings: Mapping[str, Any]
) -> StoredScan:
    """Reconstruct the object of a recording, or take what an earlier run made of it.

    Args:
        recording: the recording.
        folder: folder for the files ``NAME.ply``, ``NAME.png`` and ``NAME.json``.
        name: of the object.
        settings: what besides the recording's files decides the result, as plain values.

    Raises:
        SdfposeError: the recording cannot become a mesh.
        OSError: a file cannot be written.
    """
    mesh, picture, record = (folder / f"{name}{x}" for x in (".ply", ".png", ".json"))
    digest = _digest(recording.path, settings)
    known = _known(record, digest) if mesh.is_file() and picture.is_file() else None
    if known is not None:
        return StoredScan(mesh, picture, known["report"], tuple(known["problems"]))
    problems: list[str] = []
    try:
        scan = scan_object(name, "", read_views(recording, problems))
    except ScanError as error:
        text = str(error)
        prefix = "" if text.startswith(str(recording.path)) else f"{recording.path}: "
        raise ScanError("; ".join([prefix + text, *problems])) from error
    model = scan.model
    solid = trimesh.Trimesh(model.vertices, model.faces, process=False)
    write_ply(mesh, model.vertices, model.faces, solid.vertex_normals)
    image = six_sides(model)
    write_atomically(picture, cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    content = {"digest": digest, "report": scan.report, "problems": problems}
    write_atomically(record, (json.dumps(content, indent=1) + "\n").encode())
    return StoredScan(mesh, picture, scan.report, tuple(problems))


def _known(record: Path, digest: str) -> dict[str, Any] | None:
    """The content of a record that has the digest."""
    try:
        content = json.loads(record.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("digest") == digest else None


def _digest(path: Path, settings: Mapping[str, Any]) -> str:
    """Digest of the recording's files, by name, size and time, and of the settings.

    Raises:
        ScanError: the recording is missing or cannot be listed.
    """
    try:
        path.stat()
        files = [path] if path.is_file() else sorted(x for x in path.rglob("*") if x.is_file())
        listed = [(str(x.relative_to(path)), x.stat().st_size, x.stat().st_mtime_ns) for x in files]
    except OSError as error:
        raise ScanError(
            f"{path}: cannot be read: {error.strerror}: expected a rosbag2, or a folder of frame "
            "folders"
        ) from error
    text = json.dumps([_RECIPE, str(path.resolve()), listed, dict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
