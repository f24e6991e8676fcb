"""Rigid refinement: poses of objects with known size and shape.

Uses the terms and steps of `solver` for six parameters. Signed distances are looked up in a volume
instead of evaluated by the network. It is written in NumPy because with some hundred points a
tensor library spends most of its time on overhead. Components come before points: (B, 3, N).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from sdfpose_core.geometry.similarity import Similarity
from sdfpose_core.refine.evidence import NEAREST_M, Evidence, FreeSpaceMap
from sdfpose_core.refine.priors import Priors
from sdfpose_core.refine.residuals import support_disc
from sdfpose_core.refine.solver import (
    POSE_PARAMETERS,
    ROTATION_PRECISION,
    SETTLED,
    TRANSLATION_PRECISION,
    RefineConfig,
    Solution,
    term_shares,
)
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.volume import SdfVolume, SdfVolumes

__all__ = ["refine_rigid"]

Array = NDArray[np.float32]


def refine_rigid(
    shapes: Sequence[SdfVolume],
    state: ShapePose,
    evidence: Evidence,
    priors: Priors,
    config: RefineConfig,
    iterations: int,
) -> Solution:
    """Minimise the cost of each pose, starting from its current value.

    Args:
        shapes: SDF volumes of the B objects, with equal numbers of samples; every second sample is
            tested for free space.
        state: initial states, on the CPU; size and code are fixed.
        evidence: measurements of each object, on the CPU.
        priors: priors of each object. The rotation prior affects the pose; the priors of code and
            size only enter the Hessian.
        config: weights of the terms.
        iterations: maximum number of steps; fewer after convergence.

    Returns:
        The poses; costs without the priors of size and code; Hessians of pose, size and code.
    """
    problem = _Problem.of(shapes, state, evidence, priors, config)
    rotation = state.similarity.rotation.numpy()
    translation = state.similarity.translation.numpy()
    current = problem.linearise(rotation, translation)
    damping = np.full(len(rotation), config.damping.initial)
    for _ in range(iterations):
        step = _step(current, damping)
        moving = (step * current.gradient).sum(axis=1) > SETTLED
        if not moving.any():
            break
        candidate = (
            (rotation @ Rotation.from_rotvec(-step[:, :3]).as_matrix()).astype(np.float32),
            (translation - step[:, 3:]).astype(np.float32),
        )
        new = problem.linearise(*candidate)
        accepted = moving & (new.cost < current.cost)
        rotation = np.where(accepted[:, None, None], candidate[0], rotation)
        translation = np.where(accepted[:, None], candidate[1], translation)
        current = new.where(accepted, current)
        damping = np.where(accepted, config.damping.fall, config.damping.rise) * damping
        damping = np.clip(damping, config.damping.floor, config.damping.ceiling)
    hessian = problem.hessian(current, rotation)
    similarity = Similarity(
        torch.from_numpy(rotation), torch.from_numpy(translation), state.similarity.scale
    )
    return Solution(
        ShapePose(similarity, state.codes),
        torch.from_numpy(current.cost),
        torch.from_numpy(hessian),
        torch.from_numpy(current.residual[:, : problem.counts[0]]),
        torch.from_numpy(current.residual[:, problem.counts[0] : sum(problem.counts[:2])]),
    )


def _step(linearised: _Linearised, damping: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steps (B, 6) to subtract; zero where a Hessian cannot be solved, so that damping rises."""
    hessian = linearised.hessian.astype(np.float64)
    diagonal = np.einsum("bii->bi", hessian)
    diagonal *= 1.0 + damping[:, None]
    good = np.isfinite(hessian).all(axis=(1, 2)) & (np.linalg.det(hessian) > 0.0)
    hessian[~good] = np.eye(POSE_PARAMETERS)
    step = np.linalg.solve(hessian, linearised.gradient[:, :, None])[:, :, 0]
    return np.where(good[:, None], step, 0.0)


@dataclass(frozen=True)
class _Linearised:
    """The problem linearised at the current poses.

    Attributes:
        cost: (B,).
        hessian: (B, 6, 6), Gauss-Newton Hessian of half the cost.
        gradient: (B, 6), gradient of half the cost.
        residual: (B, M), residuals of observed points, free space, support and contact.
        jacobian: (B, 6, M), derivatives by the pose.
        weight: (B, M), weights of the squared residuals in the Hessian.
        points: (B, 3, N + S), object units, observed points and support points.
        value: (B, N + S), f at these points.
        d_point: (B, 3, N + S), df/dpoint at these points.
        nearest: (B,), index of the support point nearest to the object.
        local: (B, 3, A), derivatives of the free space residuals by the anchors, object units.
    """

    cost: Array
    hessian: Array
    gradient: Array
    residual: Array
    jacobian: Array
    weight: Array
    points: Array
    value: Array
    d_point: Array
    nearest: NDArray[np.intp]
    local: Array

    def where(self, condition: NDArray[np.bool_], other: _Linearised) -> _Linearised:
        """Select these values where `condition` (B,) is true, else those of `other`."""
        if condition.all():
            return self
        return _Linearised(
            *(
                np.where(condition.reshape(-1, *[1] * (mine.ndim - 1)), mine, theirs)
                for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
            )
        )


@dataclass(frozen=True)
class _Problem:
    """Optimisation problem of B objects.

    Attributes:
        shapes: SDF volumes of the objects.
        scale: (B, 1, 1), metres.
        surface: (B, 3, N), metres, camera frame: observed points.
        factor: (B, N + S), factors from f to residuals at observed points and support points.
        support: (B, 4), normal and offset (metres) of the plane; zeros for none.
        disc: (B, 3, S), metres, points on the support about its centre.
        contact: factor from the residual of the nearest support point to that of the contact.
        free: observed free space.
        anchors: (B, 3, A), object units, surface points.
        steps: (B, 3, A), `newton_direction` at the anchors.
        d_code: (B, A, D), df/dcode at the anchors.
        share: (M,), number of measurements that each residual counts as.
        width_sq: squared width of the robust kernel.
        priors: priors of each object.
        expected: (B, 3, 3), prior rotations.
        precision: (B, 2), precisions of their y and x axes.
    """

    shapes: SdfVolumes
    scale: Array
    surface: Array
    factor: Array
    support: Array
    disc: Array
    contact: float
    free: _FreeSpace
    anchors: Array
    steps: Array
    d_code: Array
    share: Array
    width_sq: float
    priors: Priors
    expected: Array
    precision: Array

    @classmethod
    def of(
        cls,
        shapes: Sequence[SdfVolume],
        state: ShapePose,
        evidence: Evidence,
        priors: Priors,
        config: RefineConfig,
    ) -> _Problem:
        """Set up the problem for objects in the given states."""
        scale = state.similarity.scale.numpy()[:, None, None]
        disc = support_disc(evidence).numpy().transpose(0, 2, 1) * scale
        factor = scale[:, 0] / evidence.surface_sigma.numpy()
        on_support = np.full((len(scale), disc.shape[2]), -1.0 / config.support_sigma)
        anchors = np.stack([x.samples[::2].T for x in shapes])
        count = len(scale)
        rotation = priors.rotation
        return cls(
            SdfVolumes(shapes),
            scale,
            np.ascontiguousarray(evidence.surface.numpy().transpose(0, 2, 1)),
            np.concatenate([factor, on_support], axis=1, dtype=np.float32),
            evidence.support.numpy(),
            disc,
            -config.support_sigma / config.contact_sigma,
            _FreeSpace.of(evidence.free),
            anchors,
            np.stack([x.steps[::2].T for x in shapes]),
            np.stack([x.d_code[::2] for x in shapes]),
            term_shares(
                config,
                factor.shape[1],
                anchors.shape[2],
                disc.shape[2] + 1,
                evidence.surface.device,
            ).numpy(),
            config.kernel.width**2,
            priors,
            np.zeros((count, 3, 3), np.float32) if rotation is None else rotation.rotation.numpy(),
            np.zeros((count, 2), np.float32) if rotation is None else rotation.precision.numpy(),
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """Numbers of residuals: observed points, anchors, and support including the contact."""
        return self.surface.shape[2], self.anchors.shape[2], self.disc.shape[2] + 1

    def linearise(self, rotation: Array, translation: Array) -> _Linearised:
        """Linearise at rotations (B, 3, 3) and translations (B, 3)."""
        observed, anchors, _ = self.counts
        back = rotation.transpose(0, 2, 1)
        at = translation[:, :, None]
        normal = self.support[:, :3, None]
        foot = at - ((normal * at).sum(axis=1, keepdims=True) - self.support[:, 3:, None]) * normal
        in_camera = np.concatenate([self.surface, foot + self.disc], axis=2)
        points = back @ (in_camera - at) / self.scale
        value, d_point = self.shapes.value_and_gradient(points)
        rows = np.empty((len(points), POSE_PARAMETERS, points.shape[2]), dtype=np.float32)
        _cross(d_point, points, out=rows[:, :3])
        rows[:, :3] *= self.factor[:, None]
        rows[:, 3:] = rotation @ d_point * (-self.factor[:, None] / self.scale)
        distance = value * self.factor

        free_rows = np.empty((len(points), POSE_PARAMETERS, anchors), dtype=np.float32)
        depth, toward = self.free.intrusion(self.scale * (rotation @ self.anchors) + at)
        local = back @ toward * self.scale
        _cross(self.anchors, local, out=free_rows[:, :3])
        free_rows[:, 3:] = toward

        each = np.arange(len(points))
        nearest = observed + value[:, observed:].argmin(axis=1)
        gap = self.contact * distance[each, nearest]
        gap_row = self.contact * rows[each, :, nearest]
        residual = np.concatenate(
            [distance[:, :observed], depth, distance[:, observed:], gap[:, None]], axis=1
        )
        jacobian = np.concatenate(
            [rows[:, :, :observed], free_rows, rows[:, :, observed:], gap_row[:, :, None]], axis=2
        )
        # The support pushes but never pulls; without support both residuals are inactive.
        known = np.abs(self.support[:, :3]).max(axis=1, keepdims=True) > 0.0
        on_support = residual[:, observed + anchors :]
        inactive = (on_support <= 0.0) | ~known
        on_support[inactive] = 0.0
        weight = self._weight(residual, inactive)
        squared = residual**2
        cost = (self.share * squared / (1.0 + squared / self.width_sq)).sum(axis=1)
        weighted = jacobian * weight[:, None]
        hessian = weighted @ jacobian.transpose(0, 2, 1)
        gradient = (weighted @ residual[:, :, None])[:, :, 0]
        cost += self._add_rotation_prior(rotation, hessian, gradient)
        return _Linearised(
            cost, hessian, gradient, residual, jacobian, weight, points, value, d_point, nearest,
            local,
        )  # fmt: skip

    def hessian(self, at: _Linearised, rotation: Array) -> Array:
        """Hessians (B, P, P) by pose, size and code, P = 7 + D."""
        observed, _, _ = self.counts
        factor = self.factor[:, :, None]
        d_code = self.shapes.d_code(at.points, at.d_point) * factor
        d_size = -(at.points * at.d_point).sum(axis=1)
        d_size[:, :observed] += at.value[:, :observed]
        shape = np.concatenate([(d_size * self.factor)[:, :, None], d_code], axis=2)
        along = (at.local * self.steps).sum(axis=1)[:, :, None]
        free = np.concatenate(
            [(at.local * self.anchors).sum(axis=1)[:, :, None], -along * self.d_code], axis=2
        )
        gap = self.contact * shape[np.arange(len(shape)), at.nearest]
        rows = np.concatenate(
            [shape[:, :observed], free, shape[:, observed:], gap[:, None]], axis=1
        )
        jacobian = np.concatenate([at.jacobian, rows.transpose(0, 2, 1)], axis=1)
        hessian = (jacobian * at.weight[:, None]) @ jacobian.transpose(0, 2, 1)
        self._add_rotation_prior(rotation, hessian, np.zeros_like(at.gradient))
        hessian[:, 6, 6] += 1.0 / self.priors.log_scale_sd.numpy() ** 2
        hessian[:, 7:, 7:] += self.priors.code_precision.numpy()
        return np.asarray(hessian)

    def _weight(self, residual: Array, inactive: NDArray[np.bool_]) -> Array:
        """Weights (B, M) of squared residuals in the Hessian; 0 where `inactive`."""
        weight = self.share / (1.0 + residual**2 / self.width_sq) ** 2
        weight[:, -inactive.shape[1] :][inactive] = 0.0
        return np.asarray(weight)

    def _add_rotation_prior(self, rotation: Array, hessian: Array, gradient: Array) -> Array:
        """Add the rotation prior to Hessian and gradient, in place; return its cost (B,)."""
        local = self.expected.transpose(0, 2, 1) @ rotation  # row c: R^T times prior axis c
        x, y = local[:, 0], local[:, 1]
        of_y, of_x = self.precision[:, 0], self.precision[:, 1]
        gradient[:, 0] -= of_y * y[:, 2]
        gradient[:, 1] += of_x * x[:, 2]
        gradient[:, 2] += of_y * y[:, 0] - of_x * x[:, 1]
        hessian[:, 0, 0] += of_y + ROTATION_PRECISION
        hessian[:, 1, 1] += of_x + ROTATION_PRECISION
        hessian[:, 2, 2] += of_y + of_x + ROTATION_PRECISION
        for i in (3, 4, 5):
            hessian[:, i, i] += TRANSLATION_PRECISION
        # |a - b|^2 = 2 - 2 a . b for unit vectors.
        return 2.0 * (of_y * (1.0 - y[:, 1]) + of_x * (1.0 - x[:, 0]))


@dataclass(frozen=True)
class _FreeSpace:
    """A `FreeSpaceMap` for arrays (B, 3, M).

    Attributes:
        depth: (B G G,), metres, less the noise.
        outside: (B G G,), cells.
        first: (B, 1), index of the first cell of each object's window.
        size: G.
        focal: (B, 1), cells.
        centre: (2, B, 1), cells.
        sigma: (B, 1), metres.
    """

    depth: Array
    outside: Array
    first: NDArray[np.intp]
    size: int
    focal: Array
    centre: Array
    sigma: Array

    @classmethod
    def of(cls, free: FreeSpaceMap) -> _FreeSpace:
        """Convert a map."""
        count, size = free.depth.shape[:2]
        return cls(
            free.depth.reshape(-1).numpy(),
            free.outside.reshape(-1).numpy(),
            np.arange(count)[:, None] * size**2,
            size,
            free.focal.numpy()[:, None],
            free.centre.numpy().T[:, :, None],
            free.sigma.numpy()[:, None],
        )

    def intrusion(self, points: Array) -> tuple[Array, Array]:
        """Compute how deep points (B, 3, M), metres, camera frame, are inside free space.

        Same as `FreeSpaceMap.intrusion`, in standard deviations (B, M), with derivatives (B, 3, M).
        """
        x, y = points[:, 0], points[:, 1]
        z = np.maximum(points[:, 2], np.float32(NEAREST_M))
        last = np.float32(self.size - 1)
        u = np.clip(self.focal * x / z + self.centre[0], 0.0, last)
        v = np.clip(self.focal * y / z + self.centre[1], 0.0, last)
        cell = self.first + np.rint(v).astype(np.intp) * self.size + np.rint(u).astype(np.intp)
        free_to = self.depth.take(cell)
        left = np.minimum(u.astype(np.intp), self.size - 2)
        top = np.minimum(v.astype(np.intp), self.size - 2)
        corner = self.first + top * self.size + left
        a, b = self.outside.take(corner), self.outside.take(corner + 1)
        c, d = self.outside.take(corner + self.size), self.outside.take(corner + self.size + 1)
        right, down = (u - left).astype(np.float32), (v - top).astype(np.float32)
        upper, lower = a + right * (b - a), c + right * (d - c)
        slope_v = lower - upper
        slope_u = (b - a) + down * ((d - c) - (b - a))
        cells = upper + down * slope_v
        along = free_to - z
        across = cells * z / self.focal
        sideways = (self.outside.take(cell) > 0.0) & (across < along)
        depth = np.where(sideways, across, along)
        active = ((free_to > 0.0) & (depth > 0.0)) / self.sigma
        toward = np.empty_like(points)
        toward[:, 0] = slope_u * sideways
        toward[:, 1] = slope_v * sideways
        toward[:, 2] = np.where(sideways, (across - slope_u * x - slope_v * y) / z, -1.0)
        toward *= active[:, None]
        return depth * active, toward


def _cross(a: Array, b: Array, out: Array) -> None:
    """Write the cross products of vectors (B, 3, N) to `out` (B, 3, N)."""
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        np.subtract(a[:, j] * b[:, k], a[:, k] * b[:, j], out=out[:, i])
