"""Re-detection: what is verified or tried next, and what a verification changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sdfpose_core.errors import MeshError
from sdfpose_core.estimation.estimator import PoseEstimator
from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.observation.frame import Instance
from sdfpose_core.tracking.belief import Belief
from sdfpose_core.tracking.config import TrackerConfig
from sdfpose_core.tracking.mode_fusion import fused_modes
from sdfpose_core.tracking.motion import farther, with_modes_of, with_yaw_of, yaw_open
from sdfpose_core.tracking.tracked_object import TrackedObject
from sdfpose_core.tracking.trials import Trials
from sdfpose_core.tracking.verification import Trial, VerificationRequest, VerificationResult
from sdfpose_core.tracking.verifier import Verifier
from sdfpose_core.tracking.world import in_camera

__all__ = ["Redetection"]

_JUMP_DEG, _JUMP_SHARE = 5.0, 0.1
"""If a new shape moves the pose by more than this angle, or by more than this share of the
diagonal, the change is not a motion of the object."""

_RIVAL = 0.1
"""A verification also tries other categories that are at least this likely."""

_SHORT_DELAY_FACTOR = 0.4
"""Factor of the verification delay while other objects wait for theirs, or things for a trial: one
image that waits is better than a wrong pose in many."""

_IN_A_ROW = 2
"""So many verifications or trials in a row, and one of the others that wait is next."""


class Redetection:
    """Verifies tracked poses by detecting the objects from scratch, one at a time.

    Trials of unnamed things take turns with the verifications.

    Attributes:
        verifier: runs both.
        trials: of unnamed things.

    Args:
        estimator: detects the objects.
        config: of the tracker.
    """

    def __init__(self, estimator: PoseEstimator, config: TrackerConfig) -> None:
        self._estimator = estimator
        self._config = config
        self.verifier = Verifier(
            estimator,
            config.accept_confidence,
            in_process=config.verify_in_process and config.verification_delay_s > 0.0,
        )
        background = config.verification_delay_s > 0.0 and not config.wait_for_verification
        self.trials = Trials(
            self.verifier, config, active=background and estimator.config.refine == "sdf"
        )
        self._last_was_trial, self._in_a_row = False, 0

    def update(
        self, objects: Sequence[TrackedObject], instance_of: Mapping[int, Instance], now_ns: int
    ) -> tuple[list[TrackedObject], dict[str, float]]:
        """Apply the verification that is due, and request the next one, or a trial.

        The next request is for the least certain object that is due. An object that the image
        contradicts is verified at once. Uncertain poses come before trials, and these before
        certain poses, but none waits for ever.

        Args:
            objects: after an image.
            instance_of: by mask id, what the image measured.
            now_ns: time of the image.

        Returns:
            The objects, corrected, without those that turned out to be none, and the wall time by
            stage of synchronous verifications.

        Raises:
            VerificationError: the verification process died. A new one is started.
        """
        if self._estimator.config.refine != "sdf":
            return list(objects), {}
        by_id = {x.id: x for x in objects}
        stage_ms: dict[str, float] = {}

        def apply(request: VerificationRequest, result: VerificationResult) -> None:
            if request.object_id not in by_id:
                return
            known = self._verified(by_id.pop(request.object_id), request, result)
            if known is not None:
                by_id[request.object_id] = known

        def verify_now(request: VerificationRequest) -> None:
            result = self.verifier.verify_now(request)
            for stage, milliseconds in result.stage_ms.items():
                stage_ms[stage] = stage_ms.get(stage, 0.0) + milliseconds
            apply(request, result)

        def request_for(x: TrackedObject) -> VerificationRequest:
            instance = _without_surroundings(instance_of[x.estimate.mask_id])
            tracked = in_camera(x.estimate, instance.camera_pose)
            if not x.at_rest:
                instance = replace(instance, camera_pose=None)
            rivals = {y.category for y in x.estimate.alternatives if y.probability >= _RIVAL}
            return VerificationRequest(
                x.id,
                instance,
                tracked,
                x.keyframes,
                rivals=tuple(sorted(rivals - {instance.category})),
            )

        if (done := self.verifier.due(now_ns, wait=self._config.wait_for_verification)) is not None:
            request, result = done
            if isinstance(request, Trial):
                self.trials.answer(request, result)
            else:
                apply(request, result)
        if self._config.wait_for_verification:
            contradicted = [x for x in by_id.values() if x.shown and x.belief.collapsed]
            for request in [request_for(x) for x in contradicted]:
                verify_now(request)
        waiting = [x for x in by_id.values() if self._is_due(x)]
        if self.verifier.pending is not None:
            pass
        elif (trial := self._next_trial(waiting)) is not None:
            self.verifier.begin(_to_send(trial), now_ns)
        elif waiting:
            first = min(waiting, key=lambda x: (not x.belief.collapsed, x.belief.log_odds))
            others = len(waiting) > 1 or self.trials.next is not None
            factor = _SHORT_DELAY_FACTOR if others else 1.0
            delay_s = factor * self._config.verification_delay_s
            if delay_s == 0.0:
                verify_now(request_for(first))
            else:
                due_ns = now_ns if first.belief.collapsed else now_ns + round(1e9 * delay_s)
                self.verifier.begin(request_for(first), due_ns, self._config.verification_share)
        kept = [by_id[x.id] for x in objects if x.id in by_id]
        return kept, stage_ms

    def _next_trial(self, waiting: Sequence[TrackedObject]) -> Trial | None:
        """The trial that is next, if one is; None if a verification is, or nothing."""
        trial = self.trials.next if self.verifier.ready else None
        if trial is None or not waiting:
            self._in_a_row = 0
            return trial
        is_trial = not any(x.belief.uncertain for x in waiting)
        if is_trial == self._last_was_trial and self._in_a_row >= _IN_A_ROW:
            is_trial = not is_trial
        self._in_a_row = self._in_a_row + 1 if is_trial == self._last_was_trial else 1
        self._last_was_trial = is_trial
        return trial if is_trial else None

    def _is_due(self, x: TrackedObject) -> bool:
        """Whether an object is to be verified as soon as the verifier is free."""
        may_run = (
            self._config.wait_for_verification or not self.verifier.resting or x.belief.uncertain
        )
        return x.shown and may_run and (x.belief.collapsed or x.belief.overdue >= 0)

    def _verified(
        self, known: TrackedObject, request: VerificationRequest, result: VerificationResult
    ) -> TrackedObject | None:
        """An object after its verification; None if it shows nothing of the categories.

        An object that was found at its tracked pose gains a keyframe. One that was found elsewhere
        too often takes the pose of the detection. Both are moved along with the object's motion
        since the image of the request.
        """
        detection = result.detection
        if known.keyframes is not request.keyframes:
            return known  # it was detected again in the meantime
        if result.rejected:
            belief = known.belief.rejected()
            return replace(known, belief=belief) if belief.log_odds >= 0.0 else None
        if detection is None:
            return replace(known, belief=known.belief.untested())
        fused = fused_modes(request.tracked, detection)
        update = result.update
        belief = known.belief.voted(
            detection,
            request.tracked,
            self._config,
            shape_settled=update is not None
            and update.keyframes.full
            and np.array_equal(update.estimate.code, request.tracked.code),
        )
        if belief.log_odds < 0.0:
            tracked = request.tracked
            if known.belief.yaw_open:  # it says nothing of the yaw that this image shows
                tracked = replace(tracked, symmetric_about_y=True)
            try:
                found = self._estimator.with_full_mesh(fused_modes(detection, tracked))
            except MeshError:
                return replace(known, belief=known.belief.untested())  # the detection is no object
            belief = replace(Belief.of(found), log_odds=-belief.log_odds)
            instance = replace(request.instance, category=found.category)
            keyframes = Keyframes.of(self._estimator.as_keyframe(instance), found)
            return known.corrected(
                request.tracked, found, keyframes, belief, self._config, jumped=True
            )
        if update is None:
            return replace(known, belief=belief, estimate=with_modes_of(known.estimate, fused))
        refined = update.estimate
        if known.yaw_known and yaw_open(refined):  # none of these views shows it
            refined = with_yaw_of(refined, request.tracked)
        return known.corrected(
            request.tracked,
            with_modes_of(refined, fused),
            update.keyframes,
            belief,
            self._config,
            jumped=farther(refined, request.tracked, _JUMP_DEG, _JUMP_SHARE),
        )


def _without_surroundings(instance: Instance) -> Instance:
    """The instance with the part of its image that shows it: it goes to another process."""
    if not isinstance(instance.colour, np.ndarray):
        return instance
    return replace(instance, colour=ColourCrop.around(instance.colour, instance.pixels, "jpeg"))


def _to_send(trial: Trial) -> Trial:
    """The trial without surroundings; instances of the same pixels share their image."""
    distinct = {id(x.pixels): x for x in trial.instances}
    colours = {i: _without_surroundings(x).colour for i, x in distinct.items()}
    instances = tuple(replace(x, colour=colours[id(x.pixels)]) for x in trial.instances)
    return replace(trial, instances=instances)
