"""Surfaces of distractors as things of their kinds have them: print, screens, grips, skin, peel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import artwork, fittings
from sdfpose_core.simulation.artwork import Colour, Picture, muted, vivid
from sdfpose_core.simulation.coats import (
    Coat,
    Floats,
    PrintedPaint,
    Region,
    SurfacePoints,
    above,
    below,
    flat,
    on_faces,
    pictured,
    tiled,
    wrapped,
)

__all__ = ["printed_distractor"]

_CARDBOARD = (190, 152, 108)
_PAPER = (238, 234, 222)
_SKIN = (235, 185, 155)
_PEELS: tuple[Colour, ...] = (
    (232, 200, 50), (240, 140, 30), (200, 40, 30), (110, 160, 40), (225, 210, 90), (90, 40, 90),
    (150, 100, 50), (240, 110, 60),
)  # fmt: skip
_LEAVES = (60, 120, 45)


def printed_distractor(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Draw the surface of a thing of no category.

    Args:
        model: its shape, whose name is its kind, see `DISTRACTORS`.
        rng: source of all random draws.
    """
    return _PAINTERS.get(model.name, _anyhow)(model, rng)


def _gloss(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.0, 0.7))


def _shade(rng: np.random.Generator, colour: Colour, spread: float = 0.2) -> Colour:
    """A colour like the given one."""
    tone = np.asarray(colour) * np.exp(spread * rng.normal()) + 12.0 * rng.normal(size=3)
    r, g, b = (int(x) for x in np.clip(tone, 0.0, 255.0))
    return r, g, b


def _anyhow(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Any surface: plain, of two colours, patterned or with a label."""
    coats: list[Coat] = []
    kind = rng.random()
    size = model.diagonal_m
    if kind < 0.25:
        coats.append(flat(vivid(rng), _half(model, rng)))
    elif kind < 0.4:
        coats.append(tiled(fittings.pattern_tile(rng), float(rng.uniform(0.15, 0.8)) * size))
    elif kind < 0.5:
        coats.append(tiled(fittings.cloth(rng), float(rng.uniform(0.3, 1.0)) * size))
    elif kind < 0.65:
        low, high = float(rng.uniform(0.0, 0.4)), float(rng.uniform(0.6, 1.0))
        girth = np.pi * 0.5 * float(model.dimensions_m[0] + model.dimensions_m[2])
        aspect = girth / ((high - low) * float(model.dimensions_m[1]))
        coats.append(wrapped(artwork.label(rng, aspect), low, high, start=float(rng.random())))
    elif kind < 0.75:
        coats.append(on_faces(artwork.decal(rng, 1.0)))
    base = vivid(rng) if rng.random() < 0.7 else muted(rng)
    return PrintedPaint(base, tuple(coats), _gloss(rng))


def _half(model: CadModel, rng: np.random.Generator) -> Callable[[SurfacePoints], Region]:
    """Region on one side of a plane across one of the longer sides."""
    axis = int(rng.choice(3, p=model.dimensions_m / model.dimensions_m.sum()))
    cut = float(rng.uniform(-0.35, 0.35))
    return lambda at: at.p[:, axis] > cut * at.sides[axis]


def _packet(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Carton: cardboard with tape and a sign, or print on all sides."""
    wide, tall = float(model.dimensions_m[[0, 2]].max()), float(model.dimensions_m[1])
    if rng.random() < 0.4:
        base = _shade(rng, _CARDBOARD)
        coats: list[Coat] = []
        if rng.random() < 0.6:
            half = float(rng.uniform(0.02, 0.03))
            coats.append(flat(_shade(rng, base), lambda at: np.abs(at.p[:, 2]) < half))
        if rng.random() < 0.6:
            coats.append(on_faces(artwork.decal(rng, wide / tall, base)))
        return PrintedPaint(base, tuple(coats), 0.05)
    coat = on_faces(artwork.label(rng, wide / tall, panels=1))
    return PrintedPaint(vivid(rng), (coat,), _gloss(rng))


def _book(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Book: pages between printed covers; its back is at -z."""
    cover = vivid(rng)
    picture = artwork.label(rng, float(model.dimensions_m[2] / model.dimensions_m[0]), panels=1)
    if rng.random() < 0.3:
        picture = artwork.decal(rng, 0.7, cover)

    def pages(at: SurfacePoints) -> Region:
        return at.wall & (np.abs(at.p[:, 1]) < 0.5 * at.sides[1] - 0.0032) & (at.n[:, 2] > -0.5)

    coats = (on_faces(picture), flat(_shade(rng, _PAPER, 0.05), pages))
    return PrintedPaint(cover, coats, _gloss(rng))


def _open_book(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Open book: text, or a picture, on both pages."""
    base = _shade(rng, _PAPER, 0.05)
    page = artwork.label(rng, 0.7, panels=1)
    return PrintedPaint(base, (_on_top(page),) if rng.random() < 0.7 else (), 0.05)


def _on_top(picture: Picture) -> Coat:
    """Picture on what points upward."""

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        u, v = 0.5 - at.p[:, 2] / at.sides[2], 0.5 + at.p[:, 0] / at.sides[0]
        return u, v, at.n[:, 1] > 0.6

    return pictured(picture, where, 1.0)


def _screen(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Monitor or picture: a screen in a frame that faces +x."""
    share = float(rng.uniform(0.02, 0.06))
    tall = 0.78 if model.name == "monitor" else 1.0
    picture = fittings.screen(rng) if model.name == "monitor" else artwork.label(rng, 1.0, panels=1)

    def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        u = (0.5 - at.p[:, 2] / at.sides[2] - share) / (1.0 - 2.0 * share)
        v = ((1.0 - at.height) / tall - share) / (1.0 - 2.0 * share)
        return u, v, at.n[:, 0] > 0.8

    return PrintedPaint(vivid(rng, dark=0.75), (pictured(picture, where, 1.0),), _gloss(rng))


def _phone(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Telephone: a screen on top, or below."""
    return PrintedPaint(vivid(rng, dark=0.5), (_on_top(fittings.screen(rng)),), _gloss(rng))


def _keyed(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Keyboard: keys that differ from the base, or not."""
    base = vivid(rng, dark=0.6)
    if rng.random() < 0.5:
        return PrintedPaint(base, (), 0.2)
    slope = float(rng.uniform(0.985, 0.995))
    keys = flat(vivid(rng, dark=0.3), lambda at: (at.n[:, 1] > slope) & (at.height > 0.55))
    return PrintedPaint(base, (keys,), 0.2)


def _tool(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Tool: a grip at one end, steel or plastic at the other."""
    tone = float(rng.uniform(90.0, 210.0))
    steel = (int(tone), int(tone), int(tone))
    head = steel if rng.random() < 0.7 else vivid(rng, dark=0.4)
    cut = float(rng.uniform(-0.2, 0.1))
    near = model.name in ("spoon", "brush", "knife", "pan", "scissors", "pliers")
    sign = -1.0 if near else 1.0
    coats: list[Coat] = [flat(head, lambda at: sign * at.p[:, 0] > cut * at.sides[0])]
    grip = vivid(rng, dark=0.25)
    if rng.random() < 0.3:
        coats.append(flat(vivid(rng), lambda at: np.abs(at.p[:, 0] / at.sides[0] + 0.2) < 0.03))
    return PrintedPaint(grip if rng.random() < 0.8 else head, tuple(coats), _gloss(rng))


def _powered(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Drill: a housing of two colours with a sign, a dark foot and chuck."""
    dark = vivid(rng, dark=0.85)
    coats = [
        on_faces(artwork.decal(rng, 1.5)),
        flat(dark, below(float(rng.uniform(0.1, 0.3)))),
        flat(dark, lambda at: at.p[:, 0] > 0.25 * at.sides[0]),
    ]
    return PrintedPaint(vivid(rng), tuple(coats[int(rng.integers(2)) :]), _gloss(rng))


def _fruit(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Fruit: peel with a shade of another ripeness and spots."""
    base = _shade(rng, _PEELS[int(rng.integers(len(_PEELS)))], 0.15)
    coats: list[Coat] = []
    if rng.random() < 0.4:
        other = _shade(rng, base, 0.35)
        coats.append(flat(other, _half(model, rng)))
    if rng.random() < 0.5:
        spots = fittings.cloth(rng)
        spots[..., 3] = 0.25
        coats.append(tiled(spots, 0.5 * model.diagonal_m))
    if model.name == "banana":
        end = (70, 60, 30)
        coats.append(flat(end, lambda at: np.abs(at.p[:, 0]) > 0.46 * at.sides[0]))
    return PrintedPaint(base, tuple(coats), float(rng.uniform(0.1, 0.6)))


def _skinned(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Hand: skin, and mostly a sleeve; the arm is at -x."""
    light = float(rng.uniform(0.3, 1.0))
    r, g, b = (int(light * x) for x in _SKIN)
    cut = float(rng.uniform(-0.35, -0.05))
    sleeve = flat(vivid(rng), lambda at: at.p[:, 0] < cut * at.sides[0])
    return PrintedPaint((r, g, b), (sleeve,) if rng.random() < 0.7 else (), 0.1)


def _potted(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Plant: leaves above a pot."""
    level = float(rng.uniform(0.35, 0.55))
    coats = (flat(_shade(rng, _LEAVES, 0.35), above(level)),)
    return PrintedPaint(muted(rng), coats, 0.15)


_PAINTERS: dict[str, Callable[[CadModel, np.random.Generator], PrintedPaint]] = {
    **dict.fromkeys(("carton", "open_carton", "milk_carton", "box"), _packet),
    **dict.fromkeys(("monitor", "clock"), _screen),
    **dict.fromkeys(("keyboard", "remote"), _keyed),
    **dict.fromkeys(
        ("screwdriver", "hammer", "wrench", "pliers", "scissors", "spoon", "knife", "brush",
         "clamp", "pan"), _tool),
    **dict.fromkeys(("apple", "banana", "carrot", "loaf", "pear", "pumpkin"), _fruit),
    "book": _book,
    "drill": _powered,
    "hand": _skinned,
    "open_book": _open_book,
    "phone": _phone,
    "plant": _potted,
}  # fmt: skip
