"""From a refined hypothesis to the reported estimate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sdfpose_core.estimation.category_model import CategoryModel
from sdfpose_core.observation.frame import Alternative, Instance, ObjectEstimate
from sdfpose_core.refine.covariance import pose_covariance
from sdfpose_core.refine.icp import icp_threshold_m, refine_icp
from sdfpose_core.refine.solver import Solution
from sdfpose_core.sdf.meshing import DecodedMesh
from sdfpose_core.shapes.body import BODY_MARGIN_M, HANDLE_PIXELS, REFERENCE_FOCAL_PX
from sdfpose_core.shapes.symmetries import up_to_yaw

__all__ = ["RefinedHypothesis", "report", "with_mesh"]

_DEPTH_NOISE = 0.002
"""Standard deviation of depth at 1 m, metres, where no support plane shows it. It grows with the
square of depth."""

_BODY_SDS = 2.0
"""Points within the margin and this many standard deviations of a mug's body belong to it."""


_HIDDEN_YAW_SD = math.radians(40.0)
"""Standard deviation of the yaw of a mug whose handle is hidden: its body hides a third of the
azimuths."""


@dataclass(frozen=True)
class RefinedHypothesis:
    """The chosen hypothesis of one instance, after refinement.

    Attributes:
        solution: a batch of one, on the CPU.
        belief: the network's log density of the rotation.
        shape_known: whether size and shape were known and only the pose was refined.
    """

    solution: Solution
    belief: float
    shape_known: bool = False

    @property
    def cost(self) -> float:
        """What it leaves unexplained."""
        return float(self.solution.cost[0])


def report(
    hypothesis: RefinedHypothesis,
    model: CategoryModel,
    instance: Instance,
    mesh: DecodedMesh,
    *,
    features: Mapping[str, float],
    confidence: float,
    probability: float = 1.0,
    alternatives: Sequence[Alternative] = (),
    icp: bool = False,
) -> ObjectEstimate:
    """The estimate: the box of the decoded surface with covariance, confidence and symmetry.

    Args:
        hypothesis: of the instance.
        model: of its category.
        instance: what was measured.
        mesh: the decoded surface.
        features: see `confidence_features`.
        confidence: probability that the pose is right.
        probability: of its mode.
        alternatives: the rival modes.
        icp: refine the pose on the mesh by ICP.
    """
    solution = hypothesis.solution
    state = solution.state
    scale = float(state.similarity.scale[0])
    rotation = state.similarity.rotation[0].double().numpy()
    origin = state.similarity.translation[0].double().numpy()
    if icp:
        rotation, origin = refine_icp(
            mesh.vertices * scale,
            instance.points,
            rotation,
            origin,
            icp_threshold_m(instance.category),
        )
    translation = origin + scale * rotation @ mesh.centre
    symmetric = model.category.symmetry == "y" or (
        model.category.symmetry == "y_without_handle"
        and not mesh.body.scaled(scale).handle_visible(
            (instance.points - translation) @ rotation,
            HANDLE_PIXELS * _resolution(instance) / instance.every**2,
            _body_margin_m(instance),
        )
    )
    covariance = pose_covariance(solution, rotation, scale, mesh.centre, hypothesis.shape_known)
    if symmetric and model.category.symmetry != "y":
        # The refinement knows only that a handle is not where points are missing it.
        axis = rotation[:, 1]
        covariance[3:, 3:] += _HIDDEN_YAW_SD**2 * np.outer(axis, axis)
    return ObjectEstimate(
        mask_id=instance.mask_id,
        category=instance.category,
        rotation=rotation,
        translation=translation,
        scale=float(scale * np.linalg.norm(mesh.sides)),
        dimensions_m=scale * mesh.sides,
        confidence=confidence,
        covariance=covariance,
        symmetric_about_y=symmetric,
        symmetries=up_to_yaw(mesh.symmetries) if symmetric else mesh.symmetries,
        code=state.codes[0].numpy(),
        decoder_translation=origin,
        decoder_scale=scale,
        vertices=mesh.metric(scale),
        faces=mesh.faces,
        normals=mesh.normals,
        diagnostics=features,
        probability=probability,
        alternatives=tuple(alternatives),
    )


def _resolution(instance: Instance) -> float:
    """Pixels per solid angle, relative to a 640x480 depth camera, at most 1."""
    pixels = np.ptp(instance.pixels, axis=0)
    slopes = np.ptp(instance.points[:, :2] / instance.points[:, 2:], axis=0)
    seen = slopes > 0.0
    focal_px = float(np.mean(pixels[seen] / slopes[seen])) if seen.any() else REFERENCE_FOCAL_PX
    return min((focal_px / REFERENCE_FOCAL_PX) ** 2, 1.0)


def _body_margin_m(instance: Instance) -> float:
    """Distance from a mug's body within which the measured points may belong to it, metres."""
    noise = _DEPTH_NOISE if instance.support is None else instance.support.noise
    return BODY_MARGIN_M + _BODY_SDS * noise * float(instance.middle[2]) ** 2


def with_mesh(estimate: ObjectEstimate, mesh: DecodedMesh) -> ObjectEstimate:
    """The estimate with another mesh of the same shape, and the box of that mesh."""
    scale = estimate.decoder_scale
    return replace(
        estimate,
        symmetries=up_to_yaw(mesh.symmetries) if estimate.symmetric_about_y else mesh.symmetries,
        translation=estimate.decoder_translation + scale * estimate.rotation @ mesh.centre,
        scale=float(scale * np.linalg.norm(mesh.sides)),
        dimensions_m=scale * mesh.sides,
        vertices=mesh.metric(scale),
        faces=mesh.faces,
        normals=mesh.normals,
    )
