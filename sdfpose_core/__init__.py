"""6D pose, size and full shape of unseen objects of known categories, without ROS.

The names below are the public interface. Each is imported when it is first used, so that importing
the package costs nothing.

Example:
    >>> from sdfpose_core import PoseEstimator, read_frame
    >>> estimator = PoseEstimator()                                   # doctest: +SKIP
    >>> for x in estimator(read_frame("frames/0001").frame):          # doctest: +SKIP
    ...     print(x.category, x.translation, x.dimensions_m)
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Read when torch is loaded. Threads that spin for long while they wait make everything several
# times slower as soon as other processes want the cores. Threads that never spin are slow on an
# idle machine: 149 ms per detected object in `bench speed`, in place of 84 ms.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "3000"}

if TYPE_CHECKING:
    from sdfpose_core.datasets.folder import read_frame
    from sdfpose_core.estimation.estimator import EstimatorConfig, PoseEstimator
    from sdfpose_core.observation.frame import ObjectEstimate, RgbdFrame
    from sdfpose_core.tracking.tracker import Tracker

__all__ = [
    "EstimatorConfig",
    "ObjectEstimate",
    "PoseEstimator",
    "RgbdFrame",
    "Tracker",
    "read_frame",
]

_HOME = {
    "EstimatorConfig": "estimation.estimator",
    "ObjectEstimate": "observation.frame",
    "PoseEstimator": "estimation.estimator",
    "RgbdFrame": "observation.frame",
    "Tracker": "tracking.tracker",
    "read_frame": "datasets.folder",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
