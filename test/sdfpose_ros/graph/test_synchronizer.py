from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time
from sdfpose.msg import InstanceLabels
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.errors import FrameIdError, MissingCameraInfoError, StaleFrameError
from sdfpose_core.messages.synchronizer import FrameSynchronizer
from sdfpose_ros.stand_ins import message_filters

TOPICS = InputTopics("/colour", "/depth", "/mask", "/camera_info", "/labels")
KINDS = {
    "colour": Image,
    "depth": Image,
    "mask": Image,
    "info": CameraInfo,
    "labels": InstanceLabels,
}


class Inputs:
    """A synchroniser and what it gave out."""

    def __init__(self, labels: bool = True, queue_size: int = 5, latched: bool = False) -> None:
        self.sources = {name: message_filters.SimpleFilter() for name in KINDS}
        self.frames, self.errors, self.restarts = [], [], 0
        self.synchronizer = FrameSynchronizer(
            **{name: self.sources[name] for name in ("colour", "depth", "mask", "info")},
            labels=self.sources["labels"] if labels else None,
            topics=TOPICS,
            queue_size=queue_size,
            slop_s=0.01,
            on_frame=self.frames.append,
            on_error=self.errors.append,
            on_restart=self._restart,
            labels_are_latched=lambda: latched,
        )

    def _restart(self) -> None:
        self.restarts += 1

    def send(self, seconds: float, names="info colour depth mask labels", frame_id="optical"):
        whole = int(seconds)
        stamp = Time(sec=whole, nanosec=round((seconds - whole) * 1e9))
        for name in names.split():
            header = Header(stamp=stamp, frame_id=frame_id)
            self.sources[name].signalMessage(KINDS[name](header=header))

    @property
    def stamps(self) -> list[float]:
        return [frame.stamp_ns * 1e-9 for frame in self.frames]

    @property
    def statistics(self):
        return self.synchronizer.statistics


def test_complete_frames_come_out_with_everything_of_their_moment():
    inputs = Inputs()
    inputs.send(1.0)
    inputs.send(2.0, "labels mask info depth colour")
    assert inputs.stamps == [1.0, 2.0]
    for frame in inputs.frames:
        stamps = {x.header.stamp.sec for x in vars(frame).values()}
        assert len(stamps) == 1
    assert inputs.errors == []
    assert inputs.statistics.received == dict.fromkeys(
        ("/colour", "/depth", "/mask", "/labels", "/camera_info"), 2
    )


def test_without_a_labels_topic_none_are_awaited():
    inputs = Inputs(labels=False)
    inputs.send(1.0, "info colour depth mask")
    assert [frame.labels for frame in inputs.frames] == [None]


IMAGES = "colour depth mask"


@pytest.mark.parametrize("stamp", [0.0, 0.5])
@pytest.mark.parametrize("first", [True, False])
def test_labels_that_hold_for_all_images_serve_all_frames(stamp, first):
    inputs = Inputs(latched=stamp > 0)
    inputs.send(0.5, "info")
    if first:
        inputs.send(stamp, "labels")
    inputs.send(1.0, IMAGES)
    if not first:
        inputs.send(stamp, "labels")
    for k in (2, 3):
        inputs.send(k, IMAGES)
    assert inputs.stamps == [1.0, 2.0, 3.0]
    assert all(round(x.labels.header.stamp.nanosec * 1e-9, 1) == stamp for x in inputs.frames)
    assert inputs.synchronizer.waiting == dict.fromkeys(
        ("/colour", "/depth", "/mask", "/labels"), 0
    )
    assert set(inputs.statistics.unmatched.values()) == {0}


def test_latched_labels_that_come_with_each_image_stay_with_their_images():
    inputs = Inputs(latched=True)
    for k in range(1, 4):
        inputs.send(k, "info colour depth mask")
        inputs.send(k, "labels")
    assert [x.labels.header.stamp.sec for x in inputs.frames] == [1, 2, 3]


def test_newer_labels_without_a_stamp_replace_the_older_ones():
    inputs = Inputs()
    for k in (1, 2):
        message = InstanceLabels(header=Header(frame_id=str(k)))
        inputs.sources["labels"].signalMessage(message)
        inputs.send(k, "info colour depth mask")
    assert [x.labels.header.frame_id for x in inputs.frames] == ["1", "2"]


def test_labels_with_stamps_are_matched_again_after_labels_without():
    inputs = Inputs()
    inputs.send(0.0, "labels")
    inputs.send(1.0, "info colour depth mask")
    inputs.send(2.0, "labels")
    inputs.send(2.0, "info colour depth mask")
    inputs.send(3.0, "info colour depth mask")
    assert inputs.stamps == [1.0, 2.0]
    assert [x.labels.header.stamp.sec for x in inputs.frames] == [0, 2]


def test_an_incomplete_frame_is_left_out():
    inputs = Inputs()
    inputs.send(1.0, "info colour depth labels")
    inputs.send(2.0)
    assert inputs.stamps == [2.0]


def test_a_mask_that_comes_late_finds_its_frame():
    inputs = Inputs(queue_size=4)
    for k in range(1, 4):
        inputs.send(k, "info colour depth labels")
    inputs.send(1.0, "mask")
    assert inputs.stamps == [1.0]


def test_a_frame_waits_for_its_camera_info():
    inputs = Inputs()
    inputs.send(1.0, "colour depth mask labels")
    assert inputs.frames == []
    inputs.send(1.0, "info")
    assert inputs.stamps == [1.0]
    inputs.send(2.0, "colour depth mask labels")
    inputs.send(2.0, "info")
    assert [frame.info.header.stamp.sec for frame in inputs.frames] == [1, 2]


def test_one_camera_info_serves_all_later_frames():
    inputs = Inputs()
    inputs.send(0.5, "info")
    for k in range(1, 4):
        inputs.send(k, "colour depth mask labels")
    assert inputs.stamps == [1.0, 2.0, 3.0]


def test_infos_that_stop_delay_one_frame_and_lose_none():
    inputs = Inputs()
    inputs.send(1.0)
    for k in range(2, 5):
        inputs.send(k, "colour depth mask labels")
    assert inputs.stamps == [1.0, 2.0, 3.0, 4.0]


def test_frames_without_any_camera_info_are_refused_and_the_topic_is_named():
    inputs = Inputs()
    inputs.send(1.0, "colour depth mask labels")
    inputs.send(2.0, "colour depth mask labels")
    assert inputs.frames == []
    assert len(inputs.errors) == 1
    assert isinstance(inputs.errors[0], MissingCameraInfoError)
    assert str(inputs.errors[0]).startswith("/camera_info: no camera info received")
    assert inputs.statistics.rejected == {"MissingCameraInfoError": 1}


@pytest.mark.parametrize(
    ("name", "topic"), [("depth", "/depth"), ("mask", "/mask"), ("info", "/camera_info")]
)
def test_another_frame_id_names_the_topic_and_both_frames(name, topic):
    inputs = Inputs()
    inputs.send(1.0, name, frame_id="other")
    inputs.send(1.0, " ".join(x for x in KINDS if x != name))
    assert inputs.frames == []
    (error,) = inputs.errors
    assert isinstance(error, FrameIdError)
    assert str(error).startswith(f"{topic}: frame id 'other': expected 'optical'")
    inputs.send(2.0)
    assert inputs.stamps == [2.0]


@pytest.mark.parametrize("name", ["info", "mask"])
def test_mask_and_camera_info_may_lack_a_frame_id(name):
    inputs = Inputs()
    inputs.send(1.0, name, frame_id="")
    inputs.send(1.0, " ".join(x for x in KINDS if x != name))
    assert inputs.stamps == [1.0]


@pytest.mark.parametrize("name", [*KINDS, "info depth mask"])
def test_a_leading_slash_in_a_frame_id_means_nothing(name):
    inputs = Inputs()
    inputs.send(1.0, name, frame_id="/optical")
    inputs.send(1.0, " ".join(x for x in KINDS if x not in name.split()))
    assert inputs.errors == []
    assert [x.colour.header.frame_id for x in inputs.frames] == ["optical"]


def test_images_without_stamps_are_told():
    inputs = Inputs()
    inputs.send(0.0)
    inputs.send(0.0)
    (error,) = inputs.errors
    assert "two images with the same stamp of zero" in str(error)
    assert "does the driver fill in the header?" in str(error)


def test_an_image_without_a_frame_id_is_refused():
    inputs = Inputs()
    inputs.send(1.0, frame_id="")
    assert "/colour: an image without a frame id" in str(inputs.errors[0])


@pytest.mark.parametrize(
    ("seconds", "problem"), [(1.5, "0.500 s older"), (2.0, "two images with the same stamp")]
)
def test_an_image_that_is_not_newer_than_the_last_is_refused(seconds, problem):
    inputs = Inputs()
    inputs.send(2.0)
    inputs.send(seconds)
    assert inputs.stamps == [2.0]
    (error,) = inputs.errors
    assert isinstance(error, StaleFrameError)
    assert str(error).startswith("/colour: ")
    assert problem in str(error)
    inputs.send(2.1)
    assert inputs.stamps == [2.0, 2.1]


@pytest.mark.parametrize("first", ["colour", "mask", "depth"])
def test_when_time_jumps_back_everything_starts_anew_and_no_frame_is_lost(first):
    inputs = Inputs(queue_size=3)
    for k in range(100, 110):
        inputs.send(k)
    inputs.send(110, "colour depth")  # the loop's end cuts a frame in two
    for k in range(1, 6):
        others = " ".join(x for x in ("info", "colour", "depth", "mask", "labels") if x != first)
        inputs.send(k, f"{first} {others}")
    assert inputs.restarts == 1
    assert inputs.stamps == [*range(100, 110), *range(1, 6)]
    assert inputs.errors == []


def test_every_group_is_accounted_for():
    inputs = Inputs()
    for seconds in (1.0, 2.0, 1.9, 3.0, 3.0, 4.0):
        inputs.send(seconds)
    statistics = inputs.statistics
    assert statistics.matched == statistics.accepted + sum(statistics.rejected.values()) == 6
