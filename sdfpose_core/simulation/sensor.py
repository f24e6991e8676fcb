"""Noise models of depth cameras.

The depth noise follows models of structured light and active stereo by Khoshelham and Elberink
(Sensors 2012; error grows with depth squared), Nguyen et al. (3DIMPVT 2012; grazing angles), Handa
et al. (ICRA 2014; shifted look-ups and disparity steps) and Bauer et al. (Gaussian process noise,
missing patches). Parts of objects that return little light lose depth as their `Material` says.
Lengths "at 1 m" grow with the square of depth. Pixels refer to a camera with `REFERENCE_FOCAL_PX`,
so the noise has the same metric size at half the resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.shapes.body import REFERENCE_FOCAL_PX
from sdfpose_core.simulation.depth_filling import filled
from sdfpose_core.simulation.rendering import Rendering
from sdfpose_core.simulation.smooth_noise import quantile, smooth_noise

__all__ = ["SensorNoise"]

_EDGE_SHARE = 0.03
"""A depth discontinuity exceeds this share of the depth..."""

_EDGE_FLOOR_M = 0.012
"""...and this length."""

_FOLD_PX = 0.5
"""A pixel is hidden from the second camera if another one overtakes it by more than this."""

_BIAS_PX = (90.0, 26.0)
"""Wavelengths of the smooth bias."""

_FAR_M = 1e3
"""Depth of a missing pixel in comparisons."""

_WEAK_PX = (8.0, 40.0)
"""Range of the wavelength of holes on weak parts."""

_RAGGED_PX = 4.0
_RAGGED = 0.4
"""Wavelength and weight of the noise that makes their outlines ragged."""

_WEAK_NOISE = 3.0
"""Error of the depth that weak parts do return, in standard deviations of noise and bias."""

_SEEN_SHARE = 0.5
"""Share of the missing depth of clear and mirroring parts that is replaced by what they show."""


@dataclass(frozen=True)
class SensorNoise:
    """Noise parameters of a depth camera; ``apply`` simulates its measurement.

    Attributes:
        axial_m: standard deviation of the axial noise at 1 m.
        axial_px: correlation width of the axial noise (a stereo matcher's window), pixels.
        bias_m: standard deviation of the smooth error at 1 m.
        step_m: quantisation step of the disparity at 1 m.
        millimetres: whether depth is stored in whole millimetres.
        lateral_px: standard deviation of the lateral noise, which makes edges ragged, pixels.
        baseline_m: distance to the second camera or the projector; pixels hidden from it have no
            depth. Negative for the other side, 0 for none.
        edge_dropout: probability that a pixel at a depth edge is missing.
        flying: probability that a pixel at a depth edge lies between the two surfaces.
        grazing_cos: surfaces with a smaller cosine between normal and ray lose depth, more so the
            smaller it is; 0 for none.
        patches: share of the image in missing patches.
        shiny: probability that an object reflects a lamp, which causes holes.
        shiny_cos: holes cover normals with at least this cosine to the half vector.
        dull: probability that an object is too dark or transparent and loses part of its depth.
        weak: share of the loss on weak parts of objects, see `Material`, that this camera suffers.
        fill_px: holes up to this wide are filled by post-processing, pixels; 0 for none.
        fill_far: whether holes take the farther depth beside them, not one in between.
        range_m: minimum and maximum depth.
    """

    axial_m: float = 0.0
    axial_px: float = 1.0
    bias_m: float = 0.0
    step_m: float = 0.0
    millimetres: bool = False
    lateral_px: float = 0.0
    baseline_m: float = 0.0
    edge_dropout: float = 0.0
    flying: float = 0.0
    grazing_cos: float = 0.0
    patches: float = 0.0
    shiny: float = 0.0
    shiny_cos: float = 0.97
    dull: float = 0.0
    weak: float = 0.0
    fill_px: float = 0.0
    fill_far: bool = False
    range_m: tuple[float, float] = (0.0, 20.0)

    @classmethod
    def none(cls) -> SensorNoise:
        """Ideal sensor."""
        return cls()

    @classmethod
    def mild(cls) -> SensorNoise:
        """Recent active stereo camera under good conditions."""
        return cls(
            axial_m=0.0008, axial_px=2.0, bias_m=0.001, step_m=0.0006, millimetres=True,
            lateral_px=0.4, baseline_m=0.03, edge_dropout=0.3, flying=0.04, grazing_cos=0.15,
            patches=0.001, shiny=0.05, shiny_cos=0.985, dull=0.0, weak=0.5,
            range_m=(0.2, 6.0),
        )  # fmt: skip

    @classmethod
    def realistic(cls) -> SensorNoise:
        """Typical RealSense-like active stereo camera."""
        return cls(
            axial_m=0.0014, axial_px=3.0, bias_m=0.002, step_m=0.0012, millimetres=True,
            lateral_px=0.8, baseline_m=0.05, edge_dropout=0.5, flying=0.08, grazing_cos=0.22,
            patches=0.004, shiny=0.25, shiny_cos=0.975, dull=0.08, weak=0.85,
            range_m=(0.2, 4.0),
        )  # fmt: skip

    @classmethod
    def strong(cls) -> SensorNoise:
        """Old structured-light camera, or bad light."""
        return cls(
            axial_m=0.0025, axial_px=3.0, bias_m=0.004, step_m=0.0028, millimetres=True,
            lateral_px=1.4, baseline_m=0.075, edge_dropout=0.65, flying=0.15, grazing_cos=0.32,
            patches=0.015, shiny=0.4, shiny_cos=0.96, dull=0.2, weak=1.0,
            range_m=(0.3, 4.0),
        )  # fmt: skip

    @classmethod
    def random(cls, rng: np.random.Generator) -> SensorNoise:
        """Random camera for training, from nearly ideal to slightly worse than `strong`."""
        level = float(rng.beta(1.6, 1.6))

        def up_to(strong: float) -> float:
            return float(strong * level * rng.uniform(0.3, 1.7))

        return cls(
            axial_m=up_to(0.0024),
            axial_px=float(rng.uniform(1.0, 4.0)),
            bias_m=up_to(0.0035),
            step_m=up_to(0.0025),
            millimetres=bool(rng.random() < 0.9),
            lateral_px=up_to(1.3),
            baseline_m=float(rng.choice([-1.0, 1.0, 1.0]) * rng.uniform(0.0, 0.08)),
            edge_dropout=float(rng.uniform(0.0, 0.75)),
            flying=up_to(0.15),
            grazing_cos=up_to(0.3),
            patches=up_to(0.012),
            shiny=up_to(0.35),
            shiny_cos=float(rng.uniform(0.95, 0.99)),
            dull=up_to(0.2),
            weak=float(rng.uniform(0.4, 1.2)),
            fill_px=float(rng.uniform(3.0, 25.0)) if rng.random() < 0.25 else 0.0,
            fill_far=bool(rng.random() < 0.5),
            range_m=(0.2, 6.0),
        )

    def apply(
        self, rendering: Rendering, camera: PinholeCamera, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Simulate the measured depth (H, W), metres, 0 = missing.

        Args:
            rendering: noise-free depth, normals and weak returns, and the mask, because reflection
                and absorption are also properties of whole objects.
            camera: camera of the rendering.
            rng: source of all random draws; the same state gives the same depth.
        """
        scale = camera.fx / REFERENCE_FOCAL_PX
        clean = rendering.depth
        depth = self._displaced(self._returned(rendering, scale, rng), scale, rng)
        missing = (depth < self.range_m[0]) | (depth > self.range_m[1]) | (depth == 0.0)
        if self.edge_dropout > 0.0 or self.flying > 0.0:
            depth, lost = self._edges(depth, rng)
            missing |= lost
        if self.baseline_m != 0.0:
            missing |= _hidden(clean, camera.fx * self.baseline_m)
        missing |= self._unmeasurable(rendering, camera, scale, rng)
        depth = self._disturbed(depth, scale, rng)
        depth[missing] = 0.0
        if self.fill_px > 0.0:
            depth = filled(depth, round(self.fill_px * scale), far=self.fill_far)
        if self.millimetres:
            depth = np.round(depth * 1000.0) / np.float32(1000.0)
        return depth

    def _returned(
        self, rendering: Rendering, scale: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Depth (H, W) of what sends light back: holes, noise and wrong surfaces on weak parts."""
        weak = rendering.weak
        if weak is None or len(weak.pixels) == 0 or self.weak <= 0.0:
            return rendering.depth
        v, u = np.divmod(weak.pixels, rendering.depth.shape[1])
        top, left = int(v.min()), int(u.min())
        shape = (int(v.max()) - top + 1, int(u.max()) - left + 1)
        holes = smooth_noise(shape, float(np.exp(rng.uniform(*np.log(_WEAK_PX)))) * scale, rng)
        holes += _RAGGED * smooth_noise(shape, _RAGGED_PX * scale, rng)
        noise = holes[v - top, u - left] / np.hypot(1.0, _RAGGED)
        loss = np.minimum(self.weak * weak.loss, 1.0)
        rank = ndtr(noise)
        depth = rendering.depth.copy()
        own = depth.flat[weak.pixels]
        error = _WEAK_NOISE * (self.axial_m + self.bias_m) * loss * noise
        instead = np.where(rank > (1.0 - _SEEN_SHARE) * loss, weak.instead, 0.0)
        depth.flat[weak.pixels] = np.where(rank < loss, instead, own + own * own * error)
        return depth

    def _displaced(
        self, depth: NDArray[np.float32], scale: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Look up depth at displaced pixels, which makes straight edges ragged."""
        if self.lateral_px <= 0.0:
            return depth.copy()
        height, width = depth.shape
        amplitude = self.lateral_px * scale
        grid_u = np.arange(width, dtype=np.float32)[None, :]
        grid_v = np.arange(height, dtype=np.float32)[:, None]
        u = amplitude * smooth_noise(depth.shape, 2.5 * scale, rng) + grid_u
        v = amplitude * smooth_noise(depth.shape, 2.5 * scale, rng) + grid_v
        return np.asarray(
            cv2.remap(depth, u, v, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE),
            dtype=np.float32,
        )

    def _edges(
        self, depth: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Add flying pixels at depth edges; also return the pixels that are missing there."""
        kernel = np.ones((3, 3), dtype=np.uint8)
        far_filled = np.where(depth > 0.0, depth, np.float32(_FAR_M))
        near = cv2.erode(far_filled, kernel)
        far = cv2.dilate(depth, kernel)
        jump = far - near
        edge = (jump > _EDGE_FLOOR_M) & (jump > _EDGE_SHARE * near)
        at = np.flatnonzero(edge | (cv2.dilate(far_filled, kernel) >= _FAR_M))
        lost = np.zeros(depth.shape, dtype=np.bool_)
        draw = rng.random((2, len(at)), dtype=np.float32)
        lost.flat[at] = draw[0] < self.edge_dropout
        fly = at[(draw[1] < self.flying) & edge.flat[at]]
        share = rng.random(len(fly), dtype=np.float32)
        depth.flat[fly] = near.flat[fly] + share * jump.flat[fly]
        return depth, lost

    def _unmeasurable(
        self,
        rendering: Rendering,
        camera: PinholeCamera,
        scale: float,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Pixels without depth: grazing, reflecting and dark surfaces, and missing patches."""
        shape = rendering.depth.shape
        lost = np.zeros(shape, dtype=np.bool_)
        ids = 1 + np.flatnonzero(np.bincount(rendering.mask.ravel())[1:])
        shiny = ids[rng.random(len(ids)) < self.shiny]
        dull = ids[rng.random(len(ids)) < self.dull]
        if self.grazing_cos > 0.0:
            lost |= self._grazing(rendering, camera, rng)
        for mask_id in shiny:
            at = np.flatnonzero(rendering.mask == mask_id)
            lost.flat[at] = self._reflecting(rendering, camera, at, rng)
        if len(dull):
            coarse = smooth_noise(shape, 12.0 * scale, rng)
            fine = smooth_noise(shape, 2.0 * scale, rng)
            dim = np.isin(rendering.mask, dull)
            lost |= dim & (coarse + 0.7 * fine > rng.uniform(0.2, 1.6))
        if self.patches > 0.0:
            coarse = smooth_noise(shape, 14.0 * scale, rng)
            coarse += 0.35 * smooth_noise(shape, 3.0 * scale, rng)
            lost |= coarse > quantile(coarse, 1.0 - self.patches)
        return lost

    def _grazing(
        self, rendering: Rendering, camera: PinholeCamera, rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Pixels whose surface is too oblique to return light."""
        n = rendering.normals
        x = (np.arange(camera.width, dtype=np.float32) - camera.cx) / np.float32(camera.fx)
        y = (np.arange(camera.height, dtype=np.float32) - camera.cy) / np.float32(camera.fy)
        x, y = x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]
        cosine = -(n[..., 0] * x + n[..., 1] * y + n[..., 2]) / np.sqrt(x * x + y * y + 1.0)
        at = np.flatnonzero((cosine < self.grazing_cos) & (rendering.depth > 0.0))
        lost = np.zeros(cosine.shape, dtype=np.bool_)
        lost.flat[at] = cosine.flat[at] < self.grazing_cos * rng.random(len(at), dtype=np.float32)
        return lost

    def _reflecting(
        self,
        rendering: Rendering,
        camera: PinholeCamera,
        at: NDArray[np.intp],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Select pixels, given by flat index, that reflect a lamp into the camera."""
        v, u = np.divmod(at, camera.width)
        to_camera = -camera.rays(np.stack([u, v], axis=1))
        to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
        lamp = rng.normal((0.0, -0.8, -0.8), 1.0)
        half = to_camera + (lamp / np.linalg.norm(lamp)).astype(np.float32)
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        normals = rendering.normals.reshape(-1, 3)[at]
        return np.einsum("ij,ij->i", normals, half) > self.shiny_cos

    def _disturbed(
        self, depth: NDArray[np.float32], scale: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Add axial noise, bias and quantisation."""
        square = depth * depth
        error = np.zeros_like(depth)
        if self.axial_m > 0.0:
            error += self.axial_m * smooth_noise(depth.shape, self.axial_px * scale, rng)
        if self.bias_m > 0.0:
            weight = np.float32(self.bias_m / np.sqrt(len(_BIAS_PX)))
            for wavelength in _BIAS_PX:
                error += weight * smooth_noise(depth.shape, wavelength * scale, rng)
        depth = depth + square * error
        if self.step_m > 0.0:
            # Disparity is proportional to 1 / z; one step corresponds to step_m at 1 m.
            with np.errstate(divide="ignore"):
                steps = np.round(1.0 / (np.float32(self.step_m) * depth))
                depth = 1.0 / (np.float32(self.step_m) * np.maximum(steps, 1.0))
        return depth


def _hidden(depth: NDArray[np.float32], focal_baseline: float) -> NDArray[np.bool_]:
    """Pixels that are hidden from a second camera beside the first.

    Along a row, a point at u appears at u - f b / z in the second image. A point is hidden if
    a point farther toward the second camera's side appears before it there.
    """
    if focal_baseline < 0.0:
        return _hidden(depth[:, ::-1], -focal_baseline)[:, ::-1]
    with np.errstate(divide="ignore"):
        disparity = np.where(depth > 0.0, np.float32(focal_baseline) / depth, np.float32(0.0))
    u = np.arange(depth.shape[1], dtype=np.float32) - disparity
    first = np.minimum.accumulate(u[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(u > first + _FOLD_PX)
