"""The public names of the package, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import sdfpose_core


@pytest.mark.parametrize("name", sdfpose_core.__all__)
def test_a_public_name_is_that_of_its_module(name):
    value = getattr(sdfpose_core, name)
    assert value.__name__ == name
    assert value.__module__.startswith("sdfpose_core.")
    assert name in dir(sdfpose_core)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'PoseEstimators'"):
        _ = sdfpose_core.PoseEstimators


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    program = f"{statement}; import sys; print(*sorted({{x.split('.')[0] for x in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_estimator_is_imported_without_open3d_or_ros():
    modules = loaded_after("from sdfpose_core import PoseEstimator, Tracker, read_frame")
    assert "torch" in modules
    assert not modules & {"open3d", "rclpy", "sdfpose", "matplotlib"}


def test_importing_the_package_loads_no_library():
    assert not loaded_after("import sdfpose_core") & {"torch", "numpy", "cv2", "yaml"}
