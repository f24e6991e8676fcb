"""Replay of a recorded bag through a tracker, frame by frame."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.bags import Pairing, RecordedFrame, TopicCallbacks, bag_frames
from sdfpose_core.errors import FrameError, VerificationError
from sdfpose_core.evaluation.frame_evaluation import FrameEvaluation, ReportedObject, evaluate_frame
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.transform_tree import TransformError
from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
from sdfpose_core.observation.input_warnings import InputWarning, WarningCounts
from sdfpose_core.observation.truth_checks import truth_problem
from sdfpose_core.replay.schedule import Schedule
from sdfpose_core.replay.transforms import RecordedWorld
from sdfpose_core.replay.truth import TruthSource
from sdfpose_core.tracking.tracker import Track, Tracker, TrackerResult

__all__ = ["Replay", "ReplayedFrame", "ResultSink", "replay"]

_READ_AHEAD = 4
"""Number of frames that are decoded in advance."""

_POLL_S = 0.1

Item = TypeVar("Item")


class ResultSink(Protocol):
    """Takes the results of a replay, e.g. a bag or the viewer."""

    def add(self, recorded: RecordedFrame, result: TrackerResult) -> None:
        """Take the result of the next frame."""
        ...


@dataclass(frozen=True)
class ReplayedFrame:
    """A processed frame.

    Attributes:
        number: index of the frame in the bag, from 0.
        stamp_ns: stamp of the colour image, nanoseconds.
        frame_id: frame id of the colour image.
        tracks: the tracks without their meshes, which are in `Replay.meshes`.
        skipped: reasons for mask ids without an estimate.
        stage_ms: wall time by stage, milliseconds; ``wait`` is the wait for the frame to be read,
            ``masks`` the time in which its masks are made.
    """

    number: int
    stamp_ns: int
    frame_id: str
    tracks: tuple[Track, ...]
    skipped: tuple[str, ...]
    stage_ms: Mapping[str, float]

    @property
    def shown(self) -> tuple[Track, ...]:
        """The tracks that the frame shows."""
        return tuple(x for x in self.tracks if x.seen)


@dataclass
class Replay:
    """The result of a replay.

    Attributes:
        frames: the processed frames.
        dropped: number of frames dropped for lack of time.
        elapsed_s: total wall time, seconds.
        meshes: one estimate for each mesh, by object id and mesh revision.
    """

    frames: list[ReplayedFrame] = field(default_factory=list)
    dropped: int = 0
    elapsed_s: float = 0.0
    meshes: dict[tuple[int, int], ObjectEstimate] = field(default_factory=dict)

    @property
    def rate_hz(self) -> float:
        """Processed frames per second."""
        return len(self.frames) / self.elapsed_s if self.elapsed_s else 0.0

    def with_mesh(self, track: Track) -> ObjectEstimate:
        """Return the estimate of a track with its mesh."""
        made = self.meshes.get((track.id, track.mesh_revision))
        if made is None:
            return track.estimate
        return replace(
            track.estimate, vertices=made.vertices, faces=made.faces, normals=made.normals
        )

    def truth_problems(self, truth: TruthSource | None) -> list[str]:
        """Describe ground truth that seems wrong, for example in millimetres, with counts."""
        if truth is None:
            return []
        categories, counts = default_categories(), WarningCounts()
        for x in self.frames:
            for y in truth.at(x.stamp_ns, x.frame_id) or ():
                problem = truth_problem(y, categories)
                if problem is not None:
                    counts.add([InputWarning(y.instance, problem)])
        return counts.sentences("ground truth")

    def evaluate(self, truth: TruthSource | None) -> list[FrameEvaluation]:
        """Compare the frames with the ground truth."""
        evaluated = []
        for x in self.frames:
            truths = None if truth is None else truth.at(x.stamp_ns, x.frame_id)
            objects = evaluate_frame(
                [ReportedObject.of(y.estimate, y.id) for y in x.shown], truths or []
            )
            evaluated.append(
                FrameEvaluation(
                    f"{x.number:06d}",
                    x.stamp_ns,
                    objects,
                    None if truths is None else tuple(x for x in truths if x.has_pose),
                    x.stage_ms,
                )
            )
        return evaluated


def replay(
    path: Path | str,
    tracker: Tracker,
    rules: LabelRules,
    problems: list[str],
    *,
    pairing: Pairing | None = None,
    truth: TruthSource | None = None,
    schedule: Schedule | None = None,
    results: Sequence[ResultSink] = (),
    masks: Callable[[int, RgbdFrame], RgbdFrame] | None = None,
    listeners: TopicCallbacks | None = None,
    world: RecordedWorld | None = None,
    progress: Callable[[], None] = lambda: None,
) -> Replay:
    """Process the frames of a bag in order; the result is the same in every run.

    Frames are read and decoded in a separate thread.

    Args:
        path: path of the bag.
        tracker: a new tracker.
        rules: categories of mask ids, used where the bag has no label topic.
        problems: receives one sentence for each reason for which frames were dropped, refused by
            the tracker, are likely to be wrong or have mask ids without an estimate, and for each
            cue that was not used, with the number of frames.
        pairing: how messages are combined into frames.
        truth: ground truth; receives the messages of its topics during the replay.
        schedule: selects the frames to process; None for all.
        results: receive the result of each frame.
        masks: makes the masks of a processed frame, given its number; None for those of the bag.
        listeners: callbacks for additional topics, called with each message in recorded order.
        world: poses of the camera in the world, in which the objects are then tracked. Frames
            without one are refused.
        progress: called after each frame, processed or dropped.

    Raises:
        BagError: the bag cannot be read, or its topics make up no frame.
    """
    recorded = bag_frames(
        path,
        rules,
        problems,
        pairing=pairing,
        listeners={**({} if truth is None else truth.listeners), **(listeners or {})},
    )
    done, skipped = Replay(), WarningCounts()
    refused: list[str] = []
    start = waited = time.perf_counter()
    try:
        with closing(_ReadAhead(recorded, _READ_AHEAD)) as frames:
            chosen = frames if schedule is None else schedule.processed(frames)
            for number, item in enumerate(chosen):
                if item is None:
                    done.dropped += 1
                else:
                    wait_ms = 1e3 * (time.perf_counter() - waited)
                    try:
                        stage_ms = {"wait": wait_ms}
                        if world is not None:
                            item = replace(item, frame=world.placed(item.frame))
                        if masks is not None:
                            item = _with_masks(item, partial(masks, number), stage_ms)
                        replayed, result = _step(number, item, tracker, done, stage_ms, results)
                    except (FrameError, TransformError, VerificationError) as error:
                        refused.append(str(error))
                    else:
                        done.frames.append(replayed)
                        skipped.add_skipped(result.skipped)
                        skipped.add(result.warnings)
                waited = time.perf_counter()
                progress()
    finally:
        problems += skipped.sentences(str(path))
        if world is not None:
            problems += world.problems
        if refused:
            problems.append(f"{path}: {len(refused)} frames cannot be processed: {refused[0]}")
    done.elapsed_s = time.perf_counter() - start
    return done


def _with_masks(
    recorded: RecordedFrame,
    masks: Callable[[RgbdFrame], RgbdFrame],
    stage_ms: dict[str, float],
) -> RecordedFrame:
    """Make the masks of a frame; add the wall time to the stages."""
    start = time.perf_counter()
    frame = masks(recorded.frame)
    stage_ms["masks"] = 1e3 * (time.perf_counter() - start)
    return replace(recorded, frame=frame)


def _step(
    number: int,
    recorded: RecordedFrame,
    tracker: Tracker,
    done: Replay,
    stage_ms: dict[str, float],
    results: Sequence[ResultSink],
) -> tuple[ReplayedFrame, TrackerResult]:
    """Process a frame; return it with the result of the tracker."""
    result = tracker.step(recorded.frame)
    stage_ms |= result.stage_ms
    if results:
        start = time.perf_counter()
        for sink in results:
            sink.add(recorded, result)
        stage_ms["write"] = 1e3 * (time.perf_counter() - start)
    for x in result.tracks:
        if len(x.estimate.vertices):
            done.meshes.setdefault((x.id, x.mesh_revision), x.estimate)
    replayed = ReplayedFrame(
        number,
        recorded.frame.stamp_ns,
        recorded.frame.frame_id,
        tuple(replace(x, estimate=_without_mesh(x.estimate)) for x in result.tracks),
        tuple(x.reason for x in result.skipped),
        stage_ms,
    )
    return replayed, result


def _without_mesh(estimate: ObjectEstimate) -> ObjectEstimate:
    """Remove the mesh of an estimate to save memory."""
    return replace(estimate, vertices=_NO_VERTICES, faces=_NO_FACES, normals=_NO_VERTICES)


_NO_VERTICES = np.zeros((0, 3), dtype=np.float32)
_NO_FACES = np.zeros((0, 3), dtype=np.int32)


class _ReadAhead(Generic[Item]):
    """Reads items from an iterable in advance, in a separate thread."""

    def __init__(self, items: Iterable[Item], count: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _End] = queue.Queue(maxsize=count)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        error: Exception | None = None
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except Exception as raised:
            error = raised
        self._put(_End(error))

    def _put(self, item: Item | _End) -> bool:
        """Add an item to the queue, waiting if it is full; return False if stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False


@dataclass(frozen=True)
class _End:
    """The last item of the queue, with the reader's exception if there was one."""

    error: Exception | None
