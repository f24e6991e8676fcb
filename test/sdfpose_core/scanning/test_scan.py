"""From simulated images of a known object to its surface."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simulated_scans import scan_frames, surface_error

from sdfpose_core.errors import ScanError
from sdfpose_core.observation.camera_pose import MeasuredCameraPose
from sdfpose_core.scanning.scan import scan_object
from sdfpose_core.scanning.views import scan_view
from sdfpose_core.shapes.families import sample_model

COUNT = 10
WIDTH = 320


def views_of(frames):
    return [scan_view(f"image {i}", x, x.mask == 1) for i, x in enumerate(frames)]


@pytest.fixture(scope="module")
def true():
    return sample_model("camera", 5)


@pytest.fixture(scope="module")
def views(true):
    """Seen by a camera that knows its pose up to a millimetre."""
    return views_of(scan_frames(true, COUNT, width=WIDTH))


def test_measured_poses_give_the_surface(views, true):
    scan = scan_object("shot", "camera", views)
    error = surface_error(scan.model, true)
    assert error.of_true_m < 0.0025
    assert error.of_found_m < 0.0025
    assert error.seen_near > 0.9
    np.testing.assert_allclose(scan.model.dimensions_m[1], true.dimensions_m[1], atol=0.004)
    assert "measured camera poses of 10 images" in scan.report


def test_the_world_does_not_matter(views):
    """Any rotation and shift of the world, also one that is not level, gives the same surface."""
    turn = Rotation.from_rotvec([0.4, -1.0, 2.0]).as_matrix()
    shift = np.array([3.0, -1.0, 2.0])
    moved = [
        replace(
            x,
            camera_pose=MeasuredCameraPose(
                turn @ x.camera_pose.rotation, turn @ x.camera_pose.translation + shift
            ),
        )
        for x in views
    ]
    first, second = (scan_object("shot", "camera", x).model for x in (views, moved))
    assert surface_error(first, second).of_true_m < 5e-4


def test_images_without_a_pose_are_left_out(views):
    some = [replace(x, camera_pose=None) if i == 3 else x for i, x in enumerate(views)]
    report = scan_object("shot", "camera", some).report
    assert "1 images have no camera pose and were left out" in report


def test_few_images_are_refused(views):
    with pytest.raises(ScanError, match=r"1 images show the object.*expected at least 5"):
        scan_object("shot", "camera", views[:1])


def test_one_side_is_refused(views):
    with pytest.raises(ScanError, match="degrees only: expected a full turn"):
        scan_object("shot", "camera", views[:5])


def test_without_a_table_nothing_is_level(views):
    bare = [replace(x, plane=None) for x in views]
    with pytest.raises(ScanError, match="no table is seen"):
        scan_object("shot", "camera", bare)
    with pytest.raises(ScanError, match="image 0: no table is seen"):
        scan_object("shot", "camera", [replace(x, camera_pose=None) for x in bare])


def test_poses_of_another_frame_contradict_the_table(views):
    """The rotations are those of a camera that looks along x."""
    other = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    wrong = [
        replace(
            x,
            camera_pose=MeasuredCameraPose(
                x.camera_pose.rotation @ other, x.camera_pose.translation
            ),
        )
        for x in views
    ]
    with pytest.raises(ScanError, match="contradict the table"):
        scan_object("shot", "camera", wrong)


@pytest.mark.parametrize(
    ("shift_m", "message"),
    [
        (0.0, r"images agree with the surface.*stands still"),
        (0.1, r"enclose no volume.*stands still"),
    ],
)
def test_an_object_that_moves_on_its_table_is_refused(views, shift_m, message):
    """Every second image shows it turned, or ten centimetres aside as well."""
    moved = []
    for i, x in enumerate(views):
        pose = x.camera_pose
        if i % 2:
            turn = Rotation.from_rotvec([0.0, 1.2, 0.0]).as_matrix()
            pose = MeasuredCameraPose(
                turn @ pose.rotation, turn @ pose.translation + [shift_m, 0.0, 0.0]
            )
        moved.append(replace(x, camera_pose=pose))
    with pytest.raises(ScanError, match=message):
        scan_object("shot", "camera", moved)
