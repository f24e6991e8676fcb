"""An object that turns before a still camera: the images tell how."""

import numpy as np
import pytest
from simulated_scans import scan_frames, surface_error

from sdfpose_core.errors import ScanError
from sdfpose_core.scanning.scan import scan_object
from sdfpose_core.scanning.views import scan_view
from sdfpose_core.shapes.families import sample_model


@pytest.fixture(scope="module")
def true():
    return sample_model("camera", 5)


@pytest.fixture(scope="module")
def frames(true):
    return list(scan_frames(true, 12, turntable=True, width=320))


def test_registration_gives_the_surface(frames, true):
    views = [scan_view(f"image {i}", x, x.mask == 1) for i, x in enumerate(frames)]
    scan = scan_object("shot", "camera", views)
    error = surface_error(scan.model, true)
    assert error.of_true_m < 0.003
    assert error.seen_near > 0.9
    assert "registration of 12 images to each other" in scan.report
    np.testing.assert_allclose(scan.model.dimensions_m[1], true.dimensions_m[1], atol=0.004)


def test_images_that_do_not_follow_each_other_are_refused(frames):
    """Steps of 150 degrees have nothing in common."""
    order = [5 * i % 12 for i in range(6)]
    views = [scan_view(f"image {i}", frames[i], frames[i].mask == 1) for i in order]
    with pytest.raises(ScanError, match=r"fit|agree|full turn"):
        scan_object("shot", "camera", views)
