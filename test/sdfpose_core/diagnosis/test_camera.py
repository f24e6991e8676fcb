"""Prepared faults of a camera are named, and a healthy camera has none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.simulation import simulated_frame
from sdfpose_core.simulation.appearance import repainted
from sdfpose_core.simulation.clutter import simulated_clutter
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.tabletop import TABLE_CAMERA, orbit, table_scene


def test_a_healthy_camera_has_neither_faults_nor_warnings(cameras, table_views, printed_views):
    for frames in (table_views, printed_views):
        findings = cameras.findings(frames)
        assert [x for x in findings if x.level != "ok"] == []
        assert {
            *("rate", "stamps", "clock", "synchronisation", "intrinsics", "alignment"),
            *("depth unit", "missing depth", "table", "exposure", "sharpness", "masks"),
        } == {x.name for x in findings}
        assert "not judged" not in " ".join(x.text for x in findings)


@pytest.mark.parametrize("seed", range(4))
def test_no_seed_gives_a_false_alarm(cameras, seed):
    noise = SensorNoise.strong() if seed % 2 else SensorNoise.mild()
    rng = np.random.default_rng(seed)
    scene = table_scene(10 + seed)
    scene = repainted(scene, rng, ("studio", "field", "printed")[seed % 3])
    frames = [
        simulated_frame(scene, TABLE_CAMERA, orbit(60.0 * rng.random()), rng, noise=noise)[0]
        for _ in range(2)
    ]
    assert cameras.by_level(cameras.findings(frames), "fault") == set()


@pytest.mark.parametrize("appearance", ["studio", "field", "printed"])
def test_clutter_gives_no_false_alarm(cameras, appearance):
    for x in simulated_clutter(8, 2, width=480, appearance=appearance, views_per_scene=1):
        labels = {i: InstanceLabel(name or "any") for i, name in x.categories.items()}
        frame = replace(x.frame, mask=x.ids, labels=labels)
        assert cameras.by_level(cameras.findings([frame], count=6), "fault") == set()


def test_masks_that_come_late_are_paired_with_their_images(cameras, table_views):
    waiting: list[dict] = []

    def change(messages, _):
        waiting.append({k: messages.pop(k) for k in ("mask", "labels")})
        return {**messages, **(waiting.pop(0) if len(waiting) > 5 else {})}

    assert cameras.by_level(cameras.findings(table_views, change), "fault") == set()


def test_without_masks_all_else_is_judged(cameras, table_views):
    def change(messages, _):
        return {k: messages[k] for k in ("colour", "depth", "camera_info")}

    findings = cameras.findings(table_views, change)
    assert [x for x in findings if x.level != "ok"] == []
    assert "--masks network" in next(x.text for x in findings if x.name == "masks")


def test_without_labels_the_categories_are_asked_for(cameras, table_views):
    def change(messages, _):
        return {k: x for k, x in messages.items() if k != "labels"}

    findings = cameras.findings(table_views, change)
    assert cameras.by_level(findings, "fault") == set()
    assert "set category" in next(x.remedy for x in findings if x.name == "masks")


def test_messages_that_cannot_be_decoded_are_named(cameras, table_views):
    def change(messages, _):
        return {**messages, "colour": replace(messages["colour"], encoding="yuv9")}

    findings = cameras.findings(table_views, change)
    assert "images" in cameras.by_level(findings, "fault")
    assert "yuv9" in next(x.text for x in findings if x.name == "images")


def test_nothing_is_said_about_a_camera_without_messages(cameras):
    assert cameras.findings([SimpleNamespace()], count=0) == []
