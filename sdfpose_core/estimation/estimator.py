"""The estimator: from a frame to the pose, size and shape of its objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from sdfpose_core.cues.network import ColourCues
from sdfpose_core.device import all_threads
from sdfpose_core.errors import MeshError, WeightsError
from sdfpose_core.estimation.category_model import CategoryModel, Group
from sdfpose_core.estimation.category_screen import fitting, likeliest
from sdfpose_core.estimation.colour_evidence import ColourEvidence
from sdfpose_core.estimation.confidence import ConfidenceModel
from sdfpose_core.estimation.config import EstimatorConfig
from sdfpose_core.estimation.detection import (
    Detection,
    DetectionBatch,
    Proposal,
    detection_batches,
    earlier_cues,
)
from sdfpose_core.estimation.frame_result import FrameResult
from sdfpose_core.estimation.hypothesis_search import FAST_SEARCH
from sdfpose_core.estimation.labels import doubted_labels
from sdfpose_core.estimation.mode_ranking import ModeRanking
from sdfpose_core.estimation.modes import by_probability
from sdfpose_core.estimation.object_reports import ObjectReports
from sdfpose_core.estimation.pose_following import (
    NetworkPrediction,
    PredictedState,
    follow_poses,
)
from sdfpose_core.estimation.rejection import rejected_at_sight, rejected_modes
from sdfpose_core.estimation.stage_clock import StageClock
from sdfpose_core.observation.frame import (
    Instance,
    ObjectEstimate,
    RgbdFrame,
    SkippedInstance,
)
from sdfpose_core.observation.input_warnings import InputWarning
from sdfpose_core.observation.segmentation import segment
from sdfpose_core.observation.unused_cues import unused_cues
from sdfpose_core.packs.collection import Packs
from sdfpose_core.recognition.network import RecognitionNetwork
from sdfpose_core.weights import COLOUR_FILE, RANKING_FILE, RECOGNITION_FILE

__all__ = ["EstimatorConfig", "FrameResult", "PoseEstimator"]

_TRACKING_ITERATIONS = 5


class PoseEstimator(ObjectReports):
    """Estimates all objects of a frame: segment -> encode -> search -> refine -> rank -> mesh ->
    report.

    Each step is a method of that name, which a subclass may replace. `propose` encodes new objects
    and leaves the likeliest of many categories. Tracked objects skip the search: `follow` refines
    their poses.

    Example:
        >>> estimator = PoseEstimator()                           # doctest: +SKIP
        >>> for x in estimator(frame):                            # doctest: +SKIP
        ...     print(x.category, x.translation, x.dimensions_m)

    Args:
        config: settings of the estimator; by default those of `EstimatorConfig`.
        packs: packs, or folders of packs, beside the six that ship with sdfpose; see
            `Packs.beside_shipped`. Their weights are read when an object may be of their category.
        confidence: model that maps features of a result to a probability; by default that of the
            packs' folder, or the shipped one if the folder has none.
        models: networks to use in place of those of the packs.
        ranking: chooses among the modes of an instance; by default that of the packs' folder, or
            the shipped one.

    Raises:
        DeviceError: the configuration names a device that does not exist.
        PackError: a pack cannot be used, or two of them collide.
        WeightsError: the confidence model or the ranking is damaged or of another version.
    """

    def __init__(
        self,
        config: EstimatorConfig | None = None,
        packs: Packs | Iterable[Path | str] | Path | str = (),
        confidence: ConfidenceModel | None = None,
        models: Iterable[CategoryModel] = (),
        ranking: ModeRanking | None = None,
    ) -> None:
        config = config or EstimatorConfig()
        super().__init__(config, packs, confidence, models)
        self.ranking = ranking or ModeRanking.load(self.packs.shared(RANKING_FILE))
        self.cues = None if config.colour == "none" else _cues(self.packs, self.device)
        self.recognition = _recognition(self.packs, self.device)

    def __call__(self, frame: RgbdFrame) -> list[ObjectEstimate]:
        """The objects of a frame."""
        return self.run(frame).estimates

    def run(
        self, frame: RgbdFrame, predicted: Mapping[int, PredictedState] | None = None
    ) -> FrameResult:
        """The objects of a frame, what was skipped, and how long each stage took.

        Args:
            frame: RGB-D image with instance masks and labels. The colour network and the encoder
                ``ssc6d`` use its colour.
            predicted: by mask id, the predicted states of tracked objects, whose size and shape
                stay. All other instances are detected from scratch.
        """
        clock = StageClock("segment")
        with clock("segment"):
            instances, skipped = self.segment(frame)
        result = self.estimate(instances, predicted)
        stage_ms = {**clock.stage_ms, **result.stage_ms, "total": clock.total_ms}
        return replace(
            result,
            skipped=skipped + result.skipped,
            stage_ms=stage_ms,
            warnings=self.unused_cues(frame, instances),
        )

    def estimate(
        self,
        instances: Sequence[Instance],
        predicted: Mapping[int, PredictedState] | None = None,
        *,
        draft: bool = False,
    ) -> FrameResult:
        """The objects of instances that are already segmented.

        If instances with the same mask id have different categories, the result has only the most
        likely one, or that of the category of the predicted state.

        Args:
            instances: measured points of each object, from `segment`.
            predicted: see `run`.
            draft: run a shorter search and make a coarse surface, which is enough for verification;
                see `with_full_mesh`.
        """
        predicted = predicted or {}
        clock = StageClock("encode", "refine", "mesh")
        tracked, skipped = self.by_category([x for x in instances if _is_tracked(x, predicted)])
        least = self.config.min_known
        with clock("encode"):
            predictions = self.predict(tracked, predicted)
            seen, colour = self.look([x for x in instances if x.mask_id not in predicted])
            rejected = rejected_at_sight(seen, least)
            proposals, more = self.propose([x for x in seen if x.mask_id not in rejected])
        with clock("refine"):
            detections = self.refine(self.search(proposals, colour, draft=draft))
            modes = self.rank(detections, colour)
            if not draft and (relabelled := self.doubted(modes)):
                others, _ = self.propose(relabelled)
                detections += self.refine(self.search(others, colour))
                modes = self.rank(detections, colour)
            rejected |= rejected_modes(modes, self.confidence, least)
            skipped += [*more, *rejected.values()]
            modes = {mask_id: x for mask_id, x in modes.items() if mask_id not in rejected}
            found = modes | {
                x.instance.mask_id: [x] for x in self.follow(tracked, predicted, predictions)
            }
        estimates: list[ObjectEstimate] = []
        for mask_id, rivals in sorted(found.items()):
            chosen = rivals[0]
            try:
                with clock("mesh"):
                    mesh = self.mesh(chosen, draft=draft)
                    estimates.append(self.report(chosen, mesh, rivals))
            except MeshError as error:
                skipped.append(SkippedInstance(mask_id, chosen.instance.category, str(error)))
        return FrameResult(estimates, skipped, clock.stage_ms, predictions, modes)

    def segment(self, frame: RgbdFrame) -> tuple[list[Instance], list[SkippedInstance]]:
        """The measured points of each mask id, and the mask ids without an instance."""
        return segment(frame, self.categories, min_points=self.config.min_points)

    def unused_cues(self, frame: RgbdFrame, instances: Sequence[Instance]) -> list[InputWarning]:
        """The cues of a frame that its instances do without, and why."""
        found = unused_cues(frame, instances, colour=self.cues is not None)
        if instances and self.config.colour == "auto" and self.cues is None:
            path = self.packs.shared(COLOUR_FILE)
            text = (
                f"{path}: no such colour network: colour is not used; restore it from the package, "
                "or ignore colour (--colour none)"
            )
            found.append(InputWarning("colour network", text))
        return found

    def by_category(
        self, instances: Sequence[Instance]
    ) -> tuple[list[Group], list[SkippedInstance]]:
        """The instances by category, and those of categories whose weights cannot be read."""
        groups: list[Group] = []
        skipped: list[SkippedInstance] = []
        for category in dict.fromkeys(x.category for x in instances):
            members = [x for x in instances if x.category == category]
            try:
                groups.append((self.models[category], members))
            except WeightsError as error:
                skipped += [SkippedInstance(x.mask_id, category, str(error)) for x in members]
        return groups, skipped

    def propose(
        self, instances: Sequence[Instance]
    ) -> tuple[list[Proposal], list[SkippedInstance]]:
        """Start poses of instances, in the likeliest of the categories that each may have.

        Weights of categories whose size does not fit are not read.
        """
        groups, skipped = self.by_category(fitting(instances, self.categories))
        proposals = self.encode(groups)
        return likeliest(proposals, self.sampler, self.ranking, self.config), skipped

    def encode(self, groups: Sequence[Group]) -> list[Proposal]:
        """Start poses of the instances of each category."""
        config = self.config
        return [
            Proposal(
                model,
                group,
                model.hypotheses(
                    group, encoding, config.network_prior, yaw_starts=config.yaw_starts
                ),
            )
            for (model, group), encoding in zip(
                groups, self.models.encode(groups, self.sampler.rng), strict=True
            )
        ]

    def look(
        self, instances: Sequence[Instance]
    ) -> tuple[Sequence[Instance], ColourEvidence | None]:
        """What colour shows of instances, and the instances without unlikely categories.

        The instances know how likely they are of any category by colour and by shape. Without a
        colour network, colour shows None.
        """
        if self.recognition is not None:
            looks = self.config.colour != "none"
            instances = self.recognition.told_known(instances, colour=looks)
        if self.cues is None:
            return instances, None
        colour = ColourEvidence.of(self.cues, instances)
        return [colour.told_known(x) for x in colour.likely(instances)], colour

    def search(
        self,
        proposals: Sequence[Proposal],
        colour: ColourEvidence | None = None,
        *,
        draft: bool = False,
    ) -> list[DetectionBatch]:
        """The instances with the hypotheses that are worth a full refinement."""
        config = self.config
        schedule = FAST_SEARCH if draft else config.schedule
        batches = detection_batches(
            proposals, self.sampler, config.solver, config.network_prior, schedule
        )
        if config.refine != "sdf":
            return batches
        with all_threads():
            return [x.narrowed(with_half_turns=config.half_turns, colour=colour) for x in batches]

    def refine(self, batches: Sequence[DetectionBatch]) -> list[Detection]:
        """The modes of each instance: refined hypotheses that differ in rotation."""
        with all_threads():
            return [x for batch in batches for x in batch.refined()]

    def rank(
        self, detections: Sequence[Detection], colour: ColourEvidence | None = None
    ) -> dict[int, list[Detection]]:
        """The modes of each mask id with their probabilities, the likeliest first."""
        return by_probability(detections, self.ranking, self.config, colour)

    def doubted(self, modes: Mapping[int, Sequence[Detection]]) -> list[Instance]:
        """The instances whose label explains them badly, with every other category."""
        trust = self.config.category_trust
        return doubted_labels(modes, self.categories, self.confidence, trust)

    def predict(
        self, groups: Sequence[Group], predicted: Mapping[int, PredictedState]
    ) -> dict[int, NetworkPrediction]:
        """The network's prediction for each tracked instance, queried where the state has none."""
        predictions = {
            x.mask_id: prediction
            for _, group in groups
            for x in group
            if (prediction := predicted[x.mask_id].prediction) is not None
        }
        queried: list[Group] = []
        for model, group in groups:
            if unknown := [x for x in group if x.mask_id not in predictions]:
                queried.append((model, unknown))
        encodings = self.models.encode(queried, self.sampler.rng)
        for (model, group), encoding in zip(queried, encodings, strict=True):
            each = NetworkPrediction.each(model, encoding, len(group), self.config.network_prior)
            predictions |= {x.mask_id: y for x, y in zip(group, each, strict=True)}
        return predictions

    def follow(
        self,
        groups: Sequence[Group],
        predicted: Mapping[int, PredictedState],
        predictions: Mapping[int, NetworkPrediction],
    ) -> list[Detection]:
        """The poses of tracked instances, refined from their predicted states."""
        members = [(model, x) for model, group in groups for x in group]
        if not members:
            return []
        models = [model for model, _ in members]
        instances = [x for _, x in members]
        earlier = [predicted[x.mask_id].estimate for x in instances]
        hypotheses = follow_poses(
            models,
            self.sampler(instances, [x.category for x in models], torch.device("cpu")),
            earlier,
            [predictions[x.mask_id] for x in instances],
            [self.shape_of(x) for x in earlier],
            self.config.network_prior,
            self.config.solver,
            _TRACKING_ITERATIONS if self.config.refine == "sdf" else 0,
        )
        return [
            Detection(m, x, h, e.probability, earlier_cues(e))
            for m, x, h, e in zip(models, instances, hypotheses, earlier, strict=True)
        ]

    @property
    def uses_colour(self) -> bool:
        """Whether instances need their colour images when they are detected."""
        networks = self.cues, self.recognition
        looks = self.config.colour != "none" and any(x is not None for x in networks)
        return looks or self.config.encoder == "ssc6d"

    def __reduce__(self) -> tuple[object, ...]:
        """A copy in another process reads the weights itself."""
        if self.models.given:
            raise TypeError("an estimator of given models cannot be copied to another process")
        parts = self.config, self.packs, self.confidence, self.ranking, self.models.loaded
        return _loaded, parts


def _is_tracked(instance: Instance, predicted: Mapping[int, PredictedState]) -> bool:
    """Whether there is a predicted state of the instance's mask id and category."""
    state = predicted.get(instance.mask_id)
    return state is not None and state.estimate.category == instance.category


def _cues(packs: Packs, device: torch.device) -> ColourCues | None:
    """The colour network, the user's own or the shipped one; None without one."""
    path = packs.shared(COLOUR_FILE)
    return ColourCues.load(path, device) if path.exists() else None


def _recognition(packs: Packs, device: torch.device) -> RecognitionNetwork | None:
    """The recognition network, the user's own or the shipped one; None without one."""
    path = packs.shared(RECOGNITION_FILE)
    return RecognitionNetwork.load(path, device) if path.exists() else None


def _loaded(
    config: EstimatorConfig,
    packs: Packs,
    confidence: ConfidenceModel,
    ranking: ModeRanking,
    names: Sequence[str],
) -> PoseEstimator:
    """An estimator with the weights of some categories."""
    estimator = PoseEstimator(config, packs, confidence, ranking=ranking)
    for name in names:
        estimator.load(name)
    return estimator
