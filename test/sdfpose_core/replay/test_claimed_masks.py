"""`sdfpose replay --masks`: objects that are followed keep masks of their own when they touch."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from followed_objects import TABLE_CAMERA, VIEW, followed, moved, overlap, touching, view
from tracker_fakes import FakeEstimator

from sdfpose_core.cli import replay
from sdfpose_core.cli.main import main
from sdfpose_core.masks.tabletop import TabletopMasks

GAPS_M = (0.08, 0.07, 0.06, 0.05, 0.03, 0.01, 0.0, 0.0)
"""Between a mug and a can that is pushed toward it; the tabletop masks part 22 mm."""


CAMERA = TABLE_CAMERA.resize(320, 240)
MUG, CAN = touching()


def scene(gap_m):
    return [moved(MUG, x_m=-0.03), moved(CAN, x_m=gap_m - 0.03)]


class Knowing(FakeEstimator):
    """Knows the shapes, and where the objects of the scene may be."""

    device = torch.device("cpu")

    def __init__(self, *_):
        super().__init__(self._truth)
        self._places = [x for gap_m in sorted(set(GAPS_M)) for x in scene(gap_m)]

    def load(self, category):
        pass

    def _truth(self, instance, warm):
        same = [x for x in self._places if x.category == instance.category]
        if not same:
            return None

        def distance(item):
            visible = VIEW.to_camera(item.translation) - instance.middle
            return float(np.linalg.norm(visible[:2]))

        nearest = min(same, key=distance)
        if distance(nearest) > 0.03:
            return None
        true = followed(nearest)
        names = ("rotation", "translation", "scale", "dimensions_m", "vertices", "faces")
        return {x: getattr(true, x) for x in names} | {"symmetric_about_y": False}


@pytest.fixture(scope="module")
def frames():
    return [
        replace(view(scene(gap_m), seed=k, camera=CAMERA), stamp_ns=(1 + k) * 10**8)
        for k, gap_m in enumerate(GAPS_M)
    ]


def test_followed_objects_keep_their_masks_when_they_touch(frames, bags, tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "PoseEstimator", Knowing)
    config = replay.TrackerConfig
    monkeypatch.setattr(replay, "TrackerConfig", lambda **_: config(verification_delay_s=0.0))
    bag = bags.write(tmp_path / "bag", frames)
    path = tmp_path / "r.json"
    assert main(["replay", str(bag), "--json", str(path), "--masks", "tabletop"]) == 0

    alone = TabletopMasks().segment(frames[-1].depth, frames[-1].camera)
    assert len(alone.labels) == 1
    document = json.loads(path.read_text())
    assert {x["found"] for x in document["masks"]["frames"].values()} == {2}
    assert document["masks"]["mean"]["merged"] == 0.0
    ids = set()
    for number, frame in enumerate(frames):
        file = tmp_path / "r_masks" / f"{number:06d}" / "mask.png"
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        best = {}
        for true_id in (1, 2):
            own = frame.mask == true_id
            best[true_id] = max(set(np.unique(mask)) - {0}, key=lambda i: overlap(mask == i, own))
            assert overlap(mask == best[true_id], own) > 0.85
        ids.add(tuple(best.items()))
    assert len(ids) == 1
    assert [len(x["objects"]) for x in document["frames"]] == [2] * len(frames)
