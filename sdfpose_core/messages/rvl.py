"""RVL, the lossless depth codec of ROS's compressed_depth_image_transport.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017. Runs of missing and of measured
pixels take turns; the measured ones are differences to the one before. All numbers are written in
groups of three bits, each in a nibble whose fourth bit says that another follows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RvlError", "decode_rvl"]

_MAX_NIBBLES = 11
"""Nibbles of a 32-bit number; longer ones are rubbish."""


class RvlError(ValueError):
    """A stream that does not hold the pixels that it should."""


def decode_rvl(stream: bytes, count: int) -> NDArray[np.uint16]:
    """The pixels (count,) uint16 of a stream, 0 = missing.

    Args:
        stream: words of 32 bits, little-endian; behind the last pixel anything may follow.
        count: of pixels.

    Raises:
        RvlError: there are fewer pixels in it, or more.
    """
    numbers = _numbers(stream)
    heads, end = _heads(numbers, count)
    is_difference = np.ones(end, dtype=bool)
    is_difference[heads] = is_difference[heads + 1] = False
    zigzag = numbers[:end][is_difference]
    differences = (zigzag >> 1) ^ -(zigzag & 1)
    lengths = numbers[heads[:, None] + [0, 1]].reshape(-1)
    has_depth = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    pixels = np.zeros(count, dtype=np.uint16)
    pixels[has_depth] = np.cumsum(differences).astype(np.uint16)
    return pixels


def _numbers(stream: bytes) -> NDArray[np.int64]:
    """All numbers of a stream, the zeros that fill up its last word with them."""
    words = np.frombuffer(stream, dtype="<u4", count=len(stream) // 4)
    octets = words.byteswap().view(np.uint8)  # the first nibble is a word's highest
    nibbles = np.empty(2 * len(octets), dtype=np.uint8)
    nibbles[::2], nibbles[1::2] = octets >> 4, octets & 15
    ends = np.flatnonzero(nibbles < 8)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    sizes = ends - starts + 1
    if sizes.max(initial=0) > _MAX_NIBBLES:
        raise RvlError("numbers of more than 32 bits")
    bits = nibbles & 7
    numbers = bits[starts].astype(np.int64)
    longer = np.flatnonzero(sizes > 1)
    for k in range(1, int(sizes.max(initial=0))):
        numbers[longer] |= bits[starts[longer] + k].astype(np.int64) << (3 * k)
        longer = longer[sizes[longer] > k + 1]
    return numbers


def _heads(numbers: NDArray[np.int64], count: int) -> tuple[NDArray[np.int64], int]:
    """Where pairs of runs begin, each with the lengths of both, and where the last one ends."""
    heads = []
    at, found = 0, 0
    known = numbers.tolist()  # single numbers of an array are slow to read
    while found < count:
        if at + 1 >= len(known):
            raise RvlError(f"data for {found} of {count} pixels")
        heads.append(at)
        measured = known[at + 1]
        found += known[at] + measured
        at += 2 + measured
    if found > count or at > len(known):
        raise RvlError(f"runs of {found} pixels in {len(known)} numbers")
    return np.array(heads, dtype=np.int64), at
