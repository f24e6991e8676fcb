"""The estimator: from a frame to the pose, size and shape of its objects.

segment -> encode (or upright search) -> refine -> decode the surface -> report its box
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.category_model import CategoryModel, EncoderName
from sdfpose_core.confidence import ConfidenceModel, confidence_features
from sdfpose_core.device import resolve_device
from sdfpose_core.errors import MeshError, WeightsError
from sdfpose_core.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation import observe
from sdfpose_core.portrait import Portrait, states_of
from sdfpose_core.pursuit import ExpectedGroup, Pursuit
from sdfpose_core.refine.covariance import pose_covariance
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.icp import icp_threshold_m, refine_icp
from sdfpose_core.refine.solver import (
    RefineConfig,
    Solution,
    refine_together,
    total_cost,
)
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.meshing import DecodedMesh, decode_mesh
from sdfpose_core.search import SWIFT, THOROUGH, Search, Stage, Trust
from sdfpose_core.segmentation import segment
from sdfpose_core.shapes.body import BodyProfile

__all__ = ["EstimatorConfig", "FrameResult", "PoseEstimator"]


@dataclass(frozen=True)
class EstimatorConfig:
    """How the estimator works.

    Attributes:
        encoder: ``fast`` is the trained network; ``ssc6d`` that of the paper, which looks at
            colour and has no shipped weights; ``none`` searches from upright start poses, which
            needs a decoder only.
        refine: ``sdf`` on the signed distance field, ``icp`` as in the paper, or ``none``.
        device: ``auto | cpu | cuda[:N]``.
        weights_dir: folder of the weights, None for the shipped ones.
        surface_points: observed points of an instance that take part.
        min_points: instances with fewer depth pixels are skipped.
        turns: copies of each of the network's poses, turned about y, that the search starts from
            as well, for categories that have a front.
        schedule: the rounds of the search.
        trust: how much the network's word counts against what was measured.
        mesh_resolution: cells along each axis of the reconstructed surface's grid.
        mesh_tolerance: of the diagonal; how far that surface may move for fewer triangles.
        seed: of the choice of points; the same input gives the same output.
        solver: weights of the refinement's terms.
    """

    encoder: EncoderName = "fast"
    refine: Literal["sdf", "icp", "none"] = "sdf"
    device: str = "auto"
    weights_dir: Path | str | None = None
    surface_points: int = 256
    min_points: int = 50
    turns: int = 3
    schedule: tuple[Stage, ...] = THOROUGH
    trust: Trust = field(default_factory=Trust)
    mesh_resolution: int = 96
    mesh_tolerance: float = 1e-3
    seed: int = 0
    solver: RefineConfig = field(default_factory=RefineConfig)


@dataclass(frozen=True)
class FrameResult:
    """What became of a frame.

    Attributes:
        estimates: one for each instance, in the order of their mask ids.
        skipped: the mask ids without an estimate, and why.
        stage_ms: wall time by stage: ``segment``, ``encode``, ``refine``, ``mesh``, ``total``.
    """

    estimates: list[ObjectEstimate]
    skipped: list[SkippedInstance]
    stage_ms: dict[str, float]


class PoseEstimator:
    """Estimates all objects of a frame.

    Example:
        >>> estimator = PoseEstimator()                           # doctest: +SKIP
        >>> for x in estimator(frame):                            # doctest: +SKIP
        ...     print(x.category, x.translation, x.dimensions_m)

    Args:
        config: how to work.
        categories: the known ones.
        models: networks to use in place of those of the weights' folder.
        confidence: what turns findings into a probability; by default that of the weights' folder,
            or the shipped one where it has none.

    Raises:
        DeviceError: the configuration names a device that is not there.
        WeightsError: the confidence model is damaged or of another version.
    """

    def __init__(
        self,
        config: EstimatorConfig | None = None,
        categories: Categories | None = None,
        confidence: ConfidenceModel | None = None,
        models: Iterable[CategoryModel] = (),
    ) -> None:
        self.config = config or EstimatorConfig()
        self.categories = categories or default_categories()
        self.device = resolve_device(self.config.device)
        self._confidence = confidence or ConfidenceModel.beside(self.config.weights_dir)
        self._models = {x.category.name: x for x in models}
        self._pursuit = Pursuit(
            self._observe,
            self.config.trust,
            self.config.solver,
            _WARM_ITERATIONS if self.config.refine == "sdf" else 0,
            self.device,
        )

    def __call__(self, frame: RgbdFrame) -> list[ObjectEstimate]:
        """The objects of a frame."""
        return self.run(frame).estimates

    def run(
        self, frame: RgbdFrame, warm_starts: Mapping[int, ObjectEstimate] | None = None
    ) -> FrameResult:
        """The objects of a frame, what was skipped, and the time it took.

        Args:
            frame: colour is looked at by the encoder ``ssc6d`` alone.
            warm_starts: by mask id, where the object is expected, and with which size and shape:
                these stay as they are. An instance without one is detected from nothing.
        """
        start = time.perf_counter()
        instances, skipped = segment(frame, self.categories, min_points=self.config.min_points)
        segment_ms = 1e3 * (time.perf_counter() - start)
        result = self.estimate(instances, warm_starts)
        stages = {"segment": segment_ms, **result.stage_ms}
        stages["total"] = 1e3 * (time.perf_counter() - start)
        return FrameResult(result.estimates, skipped + result.skipped, stages)

    def load(self, category: str) -> None:
        """Read a category's weights now, not at its first instance.

        Raises:
            CategoryError: the category is unknown.
            WeightsError: a file is missing or damaged.
        """
        self._model(category)

    def estimate(
        self,
        instances: Sequence[Instance],
        warm_starts: Mapping[int, ObjectEstimate] | None = None,
        *,
        draft: bool = False,
    ) -> FrameResult:
        """As `run`, for instances that were segmented before.

        Of instances with the same mask id, which differ in category, the one is reported whose
        decoder explains the depth best; where there is a warm start, that of its category.

        Args:
            instances: what was measured.
            warm_starts: see `run`.
            draft: whether detections serve to test what is known: the search is a swift one, and
                the surface is coarse, until the estimate is a warm start itself.
        """
        warm_starts = warm_starts or {}
        clock = _StageClock(("encode", "refine", "mesh"))
        solved: dict[int, tuple[CategoryModel, Instance, _Candidate]] = {}
        skipped: list[SkippedInstance] = []
        wanted = [
            x
            for x in instances
            if x.mask_id not in warm_starts or x.category == warm_starts[x.mask_id].category
        ]
        followed: list[ExpectedGroup] = []
        for category in dict.fromkeys(x.category for x in wanted):
            group = [x for x in wanted if x.category == category]
            try:
                model = self._model(category)
            except WeightsError as error:
                skipped += [SkippedInstance(x.mask_id, category, str(error)) for x in group]
                continue
            warm = [x for x in group if x.mask_id in warm_starts]
            if warm:
                earlier = [warm_starts[x.mask_id] for x in warm]
                with clock("encode"):
                    encoding = model.encode(warm, [self._rng(x) for x in warm])
                followed.append(ExpectedGroup(model, warm, earlier, encoding))
            cold = [x for x in group if x.mask_id not in warm_starts]
            for instance, candidate in zip(
                cold, self._detect(model, cold, clock, draft), strict=True
            ):
                rival = solved.get(instance.mask_id)
                if rival is None or candidate.cost < rival[2].cost:
                    solved[instance.mask_id] = (model, instance, candidate)
        with clock("refine"):
            solved |= self._follow(followed)
        estimates: list[ObjectEstimate] = []
        for mask_id, (model, instance, candidate) in sorted(solved.items()):
            try:
                with clock("mesh"):
                    estimates.append(self._report(model, instance, candidate, draft))
            except MeshError as error:
                skipped.append(SkippedInstance(mask_id, instance.category, str(error)))
        return FrameResult(estimates, skipped, clock.stage_ms)

    def portrayed(
        self, portrait: Portrait, instance: Instance, estimates: Sequence[ObjectEstimate]
    ) -> tuple[Portrait, ObjectEstimate]:
        """One more view of an object: its size and shape are those that explain all views best.

        Args:
            portrait: the views before.
            instance: what the new image measured.
            estimates: of it. The first one is of the object as the other views show it; size and
                shape are refined from it and, with all views moved accordingly, from the others.

        Returns:
            All views, and the estimate in the new one.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        model = self._model(instance.category)
        first = states_of(estimates[:1], self.device)
        portrait = portrait.to(self.device).with_view(instance, first)
        views = len(portrait.instances)
        state = ShapePose.cat(
            [portrait.state]
            + [portrait.reshaped(first, states_of([x], self.device)) for x in estimates[1:]]
        )
        encoding = model.encode(portrait.instances, [self._rng(x) for x in portrait.instances])
        expected = model.expected(portrait.state.similarity.rotation, encoding, self.config.trust)
        again = torch.arange(views, device=self.device).repeat(len(estimates))
        solution = refine_together(
            model.decoder,
            state,
            self._observe(portrait.instances, model)[again],
            expected[again],
            self.config.solver,
            _PORTRAIT_ITERATIONS,
            views,
        )
        best = int(total_cost(solution.cost, views).argmin())
        solution = solution[best * views : (best + 1) * views]
        newest = _Candidate(
            solution[views - 1 :],
            math.expm1(estimates[best].diagnostics["rival_gap"]),
            float(model.belief(solution.state.similarity.rotation, encoding)[-1]),
            estimates[best],
        )
        return Portrait(portrait.instances, solution.state), self._report(model, instance, newest)

    def _model(self, category: str) -> CategoryModel:
        if category not in self._models:
            self._models[category] = CategoryModel.load(
                self.categories[category],
                self.config.encoder,
                self.config.weights_dir,
                self.device,
            )
        return self._models[category]

    def _detect(
        self, model: CategoryModel, group: Sequence[Instance], clock: _StageClock, draft: bool
    ) -> list[_Candidate]:
        """The best hypothesis of each instance of one category, found from nothing."""
        if not group:
            return []
        evidence = self._observe(group, model)
        with clock("encode"):
            hypotheses = model.hypotheses(
                group, [self._rng(x) for x in group], self.config.trust, turns=self.config.turns
            )
        with clock("refine"):
            search = Search(
                model.decoder,
                model.priors,
                self.config.solver,
                model.has_front,
                self.config.trust,
                SWIFT if draft else self.config.schedule,
            )
            find = search.run if self.config.refine == "sdf" else search.favourites
            found = find(hypotheses, evidence)
        return [
            _Candidate(found.solution[i : i + 1], float(found.rival_gap[i]), float(found.belief[i]))
            for i in range(len(group))
        ]

    def _follow(
        self, groups: Sequence[ExpectedGroup]
    ) -> dict[int, tuple[CategoryModel, Instance, _Candidate]]:
        """Each instance, by mask id, refined from where it is expected."""
        return {
            instance.mask_id: (
                group.model,
                instance,
                _Candidate(
                    pursued.solution,
                    math.expm1(earlier.diagnostics["rival_gap"]),
                    pursued.belief,
                    earlier,
                ),
            )
            for group, found in zip(groups, self._pursuit.run(groups), strict=True)
            for instance, earlier, pursued in zip(
                group.instances, group.earlier, found, strict=True
            )
        }

    def _observe(self, group: Sequence[Instance], model: CategoryModel) -> Evidence:
        return observe(
            group,
            model.category,
            surface_points=self.config.surface_points,
            rngs=[self._rng(x) for x in group],
            device=self.device,
        )

    def _rng(self, instance: Instance) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, instance.mask_id])

    def _report(
        self, model: CategoryModel, instance: Instance, candidate: _Candidate, draft: bool = False
    ) -> ObjectEstimate:
        """The estimate: the box of the decoded surface and everything about it."""
        solution, earlier = candidate.solution, candidate.earlier
        state = solution.state
        code = state.codes[0]
        scale = float(state.similarity.scale[0])
        rotation = state.similarity.rotation[0].double().cpu().numpy()
        origin = state.similarity.translation[0].double().cpu().numpy()
        mesh, mesh_code = self._mesh(model, code, earlier, draft)
        if self.config.refine == "icp" and earlier is None:
            rotation, origin = refine_icp(
                mesh.vertices * scale,
                instance.points,
                rotation,
                origin,
                icp_threshold_m(instance.category),
            )
        centre, sides = mesh.centre, mesh.sides
        translation = origin + scale * rotation @ centre
        vertices = ((mesh.vertices - centre) * scale).astype(np.float32)
        points_obj = (instance.points - translation) @ rotation
        symmetric = model.category.symmetry == "y" or (
            model.category.symmetry == "y_without_handle"
            and not BodyProfile.of(vertices, mesh.faces).handle_visible(points_obj)
        )
        features = confidence_features(
            solution,
            model.priors,
            candidate.rival_gap,
            candidate.belief,
            instance,
        )
        return ObjectEstimate(
            mask_id=instance.mask_id,
            category=instance.category,
            rotation=rotation,
            translation=translation,
            scale=float(scale * np.linalg.norm(sides)),
            dimensions_m=scale * sides,
            confidence=self._confidence.probability(features),
            covariance=pose_covariance(solution, rotation, scale, centre, earlier is not None),
            symmetric_about_y=symmetric,
            code=code.cpu().numpy(),
            decoder_translation=origin,
            decoder_scale=scale,
            vertices=vertices,
            faces=mesh.faces,
            normals=mesh.normals,
            mesh_code=mesh_code,
            diagnostics=features,
        )

    def _mesh(
        self, model: CategoryModel, code: Tensor, earlier: ObjectEstimate | None, draft: bool
    ) -> tuple[DecodedMesh, NDArray[np.float32]]:
        """The decoded surface, or that of the earlier estimate where the code hardly moved."""
        if earlier is not None and len(earlier.vertices):
            moved = code - torch.from_numpy(earlier.mesh_code).to(code)
            if float(moved @ model.priors.code_precision @ moved) <= _MESH_TOLERANCE_SD**2:
                offset = (
                    earlier.rotation.T @ (earlier.translation - earlier.decoder_translation)
                ) / earlier.decoder_scale
                vertices = earlier.vertices / earlier.decoder_scale + offset
                return (
                    DecodedMesh(vertices.astype(np.float32), earlier.faces, earlier.normals),
                    earlier.mesh_code,
                )
        if draft:  # its code is near no other, so that the mesh is not taken over
            coarse = min(_DRAFT_RESOLUTION, self.config.mesh_resolution)
            mesh = decode_mesh(model.decoder, code, coarse, tolerance=0.0)
            return mesh, np.full(len(code), np.nan, dtype=np.float32)
        mesh = decode_mesh(
            model.decoder,
            code,
            self.config.mesh_resolution,
            tolerance=self.config.mesh_tolerance,
        )
        return mesh, code.cpu().numpy()


_WARM_ITERATIONS, _PORTRAIT_ITERATIONS = 5, 8

_DRAFT_RESOLUTION = 48

_MESH_TOLERANCE_SD = 1.0
"""Mahalanobis distance of codes below which the earlier mesh stands."""


@dataclass(frozen=True)
class _Candidate:
    """The chosen hypothesis of one instance.

    Attributes:
        solution: a batch of one.
        rival_gap: cost by which the best hypothesis elsewhere was worse, at the detection.
        belief: the network's log density of the rotation.
        earlier: the estimate that it started from and whose size and code it kept, if any.
    """

    solution: Solution
    rival_gap: float
    belief: float
    earlier: ObjectEstimate | None = None

    @property
    def cost(self) -> float:
        """What it leaves unexplained."""
        return float(self.solution.cost[0])


class _StageClock:
    """Adds up wall time by stage."""

    def __init__(self, stages: Sequence[str]) -> None:
        self.stage_ms = dict.fromkeys(stages, 0.0)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stage_ms[stage] += 1e3 * (time.perf_counter() - start)
