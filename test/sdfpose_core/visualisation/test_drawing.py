import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simple_estimates import GREY, make_estimate, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import Instance
from sdfpose_core.observation.free_space import FreeSpace
from sdfpose_core.visualisation.drawing import draw_instance, draw_overlay

CATEGORIES = default_categories()
NOTHING = np.zeros((0, 3), np.float32)


def touched(image):
    return np.any(image != GREY, axis=-1)


def test_an_instance_without_colour_is_drawn_over_its_depth():
    v, u = np.mgrid[0:96, 0:96]
    outside = np.maximum(np.hypot(u - 48, v - 48) - 20, 0.0).astype(np.float32)
    free = FreeSpace(
        np.where(u < 90, 0.8 + 0.001 * u, 0.0).astype(np.float32),
        outside,
        PinholeCamera(96, 96, 90.0, 90.0, 48.0, 48.0),
        0.0,
    )
    nothing = np.zeros((0, 3), np.float32)
    instance = Instance(1, "mug", 1.0, nothing, np.zeros((0, 2), np.int32), free, 0)
    bare = draw_instance(instance, [], CATEGORIES, side=192)
    assert bare.shape == (192, 192, 3)
    assert (bare[96, 96] == 230).all()  # the object's own pixels
    assert bare[20, 20, 0] > bare[20, 150, 0] > bare[20, 190, 0] == 0  # near, far, unknown
    drawn = draw_instance(instance, [make_estimate(side=0.2)], CATEGORIES, side=192)
    changed = np.any(drawn != bare, axis=-1)
    assert changed[96, 96]
    assert not changed[:20].any()


def test_a_plain_picture_shows_outlines_in_place_of_the_image():
    frame = make_frame()
    frame.mask[100:200, 300:400] = 7
    image = draw_overlay(frame, [], CATEGORIES, plain=True)
    light, dark = image[0, 0], image[150, 300]
    assert light.min() > 230
    assert dark.max() < 100
    assert np.array_equal(image[150, 350], light)  # inside the mask
    assert (image != light).any(axis=-1).sum() < 2000


def test_nothing_to_draw_gives_a_copy():
    frame = make_frame()
    image = draw_overlay(frame, [], CATEGORIES)
    assert image is not frame.colour
    assert not np.shares_memory(image, frame.colour)
    np.testing.assert_array_equal(image, frame.colour)


def test_the_frame_is_left_alone_and_the_object_is_drawn_in_its_place():
    frame = make_frame()
    image = draw_overlay(frame, [make_estimate()], CATEGORIES)
    assert image.dtype == np.uint8
    assert image.shape == (480, 640, 3)
    assert np.all(frame.colour == GREY)
    rows, columns = np.nonzero(touched(image))
    assert rows.mean() == pytest.approx(240, abs=15)
    assert columns.mean() == pytest.approx(320, abs=15)
    assert rows.max() - rows.min() < 200


def test_the_surface_has_the_categorys_colour_and_the_shape_of_the_mesh():
    """A ball of radius r at distance d projects to a disc of radius f r / sqrt(d^2 - r^2)."""
    estimate = make_estimate(category="bottle")
    frame = make_frame()
    bare = dataclasses.replace(estimate, faces=NOTHING.astype(np.int32))
    with_mesh = draw_overlay(frame, [estimate], CATEGORIES)
    without = draw_overlay(frame, [bare], CATEGORIES)
    area = np.count_nonzero(np.any(with_mesh != without, axis=-1))
    radius = 0.9 * 640 * 0.05 / np.sqrt(0.8**2 - 0.05**2)
    assert area == pytest.approx(np.pi * radius**2, rel=0.2)  # lines and label hide some of it
    red, green, blue = with_mesh[240 + 12, 320 - 12].astype(int)
    assert green > red + 30
    assert green > blue + 30


def test_the_axes_are_red_green_and_blue():
    upright = np.diag([1.0, -1.0, -1.0])
    tilt = Rotation.from_euler("xy", [30, 40], degrees=True).as_matrix() @ upright
    estimate = dataclasses.replace(make_estimate(rotation=tilt), faces=NOTHING.astype(np.int32))
    frame = make_frame()
    image = draw_overlay(frame, [estimate], CATEGORIES).astype(int)
    length = 0.4 * np.linalg.norm(estimate.dimensions_m)
    for axis in range(3):
        middle = estimate.translation + 0.6 * length * estimate.rotation[:, axis]
        u, v = np.rint(frame.camera.project(middle)).astype(int)
        colour = image[v, u]
        assert np.argmax(colour) == axis
        assert colour[axis] > np.delete(colour, axis).max() + 50


def test_edges_of_the_box_that_the_object_hides_are_paler():
    """Seen straight on, the far face of a box lies within the near one."""
    estimate = make_estimate(rotation=np.eye(3), side=0.2, at=(0.0, 0.0, 0.5))
    estimate = dataclasses.replace(estimate, faces=NOTHING.astype(np.int32))
    frame = make_frame()
    image = draw_overlay(frame, [estimate], CATEGORIES).astype(int)
    colour = np.array(CATEGORIES["mug"].colour)

    def strength(z):
        u, v = np.rint(frame.camera.project(np.array([0.05, 0.1, z]))).astype(int)
        window = image[v - 2 : v + 3, u] - GREY
        return np.abs(window).sum() / np.abs(colour - GREY).sum()

    assert strength(0.4) > 1.5 * strength(0.6) > 0.2


def test_the_nearer_object_covers_the_farther_one():
    near = make_estimate("bottle", at=(0.0, 0.0, 0.6), mask_id=1)
    far = make_estimate("can", at=(0.0, 0.0, 0.9), mask_id=2)
    frame = make_frame()
    one = draw_overlay(frame, [near, far], CATEGORIES)
    other = draw_overlay(frame, [far, near], CATEGORIES)
    np.testing.assert_array_equal(one, other)
    red, green, _ = one[240 + 10, 320 - 20].astype(int)
    assert green > red


@pytest.mark.parametrize(
    "at",
    [
        (5.0, 0.0, 0.8),  # beside the image
        (0.3, 0.27, 0.5),  # across its corner
        (0.0, 0.0, 0.05),  # the camera is inside the box
        (0.05, 0.0, 0.01),
        (0.0, 0.0, 0.0),
        (0.0, 0.0, -0.8),  # behind the camera
        (0.0, 0.0, 1000.0),
        (1e9, -1e9, 1.0),
        (np.nan, 0.0, 1.0),
        (0.0, 0.0, np.inf),
    ],
)
@pytest.mark.parametrize("size", [(640, 480), (64, 48), (7, 5)])
@pytest.mark.filterwarnings("error")
def test_no_place_of_an_object_does_harm(at, size):
    frame = make_frame(*size)
    image = draw_overlay(frame, [make_estimate(at=at), make_estimate(mask_id=2)], CATEGORIES)
    assert image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize("at", [(5.0, 0.0, 0.8), (0.0, 0.0, -0.8), (np.nan, 0.0, 1.0)])
def test_objects_out_of_sight_leave_no_trace(at):
    assert not touched(draw_overlay(make_frame(), [make_estimate(at=at)], CATEGORIES)).any()


def test_an_unknown_category_is_drawn_in_grey():
    image = draw_overlay(make_frame(), [make_estimate("teapot")], CATEGORIES)
    assert touched(image).any()


def test_labels_of_objects_in_one_place_do_not_cover_each_other():
    frame = make_frame()
    estimates = [
        dataclasses.replace(
            make_estimate("mug", at=(0.002 * i, 0.0, 0.8), mask_id=i + 1),
            faces=NOTHING.astype(np.int32),
            dimensions_m=np.full(3, 1e-4),
        )
        for i in range(4)
    ]
    image = draw_overlay(frame, estimates, CATEGORIES)
    ground = np.all(image == CATEGORIES["mug"].colour, axis=-1)
    one = np.all(draw_overlay(frame, estimates[:1], CATEGORIES) == CATEGORIES["mug"].colour, -1)
    assert ground.sum() > 3.5 * one.sum()


def test_ids_replace_the_mask_ids():
    frame, estimate = make_frame(), make_estimate(mask_id=1)
    plain = draw_overlay(frame, [estimate], CATEGORIES)
    np.testing.assert_array_equal(draw_overlay(frame, [estimate], CATEGORIES, ids=[1]), plain)
    assert np.any(draw_overlay(frame, [estimate], CATEGORIES, ids=[88]) != plain)
    with pytest.raises(ValueError, match="2 ids for 1 estimates: expected one each"):
        draw_overlay(frame, [estimate], CATEGORIES, ids=[1, 2])
