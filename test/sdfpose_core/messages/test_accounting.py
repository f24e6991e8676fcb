"""Every message that a synchroniser received is in a group, has been dropped, or waits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.filters import SimpleFilter
from sdfpose_core.messages.stamps import required_queue_size
from sdfpose_core.messages.synchronizer import FrameSynchronizer

TOPICS = InputTopics("/colour", "/depth", "/mask", "/camera_info", "/labels")
MATCHED = ("/colour", "/depth", "/mask", "/labels")
EVERYTHING = ("/camera_info", *MATCHED)


class Inputs:
    """A synchroniser whose accounts are looked at after every message and in every callback."""

    def __init__(self, queue_size: int = 20, slop_s: float = 0.01) -> None:
        self.sources = {topic: SimpleFilter() for topic in vars(TOPICS).values()}
        self.frames, self.errors = [], []
        self.synchronizer = FrameSynchronizer(
            colour=self.sources["/colour"],
            depth=self.sources["/depth"],
            mask=self.sources["/mask"],
            info=self.sources["/camera_info"],
            labels=self.sources["/labels"],
            topics=TOPICS,
            queue_size=queue_size,
            slop_s=slop_s,
            on_frame=lambda frame: (self.frames.append(frame), self.check()),
            on_error=lambda error: (self.errors.append(error), self.check()),
            on_restart=self.check,
        )
        self.sent = dict.fromkeys(EVERYTHING, 0)

    def send(self, topic: str, seconds: float, **fields) -> None:
        whole = int(seconds)
        stamp = SimpleNamespace(sec=whole, nanosec=round((seconds - whole) * 1e9))
        header = SimpleNamespace(stamp=stamp, frame_id="optical")
        self.sent[topic] += 1
        self.sources[topic].signalMessage(SimpleNamespace(header=header, **fields))
        self.check()
        assert self.statistics.received == self.sent

    def send_all(self, seconds: float, topics=EVERYTHING) -> None:
        for topic in topics:
            self.send(topic, seconds)

    def check(self) -> None:
        done, waiting = self.statistics, self.synchronizer.waiting
        assert set(done.unmatched) == set(waiting) == set(MATCHED)
        for topic in MATCHED:
            assert done.received[topic] == done.matched + done.unmatched[topic] + waiting[topic]
        assert done.matched == (
            done.accepted + sum(done.rejected.values()) + self.synchronizer.waiting_for_camera_info
        )

    @property
    def statistics(self):
        return self.synchronizer.statistics

    @property
    def stamps(self) -> list[float]:
        return [frame.stamp_ns * 1e-9 for frame in self.frames]


MESSAGES = st.lists(
    st.tuples(
        st.sampled_from(EVERYTHING),
        # Few stamps, so that there are groups, duplicates and delays; two ages, so that time jumps.
        st.sampled_from([0.0, 100.0]),
        st.integers(0, 12),
        st.sampled_from([0.0, 0.004, 0.02]),
    ),
    max_size=120,
)


@settings(max_examples=200, deadline=None)
@given(MESSAGES, st.integers(1, 5), st.sampled_from([0.0, 0.01, 0.05]))
def test_all_is_accounted_for_in_any_order_of_any_messages(messages, queue_size, slop_s):
    inputs = Inputs(queue_size, slop_s)
    for topic, age, number, shift in messages:
        inputs.send(topic, 1.0 + age + number / 30.0 + shift)
    inputs.synchronizer.finish()
    inputs.check()
    assert not inputs.synchronizer.waiting_for_camera_info


@settings(deadline=None)
@given(st.data())
def test_all_is_accounted_for_in_a_stream_with_losses_delays_and_jumps(data):
    inputs = Inputs(data.draw(st.integers(1, 8)))
    arrivals = []
    for number in range(data.draw(st.integers(0, 25))):
        for topic in EVERYTHING:
            copies = data.draw(st.sampled_from([1, 1, 1, 1, 0, 2]))
            delay = data.draw(st.sampled_from([0, 0, 0, 1, 4]))
            arrivals += [(number + delay, topic, number)] * copies
    jumps = data.draw(st.sets(st.integers(0, len(arrivals)), max_size=3))
    start = 100.0
    for at, (_, topic, number) in enumerate(sorted(arrivals, key=lambda x: x[0])):
        start -= 10.0 * (at in jumps)
        inputs.send(topic, start + number / 30.0)
        if data.draw(st.integers(0, 30)) == 0:
            inputs.synchronizer.reconfigure(data.draw(st.integers(1, 8)), 0.02)
            inputs.check()


def test_a_message_may_go_unmatched_in_four_ways():
    inputs = Inputs(queue_size=2)
    inputs.send("/colour", 5.0)
    inputs.send("/colour", 5.0)  # replaces the one before
    assert inputs.statistics.unmatched["/colour"] == 1
    inputs.send("/colour", 5.1)
    inputs.send("/colour", 5.2)  # pushes out the oldest
    assert inputs.statistics.unmatched["/colour"] == 2
    inputs.send("/colour", 5.05)  # too old for a full queue
    assert inputs.statistics.unmatched["/colour"] == 3
    assert inputs.synchronizer.waiting["/colour"] == 2
    inputs.send("/colour", 1.0)  # time jumps back
    assert inputs.statistics.unmatched["/colour"] == 5
    assert inputs.synchronizer.waiting == {"/colour": 1, "/depth": 0, "/mask": 0, "/labels": 0}


def test_a_group_that_waits_for_its_camera_info_is_told():
    inputs = Inputs()
    inputs.send_all(1.0, MATCHED)
    assert inputs.synchronizer.waiting_for_camera_info
    inputs.send("/camera_info", 1.0)
    assert not inputs.synchronizer.waiting_for_camera_info
    assert inputs.stamps == [1.0]


@pytest.mark.parametrize("infos", [True, False])
def test_a_mask_that_comes_ten_frames_late_gives_every_frame(infos):
    inputs = Inputs(queue_size=20)
    late = 10
    stamps = [1.0 + k / 30.0 for k in range(40)]
    inputs.send("/camera_info", stamps[0])
    for k, stamp in enumerate(stamps):
        inputs.send_all(stamp, ("/colour", "/depth", "/labels"))
        if infos:
            inputs.send("/camera_info", stamp)
        if k >= late:
            inputs.send("/mask", stamps[k - late])
    inputs.synchronizer.finish()
    assert inputs.stamps == pytest.approx(stamps[:-late])
    assert set(inputs.statistics.unmatched.values()) == {0}
    assert inputs.synchronizer.lags()["/mask"] == pytest.approx(late / 30.0)


@pytest.mark.parametrize("late", [0, 1, 10])
def test_the_needed_queue_size_is_enough_for_a_late_mask(late):
    stamps = [1.0 + k / 30.0 for k in range(late + 20)]
    inputs = Inputs(required_queue_size(30.0, late / 30.0))
    for k, stamp in enumerate(stamps):
        inputs.send_all(stamp, ("/camera_info", "/colour", "/depth", "/labels"))
        if k >= late:
            inputs.send("/mask", stamps[k - late])
    assert len(inputs.frames) == 20


@pytest.mark.parametrize(
    ("rate_hz", "lag_s", "size"), [(30.0, 1.2, 38), (10.0, 1.1, 13), (30.0, 0.0, 2), (0.0, 1.0, 2)]
)
def test_the_needed_queue_size_grows_with_rate_and_lag(rate_hz, lag_s, size):
    assert required_queue_size(rate_hz, lag_s) == size


def test_lags_are_those_of_the_newest_stamps():
    inputs = Inputs()
    assert inputs.synchronizer.lags() == {}
    inputs.send("/colour", 5.0)
    inputs.send("/depth", 4.8)
    inputs.send("/mask", 3.8)
    inputs.send("/mask", 3.5)  # not its newest
    inputs.send("/camera_info", 9.0)  # may be from any time
    assert inputs.synchronizer.lags() == pytest.approx(
        {"/colour": 0.0, "/depth": 0.2, "/mask": 1.2}
    )


def test_after_a_jump_of_time_lags_begin_anew():
    inputs = Inputs()
    inputs.send_all(100.0)
    inputs.send("/colour", 1.0)
    assert inputs.synchronizer.lags() == {"/colour": 0.0}


def test_a_larger_queue_and_slop_take_effect_at_once_and_nothing_counted_is_lost():
    inputs = Inputs(queue_size=1, slop_s=0.001)
    inputs.send_all(1.0)
    inputs.send("/mask", 1.1)
    inputs.synchronizer.reconfigure(queue_size=3, slop_s=0.02)
    inputs.check()
    assert inputs.statistics.unmatched["/mask"] == 1
    assert inputs.statistics.accepted == 1
    for k in range(3):
        inputs.send_all(2.0 + k, ("/camera_info", "/colour", "/depth", "/labels"))
    inputs.send("/mask", 2.01)
    assert inputs.stamps == [1.0, 2.0]
    assert [frame.info.header.stamp.sec for frame in inputs.frames] == [1, 2]


def test_compressed_images_are_matched_like_raw_ones():
    inputs = Inputs()
    for topic in EVERYTHING:
        inputs.send(topic, 1.0, format="png", data=b"")
    assert inputs.stamps == [1.0]
    assert inputs.frames[0].depth.format == "png"
