"""RVL, the lossless depth codec of ROS's compressed_depth_image_transport.

A. D. Wilson, "Fast Lossless Depth Image Compression", ISS 2017. Runs of missing and measured
pixels alternate; measured pixels are stored as differences to the previous one. Numbers are stored
in groups of three bits, each in a nibble whose fourth bit marks that another one follows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["RvlError", "decode_rvl", "encode_rvl"]

_MAX_NIBBLES = 11
"""Maximum number of nibbles of a 32-bit number; longer numbers are invalid."""


class RvlError(ValueError):
    """A stream that does not contain the expected number of pixels."""


def decode_rvl(stream: bytes, count: int) -> NDArray[np.uint16]:
    """Decode a stream to pixels (count,) uint16, 0 = missing.

    Args:
        stream: 32-bit words, little-endian; data after the last pixel is ignored.
        count: number of pixels.

    Raises:
        RvlError: the stream contains fewer or more pixels.
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


def encode_rvl(pixels: NDArray[np.uint16]) -> bytes:
    """Encode pixels of any shape, 0 = missing, to a stream that `decode_rvl` reads."""
    flat = pixels.reshape(-1)
    measured = flat[flat > 0].astype(np.int64)
    lengths = _run_lengths(flat > 0)
    missing, present = lengths[::2], lengths[1::2]
    heads = 2 * np.arange(len(present)) + np.cumsum(present) - present
    numbers = np.zeros(2 * len(present) + len(measured), dtype=np.int64)
    numbers[heads], numbers[heads + 1] = missing, present
    is_difference = np.ones(len(numbers), dtype=bool)
    is_difference[heads] = is_difference[heads + 1] = False
    differences = np.diff(measured, prepend=0)
    numbers[is_difference] = (differences << 1) ^ (differences >> 63)
    return _packed(numbers)


def _run_lengths(present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the lengths of alternating runs: missing, present, and so on, in whole pairs."""
    borders = np.flatnonzero(np.diff(present)) + 1
    ends = np.concatenate([[0], borders, [len(present)]])
    lengths = np.diff(ends)
    if len(present) and present[0]:
        lengths = np.concatenate([[0], lengths])
    if len(lengths) % 2:
        lengths = np.concatenate([lengths, [0]])
    return lengths.astype(np.int64)


def _packed(numbers: NDArray[np.int64]) -> bytes:
    """Pack numbers into nibbles, and these into words whose first nibble is the highest."""
    sizes = np.ones(len(numbers), dtype=np.int64)
    for k in range(1, _MAX_NIBBLES):
        sizes += numbers >= 1 << 3 * k
    starts = np.cumsum(sizes) - sizes
    total = int(sizes.sum())
    nibbles = np.zeros(-(-total // 8) * 8, dtype=np.uint8)
    at = np.arange(len(numbers))
    for k in range(int(sizes.max(initial=0))):
        at = at[sizes[at] > k]
        more = np.where(sizes[at] > k + 1, 8, 0)
        nibbles[starts[at] + k] = ((numbers[at] >> 3 * k) & 7) | more
    octets = (nibbles[::2] << 4) | nibbles[1::2]
    return octets.view(">u4").astype("<u4").tobytes()


def _numbers(stream: bytes) -> NDArray[np.int64]:
    """Decode all numbers of a stream, including the zeros that pad its last word."""
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
    """Find where each pair of runs starts with its two lengths, and where the last pair ends."""
    heads = []
    at, found = 0, 0
    known = numbers.tolist()  # indexing a list is faster than indexing an array
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
