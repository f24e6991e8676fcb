"""Random pictures of what belongs to objects and rooms: lids, screens, keyboards, lenses, cloth.

Pictures are as in `artwork`.
"""

from __future__ import annotations

import cv2
import numpy as np

from sdfpose_core.simulation.artwork import (
    DIGITS,
    Colour,
    Image,
    Picture,
    label_ground,
    motif,
    muted,
    opaque,
    random_word,
    readable,
    small_print,
    vivid,
    write,
)

__all__ = ["bottom_lid", "cloth", "keyboard", "pattern_tile", "screen", "tab_lid", "text_ring"]


def _shaded(colour: Colour, factor: float) -> Colour:
    """The colour, lighter or darker by a factor."""
    r, g, b = (int(min(255.0, factor * x)) for x in colour)
    return r, g, b


def _metal(rng: np.random.Generator, size: int) -> tuple[Image, Colour]:
    """A round sheet of metal with beads, and its tone."""
    tone = rng.uniform(120.0, 225.0)
    warm = rng.uniform(-6.0, 14.0) if rng.random() < 0.8 else rng.uniform(15.0, 45.0)
    colour = (int(min(tone + warm, 255)), int(tone), int(max(tone - warm, 0)))
    image = np.empty((size, size, 3), dtype=np.uint8)
    image[:] = colour
    middle = (size // 2, size // 2)
    for _ in range(int(rng.integers(1, 5))):
        radius = int(0.5 * size * rng.uniform(0.3, 0.97))
        shade = rng.uniform(0.55, 1.25)
        ring = _shaded(colour, shade)
        cv2.circle(image, middle, radius, ring, int(rng.integers(1, 4)), 16)
    return image, colour


def tab_lid(rng: np.random.Generator) -> Picture:
    """Draw the top of a can: beads, a mouth with its tear line, and a pull tab."""
    size = 96
    image, colour = _metal(rng, size)
    dark = _shaded(colour, 0.5)
    light = _shaded(colour, 1.15) if rng.random() < 0.7 else vivid(rng)
    c = size // 2
    if rng.random() < 0.3:
        cv2.ellipse(image, (c, c - 22), (15, 12), 0, 0, 360, (15, 14, 14), -1, 16)
    cv2.ellipse(image, (c, c - 22), (16, 13), 0, 0, 360, dark, 1, 16)
    long = int(rng.integers(14, 22))
    cv2.ellipse(image, (c + 1, c + long // 2 - 5), (10, long), 0, 0, 360, dark, -1, 16)
    cv2.ellipse(image, (c, c + long // 2 - 6), (9, long), 0, 0, 360, light, -1, 16)
    cv2.ellipse(image, (c, c + long - 5), (5, 5), 0, 0, 360, dark, -1, 16)
    cv2.circle(image, (c, c - 4), 3, dark, -1, 16)
    return _turned(rng, image)


def bottom_lid(rng: np.random.Generator) -> Picture:
    """Draw the bottom of a can: beads and a stamped date."""
    size = 96
    image, colour = _metal(rng, size)
    if rng.random() < 0.6:
        ink = _shaded(colour, 0.35)
        for row in range(int(rng.integers(1, 3))):
            top = 0.42 + 0.13 * row
            write(rng, image, (0.25, top, 0.75, top + 0.1), ink, random_word(rng, 8, DIGITS), 0.05)
    return _turned(rng, image)


def _turned(rng: np.random.Generator, image: Image) -> Picture:
    """The picture of a square image, turned by any angle."""
    size = len(image)
    motion = cv2.getRotationMatrix2D((0.5 * size, 0.5 * size), float(rng.uniform(0, 360)), 1.0)
    turned = cv2.warpAffine(image, motion, (size, size), borderMode=cv2.BORDER_REPLICATE)
    return opaque(np.asarray(turned, dtype=np.uint8))


def screen(rng: np.random.Generator) -> Picture:
    """Draw a screen: dark, or bright with a desktop, windows and text."""
    rows, columns = 100, 160
    image = np.empty((rows, columns, 3), dtype=np.uint8)
    if rng.random() < 0.5:
        image[:] = int(rng.integers(4, 45))
        return opaque(image)
    image[:] = label_ground(rng, rows, columns, vivid(rng))
    if rng.random() < 0.5:
        motif(rng, image, (rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7)), 30.0)
    for _ in range(int(rng.integers(0, 4))):
        left, top = rng.uniform(0.0, 0.5, size=2)
        right, bottom = left + rng.uniform(0.25, 0.6), top + rng.uniform(0.3, 0.5)
        paper = 250 if rng.random() < 0.6 else 35
        corner = (int(left * columns), int(top * rows)), (int(right * columns), int(bottom * rows))
        cv2.rectangle(image, *corner, (paper,) * 3, -1)
        bar = (corner[1][0], corner[0][1] + 5)
        cv2.rectangle(image, corner[0], bar, vivid(rng), -1)
        box = (left + 0.02, top + 0.1, min(right, 1.0) - 0.02, min(bottom, 1.0) - 0.03)
        small_print(rng, image, box, (60, 60, 70) if paper > 100 else (200, 200, 190))
    if rng.random() < 0.6:
        image[-7:] = vivid(rng, dark=0.5)
    return opaque(image)


def keyboard(rng: np.random.Generator, body: Colour) -> Picture:
    """Draw the upper side of a laptop's base: keys, touch pad and stickers; user below."""
    rows, columns = 120, 176
    image = np.empty((rows, columns, 3), dtype=np.uint8)
    image[:] = body
    key = vivid(rng, dark=0.75)
    ink = readable(rng, key)
    top, bottom = int(rows * rng.uniform(0.06, 0.16)), int(rows * rng.uniform(0.52, 0.62))
    side = int(columns * rng.uniform(0.02, 0.1))
    if rng.random() < 0.5:
        well = _shaded(body, rng.uniform(0.4, 1.0))
        cv2.rectangle(image, (side - 2, top - 2), (columns - side + 2, bottom + 2), well, -1)
    lines = int(rng.integers(5, 7))
    tall = (bottom - top) / lines
    for i in range(lines):
        x, y = float(side), top + i * tall
        while x < columns - side - 3:
            wide = tall * (1.15 if rng.random() < 0.85 else rng.uniform(1.5, 2.2))
            if i == lines - 1 and 0.25 < (x - side) / (columns - 2 * side) < 0.4:
                wide = 0.3 * columns
            end = min(x + wide, float(columns - side))
            corner = (int(x), int(y)), (int(end) - 2, int(y + tall) - 2)
            cv2.rectangle(image, *corner, key, -1)
            cv2.circle(image, (corner[0][0] + 3, corner[0][1] + 3), 1, ink, -1)
            x = end
    left = int(columns * rng.uniform(0.32, 0.38))
    pad = _shaded(body, rng.uniform(0.8, 1.15))
    edge = _shaded(body, 0.6)
    box = (left, int(0.68 * rows)), (columns - left, int(0.96 * rows))
    cv2.rectangle(image, *box, pad, -1)
    cv2.rectangle(image, *box, edge, 1)
    for place in (0.05, 0.82):
        if rng.random() < 0.3:
            part = image[int(0.78 * rows) : int(0.95 * rows), int(place * columns) :][:, :20]
            part[:] = vivid(rng)
            small_print(rng, part, (0.1, 0.2, 0.9, 0.9), readable(rng, part.mean(axis=(0, 1))))
    return opaque(image)


def text_ring(rng: np.random.Generator, colour: Colour) -> Picture:
    """Draw the circumference of a lens: grooves, a coloured ring, and small letters.

    The upper edge is the lens's front.
    """
    image = np.empty((64, 320, 3), dtype=np.uint8)
    image[:] = colour
    if rng.random() < 0.7:
        top = int(rng.integers(10, 36))
        for x in range(0, 320, 4):
            image[top : top + int(rng.integers(10, 20)), x : x + 2] = np.array(colour) // 2
    if rng.random() < 0.6:
        row = int(rng.integers(2, 24))
        image[row : row + int(rng.integers(2, 5))] = vivid(rng)
    ink = readable(rng, colour)
    for left in (0.0, 0.25, 0.5, 0.75):
        if rng.random() < 0.6:
            at = rng.uniform(0.05, 0.75)
            word = f"{random_word(rng, 4)} {random_word(rng, 2, DIGITS)}"
            write(rng, image, (left, at, left + 0.22, at + 0.2), ink, word)
    return opaque(image)


def cloth(rng: np.random.Generator) -> Picture:
    """Draw a tile of cloth, carpet or stone: noise of two colours at several scales."""
    size = 128
    field = np.zeros((size, size), dtype=np.float32)
    for step in (2, 5, 16, 48):
        cells = size // step + 1
        noise = rng.standard_normal((cells, max(1, round(cells * rng.uniform(0.3, 1)))))
        noise = np.asarray(noise, dtype=np.float32)
        field += rng.uniform(0.0, 1.0) * cv2.resize(noise, (size, size))
    share = np.clip(0.5 + rng.uniform(0.1, 0.4) * field, 0.0, 1.0)[..., None]
    first = np.array(muted(rng), np.float32)
    second = np.array(muted(rng), np.float32)
    second = first + (second - first) * np.float32(rng.uniform(0.1, 0.7))
    return opaque(np.asarray(first + share * (second - first), dtype=np.uint8))


def pattern_tile(rng: np.random.Generator) -> Picture:
    """Draw a tile of prints without an up: dots, flowers, stripes or checks."""
    size = 96
    ground, ink = vivid(rng), vivid(rng)
    image = np.empty((size, size, 3), dtype=np.uint8)
    image[:] = ground
    kind = int(rng.integers(4))
    step = int(rng.integers(8, 32))
    if kind == 0:
        image[np.arange(size) % step < rng.uniform(0.2, 0.6) * step] = ink
    elif kind == 1:
        stripes = np.arange(size) % step < rng.uniform(0.2, 0.6) * step
        image[stripes[:, None] ^ stripes[None]] = ink
    else:
        for _ in range(size * size // (2 * step * step) + 3):
            x, y = (int(v) for v in rng.integers(size, size=2))
            if kind == 2:
                cv2.circle(image, (x, y), max(2, step // 4), ink, -1, 16)
            else:
                motif(rng, image, (x / size, y / size), 0.4 * step)
    return opaque(image)
