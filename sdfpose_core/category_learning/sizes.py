"""Sizes of imported models: the unit of their files, and models without a size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from sdfpose_core.errors import ConfigurationError

__all__ = ["Scaling", "SizeRange", "find_scaling"]

_UNITS_M = {"metres": 1.0, "millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254}
"""Units that are tried, the most frequent ones first."""

_USUAL_M = {"metres": (0.02, 2.0), "centimetres": (2.0, 20.0), "millimetres": (20.0, 2000.0)}
"""Median diagonals, in the file's unit, from which a unit is concluded: objects of 2 cm to 2 m."""

_TOLERANCE = 1.5
"""A unit fits if the diagonal is within the plausible range, widened by this factor."""

_OUTLIER, _SIMILAR = 4.0, 3.0
"""A model that is this many times as large as the median, or as small, may have another unit: the
one that brings it within this factor of the median."""

_EQUAL = 1.01
_NORMALISED = (0.45, 2.1)
"""Lengths that are all the same and in this range are those of normalised models: of diagonal 1, in
a cube of side 1 or 2, or in a ball of radius 0.5 or 1."""

_LEAST_EQUAL = 3
"""So many models do not have the same size by chance."""

_ADVICE = "give the unit of the files with --unit-m, or the size of the objects with --size"

_SDS_IN_RANGE = 4.0
"""A plausible range is taken for two standard deviations on both sides."""


@dataclass(frozen=True)
class SizeRange:
    """Plausible diagonals of the bounding boxes of a category's objects.

    Attributes:
        low_m: smallest, metres.
        high_m: largest, metres.
    """

    low_m: float
    high_m: float

    def __post_init__(self) -> None:
        if not (0.0 < self.low_m <= self.high_m and math.isfinite(self.high_m)):
            raise ConfigurationError(
                f"the size range is {self.low_m:g}..{self.high_m:g}: expected two diagonals in "
                "metres, the smaller one first, such as 0.2..0.4"
            )

    @classmethod
    def parse(cls, text: str) -> SizeRange:
        """Read ``LOW..HIGH``, or one number.

        Raises:
            ConfigurationError: the text is something else.
        """
        low, dots, high = text.partition("..")
        try:
            return cls(float(low), float(high if dots else low))
        except ValueError:
            raise ConfigurationError(
                f"the size range is '{text}': expected two diagonals in metres, such as 0.2..0.4"
            ) from None

    @property
    def middle_m(self) -> float:
        """Geometric mean, metres."""
        return math.sqrt(self.low_m * self.high_m)

    @property
    def log_sd(self) -> float:
        """Standard deviation of the logarithm of the diagonals."""
        return math.log(self.high_m / self.low_m) / _SDS_IN_RANGE

    def holds(self, diagonal_m: float) -> bool:
        """Whether a diagonal, metres, is plausible."""
        return self.low_m / _TOLERANCE <= diagonal_m <= self.high_m * _TOLERANCE


@dataclass(frozen=True)
class Scaling:
    """How models get their size in metres.

    Attributes:
        factors: (M,) metres per unit of each model's file.
        has_sizes: whether the files say how large the objects are; if not, their sizes are made up
            from the plausible range.
        summary: what was found.
        notes: by number of the model, why it is treated differently, or why its size is doubtful.
    """

    factors: tuple[float, ...]
    has_sizes: bool
    summary: str
    notes: Mapping[int, str]


def find_scaling(
    diagonals: Sequence[float],
    *,
    lengths: Mapping[str, Sequence[float]] = MappingProxyType({}),
    unit_m: float | None = None,
    size: SizeRange | None = None,
) -> Scaling:
    """Find the unit of model files from the diagonals of their bounding boxes.

    Args:
        diagonals: (M,) in the unit of the files; at least one.
        lengths: by name, other lengths (M,) to which models may have been normalised.
        unit_m: length of the unit in metres, if it is known.
        size: plausible diagonals in metres, if they are known.

    Raises:
        ConfigurationError: the unit cannot be guessed, or the models are normalised.
    """
    median = float(np.median(diagonals))
    if unit_m is not None:
        notes = {} if size is None else _implausible(diagonals, unit_m, size)
        return Scaling((unit_m,) * len(diagonals), True, f"unit: {unit_m:g} m, as given", notes)
    if size is not None:
        return _within(diagonals, median, size)
    _check_not_normalised({"diagonal": diagonals, **lengths})
    name = _usual_unit(median)
    unit = _UNITS_M[name]
    summary = f"unit: {name}, guessed from the median diagonal of {median:.4g}"
    factors, notes = [], {}
    for i, diagonal in enumerate(diagonals):
        ratio = diagonal / median
        factors.append(unit)
        if not 1.0 / _OUTLIER <= ratio <= _OUTLIER:
            other = _other_unit(ratio, unit)
            factors[i] = unit if other is None else _UNITS_M[other]
            notes[i] = (
                f"warning: its diagonal is {ratio:.3g} times the median of the folder"
                if other is None
                else f"it is taken for {other}: in {name}, it has {ratio:.3g} times the median size"
            )
    return Scaling(tuple(factors), True, summary, notes)


def _implausible(diagonals: Sequence[float], unit_m: float, size: SizeRange) -> dict[int, str]:
    return {
        i: f"warning: its diagonal of {unit_m * x:.4g} m is not within {_text(size)}"
        for i, x in enumerate(diagonals)
        if not size.holds(unit_m * x)
    }


def _check_not_normalised(lengths: Mapping[str, Sequence[float]]) -> None:
    for name, values in lengths.items():
        low, high = min(values), max(values)
        if (
            len(values) >= _LEAST_EQUAL
            and high <= _EQUAL * low
            and _NORMALISED[0] <= low <= high <= _NORMALISED[1]
        ):
            raise ConfigurationError(
                f"all {len(values)} models have the {name} {high:.3g}: they are normalised and say "
                f"nothing of the size of the objects: {_ADVICE}"
            )


def _usual_unit(median: float) -> str:
    for name, (low, high) in _USUAL_M.items():
        if low <= median < high:
            return name
    raise ConfigurationError(
        f"the unit of the models cannot be guessed from their median diagonal of {median:.4g}: "
        f"{_ADVICE}"
    )


def _other_unit(ratio: float, unit: float) -> str | None:
    """Unit in which a model has about the median size; in `unit`, it has `ratio` times that."""
    for name, other in _UNITS_M.items():
        if 1.0 / _SIMILAR <= ratio * other / unit <= _SIMILAR:
            return name
    return None


def _within(diagonals: Sequence[float], median: float, size: SizeRange) -> Scaling:
    """Bring models into a plausible range, by a unit if possible."""
    fitting = [name for name, unit in _UNITS_M.items() if size.holds(median * unit)]
    if fitting:
        unit = _UNITS_M[fitting[0]]
        summary = f"unit: {fitting[0]}, from the median diagonal of {median:.4g} and {_text(size)}"
    else:
        unit = size.middle_m / median
        summary = (
            f"no unit brings the median diagonal of {median:.4g} within {_text(size)}: the models "
            f"were rescaled by {unit:.4g}"
        )
    factors, notes = [], {}
    for i, diagonal in enumerate(diagonals):
        factors.append(unit)
        if size.holds(unit * diagonal):
            continue
        other = next((x for x, u in _UNITS_M.items() if size.holds(u * diagonal)), None)
        if fitting and other is not None:
            factors[i] = _UNITS_M[other]
            notes[i] = f"it is taken for {other}, unlike the others"
        else:
            factors[i] = size.middle_m / diagonal
            notes[i] = (
                f"it was rescaled: its diagonal of {unit * diagonal:.4g} m is not within "
                f"{_text(size)}"
            )
    return Scaling(tuple(factors), bool(fitting), summary, notes)


def _text(size: SizeRange) -> str:
    return f"{size.low_m:g} to {size.high_m:g} m"
