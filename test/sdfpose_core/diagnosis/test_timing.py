"""Prepared faults of stamps and rates are named, and only they."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from simple_estimates import make_frame

from sdfpose_core.diagnosis.timing import (
    check_clock,
    check_rate,
    check_stamps,
    check_synchronisation,
)


@pytest.fixture
def timing(cameras):
    """Findings about the stamps of a camera whose images show nothing; arguments as of `sample`."""

    def findings(*args, live=False, **options):
        sample = cameras.sample([make_frame(8, 8)], *args, **options)
        streams = sample.streams()
        checks = (
            check_rate(streams),
            check_stamps(streams),
            check_clock(streams, live=live),
            check_synchronisation(sample),
        )
        return [x for x in checks if x is not None]

    return findings


def test_a_healthy_camera_is_ok(timing):
    assert {x.name: x.level for x in timing()} == dict.fromkeys(
        ("rate", "stamps", "clock", "synchronisation"), "ok"
    )


def with_stamps(role: str, stamp: Callable[[int, int], int]) -> Callable:
    """Change the stamps of a role: from the right one, nanoseconds, and the image's number."""

    def change(messages, number):
        message = messages[role]
        right = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        sec, nanosec = divmod(stamp(right, number), 10**9)
        header = replace(
            message.header, stamp=replace(message.header.stamp, sec=sec, nanosec=nanosec)
        )
        return {**messages, role: replace(message, header=header)}

    return change


@pytest.mark.parametrize(
    ("role", "stamp", "name", "text"),
    [
        ("depth", lambda ns, _: ns + 3 * 3600 * 10**9, "synchronisation", "of another clock"),
        ("depth", lambda ns, _: ns - 86400 * 10**9, "synchronisation", "of another clock"),
        ("mask", lambda ns, _: ns - 3600 * 10**9, "synchronisation", "/camera/mask"),
        ("depth", lambda ns, _: ns + 33_000_000, "synchronisation", "set slop_s"),
        ("depth", lambda ns, _: 0, "stamps", "/camera/depth are zero"),
    ],
)
def test_stamps_of_another_clock_are_named(cameras, timing, role, stamp, name, text):
    findings = timing(with_stamps(role, stamp))
    faults = {x.name: x for x in findings if x.level == "fault"}
    assert name in faults
    assert faults.keys() <= {"synchronisation", "stamps"}
    assert text in faults[name].text


def test_stamps_that_go_back_are_named(cameras, timing):
    backward = with_stamps("colour", lambda ns, i: ns - (200_000_000 if i % 5 == 4 else 0))
    assert "stamps" in cameras.by_level(timing(backward), "fault")


def test_a_camera_far_from_the_clock_of_this_computer_is_a_warning(cameras, timing):
    def change(messages, number):
        for role in messages:
            messages = with_stamps(role, lambda ns, _: ns - 1_699_999_990 * 10**9)(messages, number)
        return messages

    findings = timing(change)
    assert cameras.by_level(findings, "fault") == set()
    assert cameras.by_level(findings, "warning") == {"clock"}


@pytest.mark.parametrize(("rate_hz", "level"), [(0.5, "fault"), (3.0, "warning"), (30.0, "ok")])
def test_a_low_rate_is_named(cameras, timing, rate_hz, level):
    findings = timing(rate_hz=rate_hz, count=12)
    assert next(x.level for x in findings if x.name == "rate") == level
    assert cameras.by_level(findings, "fault") <= {"rate"}


def test_lost_images_are_named(cameras, timing):
    rng = np.random.default_rng(0)

    def change(messages, _):
        return messages if rng.random() < 0.7 else {}

    findings = timing(change, count=40)
    finding = next(x for x in findings if x.name == "rate")
    assert finding.level == "warning"
    assert "of the images lost" in finding.text


def test_an_irregular_rate_is_named(cameras, timing):
    rng = np.random.default_rng(0)
    early = rng.integers(0, 40_000_000, size=40)

    def change(messages, number):
        for role in messages:
            shifted = with_stamps(role, lambda ns, i: ns - int(early[i]))
            messages = shifted(messages, number)
        return messages

    findings = timing(change, count=40)
    finding = next(x for x in findings if x.name == "rate")
    assert finding.level == "warning"
    assert "irregular" in finding.text


def test_a_late_camera_is_a_warning_only_if_it_is_live(cameras, timing):
    def change(messages, number):
        for role in messages:
            messages = with_stamps(role, lambda ns, _: ns - 2_000_000_000)(messages, number)
        return messages

    assert cameras.by_level(timing(change, live=True), "warning") == {"clock"}
    assert cameras.by_level(timing(change), "warning") == set()


def test_another_frame_id_is_named(cameras, timing):
    def change(messages, _):
        depth = messages["depth"]
        return {
            **messages, "depth": replace(depth, header=replace(depth.header, frame_id="infra"))
        }  # fmt: skip

    findings = timing(change)
    assert cameras.by_level(findings, "fault") == {"synchronisation"}
    assert "frame id 'infra'" in next(x.text for x in findings if x.level == "fault")


def test_images_without_a_camera_info_are_no_frames(cameras, timing):
    findings = timing(lambda messages, _: {k: messages[k] for k in ("colour", "depth")})
    assert cameras.by_level(findings, "fault") == {"synchronisation"}
    assert "no camera info" in next(x.text for x in findings if x.level == "fault")


def test_a_few_messages_say_nothing_about_the_rate(timing):
    assert "rate" not in {x.name for x in timing(count=3)}
