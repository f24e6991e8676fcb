"""Printed objects: what real objects of each category carry on them, and where."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sdfpose_core.shapes.model import CadModel
from sdfpose_core.simulation import artwork, fittings
from sdfpose_core.simulation.artwork import Picture, muted, vivid
from sdfpose_core.simulation.coats import (
    Coat,
    Floats,
    PrintedPaint,
    Region,
    SurfacePoints,
    above,
    below,
    flat,
    on_end,
    on_faces,
    pictured,
    tiled,
    unit_colour,
    wrapped,
)

__all__ = ["printed_background", "printed_paint"]

_FINGER_M = 0.03
"""Thinner cylinders may be fingers."""


def printed_paint(category: str, model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Draw the surface of an object.

    Args:
        category: category of the object; other than known ones are patterned all over.
        model: its shape.
        rng: source of all random draws.
    """
    return _PAINTERS.get(category, _painted_anyhow)(model, rng)


def printed_background(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Draw the surface of a table, a wall or an occluder: cloth, prints, tiles or plain."""
    base = muted(rng)
    coats: tuple[Coat, ...] = ()
    kind = rng.random()
    sides = np.sort(model.dimensions_m)
    if model.name == "cylinder" and sides[1] < _FINGER_M and kind < 0.7:
        light = rng.uniform(0.3, 1.0)
        return PrintedPaint((int(235 * light), int(185 * light), int(155 * light)), (), 0.1)
    small = model.diagonal_m < 0.5
    if small and kind < 0.4:
        width = max(float(model.dimensions_m[[0, 2]].max()), 1e-3)
        coats = (on_faces(artwork.label(rng, width / float(model.dimensions_m[1]), panels=1)),)
    elif kind < 0.55:
        coats = (tiled(fittings.cloth(rng), float(rng.uniform(0.05, 0.6))),)
    elif kind < 0.7:
        coats = (tiled(fittings.pattern_tile(rng), float(rng.uniform(0.04, 0.4))),)
    elif kind < 0.8 and not small:
        sheet = artwork.label(rng, float(rng.uniform(0.6, 1.6)), panels=1)
        coats = (tiled(fittings.cloth(rng), 0.3), tiled(sheet, float(rng.uniform(0.15, 0.5))))
    return PrintedPaint(base, coats, float(rng.uniform(0.0, 0.4)))


def _painted_anyhow(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Surface of an object of which nothing is known."""
    coats = (tiled(fittings.pattern_tile(rng), float(rng.uniform(0.3, 1.0)) * model.diagonal_m),)
    return PrintedPaint(vivid(rng), coats if rng.random() < 0.6 else (), float(rng.uniform(0, 0.6)))


def _bottle(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Bottle: cap of another colour, label on the widest part, liquid or plain."""
    body = vivid(rng)
    share = float(model.parameters.get("cap_height", rng.uniform(0.04, 0.15)))
    on_cap = bool(model.parameters.get("stands_on_cap", 0.0))
    coats: list[Coat] = []
    if rng.random() < 0.35:  # a clear bottle: what is above the liquid is lighter
        level = float(rng.uniform(0.3, 0.85))
        r, g, b = (int(0.4 * x + 125.0) for x in body)
        coats.append(flat((r, g, b), above(level)))
    low, high = float(rng.uniform(0.02, 0.3)), float(rng.uniform(0.45, 0.8))
    if on_cap:
        low, high = max(low, 1.1 * share), min(high + 0.2, 0.95)
    width, depth = float(model.dimensions_m[0]), float(model.dimensions_m[2])
    girth = np.pi * 0.5 * (width + depth)
    kind = rng.random()
    start = float(rng.random())
    if kind < 0.6:
        picture = artwork.label(rng, girth / ((high - low) * float(model.dimensions_m[1])))
        coats.append(wrapped(picture, low, high, start=start))
    elif kind < 0.85:  # on the flat sides, or on one
        span = float(rng.uniform(0.22, 0.45))
        aspect = span * girth / ((high - low) * float(model.dimensions_m[1]))
        front = artwork.label(rng, aspect, panels=1)
        if rng.random() < 0.4:
            front = artwork.decal(rng, aspect, body)
        start = start if depth > 0.9 * width else 0.25 - 0.5 * span
        coats.append(wrapped(front, low, high, start=start, span=span))
        if rng.random() < 0.6:
            back = artwork.label(rng, aspect, panels=1)
            coats.append(wrapped(back, low, high, start=start + 0.5, span=span))
    if rng.random() < 0.3:  # a second label on the shoulder
        picture = artwork.label(rng, 4.0, panels=1)
        coats.append(wrapped(picture, high + 0.02, high + 0.1, start=start, span=0.4))
    if rng.random() < 0.85:
        cap = vivid(rng)
        coats.append(flat(cap, below(share) if on_cap else above(1.0 - share)))
        if rng.random() < 0.25:  # tamper ring
            ring, edge = vivid(rng), 1.0 - share
            coats.append(flat(ring, lambda at: (at.height < edge) & (at.height > edge - 0.02)))
    return PrintedPaint(body, tuple(coats), float(rng.uniform(0.1, 0.9)))


def _can(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Can: metal, print all around, and a lid that differs from the bottom."""
    tone = float(rng.uniform(120.0, 215.0))
    metal = (int(tone), int(tone), int(tone * rng.uniform(0.9, 1.0)))
    low, high = (float(x) for x in rng.uniform(0.0, 0.06, size=2))
    high = 1.0 - high * (2.0 if rng.random() < 0.4 else 1.0)
    girth = np.pi * float(min(model.dimensions_m[0], model.dimensions_m[2]))
    start = float(rng.random())
    coats: list[Coat] = []
    if rng.random() < 0.95:
        picture = artwork.label(rng, girth / ((high - low) * float(model.dimensions_m[1])))
        coats.append(wrapped(picture, low, high, start=start))
    kind = rng.random()
    if kind < 0.6:
        coats.append(on_end(fittings.tab_lid(rng), True, float(rng.uniform(0.8, 1.0))))
    elif kind < 0.75:
        coats.append(on_end(fittings.bottom_lid(rng), True))
    elif kind < 0.9:  # a plastic lid
        edge = 1.0 - float(rng.uniform(0.02, 0.08))
        lid = vivid(rng)
        coats.append(flat(lid, above(edge)))
        if rng.random() < 0.5:
            coats.append(on_end(artwork.decal(rng, 1.0, lid), True))
    else:
        coats.append(on_end(artwork.label(rng, 1.0, panels=1), True))
    coats.append(on_end(fittings.bottom_lid(rng), False))
    if "spray_cap" in model.parameters:
        cap, radius = vivid(rng), float(model.parameters["spray_cap"])
        share = float(model.parameters["spray_cap_height"]) * 0.5 * girth / np.pi
        edge = 1.0 - share / float(model.dimensions_m[1]) * (1.0 if radius > 0.0 else 0.0)
        coats.append(flat(cap, above(edge)))
    return PrintedPaint(metal, tuple(coats), float(rng.uniform(0.2, 1.0)))


def _mug(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Mug: glaze, another one inside, and print beside or opposite the handle or all around."""
    glaze = muted(rng)
    radius = 0.5 * float(model.dimensions_m[2])
    axis_x = float(model.vertices[:, 0].min()) + radius
    reach = 1.06 * radius
    coats: list[Coat] = []
    kind = rng.random()
    low, high = float(rng.uniform(0.06, 0.3)), float(rng.uniform(0.7, 0.96))
    tall = (high - low) * float(model.dimensions_m[1])
    if kind < 0.5:
        span = float(rng.uniform(0.15, 0.33))
        aspect = span * 2.0 * np.pi * radius / tall
        places = {0: (0.25, 0.75), 1: (0.0,), 2: (0.25,), 3: (0.75,)}[int(rng.integers(4))]
        picture = artwork.decal(rng, aspect, glaze)
        for place in places:
            start = place - 0.5 * span
            coats.append(wrapped(picture, low, high, start=start, span=span,
                                  axis_x=axis_x, reach=reach))  # fmt: skip
    elif kind < 0.75:
        aspect = 2.0 * np.pi * radius / tall
        picture = artwork.label(rng, aspect)
        if rng.random() < 0.5:
            picture = np.tile(fittings.pattern_tile(rng), (1, max(1, round(aspect)), 1))
            if rng.random() < 0.5:
                picture[..., 3] = np.any(picture[..., :3] != picture[:1, :1, :3], axis=-1)
        coats.append(wrapped(picture, low, high, axis_x=axis_x, reach=reach))
    if rng.random() < 0.35:
        inner = vivid(rng)

        def inside(at: SurfacePoints) -> Region:
            _, r = at.around(axis_x)
            inward = at.n[:, 0] * (at.p[:, 0] - axis_x) + at.n[:, 2] * at.p[:, 2] < 0.0
            floor = (at.n[:, 1] > 0.7) & (r < 0.85 * radius) & (at.height < 0.5)
            return (inward & at.wall & (r < 0.99 * radius)) | floor

        coats.append(flat(inner, inside))
    if rng.random() < 0.25:
        coats.append(flat(vivid(rng), above(1.0 - float(rng.uniform(0.01, 0.06)))))
    if rng.random() < 0.2:
        coats.append(flat(vivid(rng), lambda at: at.around(axis_x)[1] > 1.01 * radius))
    if rng.random() < 0.4:  # an unglazed foot
        coats.append(flat((205, 190, 168), lambda at: (at.height < 0.03) & (at.n[:, 1] < 0.0)))
    return PrintedPaint(glaze, tuple(coats), float(rng.uniform(0.1, 1.0)))


def _bowl(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Bowl: glaze, another one inside, a band or prints outside."""
    glaze = muted(rng)
    coats: list[Coat] = []
    if rng.random() < 0.4:
        low, high = float(rng.uniform(0.1, 0.6)), float(rng.uniform(0.7, 0.98))
        aspect = np.pi * float(model.dimensions_m[0]) / ((high - low) * model.dimensions_m[1])
        picture = np.tile(fittings.pattern_tile(rng), (1, max(1, min(round(aspect), 6)), 1))
        if rng.random() < 0.4:
            picture = artwork.label(rng, aspect)
        coats.append(wrapped(picture, low, high))
    if rng.random() < 0.4:
        inner = vivid(rng)
        coats.append(flat(inner, lambda at: np.einsum("ij,ij->i", at.n, at.p) < 0.0))
    if rng.random() < 0.25:
        coats.append(flat(vivid(rng), above(1.0 - float(rng.uniform(0.02, 0.08)))))
    return PrintedPaint(glaze, tuple(coats), float(rng.uniform(0.1, 1.0)))


def _camera(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Camera: glass and rings of the lens, logo and flash in front, screen and buttons behind."""
    body = vivid(rng, dark=0.65)
    v, sides = model.vertices, model.dimensions_m
    tip = v[v[:, 0] > v[:, 0].max() - 0.02 * sides[0]]
    y, z = (float(np.median(tip[:, k])) for k in (1, 2))
    radius = float(max(np.ptp(tip[:, 1]), np.ptp(tip[:, 2]), 0.01)) * 0.5
    away = np.hypot(v[:, 1] - y, v[:, 2] - z) > 1.35 * radius
    front = float(np.quantile(v[away, 0], 0.9)) if away.any() else 0.0
    coats: list[Coat] = []

    def from_front(at: SurfacePoints) -> tuple[Floats, Floats]:
        right, up = z - at.p[:, 2], at.p[:, 1] - y
        return np.asarray(right, np.float32), np.asarray(up, np.float32)

    def plate(
        picture: Picture, x: float, top: float, wide: float, tall: float, ahead: bool
    ) -> Coat:
        """Picture on the front or back; x and top are shares of the box from its left top."""

        def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
            sign = 1.0 if ahead else -1.0
            right = 0.5 - sign * at.p[:, 2] / at.sides[2]
            r, up = from_front(at)
            lens = ahead & (np.hypot(r, up) < 1.2 * radius)
            return (
                (right - x) / wide,
                (1.0 - at.height - top) / tall,
                (sign * at.n[:, 0] > 0.6) & ~lens,
            )

        return pictured(picture, where, 1.0)

    if rng.random() < 0.3:  # metal plates above and below the leather
        plates, cut = vivid(rng), float(rng.uniform(0.65, 0.8))
        coats.append(flat(plates, lambda at: (at.height > cut) | (at.height < 0.12)))
    if rng.random() < 0.5:
        coats.append(flat(vivid(rng, dark=0.5), lambda at: at.p[:, 2] > 0.3 * at.sides[2]))
    wide = float(rng.uniform(0.15, 0.35))
    left = 0.5 - z / sides[2] - 0.5 * wide if rng.random() < 0.6 else float(rng.uniform(0.05, 0.6))
    ink = vivid(rng) if np.mean(body) > 120 else (235, 235, 235)
    coats.append(
        plate(artwork.logo(rng, ink), left, float(rng.uniform(0.04, 0.2)), wide, 0.13, True)
    )
    for _ in range(int(rng.integers(0, 3))):
        spot = np.ones((8, 8, 4), np.float32)
        spot[..., :3] = unit_colour(vivid(rng))
        size = float(rng.uniform(0.04, 0.14))
        coats.append(plate(spot, float(rng.uniform(0.05, 0.85)), 0.05, size, 0.7 * size, True))
    shown = fittings.screen(rng)
    coats.append(plate(shown, float(rng.uniform(0.06, 0.16)), 0.2, 0.62, 0.68, False))
    for _ in range(int(rng.integers(1, 6))):
        key = artwork.logo(rng, (225, 225, 225))
        at_x, at_y = float(rng.uniform(0.72, 0.88)), float(rng.uniform(0.15, 0.85))
        coats.append(plate(key, at_x, at_y, 0.1, 0.06, False))
    coats += _lens(rng, from_front, radius, front, float(v[:, 0].max()))
    return PrintedPaint(body, tuple(coats), float(rng.uniform(0.05, 0.7)))


def _lens(
    rng: np.random.Generator,
    from_front: Callable[[SurfacePoints], tuple[Floats, Floats]],
    radius: float,
    front: float,
    end: float,
) -> list[Coat]:
    """Coats of a lens: its barrel from x = front to end, metres, and its glass."""
    barrel = vivid(rng, dark=0.7)
    ring = fittings.text_ring(rng, barrel)
    glass = (int(rng.uniform(5, 45)), int(rng.uniform(5, 40)), int(rng.uniform(10, 70)))
    rim = vivid(rng, dark=0.6)
    opening = float(rng.uniform(0.45, 0.8))
    start = float(rng.random())

    def around(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        right, up = from_front(at)
        turn = np.mod(np.arctan2(right, up) / np.float32(2.0 * np.pi) + np.float32(start), 1.0)
        ahead = (end - at.p[:, 0]) / max(end - front, 1e-4)
        close = np.hypot(right, up) < 1.4 * radius
        return turn, ahead, close & (at.p[:, 0] > front + 0.001) & (at.n[:, 0] < 0.8)

    def face(limit: float) -> Callable[[SurfacePoints], Region]:
        def where(at: SurfacePoints) -> Region:
            close = np.hypot(*from_front(at)) < limit * radius
            return close & (at.p[:, 0] > front) & (at.n[:, 0] > 0.0)

        return where

    red, green, blue = (int(x) for x in rng.uniform(60, 160, size=3))

    def reflex(at: SurfacePoints) -> Region:
        right, up = from_front(at)
        near = np.hypot(right + 0.15 * radius, up - 0.2 * radius) < 0.16 * radius
        return near & face(opening)(at)

    def front_face(at: SurfacePoints) -> Region:
        return face(1.02)(at) & (at.n[:, 0] > 0.8)

    return [
        pictured(ring, around),
        flat(rim, front_face),
        flat(glass, face(opening)),
        flat((red, green, blue), reflex),
    ]


def _laptop(model: CadModel, rng: np.random.Generator) -> PrintedPaint:
    """Laptop: keyboard and touch pad, screen with its bezel, sign on the lid."""
    tone = float(rng.uniform(130.0, 225.0))
    body = vivid(rng, dark=0.45) if rng.random() < 0.5 else (int(tone), int(tone), int(tone))
    thick = 0.12 * float(model.dimensions_m[2]) / float(model.dimensions_m[1])

    def right(at: SurfacePoints) -> Floats:
        return np.asarray(0.5 - at.p[:, 2] / at.sides[2], np.float32)

    def lid_top(at: SurfacePoints) -> Floats:
        return (np.float32(1.0) - at.height) / np.float32(1.0 - 0.25 * thick)

    def deck(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        depth = 0.7 * at.sides[2]
        down = 1.0 - (0.5 * at.sides[0] - at.p[:, 0]) / depth
        low = (at.p[:, 1] + 0.5 * at.sides[1]) < 0.13 * at.sides[2]
        return right(at), np.asarray(down, np.float32), (at.n[:, 1] > 0.9) & low

    def inner(margin: float) -> Callable[[SurfacePoints], tuple[Floats, Floats, Region]]:
        def where(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
            lid = (at.n[:, 0] > 0.1) & (at.n[:, 1] < 0.93)
            lid &= (at.p[:, 1] + 0.5 * at.sides[1]) > 0.05 * at.sides[2]
            u = (right(at) - margin) / (1.0 - 2.0 * margin)
            return u, (lid_top(at) - 1.2 * margin) / (1.0 - 2.7 * margin), lid

        return where

    def outer(at: SurfacePoints) -> tuple[Floats, Floats, Region]:
        lid = (at.n[:, 0] < -0.1) & (at.height > 0.15)
        return (1.0 - right(at) - 0.36) / 0.28, (lid_top(at) - 0.4) / 0.14, lid

    margin = float(rng.uniform(0.015, 0.06))
    frame = np.ones((4, 4, 4), np.float32)
    frame[..., :3] = unit_colour(vivid(rng, dark=0.85))
    coats = [
        pictured(fittings.keyboard(rng, body), deck, 1.0),
        pictured(frame, inner(0.005)),
        pictured(fittings.screen(rng), inner(margin), 1.0),
    ]
    if rng.random() < 0.8:
        coats.append(pictured(artwork.logo(rng, vivid(rng)), outer, 1.0))
    if rng.random() < 0.5:
        under = vivid(rng, dark=0.8)
        coats.append(flat(under, lambda at: (at.n[:, 1] < -0.7) & (at.height < 0.3)))
    return PrintedPaint(body, tuple(coats), float(rng.uniform(0.05, 0.6)))


_PAINTERS: dict[str, Callable[[CadModel, np.random.Generator], PrintedPaint]] = {
    "bottle": _bottle,
    "bowl": _bowl,
    "camera": _camera,
    "can": _can,
    "laptop": _laptop,
    "mug": _mug,
}
