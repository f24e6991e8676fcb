"""The public names of the package, and what importing them costs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

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


SCRIPTS = sorted((Path(__file__).parents[2] / "training").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda x: x.name)
def test_scripts_import_the_package_before_torch(path):
    """Torch reads OMP_WAIT_POLICY when it is loaded."""
    modules = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            modules += [x.name for x in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules.append(node.module)
    roots = [x.split(".")[0] for x in modules]
    assert "torch" not in roots or roots.index("sdfpose_core") < roots.index("torch")


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "passive 3000"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"GOMP_SPINCOUNT": "7"}, "None 7"),
    ],
)
def test_waiting_threads_spin_for_a_short_time_unless_the_user_says_otherwise(given, expected):
    environment = {k: v for k, v in os.environ.items() if k not in WAITING} | given
    program = f"import sdfpose_core, os; print(*(os.environ.get(x) for x in {WAITING}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == expected
