"""From refined hypotheses to estimates with surfaces, now and when more views are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sdfpose_core.categories import Categories
from sdfpose_core.device import resolve_device
from sdfpose_core.estimation.category_model import CategoryModel, CategoryModels
from sdfpose_core.estimation.confidence import ConfidenceModel
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.detection import Detection, earlier_cues
from sdfpose_core.estimation.evidence import EvidenceSampler
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.estimation.modes import alternatives_of
from sdfpose_core.estimation.multi_view import refine_keyframes
from sdfpose_core.estimation.report import report, with_mesh
from sdfpose_core.estimation.rivals import true_rivals
from sdfpose_core.estimation.shape_cache import CachedShape, ShapeCache
from sdfpose_core.observation.frame import Instance, ObjectEstimate
from sdfpose_core.packs.collection import Packs
from sdfpose_core.sdf.meshing import DecodedMesh, decode_mesh
from sdfpose_core.sdf.shape_decoder import ShapeDecoder
from sdfpose_core.weights import CONFIDENCE_FILE

__all__ = ["ObjectReports"]

_DRAFT_RESOLUTION = 64
"""Cells of a draft's surface. With 48 cells some laptops have no lid."""


class ObjectReports:
    """Surfaces and reports of single objects: the part of an estimator that searches no pose.

    Args:
        config: settings of the estimator.
        packs: packs, or folders of packs, beside the six that ship with sdfpose; see
            `Packs.beside_shipped`. Their weights are read when an object may be of their category.
        confidence: model that maps features of a result to a probability; by default that of the
            packs' folder, or the shipped one if the folder has none.
        models: networks to use in place of those of the packs.

    Attributes:
        categories: of the packs and of the given models.

    Raises:
        DeviceError: the configuration names a device that does not exist.
        PackError: a pack cannot be used, or two of them collide.
        WeightsError: the confidence model is damaged or of another version.
    """

    def __init__(
        self,
        config: EstimatorConfig,
        packs: Packs | Iterable[Path | str] | Path | str = (),
        confidence: ConfidenceModel | None = None,
        models: Iterable[CategoryModel] = (),
    ) -> None:
        self.config = config
        self.packs = packs if isinstance(packs, Packs) else Packs.beside_shipped(packs)
        models = list(models)
        given = {x.category.name: x.category for x in models}
        self.categories = Categories({**self.packs.categories, **given})
        self.device = resolve_device(config.device)
        self.models = CategoryModels(self.packs, config.encoder, self.device, models)
        self.sampler = EvidenceSampler(config.surface_points, config.seed, self.device)
        self.shapes = ShapeCache(
            config.mesh_resolution, config.mesh_tolerance, config.solver.anchors
        )
        self.confidence = confidence or ConfidenceModel.load(self.packs.shared(CONFIDENCE_FILE))

    def load(self, category: str) -> None:
        """Read a category's weights now, not at its first instance.

        Raises:
            CategoryError: the category is unknown.
            WeightsError: a file is missing or damaged.
        """
        self.models[category]

    def decoder(self, category: str) -> ShapeDecoder:
        """The decoder of a category.

        Raises:
            CategoryError: the category is unknown.
            WeightsError: its file is missing or damaged.
        """
        return self.models[category].decoder

    def mesh(self, detection: Detection, *, draft: bool = False) -> DecodedMesh:
        """The surface of a refined hypothesis.

        Raises:
            MeshError: it has none.
        """
        model, hypothesis = detection.model, detection.hypothesis
        code = hypothesis.solution.state.codes[0].to(model.device)
        if draft and not hypothesis.shape_known:
            resolution = min(_DRAFT_RESOLUTION, self.config.mesh_resolution)
            return decode_mesh(model.decoder, code, resolution, with_normals=False)
        return self.shapes.mesh(model, code)

    def report(
        self, detection: Detection, mesh: DecodedMesh, modes: Sequence[Detection] = ()
    ) -> ObjectEstimate:
        """The estimate of an instance, with confidence and covariance.

        Modes that its symmetries make as right as the chosen one count as that one.

        Args:
            detection: the chosen mode.
            mesh: its decoded surface.
            modes: all modes of the instance, the chosen one first.
        """
        hypothesis = detection.hypothesis
        probability, alternatives = alternatives_of(modes or [detection])
        estimate = report(
            hypothesis,
            detection.model,
            detection.instance,
            mesh,
            features=detection.features,
            confidence=self.confidence.probability(
                detection.features, probability, shift=detection.model.category.confidence_shift
            ),
            probability=probability,
            alternatives=alternatives,
            icp=self.config.refine == "icp" and not hypothesis.shape_known,
        )
        return true_rivals(estimate)

    def add_keyframe(
        self, keyframes: Keyframes, instance: Instance, estimates: Sequence[ObjectEstimate]
    ) -> tuple[Keyframes, ObjectEstimate]:
        """Add a view of an object and refine its size and shape; see `refine_keyframes`.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        model = self.models[instance.category]
        instance = self.as_keyframe(instance)
        keyframes, hypothesis = refine_keyframes(
            model,
            keyframes,
            instance,
            estimates,
            self.sampler,
            self.config.network_prior,
            self.config.solver,
        )
        detection = Detection(
            model, instance, hypothesis, estimates[0].probability, earlier_cues(*estimates)
        )
        return keyframes, self.report(detection, self.mesh(detection))

    def as_keyframe(self, instance: Instance) -> Instance:
        """The instance without its image, unless the encoder reads it: keyframes are kept."""
        return instance if self.config.encoder == "ssc6d" else replace(instance, colour=None)

    def with_full_mesh(self, draft: ObjectEstimate) -> ObjectEstimate:
        """A draft with its full surface.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        code = torch.from_numpy(draft.code).to(self.device)
        return with_mesh(draft, self.shapes.mesh(self.models[draft.category], code))

    def shape_of(self, estimate: ObjectEstimate) -> CachedShape:
        """The decoded shape of an estimate.

        Raises:
            WeightsError: a file of the category's weights is missing or damaged.
            MeshError: the object has no surface.
        """
        code = torch.from_numpy(estimate.code).to(self.device)
        return self.shapes.of(self.models[estimate.category], code)

    def cache_shape(self, estimate: ObjectEstimate, shape: CachedShape) -> None:
        """Put the decoded shape of an estimate into the cache."""
        self.shapes.remember(estimate.category, torch.from_numpy(estimate.code), shape)
