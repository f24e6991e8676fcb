from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.categories import default_categories
from sdfpose_core.datasets.nocs import NocsImage, nocs_camera
from sdfpose_core.datasets.nocs_poses import canonical_yaw, nocs_poses
from sdfpose_core.evaluation import rotation_error_deg
from sdfpose_core.simulation.frames import simulated_frame
from sdfpose_core.simulation.mask_noise import MaskNoise
from sdfpose_core.simulation.nocs_data import object_coordinates
from sdfpose_core.simulation.rendering import render
from sdfpose_core.simulation.sensor import SensorNoise
from sdfpose_core.simulation.tabletop import orbit, table_scene

CATEGORIES = default_categories()


@pytest.fixture(scope="module")
def table():
    """A demonstration frame with its map of coordinates, and the true poses."""
    scene, camera, pose = table_scene(3), nocs_camera("Real"), orbit(0.4)
    frame, truths = simulated_frame(
        scene,
        camera,
        pose,
        np.random.default_rng(0),
        noise=SensorNoise.mild(),
        mask_noise=MaskNoise.none(),
    )
    rendering = render(scene, camera, pose, colour=False)
    coordinates = object_coordinates(rendering, camera, truths)
    models = {x.mask_id: x.instance for x in truths}
    return NocsImage("table", frame, coordinates, models), truths


def sides(truths):
    return {x.instance: x.dimensions_m / x.scale for x in truths}


def test_poses_and_sizes_are_those_of_the_scene(table):
    image, truths = table
    found, problems = nocs_poses(image, CATEGORIES, sides(truths), np.random.default_rng(0))
    assert problems == []
    assert [x.mask_id for x in found] == [x.mask_id for x in truths]
    for a, b in zip(found, truths, strict=True):
        assert a.symmetric_about_y == b.symmetric_about_y
        assert rotation_error_deg(a.rotation, b.rotation, b.symmetric_about_y) < 1.5
        np.testing.assert_allclose(a.translation, b.translation, atol=0.006)
        np.testing.assert_allclose(a.dimensions_m, b.dimensions_m, rtol=0.03)


def test_without_models_the_size_is_that_of_what_is_seen(table):
    image, truths = table
    found, _ = nocs_poses(image, CATEGORIES, {}, np.random.default_rng(0))
    for a, b in zip(found, truths, strict=True):
        assert (a.dimensions_m < 1.05 * b.dimensions_m).all()


def test_outliers_of_depth_do_not_count(table):
    image, truths = table
    rng = np.random.default_rng(0)
    wrong = rng.random(image.frame.depth.shape) < 0.3
    depth = image.frame.depth + np.where(wrong, 0.4, 0.0).astype(np.float32)
    spoilt = replace(image, frame=replace(image.frame, depth=depth))
    found, _ = nocs_poses(spoilt, CATEGORIES, sides(truths), rng)
    for a, b in zip(found, truths, strict=True):
        np.testing.assert_allclose(a.translation, b.translation, atol=0.01)


def test_what_has_no_pose_is_named(table):
    image, truths = table
    one, two = truths[0].mask_id, truths[1].mask_id
    depth = np.where(image.frame.mask == one, 0.0, image.frame.depth)
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, image.coordinates.shape).astype(np.float32)
    coordinates = np.where((image.frame.mask == two)[..., None], noise, image.coordinates)
    spoilt = replace(image, frame=replace(image.frame, depth=depth), coordinates=coordinates)
    found, problems = nocs_poses(spoilt, CATEGORIES, sides(truths), np.random.default_rng(0))
    assert [x.mask_id for x in found] == [x.mask_id for x in truths[2:]]
    assert f"instance {one} ({truths[0].category}) has 0 pixels with depth" in problems[0]
    assert f"instance {two} ({truths[1].category}) has no pose" in problems[1]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), angle=st.floats(-3.1, 3.1))
def test_the_canonical_yaw_is_the_nearest_to_the_identity_and_the_same_for_all(seed, angle):
    rotation = Rotation.random(random_state=seed).as_matrix()
    turned = rotation @ Rotation.from_euler("y", angle).as_matrix()
    canonical = canonical_yaw(rotation)
    np.testing.assert_allclose(canonical[:, 1], rotation[:, 1], atol=1e-12)
    np.testing.assert_allclose(canonical_yaw(turned), canonical, atol=1e-6)
    assert np.trace(canonical) >= np.trace(turned) - 1e-9
