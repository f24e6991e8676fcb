"""Bags as recordings: images and results of a pose node, with random access."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from sdfpose_core.datasets.bag_reader import BagReader, Connection
from sdfpose_core.datasets.bags import Pairing, RecordedFrame, bag_frames, find_topics, open_bag
from sdfpose_core.errors import BagError
from sdfpose_core.messages.decoding import LabelRules
from sdfpose_core.messages.interfaces import stamp_ns
from sdfpose_core.messages.stamps import serialised_stamp_ns
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.viewer.views import FrameView, ObjectView, message_view, support_plane

__all__ = ["BagFrames", "BagRecording"]

_OBJECTS = "sdfpose/msg/SdfObjectArray"
_RESULTS = "objects"
"""Last part of the name of the results' topic; others of its type hold meshes or the truth."""

_LEAD_NS = 1_000_000_000
"""A pass begins this long before the stamp of the wanted image, since clocks differ a little."""

_MAX_SKIP_NS = 2_000_000_000
"""An image this much later than the last one is reached by reading on."""

_MESHES_KEPT = 64
_MAX_LATENCY_NS = 30_000_000_000
"""A greater age of a recorded message means that its stamp is of another clock."""


class BagFrames:
    """The images of a bag by their stamps, without masks.

    Args:
        path: of the bag.
        pairing: how messages are combined into frames.
    """

    def __init__(self, path: Path, pairing: Pairing | None = None) -> None:
        self._path = path
        self._pairing = replace(pairing or Pairing(), with_masks=False, with_labels=False)
        self._frames: Iterator[RecordedFrame] = iter(())
        self._last: RecordedFrame | None = None

    def at(self, stamp: int, arrival_ns: int) -> RgbdFrame | None:
        """Read the image of a stamp; None if the bag has none.

        Args:
            stamp: of the image, nanoseconds.
            arrival_ns: recording time of the image or of its result, nanoseconds.
        """
        reached = 0 if self._last is None else self._last.frame.stamp_ns
        if not reached <= stamp <= reached + _MAX_SKIP_NS:
            same_clock = 0 <= arrival_ns - stamp < _MAX_LATENCY_NS
            self._start(max(0, (stamp if same_clock else arrival_ns) - _LEAD_NS))
            if self._last is None:  # the intrinsics may have been recorded once, at the beginning
                self._start(0)
        while self._last is not None and self._last.frame.stamp_ns < stamp:
            self._last = next(self._frames, None)
        found = self._last
        return found.frame if found is not None and found.frame.stamp_ns == stamp else None

    def _start(self, start_ns: int) -> None:
        self._frames = bag_frames(
            self._path, LabelRules({}), [], pairing=self._pairing, start_ns=start_ns
        )
        self._last = next(self._frames, None)


class BagRecording:
    """A bag with images, with the results of a pose node, or with both.

    Args:
        path: of the bag.
        images: bag with the images, if it is another one.
        depth_unit: metres per unit of depth; None for millimetres in 16-bit and metres in float
            images.

    Raises:
        BagError: the bag cannot be read, or has neither images nor results.
    """

    def __init__(
        self, path: Path, images: Path | None = None, depth_unit: float | None = None
    ) -> None:
        self._files = ExitStack()
        try:
            self._bag = self._files.enter_context(open_bag(path, []))
            results = [x for x in self._bag.connections if _is_results(x)]
            self._index = _Results(self._bag, results[0]) if results else None
            if self._index is not None:
                self._stamps = self._index.stamps
            else:
                self._stamps = _image_stamps(self._bag, path)
            if not self._stamps:
                raise BagError(f"{path}: has no image and no result: expected messages on a topic")
        except BaseException:
            self._files.close()
            raise
        has_images = images is not None or _has_images(self._bag, path)
        pairing = Pairing(depth_unit=depth_unit)
        self._frames = BagFrames(images or path, pairing) if has_images else None

    @property
    def times_s(self) -> Sequence[float]:
        """See `Recording`."""
        first = self._stamps[0][0]
        return [1e-9 * (stamp - first) for stamp, _ in self._stamps]

    def view(self, number: int) -> FrameView:
        """See `Recording`."""
        stamp, arrival_ns = self._stamps[number]
        frame = None if self._frames is None else self._frames.at(stamp, arrival_ns)
        objects = [] if self._index is None else self._index.objects(number)
        latency_ns = arrival_ns - stamp
        known = self._index is not None and 0 < latency_ns < _MAX_LATENCY_NS
        return FrameView(
            f"image {number}",
            objects,
            frame,
            None if frame is None else support_plane(frame),
            1e-9 * latency_ns if known else None,
        )

    def close(self) -> None:
        """See `Recording`."""
        self._files.close()


class _Results:
    """The results of a pose node in a bag. Meshes are read when they are shown.

    Attributes:
        stamps: stamp and recording time of each result, nanoseconds, in order of the stamps.
    """

    def __init__(self, bag: BagReader, connection: Connection) -> None:
        self._bag = bag
        self._connection = connection
        results: list[tuple[int, int, list[ObjectView]]] = []
        # By object id: revisions of its meshes, and the recording times of their messages.
        self._meshes: dict[int, list[tuple[int, int]]] = {}
        for _, arrival_ns, data in bag.messages([connection]):
            message = bag.deserialize(data, connection.msgtype)
            objects = [x for x in map(message_view, message.objects) if x is not None]
            for x in objects:
                if len(x.estimate.vertices):
                    self._meshes.setdefault(x.id, []).append((x.revision, arrival_ns))
            results.append(
                (stamp_ns(message.header), arrival_ns, [_without_mesh(x) for x in objects])
            )
        results.sort(key=lambda x: x[:2])
        self.stamps = [(stamp, arrival_ns) for stamp, arrival_ns, _ in results]
        self._objects = [objects for _, _, objects in results]
        self._read: OrderedDict[tuple[int, int], ObjectView] = OrderedDict()

    def objects(self, number: int) -> list[ObjectView]:
        """The objects of a result, with their newest meshes at that time."""
        return [self._with_mesh(x) for x in self._objects[number]]

    def _with_mesh(self, x: ObjectView) -> ObjectView:
        revisions = self._meshes.get(x.id, [])
        place = bisect_right([revision for revision, _ in revisions], x.revision)
        if not place:
            return x
        mesh = self._mesh(x.id, *revisions[place - 1])
        made = mesh.estimate
        shape = replace(x.estimate, vertices=made.vertices, faces=made.faces, normals=made.normals)
        return replace(x, estimate=shape, colours=mesh.colours, revision=mesh.revision)

    def _mesh(self, object_id: int, revision: int, arrival_ns: int) -> ObjectView:
        key = object_id, revision
        if key not in self._read:
            _, _, data = next(self._bag.messages([self._connection], arrival_ns))
            message = self._bag.deserialize(data, self._connection.msgtype)
            found = next(x for x in message.objects if int(x.id) == object_id)
            view = message_view(found)
            assert view is not None
            self._read[key] = view
            while len(self._read) > _MESHES_KEPT:
                self._read.popitem(last=False)
        self._read.move_to_end(key)
        return self._read[key]


def _without_mesh(x: ObjectView) -> ObjectView:
    few = x.estimate.vertices[:0].copy(), x.estimate.faces[:0].copy(), x.estimate.normals[:0].copy()
    light = replace(x.estimate, vertices=few[0], faces=few[1], normals=few[2])
    return replace(x, estimate=light, colours=None)


def _is_results(connection: Connection) -> bool:
    name = connection.topic.rpartition("/")[2]
    return connection.msgtype == _OBJECTS and name == _RESULTS and connection.msgcount > 0


def _has_images(bag: BagReader, path: Path) -> bool:
    try:
        find_topics(bag.connections, path, {}, needs_mask=False)
    except BagError:
        return False
    return True


def _image_stamps(bag: BagReader, path: Path) -> list[tuple[int, int]]:
    """Stamp and recording time of each colour image, nanoseconds."""
    topic = find_topics(bag.connections, path, {}, needs_mask=False).colour
    chosen = [x for x in bag.connections if x.topic == topic]
    return sorted((serialised_stamp_ns(data), arrival) for _, arrival, data in bag.messages(chosen))
