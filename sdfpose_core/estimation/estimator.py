"""The estimator: from a frame to the pose, size and shape of its objects.

segment -> encode (or upright search) -> refine -> decode the surface -> report its box
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.device import resolve_device
from sdfpose_core.encoder.encoding import Encoding
from sdfpose_core.errors import MeshError, WeightsError
from sdfpose_core.estimation.category_model import CategoryModel, EncoderName, JointModel
from sdfpose_core.estimation.confidence import ConfidenceModel
from sdfpose_core.estimation.detection import Detection, Proposal, detect
from sdfpose_core.estimation.evidence import observe
from sdfpose_core.estimation.hypothesis_search import (
    FAST_SEARCH,
    FULL_SEARCH,
    NetworkPriorConfig,
    Stage,
)
from sdfpose_core.estimation.keyframes import Keyframes, decoder_states
from sdfpose_core.estimation.pose_following import NetworkPrediction, PredictedState, follow_poses
from sdfpose_core.estimation.report import RefinedHypothesis, report, with_mesh
from sdfpose_core.estimation.shape_cache import CachedShape, ShapeCache
from sdfpose_core.observation.frame import Instance, ObjectEstimate, RgbdFrame, SkippedInstance
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.refine.evidence import Evidence
from sdfpose_core.refine.solver import RefineConfig, refine_together, total_cost
from sdfpose_core.refine.state import ShapePose
from sdfpose_core.sdf.meshing import decode_mesh

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
        network_prior: how much the network's prediction counts against what was measured.
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
    schedule: tuple[Stage, ...] = FULL_SEARCH
    network_prior: NetworkPriorConfig = field(default_factory=NetworkPriorConfig)
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
        predictions: by mask id, what the network said of those that were expected.
    """

    estimates: list[ObjectEstimate]
    skipped: list[SkippedInstance]
    stage_ms: dict[str, float]
    predictions: Mapping[int, NetworkPrediction] = field(default_factory=dict)


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
        self._given = bool(self._models)
        self._joint: JointModel | None = None
        self._shapes = ShapeCache(
            self.config.mesh_resolution, self.config.mesh_tolerance, self.config.solver.anchors
        )

    def __call__(self, frame: RgbdFrame) -> list[ObjectEstimate]:
        """The objects of a frame."""
        return self.run(frame).estimates

    def run(
        self, frame: RgbdFrame, expected: Mapping[int, PredictedState] | None = None
    ) -> FrameResult:
        """The objects of a frame, what was skipped, and the time it took.

        Args:
            frame: colour is looked at by the encoder ``ssc6d`` alone.
            expected: by mask id, where the object is expected, and with which size and shape:
                these stay as they are. An instance that is not is detections from nothing.
        """
        start = time.perf_counter()
        instances, skipped = segment(frame, self.categories, min_points=self.config.min_points)
        segment_ms = 1e3 * (time.perf_counter() - start)
        result = self.estimate(instances, expected)
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
        expected: Mapping[int, PredictedState] | None = None,
        *,
        draft: bool = False,
    ) -> FrameResult:
        """As `run`, for instances that were segmented before.

        Of instances with the same mask id, which differ in category, the one is reported whose
        decoder explains the depth best; where one is expected, that of its category.

        Args:
            instances: what was measured.
            expected: see `run`.
            draft: whether detections serve to test what is known: the search is a swift one, and
                the surface is coarse; see `finished`.
        """
        expected = expected or {}
        clock = _StageClock(("encode", "refine", "mesh"))
        found: dict[int, Detection] = {}
        skipped: list[SkippedInstance] = []
        followed: list[tuple[CategoryModel, Instance]] = []
        unheard: list[tuple[CategoryModel, list[Instance]]] = []
        unknown: list[tuple[CategoryModel, list[Instance]]] = []
        predictions: dict[int, NetworkPrediction] = {}
        wanted = [
            x
            for x in instances
            if x.mask_id not in expected or x.category == expected[x.mask_id].estimate.category
        ]
        for category in dict.fromkeys(x.category for x in wanted):
            group = [x for x in wanted if x.category == category]
            try:
                model = self._model(category)
            except WeightsError as error:
                skipped += [SkippedInstance(x.mask_id, category, str(error)) for x in group]
                continue
            warm = [x for x in group if x.mask_id in expected]
            followed += [(model, x) for x in warm]
            predictions |= {
                x.mask_id: prediction
                for x in warm
                if (prediction := expected[x.mask_id].prediction)
            }
            if asked := [x for x in warm if x.mask_id not in predictions]:
                unheard.append((model, asked))
            if cold := [x for x in group if x.mask_id not in expected]:
                unknown.append((model, cold))
        if unheard:
            with clock("encode"):
                predictions |= self._predict_networks(unheard)
        for x in self._detect(unknown, clock, draft):
            rival = found.get(x.instance.mask_id)
            if rival is None or x.hypothesis.cost < rival.hypothesis.cost:
                found[x.instance.mask_id] = x
        with clock("refine"):
            found |= self._follow(
                followed,
                [expected[x.mask_id].estimate for _, x in followed],
                [predictions[x.mask_id] for _, x in followed],
            )
        estimates: list[ObjectEstimate] = []
        for mask_id, x in sorted(found.items()):
            try:
                with clock("mesh"):
                    estimates.append(self._report(x, draft=draft))
            except MeshError as error:
                skipped.append(SkippedInstance(mask_id, x.instance.category, str(error)))
        return FrameResult(estimates, skipped, clock.stage_ms, predictions)

    def add_keyframe(
        self, keyframes: Keyframes, instance: Instance, estimates: Sequence[ObjectEstimate]
    ) -> tuple[Keyframes, ObjectEstimate]:
        """One more view of an object: its size and shape are those that explain all views best.

        Args:
            keyframes: the views before.
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
        first = decoder_states(estimates[:1], self.device)
        keyframes = keyframes.to(self.device).with_view(instance, first)
        views = len(keyframes.instances)
        state = ShapePose.cat(
            [keyframes.state]
            + [keyframes.reshaped(first, decoder_states([x], self.device)) for x in estimates[1:]]
        )
        encoding = model.encode(keyframes.instances, [self._rng(x) for x in keyframes.instances])
        expected = model.expected(
            keyframes.state.similarity.rotation, encoding, self.config.network_prior
        )
        evidence = self._observe(keyframes.instances, [model] * views).thinned(_KEYFRAME_POINTS)
        again = torch.arange(views, device=self.device).repeat(len(estimates))
        tried = refine_together(
            model.decoder,
            state,
            evidence[again],
            expected[again],
            self.config.solver,
            _TWO_START_ITERATIONS,
            views,
        )
        best = int(total_cost(tried.cost, views).argmin())
        solution = refine_together(
            model.decoder,
            tried.state[best * views : (best + 1) * views],
            evidence,
            expected,
            self.config.solver,
            _KEYFRAME_ITERATIONS - _TWO_START_ITERATIONS,
            views,
        )
        if self._same_shape(model, first, solution.state):
            solution = replace(solution, state=solution.state.with_shape_of(first))
        newest = RefinedHypothesis(
            solution[views - 1 :],
            math.expm1(estimates[best].diagnostics["rival_gap"]),
            float(model.belief(solution.state.similarity.rotation, encoding)[-1]),
            shape_known=True,
        )
        estimate = self._report(Detection(model, instance, newest))
        return Keyframes(keyframes.instances, solution.state), estimate

    def finished(self, draft: ObjectEstimate) -> ObjectEstimate:
        """A draft with the surface that it lacks.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        code = torch.from_numpy(draft.code).to(self.device)
        return with_mesh(draft, self._shapes.mesh(self._model(draft.category), code))

    def shape_of(self, estimate: ObjectEstimate) -> CachedShape:
        """The decoded shape of an estimate.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        code = torch.from_numpy(estimate.code).to(self.device)
        return self._shapes.of(self._model(estimate.category), code)

    def clear_shapes(self) -> None:
        """Decode every shape anew from now on."""
        self._shapes.forget()

    def remember(self, estimate: ObjectEstimate, shape: CachedShape) -> None:
        """Take the decoded shape of an estimate from elsewhere."""
        self._shapes.remember(estimate.category, torch.from_numpy(estimate.code), shape)

    @property
    def looks_at_colour(self) -> bool:
        """Whether instances need their images."""
        return self.config.encoder == "ssc6d"

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process reads the weights itself."""
        if self._given:
            raise TypeError("an estimator of given models cannot be copied to another process")
        return _loaded, (self.config, self.categories, self._confidence, tuple(self._models))

    def _same_shape(self, model: CategoryModel, known: ShapePose, found: ShapePose) -> bool:
        """Whether another size and code of an object are not worth another surface."""
        change = found.codes[0] - known.codes[0]
        distance = float(change @ model.priors.code_precision @ change) ** 0.5
        growth = float((found.similarity.scale[0] / known.similarity.scale[0]).log().abs())
        return distance < _SAME_CODE_SD and growth < _SAME_SIZE

    def _model(self, category: str) -> CategoryModel:
        if category not in self._models:
            self._models[category] = CategoryModel.load(
                self.categories[category],
                self.config.encoder,
                self.config.weights_dir,
                self.device,
            )
        return self._models[category]

    def _encoded(
        self, groups: Sequence[tuple[CategoryModel, Sequence[Instance]]]
    ) -> list[Encoding | None]:
        """What the networks say of the instances of each category."""
        if self._given:  # training may change these networks at any time
            return [x.encode(group, [self._rng(y) for y in group]) for x, group in groups]
        if self._joint is None or len(self._joint.models) != len(self._models):
            self._joint = JointModel(tuple(self._models.values()))
        return self._joint.encode(groups, self._rng)

    def _predict_networks(
        self, groups: Sequence[tuple[CategoryModel, Sequence[Instance]]]
    ) -> dict[int, NetworkPrediction]:
        """What the networks say of followed instances, by mask id."""
        predictions: dict[int, NetworkPrediction] = {}
        for (model, group), said in zip(groups, self._encoded(groups), strict=True):
            each = NetworkPrediction.each(model, said, len(group), self.config.network_prior)
            predictions |= {
                x.mask_id: prediction for x, prediction in zip(group, each, strict=True)
            }
        return predictions

    def _detect(
        self,
        groups: Sequence[tuple[CategoryModel, Sequence[Instance]]],
        clock: _StageClock,
        draft: bool,
    ) -> list[Detection]:
        """The best hypothesis of each instance of some categories, found from nothing."""
        if not groups:
            return []
        with clock("encode"):
            proposals = [
                Proposal(
                    model,
                    group,
                    model.hypotheses(
                        group, said, self.config.network_prior, turns=self.config.turns
                    ),
                )
                for (model, group), said in zip(groups, self._encoded(groups), strict=True)
            ]
        schedule = FAST_SEARCH if draft else self.config.schedule
        with clock("refine"):
            return detect(
                proposals,
                self._observe,
                self.config.solver,
                self.config.network_prior,
                schedule if self.config.refine == "sdf" else None,
            )

    def _follow(
        self,
        group: Sequence[tuple[CategoryModel, Instance]],
        earlier: Sequence[ObjectEstimate],
        predictions: Sequence[NetworkPrediction],
    ) -> dict[int, Detection]:
        """Each instance, by mask id, refined from where it is expected."""
        if not group:
            return {}
        models, instances = zip(*group, strict=True)
        shapes = [self.shape_of(x) for x in earlier]
        found = follow_poses(
            models,
            self._observe(instances, models, torch.device("cpu")),
            earlier,
            predictions,
            shapes,
            self.config.network_prior,
            self.config.solver,
            _WARM_ITERATIONS if self.config.refine == "sdf" else 0,
        )
        return {
            instance.mask_id: Detection(model, instance, hypothesis)
            for model, instance, hypothesis in zip(models, instances, found, strict=True)
        }

    def _observe(
        self,
        instances: Sequence[Instance],
        models: Sequence[CategoryModel],
        device: torch.device | None = None,
    ) -> Evidence:
        return observe(
            instances,
            [x.category for x in models],
            surface_points=self.config.surface_points,
            rngs=[self._rng(x) for x in instances],
            device=device or self.device,
        )

    def _rng(self, instance: Instance) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, instance.mask_id])

    def _report(self, found: Detection, *, draft: bool = False) -> ObjectEstimate:
        model, hypothesis = found.model, found.hypothesis
        code = hypothesis.solution.state.codes[0]
        if draft and not hypothesis.shape_known:
            coarse = min(_DRAFT_RESOLUTION, self.config.mesh_resolution)
            mesh = decode_mesh(model.decoder, code, coarse, with_normals=False)
        else:
            mesh = self._shapes.mesh(model, code)
        icp = self.config.refine == "icp" and not hypothesis.shape_known
        return report(hypothesis, model, found.instance, mesh, self._confidence, icp=icp)


def _loaded(
    config: EstimatorConfig,
    categories: Categories,
    confidence: ConfidenceModel,
    names: Sequence[str],
) -> PoseEstimator:
    """An estimator with the weights of some categories."""
    estimator = PoseEstimator(config, categories, confidence)
    for name in names:
        estimator.load(name)
    return estimator


_WARM_ITERATIONS, _KEYFRAME_ITERATIONS = 5, 8

_KEYFRAME_POINTS = 128
"""Observed points of each view: there are several views."""

_TWO_START_ITERATIONS = 2
"""Of these iterations: after so many the better one of two starts goes on alone."""

_SAME_CODE_SD, _SAME_SIZE = 1.0, 0.005
"""Mahalanobis distance of codes and relative difference in size below which a shape stays."""

_DRAFT_RESOLUTION = 64
"""With 48 cells some laptops have no lid."""


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
