"""Predictions in the exchange format of the NOCS family of repositories: one pickle per image.

A pickle contains a dictionary with ``gt_class_ids`` (G,), ``gt_RTs`` (G, 4, 4) including the scale,
``gt_scales`` (G, 3), the sides of the boxes in normalised object units, ``gt_handle_visibility``
(G,), and ``pred_class_ids`` (P,), ``pred_RTs``, ``pred_scales``, ``pred_scores`` (P,). Class ids
start at 1, in the order of `NOCS_CATEGORIES`.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.datasets.nocs import NOCS_CATEGORIES
from sdfpose_core.errors import FrameError, PickleError
from sdfpose_core.storage.files import write_atomically
from sdfpose_core.storage.pickles import load_pickle

__all__ = [
    "NocsResult",
    "read_dictionary",
    "read_nocs_result",
    "read_nocs_results",
    "result_column",
    "write_nocs_result",
]


@dataclass(frozen=True)
class NocsResult:
    """Objects and predictions of one image.

    Attributes:
        name: name of the file.
        class_ids: (G,) class ids of the objects.
        transforms: (G, 4, 4), normalised object to camera frame, metres.
        sizes: (G, 3), normalised object units.
        handle_visible: (G,) bool; has no meaning for objects without a handle.
        found_class_ids: (P,) class ids of the predictions.
        found_transforms: (P, 4, 4).
        found_sizes: (P, 3).
        scores: (P,).
    """

    name: str
    class_ids: NDArray[np.int64]
    transforms: NDArray[np.float64]
    sizes: NDArray[np.float64]
    handle_visible: NDArray[np.bool_]
    found_class_ids: NDArray[np.int64]
    found_transforms: NDArray[np.float64]
    found_sizes: NDArray[np.float64]
    scores: NDArray[np.float64]


def read_nocs_results(folder: Path | str, problems: list[str]) -> list[NocsResult]:
    """Read the results in a folder, in order of name.

    Args:
        folder: folder with ``.pkl`` files.
        problems: receives one sentence for each unusable file, for skipped entries and for
            predictions that count as wrong.

    Raises:
        FrameError: no file can be used.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.pkl")) if folder.is_dir() else []
    results = []
    for path in paths:
        try:
            results.append(read_nocs_result(path, problems))
        except FrameError as error:
            problems.append(f"{error}; skipped")
    if not results:
        raise FrameError(
            f"{folder}: none of {len(paths)} pickles can be used: expected a folder with one "
            f"pickle per image{': ' + problems[-1] if problems else ''}"
        )
    return results


def read_nocs_result(path: Path | str, problems: list[str]) -> NocsResult:
    """Read the result of one image; see `read_nocs_results`.

    Raises:
        FrameError: the file is missing, damaged, contains more than plain data, or has another
            format.
    """
    content = read_dictionary(path)
    class_ids = result_column(content, "gt_class_ids", (), path)
    count = len(class_ids)
    truths = {
        "transforms": result_column(content, "gt_RTs", (4, 4), path, count),
        "sizes": result_column(content, "gt_scales", (3,), path, count),
        "handle_visible": result_column(
            content, "gt_handle_visibility", (), path, count, missing=1.0
        ),
    }
    found_ids = result_column(content, "pred_class_ids", (), path)
    count = len(found_ids)
    found = {
        "found_transforms": result_column(content, "pred_RTs", (4, 4), path, count),
        "found_sizes": result_column(content, "pred_scales", (3,), path, count),
        "scores": result_column(content, "pred_scores", (), path, count),
    }
    known, found_known = _known(class_ids), _known(found_ids)
    for what, ids, good in (("gt", class_ids, known), ("pred", found_ids, found_known)):
        if not good.all():
            problems.append(
                f"{path}: {what}_class_ids {ids[~good].tolist()} are out of range: expected 1 to "
                f"{len(NOCS_CATEGORIES)}; skipped"
            )
    sound = _sound(truths["transforms"], truths["sizes"])
    if not (sound | ~known).all():
        problems.append(
            f"{path}: {int((~sound & known).sum())} objects have non-finite poses or sizes, or no "
            "volume; skipped"
        )
    usable = _sound(found["found_transforms"], found["found_sizes"])
    if not (usable | ~found_known).all():
        problems.append(
            f"{path}: {int((~usable & found_known).sum())} predictions have non-finite poses or "
            "sizes, or no volume; they count as wrong"
        )
    scored: NDArray[np.bool_] = np.asarray(np.isfinite(found["scores"]))
    if not (scored | ~found_known).all():
        problems.append(
            f"{path}: {int((~scored & found_known).sum())} predictions have no finite score; they "
            "are ranked last"
        )
        found["scores"] = np.where(scored, found["scores"], -np.inf)
    keep = known & sound
    return NocsResult(
        Path(path).stem,
        class_ids[keep].astype(np.int64),
        truths["transforms"][keep],
        truths["sizes"][keep],
        truths["handle_visible"][keep] != 0.0,
        found_ids[found_known].astype(np.int64),
        **{name: values[found_known] for name, values in found.items()},
    )


def read_dictionary(path: Path | str) -> Mapping[str, Any]:
    """Read a pickle that contains a dictionary of plain data.

    Raises:
        FrameError: the file is missing, damaged, contains more than plain data, or no dictionary.
    """
    try:
        content = load_pickle(path)
    except PickleError as error:
        raise FrameError(str(error)) from error
    if not isinstance(content, Mapping):
        raise FrameError(f"{path}: contains a {type(content).__name__}: expected a dictionary")
    return content


def write_nocs_result(
    path: Path | str, result: NocsResult, more: Mapping[str, Any] | None = None
) -> None:
    """Write the result of one image atomically, readable by any version of NumPy.

    Args:
        path: path of the file.
        result: result to write; `name` is not stored.
        more: further entries of plain data, which readers of the format ignore.
    """
    content = dict(more or {}) | {
        "gt_class_ids": result.class_ids.astype(np.int32),
        "gt_RTs": result.transforms,
        "gt_scales": result.sizes,
        "gt_handle_visibility": result.handle_visible.astype(np.int32),
        "pred_class_ids": result.found_class_ids.astype(np.int32),
        "pred_RTs": result.found_transforms,
        "pred_scales": result.found_sizes,
        "pred_scores": result.scores,
    }
    # NumPy 2 refers to a module that NumPy 1 does not have; both know the old name.
    plain = pickle.dumps(content, protocol=2)
    write_atomically(Path(path), plain.replace(b"cnumpy._core.", b"cnumpy.core."))


def result_column(
    content: Mapping[str, Any],
    key: str,
    inner: tuple[int, ...],
    path: Path | str,
    count: int | None = None,
    missing: float | None = None,
) -> NDArray[np.float64]:
    """Convert an entry of a dictionary to an array (N, *inner).

    Args:
        content: the dictionary.
        key: name of the entry.
        inner: shape of one value.
        path: file of the dictionary, for error messages.
        count: expected number of values.
        missing: value of an entry that does not exist; by default, it must exist.

    Raises:
        FrameError: the entry is missing, no array of numbers, or has another shape.
    """
    if key not in content:
        if missing is not None and count is not None:
            return np.full((count, *inner), missing)
        raise FrameError(
            f"{path}: has keys {', '.join(sorted(map(str, content)))}: expected {key} among them"
        )
    try:
        values = np.asarray(content[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FrameError(f"{path}: {key} is not an array of numbers ({error})") from error
    if values.size == 0:
        values = values.reshape(0, *inner)
    expected = ", ".join(["N", *map(str, inner)])
    if values.shape[1:] != inner or values.ndim != 1 + len(inner):
        raise FrameError(f"{path}: {key} has shape {values.shape}: expected ({expected})")
    if count is not None and len(values) != count:
        raise FrameError(f"{path}: {key} has {len(values)} entries: expected {count}")
    return values


def _known(class_ids: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.isin(class_ids, np.arange(1, len(NOCS_CATEGORIES) + 1)))


def _sound(transforms: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) bool: whether boxes are finite and have a volume."""
    finite = np.asarray(np.isfinite(transforms).all((1, 2)) & np.isfinite(sizes).all(1))
    upper = np.where(finite[:, None, None], transforms[:, :3, :3], np.eye(3))
    return np.asarray(finite & (np.linalg.det(upper) > 0.0) & (sizes > 0.0).all(axis=1))
