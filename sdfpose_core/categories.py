"""Table of object categories with symmetry, size prior and names, read from YAML."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from sdfpose_core.errors import CategoryError, ConfigurationError
from sdfpose_core.storage.text import read_yaml

__all__ = ["Categories", "Category", "Resting", "Symmetry", "default_categories"]

Symmetry = Literal["none", "y", "y_without_handle"]

_DEFAULT_FILE = Path(__file__).with_name("categories.yaml")


_MAX_NUMBER = 1e6
"""No length or deviation is as large."""

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
        name: e.g. ``mug``; also the stem of the weights' file names.
        nocs_id: class id in the NOCS benchmark, 0 if it has none.
        symmetry: about the object frame's y axis, see ``categories.yaml``.
        vessel: whether both sides of the wall belong to the surface.
        diagonal_m: median bounding box diagonal, metres.
        diagonal_log_sd: standard deviation of the diagonal's natural logarithm.
        labels: names that detectors use for the category.
        colour: RGB (0 to 255) of boxes and labels.
        resting: how often its objects stand, lie and are upside down.
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
    """Categories by name, in file order."""

    def __init__(self, table: Mapping[str, Category]) -> None:
        self._table = dict(table)

    @classmethod
    def from_file(cls, path: Path | str) -> Categories:
        """Read a table in the format of the shipped ``categories.yaml``.

        Raises:
            ConfigurationError: the file is invalid; the message names the file and the key.
        """
        path = Path(path)
        try:
            content = read_yaml(path)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path}: cannot be read as YAML: {error}") from error
        if not isinstance(content, dict) or not content:
            raise ConfigurationError(f"{path}: expected a mapping of category names to settings")
        return cls({str(name): _parse(path, str(name), value) for name, value in content.items()})

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
    """Return the six categories for which the package ships weights."""
    return Categories.from_file(_DEFAULT_FILE)


def _parse(path: Path, name: str, value: Any) -> Category:
    expected = [f.name for f in fields(Category) if f.name not in ("name", "resting")]
    if not isinstance(value, dict):
        raise ConfigurationError(f"{path}: {name}: expected the keys {', '.join(expected)}")
    mismatched = sorted((set(value) - {"resting"}) ^ set(expected))
    if mismatched:
        key = mismatched[0]
        state = "unknown" if key in value else "missing"
        raise ConfigurationError(
            f"{path}: {name}: {state} key '{key}': expected the keys {', '.join(expected)}"
        )

    def fail(key: str, expected: str) -> ConfigurationError:
        return ConfigurationError(f"{path}: {name}.{key} is {value[key]!r}: expected {expected}")

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
    labels, colour = value["labels"], value["colour"]
    if not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise fail("labels", "a list of names")
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
        labels=tuple(x.lower() for x in labels),
        colour=(colour[0], colour[1], colour[2]),
        resting=_parse_resting(value, fail) if "resting" in value else Resting(),
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
