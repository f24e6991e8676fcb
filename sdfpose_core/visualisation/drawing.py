"""Pictures of estimates: surfaces, boxes, axes and labels over the colour image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories
from sdfpose_core.geometry.alignment import nearest_yaw
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import GroundTruth, Instance, ObjectEstimate, RgbdFrame

__all__ = ["draw_error", "draw_instance", "draw_overlay"]

_Colour = tuple[int, int, int]

_SURFACE_OPACITY = 0.6
_AMBIENT = 0.35
"""Brightness of a surface seen edge-on, of 1 for one that faces the camera."""

_AXIS_COLOURS: tuple[_Colour, ...] = ((235, 50, 40), (50, 205, 50), (45, 105, 255))
"""x red, y green, z blue."""

_AXIS_SHARE = 0.4
"""Length of the axes as a share of the box's diagonal."""

_HIDDEN_OPACITY = 0.5
_UNKNOWN_COLOUR: _Colour = (200, 200, 200)

_TRUTH_COLOUR: _Colour = (255, 255, 255)
_ERROR_MARGIN = 1.6
"""How much larger than the object and its estimate the cut-out of an error is."""

_GROUND = 244
_OUTLINE_COLOUR: _Colour = (20, 20, 20)

_NEAR_M = 0.01
"""Lines are cut where they come nearer to the camera than this."""

_FAR_OUTSIDE_PX = 10_000
"""Objects so near that their boxes project farther outside than this fill the image."""

_SUBPIXEL_BITS = 4
"""OpenCV draws lines at 1/16 of a pixel."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_REFERENCE_WIDTH_PX = 640
"""Lines and letters grow with the image beyond this width."""

# Corner k of a box has the signs of k's bits: +x for bit 0, +y for bit 1, +z for bit 2.
_SIGNS = np.array([[1 if k >> axis & 1 else -1 for axis in range(3)] for k in range(8)])
_EDGES = [(k, k | 1 << axis) for k in range(8) for axis in range(3) if not k >> axis & 1]


def draw_overlay(
    frame: RgbdFrame,
    estimates: Sequence[ObjectEstimate],
    categories: Categories,
    *,
    ids: Sequence[int] | None = None,
    plain: bool = False,
) -> NDArray[np.uint8]:
    """Draw what was estimated over what was seen.

    The reconstructed surface is shaded, half transparent and in the category's colour; the box
    has thin edges where the object hides them; the axes are x red, y green, z blue; the label
    gives category, id and confidence. Nearer objects cover those farther away. Objects outside
    the image or behind the camera are left out.

    Args:
        frame: its colour is not changed.
        estimates: those without a mesh get box, axes and label alone.
        categories: for their colours; an unknown one is drawn in grey.
        ids: what the labels show, one per estimate; the mask ids where it is left out.
        plain: whether the masks' outlines on a light ground take the place of the colour image.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: there are not as many ids as estimates.
    """
    shown = [x.mask_id for x in estimates] if ids is None else list(ids)
    if len(shown) != len(estimates):
        raise ValueError(f"{len(shown)} ids came for {len(estimates)} estimates: expected one each")
    image = np.full_like(frame.colour, _GROUND) if plain else np.array(frame.colour, order="C")
    finite = [i for i, x in enumerate(estimates) if _is_finite(x)]
    order = sorted(finite, key=lambda i: -float(np.linalg.norm(estimates[i].translation)))
    colours = {
        i: categories[estimates[i].category].colour
        if estimates[i].category in categories
        else _UNKNOWN_COLOUR
        for i in order
    }
    _draw_surfaces(image, frame.camera, [(estimates[i], colours[i]) for i in order])
    if plain:
        _draw_outlines(image, frame.mask)
    pen = _Pen(image, frame.camera)
    for i in order:
        _draw_box(pen, estimates[i], colours[i])
        _draw_axes(pen, estimates[i])
    labels = _Labels(image)
    for i in reversed(order):
        text = f"{estimates[i].category} {shown[i]}  {estimates[i].confidence:.2f}"
        labels.draw(text, colours[i], pen.project(_corners(estimates[i])))
    return image


def draw_instance(
    instance: Instance,
    estimates: Sequence[ObjectEstimate],
    categories: Categories,
    side: int = 288,
) -> NDArray[np.uint8]:
    """Draw estimates over the depth around an instance, where no colour image was kept.

    Args:
        instance: its surroundings are drawn in grey, near ones bright, its own pixels in white.
        estimates: see `draw_overlay`.
        categories: see `draw_overlay`.
        side: of the picture, pixels.

    Returns:
        (side, side, 3) uint8, RGB.
    """
    depth = instance.free.depth
    own = instance.free.outside <= 0.0
    known = depth > 0.0
    grey = np.zeros(depth.shape, dtype=np.uint8)
    if known.any():
        near, far = np.percentile(depth[known], [5, 95])
        share = np.clip((far - depth) / max(far - near, 1e-6), 0.0, 1.0)
        grey = np.where(known, 30 + 120 * share, 0).astype(np.uint8)
    grey = np.where(own, np.uint8(230), grey)
    image = cv2.resize(grey, (side, side), interpolation=cv2.INTER_NEAREST)
    frame = RgbdFrame(
        colour=np.repeat(image[..., None], 3, axis=2),
        depth=np.zeros((side, side), dtype=np.float32),
        mask=np.zeros((side, side), dtype=np.uint16),
        camera=instance.free.camera.resize(side, side),
        labels={},
    )
    return draw_overlay(frame, estimates, categories)


def draw_error(
    frame: RgbdFrame,
    estimate: ObjectEstimate,
    truth: GroundTruth,
    categories: Categories,
    *,
    object_id: int,
    side: int = 320,
) -> NDArray[np.uint8]:
    """Draw an estimate and, in white, the true box and its up axis; cut out what is around them.

    Args:
        frame: its colour is not changed.
        estimate: of the object.
        truth: of the object. One of unknown size gets the estimate's, and one whose yaw has no
            meaning the yaw that is nearest to the estimate's.
        categories: see `draw_overlay`.
        object_id: what the label shows.
        side: of the picture, pixels.

    Returns:
        (side, side, 3) uint8, RGB.
    """
    known = np.all(np.isfinite(truth.dimensions_m))
    rotation = np.asarray(truth.rotation, dtype=np.float64)
    if truth.symmetric_about_y:
        rotation = nearest_yaw(rotation, np.asarray(estimate.rotation, dtype=np.float64))
    true = replace(
        estimate,
        rotation=rotation,
        translation=truth.translation,
        dimensions_m=truth.dimensions_m if known else estimate.dimensions_m,
    )
    image = draw_overlay(frame, [estimate], categories, ids=[object_id])
    pen = _Pen(image, frame.camera)
    pen.thickness //= 2
    _draw_box(pen, true, _TRUTH_COLOUR)
    tip = 0.5 * true.dimensions_m[1] * rotation[:, 1]
    pen.line(truth.translation, truth.translation + tip, _TRUTH_COLOUR, pen.thickness)
    pixels = pen.project(np.concatenate([_corners(estimate), _corners(true)]))
    return _cut_out(image, pixels, side)


def _cut_out(image: NDArray[np.uint8], pixels: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """The square around pixels (M, 2), within the image, at another size."""
    height, width = image.shape[:2]
    largest = min(height, width)
    centre, reach = np.array([width, height]) / 2.0, float(largest)
    if len(pixels):
        low = np.clip(pixels.min(axis=0), 0, [width, height])
        high = np.clip(pixels.max(axis=0), 0, [width, height])
        centre, reach = (low + high) / 2.0, _ERROR_MARGIN * float((high - low).max())
    cut = int(np.clip(reach, 16, largest))
    x, y = (
        int(np.clip(c - cut / 2, 0, s - cut)) for c, s in zip(centre, (width, height), strict=True)
    )
    part = np.ascontiguousarray(image[y : y + cut, x : x + cut])
    return np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _draw_outlines(image: NDArray[np.uint8], mask: NDArray[np.integer]) -> None:
    """The outlines of all masks."""
    for mask_id in np.unique(mask[mask > 0]):
        inside = (mask == mask_id).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, _OUTLINE_COLOUR, _scale(image), cv2.LINE_AA)


def _is_finite(estimate: ObjectEstimate) -> bool:
    return all(
        bool(np.all(np.isfinite(x)))
        for x in (estimate.rotation, estimate.translation, estimate.dimensions_m)
    )


def _corners(estimate: ObjectEstimate) -> NDArray[np.float64]:
    """Corners (8, 3) of the box, metres, camera frame."""
    local = 0.5 * _SIGNS * np.asarray(estimate.dimensions_m, dtype=np.float64)
    corners: NDArray[np.float64] = local @ np.asarray(estimate.rotation).T + estimate.translation
    return corners


def _draw_surfaces(
    image: NDArray[np.uint8],
    camera: PinholeCamera,
    objects: Sequence[tuple[ObjectEstimate, _Colour]],
) -> None:
    """Blend the shaded meshes into the image, nearest surface first."""
    objects = [x for x in objects if len(x[0].faces) > 0]
    if not objects:
        return
    rows, columns = np.nonzero(_region(camera, [x for x, _ in objects]))
    owner, shade = _cast(camera.rays(np.stack([columns, rows], axis=-1)), [x for x, _ in objects])
    hit = owner > 0
    rows, columns, owner, shade = rows[hit], columns[hit], owner[hit], shade[hit]
    owners = np.zeros(image.shape[:2], dtype=np.uint8)
    owners[rows, columns] = np.minimum(owner, 255)
    # The surface's edge is softened over a pixel, which is all the anti-aliasing that it needs.
    cover = cv2.GaussianBlur((owners > 0).astype(np.float32), (3, 3), 0.6)
    opacity = (_SURFACE_OPACITY * cover[rows, columns])[:, None]
    tints = np.array([(0, 0, 0), *(colour for _, colour in objects)], dtype=np.float32)
    surface = tints[owner] * shade[:, None]
    image[rows, columns] = (1.0 - opacity) * image[rows, columns] + opacity * surface
    for index, (_, colour) in enumerate(objects[:255], start=1):
        outline, _ = cv2.findContours(
            (owners == index).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(image, outline, -1, colour, _scale(image), cv2.LINE_AA)


def _region(camera: PinholeCamera, estimates: Sequence[ObjectEstimate]) -> NDArray[np.uint8]:
    """Not 0 at the pixels (H, W) at which some mesh may be seen: within its box's outline."""
    region = np.zeros((camera.height, camera.width), dtype=np.uint8)
    for estimate in estimates:
        corners = _corners(estimate)
        if corners[:, 2].max() < _NEAR_M:
            continue
        near = corners[:, 2].min() < _NEAR_M
        pixels = np.zeros((1, 2)) if near else camera.project(corners)
        if near or np.abs(pixels).max() > _FAR_OUTSIDE_PX:
            region[:] = 1
            break
        hull = cv2.convexHull(np.rint(pixels).astype(np.int32))
        cv2.fillConvexPoly(region, hull, 1)
        cv2.polylines(region, [hull], True, 1, 3)
    return region


def _cast(
    directions: NDArray[np.float32], estimates: Sequence[ObjectEstimate]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Number of the estimate (from 1; 0 for none) and brightness that each ray (N, 3) meets."""
    vertices: list[NDArray[np.float32]] = []
    normals: list[NDArray[np.float32]] = []
    faces: list[NDArray[np.int32]] = []
    first_vertex, first_face = 0, [0]
    for estimate in estimates:
        rotation = np.asarray(estimate.rotation, dtype=np.float32)
        place = (estimate.vertices @ rotation.T + estimate.translation).astype(np.float32)
        normal = estimate.normals @ rotation.T
        # A solid hides its own far side: half the triangles need not enter the search tree.
        facing = (place * normal).sum(axis=-1) < 0.0
        near_side = estimate.faces[facing[estimate.faces].any(axis=-1)]
        faces.append(near_side + first_vertex)
        vertices.append(place)
        first_vertex += len(place)
        normals.append(normal)
        first_face.append(first_face[-1] + len(near_side))
    corners = np.concatenate(faces).astype(np.uint32)

    import open3d as o3d  # here: it takes a second, and nodes draw for subscribers alone

    tensor, scene = o3d.core.Tensor.from_numpy, o3d.t.geometry.RaycastingScene()
    scene.add_triangles(tensor(np.concatenate(vertices)), tensor(corners))
    rays = np.concatenate([np.zeros_like(directions), directions], axis=-1)
    hits = scene.cast_rays(tensor(rays))
    face = hits["primitive_ids"].numpy()
    hit = face != scene.INVALID_ID
    owner = np.zeros(len(face), dtype=np.int64)
    owner[hit] = np.searchsorted(first_face, face[hit], side="right")

    weight = hits["primitive_uvs"].numpy()[hit]
    weights = np.column_stack([1.0 - weight.sum(axis=-1), weight])
    normal = np.einsum("nk,nkd->nd", weights, np.concatenate(normals)[corners[face[hit]]])
    ray = directions[hit]
    lengths = np.linalg.norm(normal, axis=-1) * np.linalg.norm(ray, axis=-1)
    cosine = np.abs((normal * ray).sum(axis=-1)) / np.maximum(lengths, 1e-9)
    shade = np.zeros(len(face), dtype=np.float32)
    shade[hit] = _AMBIENT + (1.0 - _AMBIENT) * cosine
    return owner, shade


class _Pen:
    """Draws anti-aliased lines, given in space, into an image."""

    def __init__(self, image: NDArray[np.uint8], camera: PinholeCamera) -> None:
        self._image = image
        self._camera = camera
        self.thickness = 2 * _scale(image)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (M, 2) of those of the points (N, 3) that lie before the camera."""
        front = points[points[:, 2] >= _NEAR_M]
        return np.asarray(self._camera.project(front))

    def line(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        colour: _Colour,
        thickness: int,
        opacity: float = 1.0,
    ) -> None:
        """Draw the visible part of the segment between two points (3,), metres, camera frame."""
        ends = _clip(np.stack([start, end]), 2, _NEAR_M, np.inf)
        if ends is None:
            return
        pixels: NDArray[np.float64] | None = np.asarray(self._camera.project(ends))
        # A margin keeps the line's round ends out of sight and its coordinates within 32 bits.
        for axis, size in ((0, self._camera.width), (1, self._camera.height)):
            if pixels is not None:
                pixels = _clip(pixels, axis, -2.0 * thickness, size + 2.0 * thickness)
        if pixels is None:
            return
        a, b = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(int).tolist()
        if opacity >= 1.0:
            cv2.line(self._image, a, b, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
            return
        # Blend over the line's own rectangle: a copy of the whole image per line is slow.
        low = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - thickness - 1, 0)
        high = np.ceil(pixels.max(axis=0)).astype(int) + thickness + 2
        part = self._image[low[1] : high[1], low[0] : high[0]]
        if part.size == 0:
            return
        drawn = part.copy()
        offset = low * (1 << _SUBPIXEL_BITS)
        a, b = (np.array(a) - offset).tolist(), (np.array(b) - offset).tolist()
        cv2.line(drawn, a, b, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
        part[:] = cv2.addWeighted(drawn, opacity, part, 1.0 - opacity, 0.0)


def _clip(
    ends: NDArray[np.float64], axis: int, low: float, high: float
) -> NDArray[np.float64] | None:
    """The part of a segment (2, D) whose coordinate lies in [low, high]; None where none does."""
    start, step = float(ends[0, axis]), float(ends[1, axis] - ends[0, axis])
    if step == 0.0:
        return ends if low <= start <= high else None
    enter, leave = sorted(((low - start) / step, (high - start) / step))
    enter, leave = max(enter, 0.0), min(leave, 1.0)
    if enter > leave:
        return None
    direction = ends[1] - ends[0]
    return np.stack([ends[0] + enter * direction, ends[0] + leave * direction])


def _draw_box(pen: _Pen, estimate: ObjectEstimate, colour: _Colour) -> None:
    """Edges of the box; those between two faces that are turned away are thin and pale."""
    corners = _corners(estimate)
    rotation = np.asarray(estimate.rotation, dtype=np.float64)
    # The camera, at the origin, in the box's own frame: a face is seen from beyond its plane.
    eye = -(np.asarray(estimate.translation) @ rotation)
    seen = _SIGNS * eye > 0.5 * np.asarray(estimate.dimensions_m)  # (8, 3): corner's faces
    edges = [(a, b, bool(np.any(np.delete(seen[a], int(np.log2(b - a)))))) for a, b in _EDGES]
    for a, b, visible in sorted(edges, key=lambda edge: edge[2]):
        if visible:
            pen.line(corners[a], corners[b], colour, pen.thickness)
        else:
            thin = max(1, pen.thickness // 2)
            pen.line(corners[a], corners[b], colour, thin, _HIDDEN_OPACITY)


def _draw_axes(pen: _Pen, estimate: ObjectEstimate) -> None:
    centre = np.asarray(estimate.translation, dtype=np.float64)
    length = _AXIS_SHARE * float(np.linalg.norm(estimate.dimensions_m))
    tips = centre + length * np.asarray(estimate.rotation, dtype=np.float64).T
    # Farther axes first, so that the one that points at the camera stays on top.
    for axis in np.argsort(-tips[:, 2]):
        pen.line(centre, tips[axis], _AXIS_COLOURS[axis], pen.thickness)


class _Labels:
    """Writes labels so that they lie inside the image and apart from each other."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image
        self._taken: list[tuple[int, int, int, int]] = []

    def draw(self, text: str, colour: _Colour, pixels: NDArray[np.float64]) -> None:
        """Write a text above the pixels (M, 2) of an object; nothing where none is in sight."""
        height, width = self._image.shape[:2]
        if len(pixels) == 0:
            return
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        if low[0] >= width or low[1] >= height or high[0] < 0 or high[1] < 0:
            return
        scale = _scale(self._image)
        size, thickness, margin = 0.42 * scale, scale, 3 * scale
        (text_width, text_height), baseline = cv2.getTextSize(text, _FONT, size, thickness)
        w, h = text_width + 2 * margin, text_height + baseline + margin
        x = int(np.clip(0.5 * (low[0] + high[0]) - w / 2, 0, max(width - w, 0)))
        y = self._free_row(x, int(np.clip(low[1] - h - 2 * scale, 0, max(height - h, 0))), w, h)
        self._taken.append((x, y, w, h))
        cv2.rectangle(self._image, (x, y), (x + w, y + h), colour, cv2.FILLED)
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else (255, 255, 255)
        origin = (x + margin, y + h - baseline)
        cv2.putText(self._image, text, origin, _FONT, size, ink, thickness, cv2.LINE_AA)

    def _free_row(self, x: int, y: int, w: int, h: int) -> int:
        """The row nearest `y` at which a label of that place and size covers no other."""
        height = self._image.shape[0]
        blocking = [(ty, th) for tx, ty, tw, th in self._taken if tx < x + w and x < tx + tw]
        rows = [y, *(ty - h - 1 for ty, _ in blocking), *(ty + th + 1 for ty, th in blocking)]
        free = [
            row
            for row in rows
            if 0 <= row <= height - h and all(row + h < ty or ty + th < row for ty, th in blocking)
        ]
        return min(free, key=lambda row: abs(row - y), default=y)


def _scale(image: NDArray[np.uint8]) -> int:
    """Factor of line widths and letters for the image's size."""
    return max(1, round(image.shape[1] / _REFERENCE_WIDTH_PX))
