import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sdfpose_core.datasets.nocs_frames import MugFrame, pose_matrix, split_pose
from sdfpose_core.datasets.nocs_models import NocsModels
from sdfpose_core.shapes.body import BodyProfile
from sdfpose_core.shapes.mesh_files import read_mesh

# A body of radius 3 and height 9 with a handle that is 3 long: 9 x 9 x 6.
SIZE = np.array([9.0, 9.0, 6.0])


def poses(seed, scale):
    rng = np.random.default_rng(seed)
    return pose_matrix(
        Rotation.random(random_state=seed).as_matrix(), rng.uniform(-1.0, 1.0, 3), scale
    )


def transformed(transform, points):
    return points @ transform[:3, :3].T + transform[:3, 3]


def test_closed_form_of_a_mug():
    """The axis is 1.5 beside the centre of the box, and the handle's end 6 from the axis."""
    diagonal = np.sqrt(81 + 81 + 36)
    frame = MugFrame.of_box(SIZE)
    np.testing.assert_allclose(frame.shift, [1.5 / diagonal, 0.0, 0.0])
    new_diagonal = np.sqrt(144 + 81 + 36)
    assert frame.scale == pytest.approx(diagonal / new_diagonal)
    rotation = Rotation.from_euler("y", 90, degrees=True).as_matrix()  # x of the mug is -z
    transform = pose_matrix(rotation, np.array([0.1, 0.2, 0.9]), 0.01 * diagonal)
    moved, size = frame.to_benchmark(transform, SIZE / diagonal)
    np.testing.assert_allclose(size, np.array([12.0, 9.0, 6.0]) / new_diagonal)
    np.testing.assert_allclose(split_pose(moved)[2], 0.01 * new_diagonal)
    np.testing.assert_allclose(split_pose(moved)[0], rotation, atol=1e-12)
    np.testing.assert_allclose(split_pose(moved)[1], [0.1, 0.2, 0.915])


@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(0.02, 2.0),
    sides=st.tuples(*3 * [st.floats(0.1, 1.0)]),
    shift=st.tuples(*3 * [st.floats(-0.3, 0.3)]),
)
def test_there_and_back_for_any_origin(seed, scale, sides, shift):
    transform = poses(seed, scale)
    size = np.array(sides) / np.linalg.norm(sides)
    frame = MugFrame.shifted(size, shift)
    moved, moved_size = frame.to_benchmark(transform, size)
    assert np.linalg.norm(moved_size) == pytest.approx(1.0)
    back, back_size = frame.to_ours(moved, moved_size)
    np.testing.assert_allclose(back, transform, atol=1e-12)
    np.testing.assert_allclose(back_size, size, atol=1e-12)
    # A point of the mug is at the same place in the camera's frame.
    points = np.random.default_rng(seed).uniform(-0.5, 0.5, (5, 3))
    np.testing.assert_allclose(
        transformed(moved, frame.scale * (points + frame.shift)),
        transformed(transform, points),
        atol=1e-12,
    )


@given(sides=st.tuples(*3 * [st.floats(0.1, 1.0)]))
def test_the_frame_follows_from_either_box(sides):
    size = np.array(sides)
    size[0] += size[2]  # a handle extends the box
    frame = MugFrame.of_box(size)
    _, moved = frame.to_benchmark(np.eye(4), size / np.linalg.norm(size))
    again = MugFrame.of_benchmark_box(moved)
    np.testing.assert_allclose(again.shift, frame.shift, atol=1e-12)
    assert again.scale == pytest.approx(frame.scale)


def test_an_estimate_is_converted_by_the_axis_of_its_body():
    rotation = Rotation.random(random_state=1).as_matrix()
    centre, dimensions = np.array([0.1, 0.0, 0.8]), np.array([0.12, 0.1, 0.08])
    scale = np.linalg.norm(dimensions)
    estimate = pose_matrix(rotation, centre, scale), dimensions / scale
    frame = MugFrame.of_box(dimensions, axis_x=-0.018)
    transform, size = frame.to_benchmark(*estimate)
    moved_rotation, origin, moved_scale = split_pose(transform)
    np.testing.assert_allclose(moved_rotation, rotation, atol=1e-12)
    np.testing.assert_allclose(origin, centre - 0.018 * rotation[:, 0])
    np.testing.assert_allclose(moved_scale * size, [0.156, 0.1, 0.08])
    assert np.linalg.norm(size) == pytest.approx(1.0)
    # Without the axis, the body is as wide along x as along z.
    transform, size = MugFrame.of_box(dimensions).to_benchmark(*estimate)
    np.testing.assert_allclose(transform[:3, 3], centre - 0.02 * rotation[:, 0])
    np.testing.assert_allclose(split_pose(transform)[2] * size, [0.16, 0.1, 0.08])


def test_the_sample_s_mug_stands_on_the_axis_of_its_body(nocs_sample):
    vertices, faces = read_mesh(nocs_sample / "obj_models" / "real_test" / "mug_daniel_norm.obj")
    models, problems = NocsModels(nocs_sample, "Real/test"), []
    size = models.size("mug_daniel_norm", problems)
    diagonal = np.linalg.norm(np.ptp(vertices, axis=0))
    np.testing.assert_allclose(size, 2.0 * np.abs(vertices).max(axis=0) / diagonal, atol=1e-5)
    frame = models.mug_frame("mug_daniel_norm", size, problems)
    assert problems == []
    moved = frame.scale * (vertices / diagonal + frame.shift)
    body = BodyProfile.of(moved, faces)
    assert body.axis_x_m == pytest.approx(0.0, abs=1e-5)
    _, moved_size = frame.to_benchmark(np.eye(4), size)
    np.testing.assert_allclose(moved_size, 2.0 * np.abs(moved).max(axis=0), atol=1e-5)
    # From the decoded surface's point of view: the profile's axis gives the same frame.
    own = BodyProfile.of(vertices, faces)
    np.testing.assert_allclose(
        MugFrame.of_box(np.ptp(vertices, axis=0), own.axis_x_m).shift, frame.shift, atol=1e-5
    )
