"""Fakes and builders for the tests of the ROS package; without rclpy they are left out."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import (
    GroundTruth,
    InstanceLabel,
    ObjectEstimate,
    RgbdFrame,
    SkippedInstance,
)
from sdfpose_core.tracking.tracker import Track, TrackerResult, TrackState

HAS_ROS = importlib.util.find_spec("rclpy") is not None
collect_ignore_glob = [] if HAS_ROS else ["*test_*.py"]


def claim_domain() -> tuple[int, IO[bytes]]:
    """A ROS domain that no other test process of this user and machine has, and what holds it."""
    folder = Path(tempfile.gettempdir()) / f"sdfpose-test-domains-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for domain in random.SystemRandom().sample(range(1, 102), 101):
        held = (folder / str(domain)).open("wb")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            continue
        return domain, held
    raise RuntimeError(f"all ROS domains are in use (see {folder})")


if HAS_ROS:
    from sdfpose_ros.graph.middleware import one_machine_environment

    os.environ.update(one_machine_environment())
    # Other graphs on this machine must not be seen, nor see this one.
    DOMAIN, DOMAIN_HELD = claim_domain()
    os.environ["ROS_DOMAIN_ID"] = str(DOMAIN)

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


class StubTracker:
    """Gives each labelled mask id a known pose; can be slow, and can fail."""

    device = "stub"

    def __init__(self) -> None:
        self.frames: list[RgbdFrame] = []
        self.resets = 0
        self.failures: list[Exception] = []
        self.delay_s = 0.0
        self._before: set[int] = set()
        self.revision = 1

    def followed(self, frame: RgbdFrame) -> list[ObjectEstimate]:
        return []

    def step(self, frame: RgbdFrame) -> TrackerResult:
        self.frames.append(frame)
        time.sleep(self.delay_s)
        if self.failures:
            raise self.failures.pop(0)
        tracks, skipped = [], []
        for mask_id in np.unique(frame.mask[frame.mask > 0]).tolist():
            label = frame.labels.get(mask_id)
            if label is None:
                skipped.append(SkippedInstance(mask_id, "", f"mask id {mask_id} has no label"))
                continue
            shown = make_estimate(mask_id, label.category)
            tracks.append(make_track(100 + mask_id, shown, mesh_revision=self.revision))
        now = {track.id for track in tracks}
        removed, self._before = sorted(self._before - now), now
        return TrackerResult(tracks, removed, skipped, [], {})

    def reset(self) -> None:
        self.resets += 1
        self._before = set()

    def prepare(self, *, wait: bool = True) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


def make_rotation(seed: int) -> np.ndarray:
    from scipy.spatial.transform import Rotation

    return Rotation.random(random_state=seed).as_matrix()


def make_estimate(mask_id: int = 1, category: str = "mug", **changes: Any) -> ObjectEstimate:
    """A tetrahedron at a pose that depends on the mask id alone."""
    dimensions = np.array([0.10, 0.12, 0.08])
    vertices = np.array(
        [[-0.05, -0.06, -0.04], [0.05, -0.06, -0.04], [0.0, 0.06, -0.04], [0.0, 0.0, 0.04]],
        dtype=np.float32,
    )
    values: dict[str, Any] = {
        "mask_id": mask_id,
        "category": category,
        "rotation": make_rotation(mask_id),
        "translation": np.array([0.01 * mask_id, -0.02, 0.8]),
        "scale": float(np.linalg.norm(dimensions)),
        "dimensions_m": dimensions,
        "confidence": 0.75,
        "covariance": np.arange(36, dtype=np.float64).reshape(6, 6),
        "symmetric_about_y": False,
        "code": np.array([0.5, -1.5], dtype=np.float32),
        "decoder_translation": np.zeros(3),
        "decoder_scale": 0.2,
        "vertices": vertices,
        "faces": np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], dtype=np.int32),
        "normals": vertices / np.linalg.norm(vertices, axis=1, keepdims=True),
    }
    return ObjectEstimate(**{**values, **changes})


def make_track(
    track_id: int,
    estimate: ObjectEstimate,
    state: TrackState = TrackState.TRACKED,
    mesh_revision: int = 1,
) -> Track:
    return Track(track_id, state, estimate, mesh_revision, stamp_ns=0, age=1)


def make_frame(ids: tuple[int, ...] = (1,), **changes: Any) -> RgbdFrame:
    """Coloured noise, 0.8 m of depth, and a square per mask id."""
    rng = np.random.default_rng(7)
    mask = np.zeros((CAMERA.height, CAMERA.width), dtype=np.uint16)
    for place, mask_id in enumerate(ids):
        mask[10:20, 4 + 12 * place : 14 + 12 * place] = mask_id
    values: dict[str, Any] = {
        "colour": rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8),
        "depth": np.full((CAMERA.height, CAMERA.width), 0.8, dtype=np.float32),
        "mask": mask,
        "camera": CAMERA,
        "labels": {mask_id: InstanceLabel("mug", 0.5, detected=True) for mask_id in ids},
    }
    return RgbdFrame(**{**values, **changes})


def make_truth(mask_id: int = 1, category: str = "mug") -> GroundTruth:
    estimate = make_estimate(mask_id, category)
    return GroundTruth(
        mask_id,
        category,
        f"{category}_x",
        estimate.rotation,
        estimate.translation,
        estimate.dimensions_m,
        False,
    )


@pytest.fixture(scope="session")
def fakes() -> Any:
    """This module's classes and builders (test files cannot import a conftest)."""
    import sys

    return sys.modules[__name__]


@pytest.fixture
def estimate() -> ObjectEstimate:
    return make_estimate()


@pytest.fixture
def frame() -> RgbdFrame:
    return make_frame()


class Graph:
    """A context of its own with nodes that are spun in a thread."""

    def __init__(self) -> None:
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor

        self.context = Context()
        self._arguments: list[str] = []
        self._executor_type = SingleThreadedExecutor
        self._nodes: list[Any] = []
        self._threads: list[tuple[Any, threading.Thread]] = []

    def start(self, *arguments: str) -> Graph:
        import rclpy

        rclpy.init(args=["--ros-args", *arguments] if arguments else [], context=self.context)
        return self

    def spin(self, node: Any) -> Any:
        """Spin a node in a thread of its own until the test ends."""
        executor = self._executor_type(context=self.context)
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        self._nodes.append(node)
        self._threads.append((executor, thread))
        return node

    def stop(self) -> None:
        for executor, thread in self._threads:
            executor.shutdown(timeout_sec=2.0)
            thread.join(2.0)
        for node in self._nodes:
            node.destroy_node()
        self.context.try_shutdown()


@pytest.fixture
def graph() -> Iterator[Graph]:
    graph = Graph()
    yield graph
    graph.stop()


@pytest.fixture
def wait_until() -> Callable[..., None]:
    """Wait for a condition, and fail with what was awaited when it does not come true."""

    def wait(condition: Callable[[], object], what: str, timeout_s: float = 25.0) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited {timeout_s} s for {what}"
            time.sleep(0.01)

    return wait


@pytest.fixture
def make_bench(fakes: Any, graph: Any, wait_until: Any) -> Any:
    from pose_bench import Bench

    return lambda *arguments, **options: Bench(fakes, graph, wait_until, *arguments, **options)


@pytest.fixture
def bench(make_bench: Any) -> Any:
    return make_bench()
