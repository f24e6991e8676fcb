"""Fixtures of all tests: devices, a guard against devices left out, and small decoders."""

from __future__ import annotations

import sdfpose_core  # isort: skip  # noqa: F401  # sets how threads wait before torch is loaded

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray
from slow_files import SLOW_FILES
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.training import DecoderTraining, DecoderTrainingConfig
from sdfpose_core.shapes.sdf_samples import SdfSamples


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="leave out slow test files")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if not config.getoption("--quick"):
        return None
    path = collection_path.relative_to(Path(__file__).parent)
    return True if path.as_posix() in SLOW_FILES else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files whose fixtures take longest, so that one process runs them all.

    A process that is done takes over the last tests of another, and builds their fixtures anew.
    """
    first = Path(__file__).parent / "training", Path(__file__).parent / "packaging"
    items.sort(key=lambda item: not any(item.path.is_relative_to(x) for x in first))


# The same examples on every run and machine, and no failure because the machine is busy.
settings.register_profile("sdfpose", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("sdfpose")


@pytest.fixture(scope="session")
def nocs_sample() -> Path:
    """A folder with published images, models and poses of the NOCS data, which is not shipped."""
    beside = Path(__file__).parents[2] / "shared" / "nocs_sample"
    root = Path(os.environ.get("SDFPOSE_NOCS_SAMPLE", beside))
    if not (root / "Real" / "test").is_dir():
        pytest.skip(f"{root}: no sample of the NOCS data; set SDFPOSE_NOCS_SAMPLE to its folder")
    return root


_DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(params=_DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every device of this machine in turn."""
    return torch.device(request.param)


@pytest.fixture(autouse=True, scope="session")
def few_threads() -> Iterator[None]:
    """One thread of torch: tensors here are small, and results do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class ExplicitDevices(TorchFunctionMode):
    """Refuses tensors that are made without saying where."""

    FACTORIES = (
        torch.arange,
        torch.empty,
        torch.eye,
        torch.full,
        torch.linspace,
        torch.ones,
        torch.rand,
        torch.randint,
        torch.randn,
        torch.randperm,
        torch.tensor,
        torch.zeros,
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.FACTORIES and kwargs.get("device") is None:
            raise AssertionError(f"torch.{func.__name__} was called without a device")
        return func(*args, **kwargs)


@pytest.fixture
def explicit_devices() -> Callable[[], AbstractContextManager[Any]]:
    """``with explicit_devices():`` fails where a tensor is made without a device."""
    return ExplicitDevices


@dataclass(frozen=True)
class ClosedForm:
    """A solid whose signed distance is known exactly.

    Attributes:
        kind: ``sphere`` | ``box`` | ``cylinder`` (about y).
        half: (3,) half sides of the bounding box, object units; a sphere's are equal.
    """

    kind: str
    half: NDArray[np.float64]

    def distance(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Signed distance (...) of points (..., 3), object units."""
        if self.kind == "sphere":
            return np.linalg.norm(points, axis=-1) - self.half[0]
        if self.kind == "box":
            d = np.abs(points) - self.half
        else:
            radius = np.hypot(points[..., 0], points[..., 2])
            d = np.stack([radius - self.half[0], np.abs(points[..., 1]) - self.half[1]], axis=-1)
        outside = np.linalg.norm(np.maximum(d, 0.0), axis=-1)
        return outside + np.minimum(d.max(axis=-1), 0.0)

    def gradient(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradient (..., 3) of the distance by central differences."""
        step = 1e-5 * np.eye(3)
        return np.stack(
            [(self.distance(points + e) - self.distance(points - e)) / 2e-5 for e in step], axis=-1
        )

    def samples(self, rng: np.random.Generator, count: int) -> SdfSamples:
        """Half of the points near the surface, half anywhere in the ball of radius 0.55."""
        points = rng.normal(size=(2 * count, 3))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        points *= 0.55 * rng.random((2 * count, 1)) ** (1 / 3)
        near = points[count:]
        near -= (self.distance(near) + rng.normal(size=count) * 0.02)[:, None] * self.gradient(near)
        points = rng.permutation(np.concatenate([points[: count // 2], near[: count - count // 2]]))
        return SdfSamples(
            points.astype(np.float32),
            self.distance(points).astype(np.float32),
            self.gradient(points).astype(np.float32),
        )


@dataclass(frozen=True)
class TinyShapes:
    """A small decoder and the shapes that it was trained on.

    Attributes:
        decoder: in evaluation mode, float32, on the CPU.
        codes: (S, 8) codes of the shapes.
        shapes: S solids: spheres, boxes and cylinders by turns.
    """

    decoder: SdfDecoder
    codes: Tensor
    shapes: list[ClosedForm]


def _draw_shape(rng: np.random.Generator, kind: str) -> ClosedForm:
    if kind == "sphere":
        return ClosedForm(kind, np.full(3, rng.uniform(0.2, 0.4)))
    half = rng.uniform(0.5, 1.5, size=3)
    if kind == "cylinder":
        half[2] = half[0]
    return ClosedForm(kind, 0.5 * half / np.linalg.norm(half))


@pytest.fixture(scope="session")
def tiny_shapes(few_threads: None) -> TinyShapes:
    """A decoder that knows spheres, boxes and cylinders of many proportions, seconds old."""
    rng = np.random.default_rng(7)
    shapes = [_draw_shape(rng, kind) for kind in ("sphere", "box", "cylinder") * 8]
    samples = [shape.samples(rng, 3000) for shape in shapes]
    config = DecoderTrainingConfig(
        steps=300,
        shapes_per_step=24,
        points_per_shape=96,
        gradient_points=48,
        seed=1,
        decoder=DecoderConfig(code_length=8, width=64, hidden_layers=4),
    )
    training = DecoderTraining(samples, config, torch.device("cpu"))
    decoder = training.run()
    decoder.requires_grad_(False)
    return TinyShapes(decoder, training.codes.detach(), shapes)
