"""The storage files of a rosbag2: which belong to it, which are missing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from sdfpose_core.datasets.bag_storage import StorageError, zstd
from sdfpose_core.storage.text import read_text

__all__ = ["bag_files", "decompressed", "is_bag", "refuse_ros1"]

_METADATA = "metadata.yaml"
_SUFFIXES = (".mcap", ".db3")
_COMPRESSED = ".zstd"
_ROS1_MAGIC = b"#ROSBAG V"
_COPY_SIZE = 1 << 16
"""Bytes that are decompressed at a time."""


def is_bag(path: Path | str) -> bool:
    """Check whether a path looks like a bag: a storage file, or a folder with such files.

    ROS 1 bags count as well; reading them raises an error with the remedy.
    """
    path = Path(path)
    return (path / _METADATA).is_file() or bool(_storage_files(path)) or bool(_ros1_bags(path))


def refuse_ros1(path: Path) -> None:
    """Refuse a ROS 1 bag.

    Raises:
        StorageError: the path is a ROS 1 bag, or a folder with such bags only.
    """
    found = _ros1_bags(path)
    if found and not _storage_files(path):
        source, target = shlex.quote(str(found[0])), shlex.quote(str(found[0].with_suffix("")))
        raise StorageError(
            "it is a ROS 1 bag: expected a rosbag2: convert it with 'rosbags-convert --src "
            f"{source} --dst {target} --dst-storage mcap --dst-typestore ros2_jazzy'"
        )


def bag_files(path: Path, problems: list[str]) -> list[Path]:
    """List the storage files of a bag in order of their names.

    Those are the files that ``metadata.yaml`` lists, and others of the same kind: a recorder that
    was killed has not listed its last file.

    Args:
        path: folder of the bag, its ``metadata.yaml``, or one storage file.
        problems: receives a sentence for each missing or unexpected file.

    Raises:
        StorageError: there is no storage file, or it is compressed in an unknown way.
    """
    if path.name == _METADATA:
        path = path.parent
    if not path.is_dir():
        if not _storage_files(path):
            raise StorageError(f"its name does not end in {', '.join(_suffixes())}")
        return [path]
    listed = _listed_files(path, problems)
    present = {x.name: x for x in _storage_files(path)}
    chosen: dict[str, Path] = {}
    for name in listed:
        plain = name.removesuffix(_COMPRESSED)
        found = next((x for x in (name, plain, plain + _COMPRESSED) if x in present), None)
        if found is None:
            problems.append(f"{path}: {name}, a file of the bag, is missing")
        else:
            chosen[plain] = present[found]
    kinds = {Path(x).suffix for x in chosen}
    for name, file in present.items():
        plain = name.removesuffix(_COMPRESSED)
        if plain in chosen:
            continue
        if kinds and Path(plain).suffix not in kinds:
            problems.append(f"{file}: is not listed in {_METADATA}; skipped")
            continue
        if listed:
            problems.append(f"{file}: is not listed in {_METADATA}, but read as well")
        chosen[plain] = file
    if not chosen:
        raise StorageError(f"it has no storage file: expected {', '.join(_suffixes())} files")
    _refuse_twins(chosen)
    problems += [
        f"{path}: part {part} of the recording is missing"
        for part in _missing_parts(path.resolve().name, [*chosen, *listed])
    ]
    return [chosen[x] for x in sorted(chosen, key=_natural)]


def decompressed(file: Path, scratch: Path, problems: list[str]) -> Path:
    """Decompress a file into a folder if its name says that it is compressed.

    Args:
        file: storage file.
        scratch: folder for the decompressed file.
        problems: receives a sentence if the file can be decompressed only in part.

    Raises:
        StorageError: nothing can be decompressed.
    """
    if file.suffix != _COMPRESSED:
        return file
    target = scratch / file.stem
    try:
        with zstd.open(file, "rb") as source, target.open("wb") as copy:
            while block := source.read(_COPY_SIZE):
                copy.write(block)
    except (OSError, EOFError, zstd.ZstdError) as error:
        if not target.is_file() or not target.stat().st_size:
            raise StorageError(f"it cannot be decompressed: {error}") from error
        problems.append(
            f"{file}: is incomplete ({error}): {target.stat().st_size} bytes can be decompressed"
        )
    return target


def _suffixes() -> list[str]:
    return [*_SUFFIXES, *(x + _COMPRESSED for x in _SUFFIXES)]


def _storage_files(path: Path) -> list[Path]:
    """List the storage files at a path; of a file and its compressed twin, the file."""
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    names = {x.name for x in found}
    return [
        x
        for x in found
        if x.name.removesuffix(_COMPRESSED).endswith(_SUFFIXES)
        and not x.is_dir()
        and (x.suffix != _COMPRESSED or x.stem not in names)
    ]


def _ros1_bags(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(x for x in path.glob("*.bag") if x.is_file())
    if not path.is_file():
        return []
    if path.suffix == ".bag":
        return [path]
    try:
        with path.open("rb") as file:
            return [path] if file.read(len(_ROS1_MAGIC)) == _ROS1_MAGIC else []
    except OSError:
        return []


def _listed_files(folder: Path, problems: list[str]) -> list[str]:
    """Return the names of the files in ``metadata.yaml``; empty if there is none.

    Raises:
        StorageError: the files are compressed in an unknown way.
    """
    file = folder / _METADATA
    if not file.is_file():
        return []
    try:
        content: Any = yaml.load(read_text(file), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        info = content["rosbag2_bagfile_information"]
        paths = info["relative_file_paths"]
        if not isinstance(paths, list) or not all(isinstance(x, str) and x for x in paths):
            raise ValueError(f"relative_file_paths is {paths!r}: expected a list of names")
        names = [re.split(r"[\\/]", x)[-1] for x in paths]
        mode = str(info.get("compression_mode") or "none").lower()
        form = str(info.get("compression_format") or "").lower()
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, AttributeError) as error:
        reason = (
            " ".join(str(error).split())
            if isinstance(error, (OSError, ValueError, yaml.YAMLError))
            else "expected rosbag2_bagfile_information with relative_file_paths"
        )
        problems.append(f"{file}: cannot be read ({reason}); all storage files are read")
        return []
    if mode != "none" and form != "zstd":
        raise StorageError(f"its compression '{form}' is not supported: expected zstd")
    return names


def _refuse_twins(files: Iterable[str]) -> None:
    """Refuse the same recording in two formats, as a conversion leaves it.

    Raises:
        StorageError: two files differ in their suffix only.
    """
    stems: dict[str, str] = {}
    for name in files:
        other = stems.setdefault(Path(name).stem, name)
        if other != name:
            raise StorageError(f"it holds {other} and {name}: expected one of them: choose a file")


def _missing_parts(folder: str, names: Sequence[str]) -> list[int]:
    """Find gaps in the numbers at the end of names; the first number of a recorder is 0."""
    found = {}
    for name in names:
        match = re.fullmatch(r"(.*)_(\d+)\.(?:mcap|db3)(?:\.zstd)?", name)
        if match is None:
            return []
        found[int(match[2])] = match[1]
    if len(set(found.values())) != 1:
        return []
    first = 0 if found[min(found)] == folder else min(found)
    return [x for x in range(first, max(found)) if x not in found]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that takes digits as numbers, so that part 10 follows part 9."""
    return [(int(x), "") if x.isdigit() else (-1, x) for x in re.split(r"(\d+)", name)]
