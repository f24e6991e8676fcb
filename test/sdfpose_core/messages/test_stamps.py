"""What is said of stamps that do not agree: the cause, and values that can be set."""

from __future__ import annotations

import re

import pytest

from sdfpose_core.messages.stamps import MAX_QUEUE_SIZE, RecentStamps

NOW = 1.8e9
"""Seconds since 1970."""


def explained(stamps: dict[str, list[float]], rate_hz=10.0, queue_size=20) -> str:
    recent = RecentStamps()
    for topic, seconds in stamps.items():
        for x in seconds:
            recent.add(topic, round(x * 1e9))
    return recent.explain("/colour", rate_hz, queue_size)


def stream(start: float, step: float = 0.1, count: int = 20) -> list[float]:
    return [start + step * i for i in range(count)]


@pytest.mark.parametrize("since_boot", [100.0, 1e5])
@pytest.mark.parametrize("topic", ["/mask", "/depth"])
def test_the_clock_of_one_topic_is_another_one(since_boot, topic):
    stamps = {x: stream(NOW) for x in ("/colour", "/depth", "/mask")}
    text = explained(stamps | {topic: stream(since_boot)})
    assert text.startswith(f"the stamps of {topic} are 1")
    assert "s behind those of /colour: they are of another clock" in text
    assert "queue_size" not in text
    assert "copy the stamp of /colour" in text


def test_a_topic_that_is_ahead_is_named_and_not_those_behind():
    stamps = {"/colour": stream(NOW), "/depth": stream(NOW), "/mask": stream(NOW + 1e6)}
    assert explained(stamps).startswith("the stamps of /mask are 1000000 s ahead of those")


def test_the_clock_of_the_colour_images_is_named_when_all_others_agree():
    stamps = {"/colour": stream(50.0), "/depth": stream(NOW), "/mask": stream(NOW)}
    text = explained(stamps)
    assert text.startswith("the stamps of /colour are 17999999")
    assert "let the driver use the system time" in text


@pytest.mark.parametrize(
    ("zero", "remedy"), [("/mask", "copy the stamp of /colour"), ("/colour", "fill in the header")]
)
def test_stamps_of_zero_are_named(zero, remedy):
    stamps = {x: stream(NOW) for x in ("/colour", "/depth", "/mask")} | {zero: [0.0] * 5}
    text = explained(stamps)
    assert text == f"the stamps of {zero} are zero: let the publisher {remedy}"


def test_a_late_topic_needs_a_larger_queue():
    stamps = {"/colour": stream(NOW), "/depth": stream(NOW), "/mask": stream(NOW - 3.0)}
    text = explained(stamps)
    assert text == "/mask is 3.00 s behind, which needs a queue_size of 32 (it is 20)"


@pytest.mark.parametrize("lag_s", [5.0, 20.0, 59.0, 200.0, 1e4, 1e9])
@pytest.mark.parametrize("rate_hz", [1.0, 30.0, 90.0])
@pytest.mark.parametrize("queue_size", [5, 1000])
def test_advice_can_be_followed(lag_s, rate_hz, queue_size):
    stamps = {"/colour": stream(NOW, 1 / rate_hz), "/mask": stream(NOW - lag_s, 1 / rate_hz)}
    text = explained(stamps, rate_hz, queue_size)
    for size in re.findall(r"queue_size of (\d+)", text):
        assert queue_size < int(size) <= MAX_QUEUE_SIZE


def test_stamps_that_are_a_little_apart_need_a_larger_slop():
    stamps = {"/colour": stream(NOW), "/depth": stream(NOW + 0.03), "/mask": stream(NOW)}
    text = explained(stamps)
    assert text.startswith("the stamps of /depth and /colour are at least 0.03 s apart")
    assert "slop_s to 0.036" in text


def test_lost_messages_do_not_need_a_larger_queue():
    stamps = {
        "/colour": [NOW, NOW + 4.0, NOW + 8.0],
        "/depth": [NOW + 1.0, NOW + 2.0, NOW + 7.0],
        "/mask": [NOW + x for x in range(9)],
    }
    text = explained(stamps, 0.6)
    assert "(3 on /colour, 3 on /depth, 9 on /mask): messages get lost" in text
    assert "queue_size" not in text
    assert "slop_s" not in text


def test_one_topic_alone_is_explained_too():
    assert explained({"/colour": stream(NOW)}).startswith("stamps seem to agree on some topics")
    assert explained({}).startswith("stamps seem to agree on some topics")
