"""The pose node in a real graph, with a camera alone: it makes the masks itself."""

from __future__ import annotations

import numpy as np
import pushed_objects
import pytest
from mask_frames import block_frame, empty_frame
from sdfpose.srv import SetCategory

from sdfpose_core.errors import ConfigurationError, WeightsError
from sdfpose_core.masks.sources import FILE, MASK_SOURCES
from sdfpose_core.messages.decoding import decode_mask, labels_from_message
from sdfpose_core.observation.frame import InstanceLabel
from sdfpose_core.tracking.tracker import Tracker, TrackerConfig
from sdfpose_ros.pose.mask_names import MASKS, TOPIC
from sdfpose_ros.pose.pose_node import PoseNode

MADE = ("-p", "masks:=tabletop")
OUTPUTS = ("objects", "mask", "labels")
ANY = InstanceLabel("any", detected=True)


def masks_of(bench, stamp):
    """The published mask and its labels."""
    labels = labels_from_message(bench.result(stamp, "labels"), "labels")
    return decode_mask(bench.result(stamp, "mask"), "mask"), labels


def test_a_camera_and_nothing_else(make_bench):
    bench = make_bench(*MADE, "-p", "category:=mug", outputs=OUTPUTS)
    topics = {f"/sdfpose/{x}" for x in ("colour", "depth", "camera_info")}
    assert set(bench.node.inputs[""].synchronizer.statistics.received) == topics
    frame = block_frame()
    stamp = bench.send(frame)
    assert [x.category for x in bench.result(stamp).objects] == ["mug", "mug"]
    mask, labels = masks_of(bench, stamp)
    np.testing.assert_array_equal(mask > 0, frame.mask > 0)
    assert labels.keys() == set(np.unique(mask)) - {0}
    assert {x.category for x in labels.values()} == {"mug"}
    assert bench.result(stamp, "mask").header == bench.result(stamp).header
    (taken,) = bench.tracker.frames
    np.testing.assert_array_equal(taken.mask, mask)
    assert bench.node.count_subscribers("/sdfpose/mask") == 1  # the test's own


def test_an_image_without_a_table_is_told(make_bench):
    bench = make_bench(*MADE, outputs=OUTPUTS)
    stamp = bench.send(empty_frame(0.0))
    assert not bench.result(stamp).objects
    assert not masks_of(bench, stamp)[0].any()
    assert bench.log.has("masks: no table in the depth image")


def test_a_reset_forgets_the_ids(make_bench):
    bench = make_bench(*MADE, "-p", "category:=mug", outputs=OUTPUTS)
    frame = block_frame()
    ids = [set(masks_of(bench, bench.send(frame))[1]) for _ in range(2)]
    assert ids[0] == ids[1]
    bench.reset.call(bench.reset.srv_type.Request())
    assert not ids[0] & set(masks_of(bench, bench.send(frame))[1])


def test_followed_objects_keep_their_masks_when_they_touch(make_bench):
    """As in a replay: test/sdfpose_core/replay/test_claimed_masks.py."""
    tracker = Tracker(pushed_objects.Knowing(), TrackerConfig(verification_delay_s=0.0))
    bench = make_bench(*MADE, outputs=OUTPUTS, tracker=tracker)
    ids = set()
    for frame in pushed_objects.frames():
        stamp = bench.send(frame)
        found = {x.category for x in bench.result(stamp).objects}
        mask, labels = masks_of(bench, stamp)
        best = pushed_objects.best_masks(mask, frame)
        assert found == {"mug", "can"}
        assert {x.category for x in labels.values()} == {"any"}
        assert min(iou for _, iou in best.values()) > 0.85
        ids.add((best[1][0], best[2][0]))
    assert len(ids) == 1


def test_a_category_is_for_all_masks(make_bench):
    bench = make_bench(*MADE, outputs=OUTPUTS)
    wrong = bench.call(SetCategory, "set_category", mask_id=2, category="bowl")
    assert not wrong.success
    assert "mask_categories has no effect with masks: tabletop" in wrong.message
    assert bench.call(SetCategory, "set_category", mask_id=0, category="bowl").success
    stamp = bench.send(block_frame())
    assert {x.category for x in bench.result(stamp).objects} == {"bowl"}


def test_masks_end_with_the_configuration(make_bench, wait_until):
    bench = make_bench(*MADE, "-p", "autostart:=false", outputs=OUTPUTS)
    assert bench.client.count_publishers("/sdfpose/mask") == 0
    bench.node.trigger_configure()
    wait_until(lambda: bench.client.count_publishers("/sdfpose/mask") == 1, "the publisher")
    bench.node.trigger_cleanup()
    wait_until(lambda: bench.client.count_publishers("/sdfpose/mask") == 0, "its end")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("masks:=magic",), "masks: 'magic': expected one of topic, tabletop"),
        (
            ("masks:=tabletop", "mask_categories:=['1:mug']"),
            "mask_categories has no effect with masks: tabletop.*expected category",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_the_start(graph, fakes, arguments, message):
    graph.start(*(part for x in arguments for part in ("-p", x)))
    with pytest.raises(ConfigurationError, match=message):
        PoseNode(lambda *_: fakes.StubTracker(), context=graph.context)


def test_the_network_has_its_weights_in_the_folder_of_weights(graph, fakes, tmp_path):
    (tmp_path / "masks.safetensors").write_text("no weights")
    graph.start("-p", "masks:=network", "-p", f"weights_dirs:=['{tmp_path}']")
    with pytest.raises(WeightsError, match=f"{tmp_path}/masks.safetensors"):
        PoseNode(lambda *_: fakes.StubTracker(), context=graph.context)


def test_the_names_are_those_of_the_sources():
    assert set(MASKS) - {TOPIC} == set(MASK_SOURCES) - {FILE}
