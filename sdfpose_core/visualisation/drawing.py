"""Drawing of estimates: surfaces, boxes, axes and labels over the colour image."""

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
from sdfpose_core.visualisation.labels import Colour, Labels, alternative_text, line_scale

__all__ = ["box_pixels", "draw_error", "draw_instance", "draw_outlines", "draw_overlay"]

_SURFACE_OPACITY = 0.6
_AMBIENT = 0.35
"""Brightness of a surface seen edge-on; a surface facing the camera has 1."""

_AXIS_COLOURS: tuple[Colour, ...] = ((235, 50, 40), (50, 205, 50), (45, 105, 255))
"""x red, y green, z blue."""

_AXIS_SHARE = 0.4
"""Length of the axes as a fraction of the box diagonal."""

_HIDDEN_OPACITY = 0.5
_UNKNOWN_COLOUR: Colour = (200, 200, 200)

_TRUTH_COLOUR: Colour = (255, 255, 255)
_ERROR_MARGIN = 1.6
"""Size of the crop of an error relative to the object and its estimate."""

_BACKGROUND = 244
_OUTLINE_COLOUR: Colour = (20, 20, 20)

_NEAR_M = 0.01
"""Near plane: lines are clipped closer to the camera than this."""

_FAR_OUTSIDE_PX = 10_000
"""An object whose box projects farther outside the image than this is assumed to fill it."""

_SUBPIXEL_BITS = 4
"""Subpixel bits of OpenCV lines: 1/16 of a pixel."""

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
    """Draw estimates over the colour image.

    The reconstructed surface is shaded and semi-transparent, in the colour of the category. Hidden
    edges of the box are thin. The axes are x red, y green, z blue. The label shows category, id and
    confidence, and below the strongest alternative if it is likely. Nearer objects cover those
    farther away. Objects outside the image or behind the camera are skipped.

    Args:
        frame: frame to draw; its colour image is not modified.
        estimates: estimates to draw; those without a mesh get only box, axes and label.
        categories: table of categories, with their colours; unknown categories are grey.
        ids: ids for the labels, one per estimate; default: the mask ids.
        plain: draw the outlines of the masks on a light background instead of the colour image.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        ValueError: the numbers of ids and estimates differ.
    """
    shown = [x.mask_id for x in estimates] if ids is None else list(ids)
    if len(shown) != len(estimates):
        raise ValueError(f"{len(shown)} ids for {len(estimates)} estimates: expected one each")
    image = np.full_like(frame.colour, _BACKGROUND) if plain else np.array(frame.colour, order="C")
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
        draw_outlines(image, frame.mask, _OUTLINE_COLOUR)
    pen = _Pen(image, frame.camera)
    for i in order:
        _draw_box(pen, estimates[i], colours[i])
        _draw_axes(pen, estimates[i])
    labels = Labels(image)
    for i in reversed(order):
        text = f"{estimates[i].category} {shown[i]}  {estimates[i].confidence:.2f}"
        lines = [text, *alternative_text(estimates[i])]
        labels.draw(lines, colours[i], pen.project(_corners(estimates[i])))
    return image


def draw_instance(
    instance: Instance,
    estimates: Sequence[ObjectEstimate],
    categories: Categories,
    side: int = 288,
) -> NDArray[np.uint8]:
    """Draw estimates over the depth around an instance, if there is no colour image.

    Args:
        instance: instance to draw: its own pixels in white, its surroundings in grey, brighter
            when nearer.
        estimates: see `draw_overlay`.
        categories: see `draw_overlay`.
        side: side of the image, pixels.

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
    """Draw an estimate and, in white, the true box and its up axis; crop the image around them.

    Args:
        frame: frame to draw; its colour image is not modified.
        estimate: estimate of the object.
        truth: ground truth of the object. An unknown size is replaced by the estimated size, and
            the yaw of a symmetric object by the yaw nearest to the estimate.
        categories: see `draw_overlay`.
        object_id: id for the label.
        side: side of the image, pixels.

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
    return _crop(image, pixels, side)


def _crop(image: NDArray[np.uint8], pixels: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Crop a square around pixels (M, 2), within the image, and resize it."""
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


def box_pixels(camera: PinholeCamera, estimates: Sequence[ObjectEstimate]) -> NDArray[np.floating]:
    """Project the corners of all boxes that are in front of the camera to pixels (M, 2)."""
    corners = [_corners(x) for x in estimates if _is_finite(x)]
    points = np.concatenate(corners) if corners else np.zeros((0, 3))
    return camera.project(points[points[:, 2] >= _NEAR_M])


def draw_outlines(
    image: NDArray[np.uint8], mask: NDArray[np.integer], colour: tuple[int, int, int]
) -> None:
    """Draw the outlines of all masks into an image.

    Args:
        image: (H, W, 3) uint8, RGB; modified.
        mask: (H, W), instance id per pixel, 0 = background.
        colour: RGB.
    """
    for mask_id in np.unique(mask[mask > 0]):
        inside = (mask == mask_id).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, outlines, -1, colour, line_scale(image), cv2.LINE_AA)


def _is_finite(estimate: ObjectEstimate) -> bool:
    return all(
        bool(np.all(np.isfinite(x)))
        for x in (estimate.rotation, estimate.translation, estimate.dimensions_m)
    )


def _corners(estimate: ObjectEstimate) -> NDArray[np.float64]:
    """Compute the corners (8, 3) of the box, metres, camera frame."""
    local = 0.5 * _SIGNS * np.asarray(estimate.dimensions_m, dtype=np.float64)
    corners: NDArray[np.float64] = local @ np.asarray(estimate.rotation).T + estimate.translation
    return corners


def _draw_surfaces(
    image: NDArray[np.uint8],
    camera: PinholeCamera,
    objects: Sequence[tuple[ObjectEstimate, Colour]],
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
    # Blurring the edge of the surface over one pixel is sufficient anti-aliasing.
    cover = cv2.GaussianBlur((owners > 0).astype(np.float32), (3, 3), 0.6)
    opacity = (_SURFACE_OPACITY * cover[rows, columns])[:, None]
    tints = np.array([(0, 0, 0), *(colour for _, colour in objects)], dtype=np.float32)
    surface = tints[owner] * shade[:, None]
    image[rows, columns] = (1.0 - opacity) * image[rows, columns] + opacity * surface
    for index, (_, colour) in enumerate(objects[:255], start=1):
        outline, _ = cv2.findContours(
            (owners == index).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(image, outline, -1, colour, line_scale(image), cv2.LINE_AA)


def _region(camera: PinholeCamera, estimates: Sequence[ObjectEstimate]) -> NDArray[np.uint8]:
    """Mark the pixels (H, W) where a mesh may be visible: inside the outline of its box."""
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
    """Cast rays (N, 3); return the number of the estimate hit (from 1, 0: none) and its shade."""
    vertices: list[NDArray[np.float32]] = []
    normals: list[NDArray[np.float32]] = []
    faces: list[NDArray[np.int32]] = []
    first_vertex, first_face = 0, [0]
    for estimate in estimates:
        rotation = np.asarray(estimate.rotation, dtype=np.float32)
        place = (estimate.vertices @ rotation.T + estimate.translation).astype(np.float32)
        normal = estimate.normals @ rotation.T
        # A solid hides its own far side, so half of the triangles are not needed.
        facing = (place * normal).sum(axis=-1) < 0.0
        near_side = estimate.faces[facing[estimate.faces].any(axis=-1)]
        faces.append(near_side + first_vertex)
        vertices.append(place)
        first_vertex += len(place)
        normals.append(normal)
        first_face.append(first_face[-1] + len(near_side))
    corners = np.concatenate(faces).astype(np.uint32)

    import open3d as o3d  # imported late: it takes a second, and nodes draw only for subscribers

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
    """Draws anti-aliased 3D lines into an image."""

    def __init__(self, image: NDArray[np.uint8], camera: PinholeCamera) -> None:
        self._image = image
        self._camera = camera
        self.thickness = 2 * line_scale(image)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project the points (N, 3) in front of the camera to pixels (M, 2)."""
        front = points[points[:, 2] >= _NEAR_M]
        return np.asarray(self._camera.project(front))

    def line(
        self,
        start: NDArray[np.float64],
        end: NDArray[np.float64],
        colour: Colour,
        thickness: int,
        opacity: float = 1.0,
    ) -> None:
        """Draw the visible part of the segment between two points (3,), metres, camera frame."""
        ends = _clip(np.stack([start, end]), 2, _NEAR_M, np.inf)
        if ends is None:
            return
        pixels: NDArray[np.float64] | None = np.asarray(self._camera.project(ends))
        # Clipping with a margin hides the round line ends and keeps coordinates within 32 bits.
        for axis, size in ((0, self._camera.width), (1, self._camera.height)):
            if pixels is not None:
                pixels = _clip(pixels, axis, -2.0 * thickness, size + 2.0 * thickness)
        if pixels is None:
            return
        a, b = np.rint(pixels * (1 << _SUBPIXEL_BITS)).astype(int).tolist()
        if opacity >= 1.0:
            cv2.line(self._image, a, b, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
            return
        # Blend only the rectangle around the line: copying the whole image per line is slow.
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
    """Clip a segment (2, D) to [low, high] along an axis; return None if nothing is left."""
    start, step = float(ends[0, axis]), float(ends[1, axis] - ends[0, axis])
    if step == 0.0:
        return ends if low <= start <= high else None
    enter, leave = sorted(((low - start) / step, (high - start) / step))
    enter, leave = max(enter, 0.0), min(leave, 1.0)
    if enter > leave:
        return None
    direction = ends[1] - ends[0]
    return np.stack([ends[0] + enter * direction, ends[0] + leave * direction])


def _draw_box(pen: _Pen, estimate: ObjectEstimate, colour: Colour) -> None:
    """Draw the edges of the box; edges between two back faces are thin and pale."""
    corners = _corners(estimate)
    rotation = np.asarray(estimate.rotation, dtype=np.float64)
    # The camera (the origin) in the box frame: a face is visible if the camera is beyond its plane.
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
    # Draw farther axes first, so that the axis pointing at the camera is on top.
    for axis in np.argsort(-tips[:, 2]):
        pen.line(centre, tips[axis], _AXIS_COLOURS[axis], pen.thickness)
