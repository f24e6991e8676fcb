"""Which operation is done with which object, without ROS."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.tracking.track import TrackState
from sdfpose_ros.planning_scene.scene_updates import (
    Operation,
    SceneObject,
    SceneReport,
    SceneRules,
    SceneUpdates,
)

RULES = SceneRules(
    min_confidence=0.5,
    min_move_m=0.01,
    min_turn_deg=5.0,
    min_size_change=0.1,
    min_shape_period_s=2.0,
    remove_after_s=3.0,
)
TRACKED, LOST = TrackState.TRACKED, TrackState.LOST
TENTATIVE, UNOBSERVED = TrackState.TENTATIVE, TrackState.UNOBSERVED
NONE = frozenset()


def seen(name="mug_1", *, at=(0.0, 0.0, 0.5), turned=(0.0, 0.0, 0.0), **changes):
    made = SceneObject(
        id=name,
        number=int(name.split("_")[1]),
        category=name.split("_")[0],
        state=TRACKED,
        confidence=0.8,
        rotation=Rotation.from_euler("xyz", turned, degrees=True).as_matrix(),
        translation=np.array(at),
        dimensions_m=np.array([0.1, 0.12, 0.08]),
        symmetric_about_y=False,
        shape=1,
    )
    return dataclasses.replace(made, **changes)


class Scene:
    """Updates, and a planning scene that follows them as MoveIt does."""

    def __init__(self):
        self.updates, self.now_s = SceneUpdates(RULES), 100.0
        self.world, self.attached = {}, set()

    def see(self, *objects, after_s=0.1, frame="base"):
        self.now_s += after_s
        return self.apply(self.updates.update(objects, frame, self.now_s))

    def apply(self, changes):
        for x in changes:
            if x.operation is Operation.ADD:
                self.world[x.id] = x.object
            elif x.operation is Operation.MOVE:
                assert x.id in self.world, f"{x.id} is moved, but not there"
                self.world[x.id] = x.object
            else:
                assert x.id in self.world, f"{x.id} is removed, but not there"
                del self.world[x.id]
        return [(x.operation.value, x.id) for x in changes]

    def attach(self, name):
        self.world.pop(name, None)
        self.attached.add(name)
        self.apply(self.updates.take(SceneReport(attached=frozenset(self.attached))))

    def detach(self, name, at=(9.0, 9.0, 9.0)):
        self.attached.discard(name)
        self.world[name] = seen(name, at=at)
        report = SceneReport(detached=frozenset({name}), present=frozenset({name}))
        self.apply(self.updates.take(report))

    def tell_all(self):
        self.apply(
            self.updates.take(
                SceneReport(True, frozenset(self.attached), present=frozenset(self.world))
            )
        )


@pytest.fixture
def scene():
    return Scene()


def test_a_tracked_object_is_added_once(scene):
    assert scene.see(seen()) == [("add", "mug_1")]
    assert scene.see(seen()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": 0.49},
        {"state": TENTATIVE},
        {"state": LOST},
        {"state": UNOBSERVED},
        {"state": 0},
        {"shape": None},
    ],
)
def test_what_is_not_certain_is_not_added(scene, changes):
    assert scene.see(seen(**changes)) == []
    assert scene.see(seen()) == [("add", "mug_1")]


def test_an_object_in_the_scene_may_lose_confidence(scene):
    scene.see(seen())
    assert scene.see(seen(confidence=0.1)) == []
    assert scene.see(seen(confidence=0.1, at=(0.1, 0.0, 0.5))) == [("move", "mug_1")]


@pytest.mark.parametrize(
    ("pose", "moves"),
    [
        ({"at": (0.009, 0.0, 0.5)}, False),
        ({"at": (0.011, 0.0, 0.5)}, True),
        ({"turned": (4.9, 0.0, 0.0)}, False),
        ({"turned": (5.1, 0.0, 0.0)}, True),
        ({"turned": (0.0, 180.0, 0.0)}, True),
        ({"turned": (0.0, 90.0, 0.0), "symmetric_about_y": True}, False),
        ({"turned": (5.1, 0.0, 0.0), "symmetric_about_y": True}, True),
        ({"turned": (180.0, 0.0, 0.0), "symmetric_about_y": True}, True),
    ],
)
def test_an_object_is_moved_when_it_moved_enough(scene, pose, moves):
    scene.see(seen())
    assert scene.see(seen(**pose)) == ([("move", "mug_1")] if moves else [])


def test_a_slow_drift_is_followed(scene):
    scene.see(seen())
    for i in range(1, 50):
        scene.see(seen(at=(0.003 * i, 0.0, 0.5)))
        away = np.linalg.norm(scene.world["mug_1"].translation - [0.003 * i, 0.0, 0.5])
        assert away <= RULES.min_move_m


def test_another_frame_means_another_pose(scene):
    scene.see(seen())
    assert scene.see(seen(), frame="map") == [("move", "mug_1")]


def test_another_size_is_added_at_once(scene):
    scene.see(seen())
    assert scene.see(seen(dimensions_m=np.array([0.105, 0.125, 0.08]))) == []
    assert scene.see(seen(dimensions_m=np.array([0.1, 0.12, 0.09]))) == [("add", "mug_1")]


def test_another_shape_is_added_at_most_once_in_its_period(scene):
    scene.see(seen())
    changes = [scene.see(seen(shape=2 + i), after_s=0.5) for i in range(8)]
    assert [bool(x) for x in changes] == [False, False, False, True] * 2
    assert scene.world["mug_1"].shape == 9


def test_what_is_outside_the_image_stays(scene):
    scene.see(seen())
    for _ in range(5):
        assert scene.see(seen(state=UNOBSERVED, shape=2), after_s=10.0) == []


@pytest.mark.parametrize("state", [LOST, TENTATIVE])
def test_what_is_lost_stays_where_it_was_and_is_removed_later(scene, state):
    scene.see(seen())
    lost = seen(state=state, at=(0.5, 0.0, 0.5))
    assert scene.see(lost) == []
    assert scene.see(lost, after_s=2.9) == []
    assert scene.see(lost, after_s=0.2) == [("remove", "mug_1")]
    assert scene.see(lost, after_s=9.0) == []
    assert scene.see(seen()) == [("add", "mug_1")]


def test_a_short_loss_does_not_count_for_the_next(scene):
    scene.see(seen())
    for _ in range(5):
        assert scene.see(seen(state=LOST), after_s=1.0) == []
        assert scene.see(seen(state=LOST), after_s=2.0) == []
        assert scene.see(seen(), after_s=1.0) == []


def test_what_is_no_longer_listed_is_removed(scene):
    scene.see(seen("mug_1"), seen("can_2"))
    assert scene.see(seen("can_2")) == [("remove", "mug_1")]
    assert scene.see() == [("remove", "can_2")]
    assert scene.see() == []


def test_an_id_that_comes_again_is_added_again(scene):
    scene.see(seen())
    scene.see()
    assert scene.see(seen(at=(0.3, 0.0, 0.5))) == [("add", "mug_1")]


def test_time_that_jumps_back_starts_the_waits_again(scene):
    scene.see(seen())
    scene.see(seen(state=LOST))
    assert scene.see(seen(state=LOST), after_s=-50.0) == []
    assert scene.see(seen(state=LOST), after_s=2.0) == []
    assert scene.see(seen(state=LOST), after_s=1.1) == [("remove", "mug_1")]


def test_an_attached_object_is_left_alone(scene):
    scene.see(seen())
    scene.attach("mug_1")
    assert scene.see(seen(at=(1.0, 0.0, 0.5)), after_s=9.0) == []
    assert scene.see(seen(shape=7, dimensions_m=np.full(3, 0.3)), after_s=9.0) == []
    assert scene.see(seen(state=LOST), after_s=9.0) == []
    assert scene.see(seen(state=LOST), after_s=9.0) == []
    assert scene.see(after_s=9.0) == []
    assert scene.updates.clear() == []


def test_a_detached_object_is_moved_to_where_it_is_seen(scene):
    scene.see(seen())
    scene.attach("mug_1")
    scene.see(seen(state=LOST))
    scene.detach("mug_1")
    assert scene.see(seen()) == [("move", "mug_1")]
    assert scene.see(seen()) == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_detached_object_that_is_not_seen_is_removed_later(scene, listed):
    scene.see(seen())
    scene.attach("mug_1")
    left = [seen(state=LOST)] if listed else []
    scene.see(*left, after_s=60.0)
    scene.detach("mug_1")
    assert scene.see(*left, after_s=2.9) == []
    assert scene.see(*left, after_s=0.2) == [("remove", "mug_1")]


def test_an_object_that_was_attached_before_it_was_seen_is_not_added(scene):
    scene.attach("mug_1")
    assert scene.see(seen()) == []
    scene.detach("mug_1")
    assert scene.see(seen()) == [("add", "mug_1")]


def test_an_object_that_was_added_while_it_was_attached_is_taken_out_of_the_world(scene):
    scene.see(seen())
    twice = SceneReport(attached=frozenset({"mug_1"}), present=frozenset({"mug_1"}))
    assert scene.apply(scene.updates.take(twice)) == [("remove", "mug_1")]
    scene.attached.add("mug_1")
    assert scene.see(seen(shape=5), after_s=9.0) == []


def test_objects_of_others_are_not_touched(scene):
    scene.see(seen())
    table = frozenset({"table", "mug_1"})
    assert scene.updates.take(SceneReport(True, frozenset({"tool"}), present=table)) == []
    assert scene.see(seen()) == []
    assert scene.apply(scene.updates.clear()) == [("remove", "mug_1")]


def test_a_scene_that_starts_again_gets_all_objects(scene):
    scene.see(seen("mug_1"), seen("can_2"), seen("can_3"))
    unobserved = seen("can_2", state=UNOBSERVED)
    scene.see(seen("mug_1"), unobserved, seen("can_3", state=LOST))
    scene.world.clear()
    scene.tell_all()
    again = scene.see(seen("mug_1"), unobserved, seen("can_3", state=LOST))
    assert again == [("add", "mug_1"), ("add", "can_2"), ("add", "can_3")]
    assert scene.see(seen("can_3", state=LOST), after_s=3.0)[-1] == ("remove", "can_3")


def test_an_object_that_somebody_removes_is_added_again(scene):
    scene.see(seen())
    del scene.world["mug_1"]
    scene.updates.take(SceneReport(removed=frozenset({"mug_1"})))
    assert scene.see(seen()) == [("add", "mug_1")]


def test_another_listener_gets_all_objects(scene):
    scene.see(seen("mug_1"), seen("can_2"))
    scene.updates.add_all_again()
    assert scene.see(seen("mug_1")) == [("remove", "can_2"), ("add", "mug_1")]
    assert scene.see(seen("mug_1")) == []


NAMES = ("mug_1", "can_2", "bowl_3")
OBJECTS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([0, *TrackState]),
        st.floats(0.0, 1.0),
        st.floats(-0.05, 0.05),
        st.floats(-10.0, 10.0),
        st.sampled_from([None, 1, 2]),
    ),
    max_size=3,
    unique_by=lambda x: x[0],
)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("see"), OBJECTS, st.floats(-1.0, 4.0)),
        st.tuples(st.just("attach"), st.sampled_from(NAMES)),
        st.tuples(st.just("detach"), st.sampled_from(NAMES)),
        st.tuples(st.just("tell")),
    ),
    max_size=25,
)


@given(events=EVENTS)
@settings(max_examples=100, deadline=None)
def test_the_scene_is_in_step_whatever_happens(events):
    """Nothing is moved or removed that is not there, nothing attached is touched, and what is
    tracked stands where it is seen, within the thresholds."""
    scene = Scene()
    for event, *arguments in events:
        if event == "see":
            objects = [
                seen(n, state=s, confidence=c, at=(x, 0.0, 0.5), turned=(a, 0.0, 0.0), shape=shape)
                for n, s, c, x, a, shape in arguments[0]
            ]
            changes = scene.see(*objects, after_s=arguments[1])
            assert not {i for _, i in changes} & scene.attached
            assert len(changes) == len({i for _, i in changes})
            for x in objects:
                there = scene.world.get(x.id)
                if there is None or x.id in scene.attached or x.state not in (TRACKED, UNOBSERVED):
                    continue
                assert np.linalg.norm(there.translation - x.translation) <= RULES.min_move_m + 1e-9
        elif event == "attach":
            if arguments[0] in scene.world:
                scene.attach(arguments[0])
        elif event == "detach":
            if arguments[0] in scene.attached:
                scene.detach(arguments[0])
        else:
            scene.tell_all()
        assert scene.updates.ids == scene.world.keys()
    scene.apply(scene.updates.clear())
    assert not scene.world
