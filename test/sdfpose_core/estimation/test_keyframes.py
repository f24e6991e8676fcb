"""Several views of one object: which are kept, and how they move when its shape changes."""

import numpy as np
import pytest
import torch

from sdfpose_core.estimation.keyframes import Keyframes
from sdfpose_core.geometry.similarity import Similarity, so3_exp
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.refine.state import ShapePose


def instance(number):
    return Instance(
        number,
        "mug",
        1.0,
        np.ones((60, 3), np.float32),
        np.zeros((60, 2), np.int32),
        FreeSpace.unknown(),
        60,
    )


def state(yaw, distance=0.5, scale=0.2, code=(0.1, 0.2)):
    """An object half a metre before the camera, turned about its y axis."""
    return ShapePose(
        Similarity(
            so3_exp(torch.tensor([[0.0, yaw, 0.0]])),
            torch.tensor([[0.0, 0.0, distance]]),
            torch.tensor([scale]),
        ),
        torch.tensor([code]),
    )


def keyframes(yaws):
    found = Keyframes((instance(0),), state(yaws[0]))
    for number, yaw in enumerate(yaws[1:], start=1):
        found = found.with_view(instance(number), state(yaw))
    return found


def test_views_are_gathered():
    found = keyframes([0.0, 0.5, 1.0])
    assert [x.mask_id for x in found.instances] == [0, 1, 2]
    torch.testing.assert_close(
        found.state.similarity.rotation[1], so3_exp(torch.tensor([0, 0.5, 0]))
    )


def test_of_too_many_the_older_one_of_the_two_most_alike_is_left_out():
    found = keyframes([0.0, 1.0, 2.0, 2.1, 3.0, 4.0, 5.0])
    assert [x.mask_id for x in found.instances] == [0, 1, 3, 4, 5, 6]
    # The newest view stays, even if it is like another.
    found = found.with_view(instance(7), state(1.05))
    assert [x.mask_id for x in found.instances] == [0, 3, 4, 5, 6, 7]


def test_all_views_have_the_newest_size_and_code():
    found = keyframes([0.0, 0.5]).with_view(instance(2), state(1.0, scale=0.3, code=(0.5, 0.6)))
    assert found.state.similarity.scale.tolist() == pytest.approx([0.3] * 3)
    torch.testing.assert_close(found.state.codes, torch.tensor([[0.5, 0.6]] * 3))


def test_another_shape_moves_all_views_alike():
    """A point of the new one is at the same place of the object in every image."""
    found = keyframes([0.0, 0.7, 1.9])
    before = found.state[2:]
    after = ShapePose(
        Similarity(
            before.similarity.rotation @ so3_exp(torch.tensor([[0.1, -0.2, 0.3]])),
            before.similarity.translation + torch.tensor([[0.02, -0.01, 0.03]]),
            torch.tensor([0.25]),
        ),
        torch.tensor([[0.9, 0.8]]),
    )
    moved = found.reshaped(before, after)
    torch.testing.assert_close(
        moved.similarity[2:].rotation, after.similarity.rotation, atol=1e-6, rtol=0.0
    )
    torch.testing.assert_close(moved.similarity[2:].translation, after.similarity.translation)
    torch.testing.assert_close(moved.codes, after.codes.expand(3, -1))
    point = torch.tensor([[[0.1, 0.2, -0.1]]])
    old, new = found.state.similarity, moved.similarity
    metres = (new.transform(point.expand(3, -1, -1)) - old.translation.unsqueeze(1)) @ old.rotation
    torch.testing.assert_close(metres[0], metres[2], atol=1e-6, rtol=0.0)
    torch.testing.assert_close(metres[1], metres[2], atol=1e-6, rtol=0.0)
