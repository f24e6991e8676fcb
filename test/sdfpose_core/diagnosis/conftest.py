"""Cameras whose messages are made of simulated frames, healthy and with faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sdfpose_core.diagnosis.camera import diagnose_camera
from sdfpose_core.diagnosis.findings import Finding
from sdfpose_core.diagnosis.sample import CameraSample
from sdfpose_core.diagnosis.sampling import CameraSampler
from sdfpose_core.messages.decoding import InputTopics
from sdfpose_core.messages.encoding import frame_messages
from sdfpose_core.messages.factory import header_message
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.appearance import random_illumination, repainted
from sdfpose_core.simulation.scene import Scene
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene

TOPICS = InputTopics(*(f"/camera/{x}" for x in InputTopics.__dataclass_fields__))

Messages = Mapping[str, Any]


def rendered(scene: Scene, times_s: Sequence[float], seed: int) -> list[RgbdFrame]:
    rng = np.random.default_rng(seed)
    return [simulated_frame(scene, TABLE_CAMERA, orbit(x), rng)[0] for x in times_s]


def camera_sample(
    bags: Any,
    frames: Sequence[RgbdFrame],
    change: Callable[[dict[str, Any], int], Messages] = lambda messages, _: messages,
    *,
    rate_hz: float = 15.0,
    count: int = 18,
) -> CameraSample:
    """Sample a camera that shows the frames in turn.

    Args:
        bags: the fixture.
        frames: what it shows.
        change: returns what of the messages of the image with this number is published.
        rate_hz: rate of the images.
        count: number of images.
    """
    sampler = CameraSampler(TOPICS, count / rate_hz)
    for i in range(count):
        stamp = 1_700_000_000_000_000_000 + round(1e9 * i / rate_hz)
        frame = frames[i * len(frames) // count]
        messages = frame_messages(bags.new, frame, header_message(bags.new, stamp, "optical"))
        for role, message in change(messages, i).items():
            sampler.take(f"/camera/{role}", message, stamp + 10_000_000)
    return sampler.sample()


def by_level(findings: Sequence[Finding], level: str) -> set[str]:
    return {x.name for x in findings if x.level == level}


@pytest.fixture(scope="session")
def table_views() -> list[RgbdFrame]:
    """Three images of a table, from all sides."""
    return rendered(table_scene(1), (0.0, 9.0, 25.0), 1)


@pytest.fixture(scope="session")
def printed_views() -> list[RgbdFrame]:
    """Three images of the same objects with prints and labels on them, on a patterned table."""
    scene = repainted(table_scene(4), np.random.default_rng(5), "printed")
    return rendered(scene, (4.0, 20.0, 37.0), 2)


@pytest.fixture(scope="session")
def cameras(bags: Any) -> SimpleNamespace:
    """What makes cameras and judges them."""

    def findings(frames: Sequence[RgbdFrame], *args: Any, **options: Any) -> list[Finding]:
        return diagnose_camera(camera_sample(bags, frames, *args, **options))

    def with_frames(
        frames: Sequence[RgbdFrame], change: Callable[[RgbdFrame], Mapping[str, Any]]
    ) -> list[RgbdFrame]:
        return [replace(x, **change(x)) for x in frames]

    return SimpleNamespace(
        topics=TOPICS,
        sample=lambda *args, **options: camera_sample(bags, *args, **options),
        findings=findings,
        by_level=by_level,
        with_frames=with_frames,
        rendered=rendered,
        light=random_illumination,
    )
