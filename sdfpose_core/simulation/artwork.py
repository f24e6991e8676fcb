"""Random pictures for printed surfaces: labels, decals and logos.

The first row of a picture is its upper edge. Pictures are (H, W, 4) float32: red, green, blue and
coverage, 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DIGITS",
    "Colour",
    "Image",
    "Picture",
    "decal",
    "label",
    "label_ground",
    "logo",
    "motif",
    "muted",
    "opaque",
    "random_word",
    "readable",
    "small_print",
    "vivid",
    "write",
]

Picture = NDArray[np.float32]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWYZabcdefghijklmnopqrstuvwyz"
DIGITS = "0123456789"
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
_LABEL_ROWS = 160
_MAX_COLUMNS = 480
_VERTICAL_SHARE = 0.12
"""Share of labels whose text runs along the axis."""

Image = NDArray[np.uint8]
Colour = tuple[int, int, int]


def vivid(rng: np.random.Generator, dark: float = 0.0) -> Colour:
    """Draw a colour as print and plastic have it: white, black, grey, or of any hue.

    Args:
        rng: source of all random draws.
        dark: additional probability of a dark one.
    """
    kind = rng.random()
    if rng.random() < dark:
        tone = rng.uniform(8.0, 60.0) + rng.normal(0.0, 4.0, size=3)
    elif kind < 0.2:
        tone = rng.uniform(205.0, 255.0) + rng.normal(0.0, 6.0, size=3)
    elif kind < 0.32:
        tone = rng.uniform(10.0, 60.0) + rng.normal(0.0, 5.0, size=3)
    elif kind < 0.4:
        tone = rng.uniform(70.0, 200.0) + rng.normal(0.0, 6.0, size=3)
    else:
        hsv = np.array([[[rng.uniform(0, 180), rng.uniform(70, 255), rng.uniform(70, 255)]]])
        tone = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)[0, 0].astype(np.float64)
    r, g, b = (int(x) for x in np.clip(tone, 0.0, 255.0))
    return r, g, b


def muted(rng: np.random.Generator) -> Colour:
    """Draw a colour as rooms and crockery have it: white, grey, beige, brown, or any."""
    kind = rng.random()
    if kind < 0.3:
        return vivid(rng)
    if kind < 0.5:
        tone = rng.uniform(200.0, 255.0) + rng.normal(0.0, 4.0, size=3)
    else:
        tone = rng.uniform(40.0, 220.0) + rng.uniform(-6.0, 30.0) * np.array([1.0, 0.3, -0.9])
    r, g, b = (int(x) for x in np.clip(tone, 0.0, 255.0))
    return r, g, b


def readable(
    rng: np.random.Generator, ground: Sequence[float] | NDArray[np.floating | np.uint8]
) -> Colour:
    """Draw a colour that can be read on the ground."""
    for _ in range(6):
        colour = vivid(rng)
        if abs(float(np.mean(colour)) - float(np.mean(ground))) > 70.0:
            return colour
    return (245, 245, 240) if np.mean(ground) < 128.0 else (20, 20, 25)


def random_word(rng: np.random.Generator, length: int, letters: str = _LETTERS) -> str:
    """Draw letters in capitals or with a capital initial."""
    word = "".join(letters[int(i)] for i in rng.integers(len(letters), size=length))
    return word.upper() if rng.random() < 0.5 else word.capitalize()


def write(
    rng: np.random.Generator,
    image: Image,
    box: tuple[float, float, float, float],
    colour: Colour,
    text: str,
    weight: float = 0.11,
) -> None:
    """Write one line that fills the width or height of a box (left, top, right, bottom), shares."""
    rows, columns = image.shape[:2]
    left, top, right, bottom = (x * n for x, n in zip(box, (columns, rows) * 2, strict=True))
    font = _FONTS[int(rng.integers(len(_FONTS)))]
    (width, height), base = cv2.getTextSize(text, font, 1.0, 1)
    size = min((right - left) / max(width, 1), (bottom - top) / max(height + 0.4 * base, 1))
    thick = max(1, round(weight * size * height))
    x = left + 0.5 * (right - left - size * width)
    y = 0.5 * (top + bottom) + 0.5 * size * height
    cv2.putText(image, text, (int(x), int(y)), font, size, colour, thick, cv2.LINE_AA)


def small_print(
    rng: np.random.Generator, image: Image, box: tuple[float, float, float, float], colour: Colour
) -> None:
    """Write rows of small print: words as dashes of random length, flush left."""
    rows, columns = image.shape[:2]
    left, top, right, bottom = box
    pitch = max(3, round(rows * rng.uniform(0.03, 0.05)))
    for y in range(int(top * rows), int(bottom * rows) - 1, pitch):
        x = left * columns
        end = (right - (rng.uniform(0.0, 0.4) * (right - left) * (rng.random() < 0.3))) * columns
        while x < end:
            length = rng.uniform(0.5, 3.0) * pitch
            stop = int(min(x + length, end))
            cv2.line(image, (int(x), y), (stop, y), colour, max(1, pitch // 3), cv2.LINE_AA)
            x += length + 0.5 * pitch


def _bar_code(rng: np.random.Generator, image: Image) -> None:
    """Draw a bar code over the whole image, with digits below or beside the bars."""
    image[:] = 250
    rows, columns = image.shape[:2]
    bars = np.repeat(rng.random(max(columns // 2, 1)) < 0.5, 2)[:columns]
    low = int(rows * 0.82)
    image[int(rows * 0.06) : low, : len(bars)][:, bars] = 20
    image[:, :2] = image[:, -2:] = 250
    small_print(rng, image, (0.05, 0.9, 0.95, 1.0), (40, 40, 40))


def motif(rng: np.random.Generator, image: Image, centre: tuple[float, float], size: float) -> None:
    """Draw something like a fruit, a star or a badge: filled shapes with a light upper side."""
    middle = np.array(centre) * (image.shape[1], image.shape[0])
    for _ in range(int(rng.integers(1, 5))):
        colour = vivid(rng)
        at = middle + rng.normal(0.0, 0.35 * size, size=2)
        radius = size * rng.uniform(0.3, 0.7)
        x, y = int(at[0]), int(at[1])
        if rng.random() < 0.6:
            axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.5, 1.3))))
            cv2.ellipse(image, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, 16)
            light = tuple(int(min(255, 1.25 * c + 25)) for c in colour)
            spot = (int(x - 0.2 * radius), int(y - 0.3 * radius))
            cv2.ellipse(image, spot, (axes[0] // 3, axes[1] // 4), 0, 0, 360, light, -1, 16)
        else:
            count = int(rng.integers(3, 11))
            angle = np.linspace(0, 2 * np.pi, 2 * count, endpoint=False) - 0.5 * np.pi
            reach = np.where(np.arange(2 * count) % 2, rng.uniform(0.4, 1.0), 1.0) * radius
            corners = np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None] + at
            cv2.fillPoly(image, [corners.astype(np.int32)], colour, 16)


def label_ground(rng: np.random.Generator, rows: int, columns: int, colour: Colour) -> Image:
    """The ground of a label: plain, shaded from top to bottom, or with bands."""
    image = np.empty((rows, columns, 3), dtype=np.uint8)
    image[:] = colour
    kind = rng.random()
    if kind < 0.3:
        share = np.linspace(0.0, 1.0, rows)[:, None, None] ** rng.uniform(0.5, 2.0)
        image[:] = image * (1.0 - share) + np.array(vivid(rng)) * share
    elif kind < 0.55:
        cut = int(rows * rng.uniform(0.1, 0.5))
        image[:cut] = vivid(rng)
        if rng.random() < 0.4:
            image[int(rows * rng.uniform(0.6, 0.92)) :] = vivid(rng)
    elif kind < 0.7:
        x = np.arange(columns)
        wave = rows * (rng.uniform(0.2, 0.8) + 0.1 * np.sin(x * 2 * np.pi / columns * 2))
        image[np.arange(rows)[:, None] < wave[None]] = vivid(rng)
    elif kind < 0.8:
        noise = rng.random((max(rows // 10, 2), max(columns // 10, 2)), dtype=np.float32)
        field = cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC)
        image[field > 0.55] = vivid(rng)
    return image


def label(rng: np.random.Generator, aspect: float, panels: int | None = None) -> Picture:
    """Draw a label: brand above, picture, text and bar code, panel beside panel.

    Args:
        rng: source of all random draws.
        aspect: width divided by height.
        panels: number of panels that repeat side by side; random by default.
    """
    if rng.random() < _VERTICAL_SHARE:
        turned = label(rng, 1.0 / aspect, panels=1)
        turns = 1 if rng.random() < 0.8 else 3
        return np.ascontiguousarray(np.rot90(turned, turns))
    rows = _LABEL_ROWS
    columns = int(np.clip(rows * aspect, 40, _MAX_COLUMNS))
    panels = panels or max(1, min(int(rng.integers(1, 4)), int(2.0 * aspect)))
    base = vivid(rng)
    image = label_ground(rng, rows, columns, base)
    width = columns // panels
    front = _panel(rng, image[:, :width].copy(), base)
    for i in range(panels):
        image[:, i * width : (i + 1) * width] = front
    if width * panels < columns or (panels > 1 and rng.random() < 0.6):
        back = image[:, -width:]
        back[:] = label_ground(rng, rows, width, base)
        _back(rng, back, readable(rng, back.reshape(-1, 3).mean(axis=0)))
    if rng.random() < 0.3:
        for edge in (slice(0, rows // 24), slice(-rows // 24, None)):
            image[edge] = vivid(rng)
    return opaque(image)


def _panel(rng: np.random.Generator, image: Image, base: Colour) -> Image:
    """Front of a label."""
    ink = readable(rng, image[: len(image) // 2].reshape(-1, 3).mean(axis=0))
    lower = readable(rng, image[len(image) // 2 :].reshape(-1, 3).mean(axis=0))
    top = rng.uniform(0.04, 0.3)
    tall = rng.uniform(0.12, 0.3)
    if rng.random() < 0.6:
        size = image.shape[1] * rng.uniform(0.15, 0.4)
        motif(rng, image, (rng.uniform(0.3, 0.7), rng.uniform(0.55, 0.8)), size)
    if rng.random() < 0.25:
        shade = vivid(rng)
        cv2.ellipse(
            image,
            (image.shape[1] // 2, int((top + 0.5 * tall) * image.shape[0])),
            (int(0.48 * image.shape[1]), int(0.75 * tall * image.shape[0])),
            0, 0, 360, shade, -1, 16,
        )  # fmt: skip
        ink = readable(rng, shade)
    word = random_word(rng, int(rng.integers(3, 9)))
    write(rng, image, (0.06, top, 0.94, top + tall), ink, word, rng.uniform(0.08, 0.22))
    at = top + tall + 0.02
    for _ in range(int(rng.integers(0, 3))):
        height = rng.uniform(0.05, 0.1)
        words = " ".join(random_word(rng, int(rng.integers(2, 7))) for _ in range(2))
        write(rng, image, (0.1, at, 0.9, at + height), ink, words)
        at += height + 0.02
    if rng.random() < 0.7:
        start = rng.uniform(0.75, 0.9)
        small_print(rng, image, (0.1, start, 0.9, 0.97), lower)
    if rng.random() < 0.4:
        text = f"{random_word(rng, 3, DIGITS)} {random_word(rng, 2)}"
        write(rng, image, (0.55, 0.88, 0.95, 0.97), lower, text)
    return image


def _back(rng: np.random.Generator, image: Image, ink: Colour) -> None:
    """Back of a label: text, a table and a bar code."""
    rows, columns = image.shape[:2]
    small_print(rng, image, (0.08, 0.06, 0.92, rng.uniform(0.3, 0.6)), ink)
    if columns < 24:
        return
    if rng.random() < 0.7:
        width, height = int(0.55 * columns), int(0.2 * rows)
        left, top = int(rng.uniform(0.1, 0.35) * columns), int(rng.uniform(0.66, 0.78) * rows)
        part = np.zeros((height, width, 3), dtype=np.uint8)
        _bar_code(rng, part)
        if rng.random() < 0.25:
            part = np.ascontiguousarray(np.rot90(part))[:height, :width]
        image[top : top + part.shape[0], left : left + part.shape[1]] = part
    if rng.random() < 0.4:
        box = (int(0.1 * columns), int(0.4 * rows), int(0.9 * columns), int(0.64 * rows))
        cv2.rectangle(image, box[:2], box[2:], (240, 240, 240), -1)
        cv2.rectangle(image, box[:2], box[2:], (30, 30, 30), 1)
        small_print(rng, image, (0.14, 0.44, 0.86, 0.63), (30, 30, 30))


def decal(rng: np.random.Generator, aspect: float = 1.0, ground: Colour | None = None) -> Picture:
    """Draw a print without a ground of its own: a picture, a saying, or both.

    Args:
        rng: source of all random draws.
        aspect: width divided by height.
        ground: colour of the surface, which the print contrasts with.
    """
    rows = 96
    columns = int(np.clip(rows * aspect, 24, _MAX_COLUMNS))
    key = np.array(ground or vivid(rng), dtype=np.uint8)
    image = np.empty((rows, columns, 3), dtype=np.uint8)
    image[:] = key
    ink = readable(rng, key)
    kind = rng.random()
    if kind < 0.65:
        size = min(rows, columns) * rng.uniform(0.2, 0.42)
        for _ in range(int(rng.integers(1, 4))):
            motif(rng, image, (rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.55)), size)
    if kind > 0.4:
        at = rng.uniform(0.1, 0.6)
        for _ in range(int(rng.integers(1, 4))):
            height = rng.uniform(0.12, 0.26)
            word = random_word(rng, int(rng.integers(3, 10)))
            write(rng, image, (0.05, at, 0.95, at + height), ink, word, rng.uniform(0.08, 0.2))
            at += height + 0.03
    if rng.random() < 0.2:
        cv2.rectangle(image, (1, 1), (columns - 2, rows - 2), ink, int(rng.integers(1, 4)))
    picture = opaque(image)
    picture[..., 3] = np.any(image != key, axis=-1)
    return picture


def logo(rng: np.random.Generator, colour: Colour) -> Picture:
    """Draw a short word or a round sign in one colour."""
    image = np.zeros((40, 140, 3), dtype=np.uint8)
    if rng.random() < 0.75:
        word = random_word(rng, int(rng.integers(3, 8)))
        write(rng, image, (0.03, 0.1, 0.97, 0.9), (255, 255, 255), word, rng.uniform(0.1, 0.25))
    else:
        cv2.circle(image, (70, 24), 13, (255, 255, 255), -1, 16)
        cv2.ellipse(image, (75, 6), (3, 7), 25.0, 0, 360, (255, 255, 255), -1, 16)
    picture = np.empty((40, 140, 4), dtype=np.float32)
    picture[..., :3] = np.array(colour, np.float32) / np.float32(255.0)
    picture[..., 3] = image[..., 0] / np.float32(255.0)
    return picture


def opaque(image: Image) -> Picture:
    """The picture of an image that covers its ground."""
    picture = np.ones((*image.shape[:2], 4), dtype=np.float32)
    picture[..., :3] = image / np.float32(255.0)
    return picture
