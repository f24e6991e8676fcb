"""`sdfpose replay --masks`: objects that are followed keep masks of their own when they touch."""

from __future__ import annotations

import json

import cv2
import pushed_objects

from sdfpose_core.cli import replay
from sdfpose_core.cli.main import main
from sdfpose_core.masks.tabletop import TabletopMasks


def test_followed_objects_keep_their_masks_when_they_touch(bags, tmp_path, monkeypatch):
    monkeypatch.setattr(replay, "PoseEstimator", pushed_objects.Knowing)
    config = replay.TrackerConfig
    monkeypatch.setattr(replay, "TrackerConfig", lambda **_: config(verification_delay_s=0.0))
    frames = pushed_objects.frames()
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
        best = pushed_objects.best_masks(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), frame)
        assert min(iou for _, iou in best.values()) > 0.85
        ids.add((best[1][0], best[2][0]))
    assert len(ids) == 1
    assert [len(x["objects"]) for x in document["frames"]] == [2] * len(frames)
