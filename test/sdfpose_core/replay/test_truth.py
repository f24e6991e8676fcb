from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import BagError, FrameError
from sdfpose_core.observation.frame import GroundTruth
from sdfpose_core.replay.truth import FileTruth, TopicTruth, TransformTruth, truth_source

CATEGORIES = default_categories()
OBJECTS, TF = "sdfpose/msg/SdfObjectArray", "tf2_msgs/msg/TFMessage"
SECOND = 1_000_000_000


def connections(**types):
    return [SimpleNamespace(topic=f"/{k.replace('__', '/')}", msgtype=v) for k, v in types.items()]


def truth(mask_id: int = 1, category: str = "mug", **changes) -> GroundTruth:
    fields = {
        "mask_id": mask_id,
        "category": category,
        "instance": f"{category}_{mask_id}",
        "rotation": Rotation.random(random_state=mask_id).as_matrix(),
        "translation": np.array([0.1, 0.2, 0.7]),
        "dimensions_m": np.array([0.1, 0.08, 0.07]),
        "symmetric_about_y": False,
    }
    return GroundTruth(**(fields | changes))


def test_the_topic_called_truth_is_found_by_itself():
    found = truth_source(
        None, connections(sdfpose__objects=OBJECTS, camera__ground_truth=OBJECTS), "b", CATEGORIES
    )
    assert isinstance(found, TopicTruth)
    assert list(found.listeners) == ["/camera/ground_truth"]
    assert truth_source(None, connections(sdfpose__objects=OBJECTS), "b", CATEGORIES) is None


def test_two_topics_called_truth_have_to_be_told_apart():
    two = connections(a__truth=OBJECTS, b__truth=OBJECTS)
    with pytest.raises(BagError, match=r"^b: /a/truth, /b/truth could all be the ground truth"):
        truth_source(None, two, "b", CATEGORIES)
    assert list(truth_source("/b/truth", two, "b", CATEGORIES).listeners) == ["/b/truth"]


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        (
            "/nowhere",
            r"^b: /nowhere, given for ground truth, is not in the bag: expected one of /x",
        ),
        ("/y", r"^b: /y, given for ground truth, has type std_msgs/msg/String"),
        ("tf:truth", r"^b: has no topic /tf, needed"),
    ],
)
def test_a_source_that_the_bag_lacks_is_named(wish, problem):
    with pytest.raises(BagError, match=problem):
        truth_source(wish, connections(x=OBJECTS, y="std_msgs/msg/String"), "b", CATEGORIES)


def test_truth_of_a_topic_is_matched_by_stamp(bags):
    source = TopicTruth("/truth")
    source.listeners["/truth"](bags.truth_of(5, [truth(1), truth(2, "can")]))
    assert [x.mask_id for x in source.at(5, "optical")] == [1, 2]
    np.testing.assert_allclose(source.at(5, "optical")[0].rotation, truth(1).rotation, atol=1e-12)
    assert source.at(6, "optical") is None


def test_objects_with_an_invalid_pose_are_there_without_a_pose(bags):
    message = bags.truth_of(5, [truth(1), truth(2), truth(3)])
    message.objects[0].pose.pose.position.x = float("nan")
    q = message.objects[1].pose.pose.orientation
    q.x = q.y = q.z = q.w = 0.0
    source = TopicTruth("/truth")
    source.listeners["/truth"](message)
    assert [x.has_pose for x in source.at(5, "optical")] == [False, False, True]


@pytest.mark.parametrize("count", [1, 2])
def test_a_message_without_any_pose_says_nothing_about_its_frame(bags, count):
    message = bags.truth_of(5, [GroundTruth.without_pose(i, "mug") for i in range(count)])
    source = TopicTruth("/truth")
    source.listeners["/truth"](message)
    assert source.at(5, "optical") is None


def test_an_empty_message_says_that_there_is_no_object(bags):
    source = TopicTruth("/truth")
    source.listeners["/truth"](bags.truth_of(5, []))
    assert source.at(5, "optical") == []


def entry(**changes):
    return {
        "id": 4, "category": "can", "R": np.eye(3).tolist(), "t": [0, 0, 1],
        "dimensions_m": [0.1, 0.2, 0.1],
    } | changes  # fmt: skip


def test_truth_of_a_file_is_matched_by_stamp(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps({"frames": [{"stamp_ns": 7, "objects": [entry()]}]}))
    source = FileTruth(path, CATEGORIES)
    (found,) = source.at(7, "any")
    assert (found.mask_id, found.category, found.symmetric_about_y) == (4, "can", True)
    assert found.dimensions_m.tolist() == [0.1, 0.2, 0.1]
    assert source.at(8, "any") is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "cannot be read as JSON"),
        ('{"a": 1}', "has no list 'frames'"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"frames": [{"stamp_ns": true, "objects": []}]}', "expected 'stamp_ns', an integer"),
        (
            json.dumps({"frames": [{"stamp_ns": 1, "objects": []}] * 2}),
            r"frames\[1\]: repeats the stamp 1 of an earlier frame",
        ),
        *(
            (
                json.dumps({"frames": [{"stamp_ns": 1, "objects": [entry(id=x)]}]}),
                r"frames\[0\]\.objects\[0\]: id is .*: expected an integer",
            )
            for x in ([], "can", 1e400, None, 1.5)
        ),
        ('{"frames": [{"objects": []}]}', r"frames\[0\]: expected 'stamp_ns', an integer"),
        (
            json.dumps({"frames": [{"stamp_ns": 1, "objects": [entry(category="cat")]}]}),
            r"frames\[0\]\.objects\[0\]: category is 'cat': expected one of bottle",
        ),
        (
            json.dumps({"frames": [{"stamp_ns": 1, "objects": [entry(R=[[1]])]}]}),
            r"frames\[0\]\.objects\[0\]: R is \[\[1\]\]: expected a rotation matrix",
        ),
        (
            json.dumps({"frames": [{"stamp_ns": 1, "objects": [entry(dimensions_m=[0, 1, 1])]}]}),
            r"extents_m is \[0, 1, 1\]: expected three finite positive numbers",
        ),
    ],
)
def test_a_file_that_is_no_truth_says_where(tmp_path, content, problem):
    path = tmp_path / "truth.json"
    path.write_text(content)
    with pytest.raises(FrameError, match=problem):
        FileTruth(path, CATEGORIES)


def test_transforms_are_followed_through_the_tree(bags):
    turn = Rotation.from_euler("xyz", [0.2, -0.4, 1.0]).as_matrix()
    source = TransformTruth("gt", CATEGORIES)
    source.listeners["/tf_static"](
        bags.transforms(0, ("base", "optical", turn, np.array([0.0, 0.1, 0.5])))
    )
    source.listeners["/tf"](
        bags.transforms(
            SECOND,
            ("world", "base", np.eye(3), np.array([1.0, 0.0, 0.0])),
            ("world", "gt/mug_3", turn, np.array([1.0, 0.3, 0.5])),
            ("world", "gt/car_1", turn, np.zeros(3)),
            ("other", "gt/can_2", turn, np.zeros(3)),
        )
    )
    other_tree, found = source.at(SECOND, "optical")
    assert (other_tree.mask_id, other_tree.has_pose) == (2, False)
    assert (found.mask_id, found.category, found.instance) == (3, "mug", "gt/mug_3")
    np.testing.assert_allclose(found.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found.translation, turn.T @ [0.0, 0.2, 0.0], atol=1e-12)
    assert np.isnan(found.dimensions_m).all()


def test_between_two_transforms_it_interpolates_and_beyond_them_nothing_is_known(bags):
    source = TransformTruth("gt", CATEGORIES)
    for stamp, angle, x in ((0, 0.0, 0.0), (100_000_000, 0.6, 0.1), (900_000_000, 0.6, 0.9)):
        turn = Rotation.from_euler("y", angle).as_matrix()
        message = bags.transforms(stamp, ("optical", "gt/can_1", turn, np.array([x, 0.0, 1.0])))
        source.listeners["/tf"](message)
    (found,) = source.at(25_000_000, "optical")
    np.testing.assert_allclose(found.translation, [0.025, 0.0, 1.0])
    np.testing.assert_allclose(Rotation.from_matrix(found.rotation).as_rotvec(), [0, 0.15, 0])
    assert source.at(500_000_000, "optical") is None  # 0.8 s without a transform
    assert source.at(901_000_000, "optical") is None
    (last,) = source.at(900_000_000, "optical")
    assert last.translation[0] == 0.9


def test_transforms_in_a_circle_end(bags):
    source = TransformTruth("gt", CATEGORIES)
    source.listeners["/tf"](
        bags.transforms(
            0,
            ("a", "gt/can_1", np.eye(3), np.zeros(3)),
            ("gt/can_1", "a", np.eye(3), np.zeros(3)),
        )
    )
    assert source.at(0, "optical") is None
