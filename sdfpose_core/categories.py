"""Object categories with symmetry, size prior and names, read from the YAML files of packs."""

from __future__ import annotations

import difflib
import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.storage.text import read_yaml

__all__ = [
    "CATEGORY_FILE",
    "GRASP_FRAMES",
    "Categories",
    "Category",
    "Resting",
    "Symmetry",
    "category_of",
    "default_categories",
    "read_category",
]

Symmetry = Literal["none", "y", "y_without_handle"]

CATEGORY_FILE = "category.yaml"
"""Name of the file of a pack that describes its category."""

GRASP_FRAMES = ("body_axis", "long_axis", "opening", "rim", "handle", "lid_edge")
"""Parts of objects that can have frames of their own; see `sdfpose_core.grasping.frames`."""

_SHIPPED = Path(__file__).with_name("weights")
"""Folder of the shipped packs."""

_OPTIONAL = {"resting", "frames", "confidence_shift"}
"""Keys that an entry may leave out."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Names are parts of frame ids and topic names, and the names of files."""

_RESERVED = "any"
"""Label of an object of unknown category."""

_MAX_NUMBER = 1e6
"""No length or deviation is as large."""

_MAX_SHIFT = 10.0
"""Of the log odds of a probability."""

_ROUNDING = 1e-9
"""The sum of shares may exceed 1 by this much."""

_SIZE_RANGE = (0.2, 5.0)
"""Smallest and largest plausible diagonal, in median diagonals of the category."""

_UNITS_M = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254}

_SIMILAR = (0.5, 2.0)
"""A unit is suggested if it makes the diagonal this share of the category's."""


@dataclass(frozen=True)
class Resting:
    """How often objects rest in which way; what remains rests in any other way, e.g. leaning.

    Attributes:
        standing: share that stand on their foot.
        upside_down: share that are upside down.
        lying: share that lie, with the y axis horizontal.
    """

    standing: float = 0.88
    upside_down: float = 0.02
    lying: float = 0.07


@dataclass(frozen=True)
class Category:
    """Object category.

    Attributes:
        name: e.g. ``mug``: a lower-case letter, then lower-case letters, digits and underscores.
        nocs_id: class id in the NOCS benchmark, 0 if it has none.
        symmetry: about the object frame's y axis: ``none``, ``y`` (rotationally symmetric), or
            ``y_without_handle`` (a mug: symmetric in the views in which nothing stands out beyond
            the body).
        vessel: whether both sides of its wall are its surface (a bowl, a mug); of others what shows
            through a mouth or a crack is inside.
        diagonal_m: median bounding box diagonal, metres.
        diagonal_log_sd: standard deviation of the diagonal's natural logarithm.
        labels: names that detectors use for the category.
        colour: RGB (0 to 255) of boxes and labels.
        resting: how often its objects stand, lie and are upside down.
        frames: parts of its objects that have frames of their own, of `GRASP_FRAMES`.
        confidence_shift: what is added to the log odds that a pose is precise, see
            `ConfidenceModel`.
    """

    name: str
    nocs_id: int
    symmetry: Symmetry
    vessel: bool
    diagonal_m: float
    diagonal_log_sd: float
    labels: tuple[str, ...]
    colour: tuple[int, int, int]
    resting: Resting = Resting()
    frames: tuple[str, ...] = ()
    confidence_shift: float = 0.0

    def as_entry(self) -> dict[str, Any]:
        """The content of the section ``category`` of a pack's ``category.yaml``."""
        entry = asdict(self) | {
            name: list(getattr(self, name)) for name in ("labels", "colour", "frames")
        }
        if self.resting == Resting():
            del entry["resting"]
        if not self.frames:
            del entry["frames"]
        if not self.confidence_shift:
            del entry["confidence_shift"]
        return entry

    def implausible_size(self, diagonal_m: float) -> str | None:
        """Describe why a bounding box diagonal, metres, is not one of the category.

        Returns None if it is plausible, or NaN.
        """
        ratio = diagonal_m / self.diagonal_m
        if math.isnan(ratio) or _SIZE_RANGE[0] <= ratio <= _SIZE_RANGE[1]:
            return None
        units = [
            name for name, unit in _UNITS_M.items() if _SIMILAR[0] <= ratio * unit <= _SIMILAR[1]
        ]
        hint = f" (is it in {' or '.join(units)}?)" if units else ""
        return (
            f"the diagonal of {diagonal_m:.4g} m is {ratio:.3g} times that of category "
            f"{self.name}: expected metres{hint}"
        )


class Categories(Mapping[str, Category]):
    """Categories by name."""

    def __init__(self, table: Mapping[str, Category]) -> None:
        self._table = dict(table)

    def __getitem__(self, name: str) -> Category:
        try:
            return self._table[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._table, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise CategoryError(
                f"unknown category '{name}'{hint}: expected one of {', '.join(self._table)}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def by_label(self, label: str) -> Category | None:
        """Return the category for a detector's label, or None if the label is unknown."""
        key = label.strip().lower()
        for category in self._table.values():
            if key == category.name or key in category.labels:
                return category
        return None


@functools.cache
def default_categories() -> Categories:
    """Return the six categories of the packs that ship with the package."""
    found = [read_category(x) for x in sorted(_SHIPPED.glob(f"*/{CATEGORY_FILE}"))]
    return Categories({x.name: x for x in found})


def read_category(path: Path | str) -> Category:
    """Read a category from a file in the format of a pack's ``category.yaml``.

    Only the section ``category`` is read: the entry of a category that has no weights yet needs no
    other.

    Raises:
        ConfigurationError: the file is invalid; the message names the file and the key.
    """
    try:
        content = read_yaml(Path(path))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
    return category_of(content, path)


def category_of(content: Any, path: Path | str) -> Category:
    """Convert the content of a ``category.yaml`` to its category.

    Args:
        content: what YAML makes of the file.
        path: the file, for messages.

    Raises:
        ConfigurationError: the section ``category`` is missing or invalid; the message names the
            file and the key.
    """
    if not isinstance(content, dict) or "category" not in content:
        raise ConfigurationError(f"{path}: expected a mapping with the section 'category'")
    return _parse(path, content["category"])


def _parse(path: Path | str, value: Any) -> Category:
    expected = [f.name for f in fields(Category) if f.name not in _OPTIONAL]
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: category: expected the keys {', '.join(expected)}")
    mismatched = sorted((set(value) - _OPTIONAL) ^ set(expected), key=str)
    if mismatched:
        key = mismatched[0]
        state = "unknown" if key in value else "missing"
        raise ConfigurationError(
            f"{path}: category: {state} key '{key}': expected the keys {', '.join(expected)}"
        )

    def fail(key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(f"{path}: category.{key} is {value[key]!r}: expected {expected}")

    name = value["name"]
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == _RESERVED:
        raise fail(
            "name",
            "a name for frame ids: a lower-case letter, then lower-case letters, digits and "
            f"underscores, but not '{_RESERVED}'",
        )
    if type(value["nocs_id"]) is not int or value["nocs_id"] < 0:
        raise fail("nocs_id", "an integer, 0 for none")
    if value["symmetry"] not in get_args(Symmetry):
        raise fail("symmetry", " | ".join(get_args(Symmetry)))
    if not isinstance(value["vessel"], bool):
        raise fail("vessel", "true or false")
    for key in ("diagonal_m", "diagonal_log_sd"):
        number = value[key]
        if type(number) not in (int, float) or not 0 < number < _MAX_NUMBER:
            raise fail(key, "a positive number")
    frames = value.get("frames", [])
    if not isinstance(frames, list) or not set(map(str, frames)) <= set(GRASP_FRAMES):
        raise fail("frames", f"a list of names from {', '.join(GRASP_FRAMES)}")
    shift = value.get("confidence_shift", 0.0)
    if type(shift) not in (int, float) or not abs(shift) <= _MAX_SHIFT:
        raise fail("confidence_shift", f"a number from -{_MAX_SHIFT:g} to {_MAX_SHIFT:g}")
    labels, colour = value["labels"], value["colour"]
    if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise fail("labels", "a list of names")
    if not all(x.strip() for x in labels):
        raise fail("labels", "names that are not empty")
    if any(x.strip().lower() == _RESERVED for x in labels):
        raise fail("labels", f"names other than '{_RESERVED}', which stands for all categories")
    if (
        not isinstance(colour, list)
        or len(colour) != 3
        or not all(isinstance(x, int) and 0 <= x <= 255 for x in colour)
    ):
        raise fail("colour", "three integers from 0 to 255")
    return Category(
        name=name,
        nocs_id=value["nocs_id"],
        symmetry=value["symmetry"],
        vessel=value["vessel"],
        diagonal_m=float(value["diagonal_m"]),
        diagonal_log_sd=float(value["diagonal_log_sd"]),
        labels=tuple(x.strip().lower() for x in labels),
        colour=(colour[0], colour[1], colour[2]),
        resting=_parse_resting(value, fail) if "resting" in value else Resting(),
        frames=tuple(dict.fromkeys(frames)),
        confidence_shift=float(shift),
    )


def _parse_resting(
    value: Mapping[str, Any], fail: Callable[[str, str], ConfigurationError]
) -> Resting:
    shares = value["resting"]
    names = [f.name for f in fields(Resting)]
    numbers = list(shares.values()) if isinstance(shares, dict) else []
    if (
        not isinstance(shares, dict)
        or sorted(shares) != sorted(names)
        or not all(type(x) in (int, float) and 0.0 <= x <= 1.0 for x in numbers)
        or sum(numbers) > 1.0 + _ROUNDING
    ):
        raise fail("resting", f"shares {', '.join(names)} from 0 to 1 with a sum of at most 1")
    return Resting(**{name: float(shares[name]) for name in names})
