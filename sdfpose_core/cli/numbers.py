"""Types of numeric arguments, which refuse senseless values."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

__all__ = ["integer", "positive", "real", "seed"]

_LARGEST = 2**63 - 1


def integer(minimum: int = 1, maximum: int = _LARGEST) -> Callable[[str], int]:
    """Return an argparse type for integers from `minimum` to `maximum`."""
    if maximum == _LARGEST:
        expected = f"expected an integer of at least {minimum}"
    else:
        expected = f"expected an integer from {minimum} to {maximum}"

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = minimum - 1
        if not minimum <= value <= maximum:
            raise ArgumentTypeError(f"{text!r}: {expected}")
        return value

    return parse


def real(
    minimum: float = 0.0, maximum: float = math.inf, *, above: bool = False
) -> Callable[[str], float]:
    """Return an argparse type for finite numbers of at least, or above, `minimum`."""
    expected = f"expected a finite number {'above' if above else 'of at least'} {minimum:g}"
    if math.isfinite(maximum):
        expected += f" and at most {maximum:g}"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        inside = minimum < value if above else minimum <= value
        if not (inside and value <= maximum and math.isfinite(value)):
            raise ArgumentTypeError(f"{text!r}: {expected}")
        return value

    return parse


positive = real(above=True)
"""Argparse type for finite numbers above 0."""

seed = integer(0)
"""Argparse type for random seeds."""
