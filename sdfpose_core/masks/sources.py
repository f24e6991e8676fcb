"""Sources of instance masks by name: one interface for the backends that need an image alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from sdfpose_core.categories import Categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.masks.config import TabletopConfig
from sdfpose_core.masks.instance_mask import InstanceMask
from sdfpose_core.observation.frame import RgbdFrame
from sdfpose_core.packs.collection import Packs
from sdfpose_core.weights import MASKS_FILE

__all__ = [
    "FILE",
    "MASK_SOURCES",
    "NETWORK",
    "MaskBackend",
    "MaskBackendConfig",
    "make_mask_backend",
    "segment_alone",
    "weights_among",
]

FILE = "file"
"""Source of the masks that come with the frames, which needs no backend."""

NETWORK = "network"
"""The mask network."""

MASK_SOURCES = (
    FILE,
    "tabletop",
    NETWORK,
    "torchvision",
)
"""Names of the sources."""


class MaskBackend(Protocol):
    """Computes instance masks, with ids that persist from image to image."""

    def segment(self, frame: RgbdFrame) -> InstanceMask:
        """Segment the next image.

        Args:
            frame: its mask and labels are not read.
        """
        ...

    def reset(self) -> None:
        """Forget the objects of previous images."""
        ...


@dataclass(frozen=True)
class MaskBackendConfig:
    """Parameters of the backends; each uses those that concern it.

    Attributes:
        tabletop: parameters of the segmentation on a table.
        weights: weights file of a network; None for its default.
        device: device of a network: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        min_score: instances of a network with a lower score are dropped, 0 to 1.
    """

    tabletop: TabletopConfig = field(default_factory=TabletopConfig)
    weights: Path | None = None
    device: str = "auto"
    min_score: float = 0.5


def make_mask_backend(
    name: str, categories: Categories, config: MaskBackendConfig | None = None
) -> MaskBackend:
    """Create the backend of a source.

    Args:
        name: one of `MASK_SOURCES`, but not `FILE`.
        categories: all known categories.
        config: parameters of the backends.

    Raises:
        ConfigurationError: there is no backend of this name.
        MaskBackendError: a package is not installed, or weights cannot be downloaded or read.
        WeightsError: the weights of the mask network are missing, damaged or of another version.
        DeviceError: the device is not available.
    """
    if name not in MASK_SOURCES or name == FILE:
        raise ConfigurationError(
            f"no mask backend '{name}': expected one of {', '.join(MASK_SOURCES[1:])}"
        )
    return _MAKERS[name](categories, MaskBackendConfig() if config is None else config)


def weights_among(name: str, packs: Packs) -> Path | None:
    """The weights file of a source beside the user's packs; None for the source's default.

    Args:
        name: name of the source.
        packs: that are in use.
    """
    return packs.own_shared.get(MASKS_FILE) if name == NETWORK else None


def segment_alone(backend: MaskBackend, frame: RgbdFrame) -> InstanceMask:
    """Segment an image as if it were the first: its mask does not depend on previous images.

    Args:
        backend: forgets its objects.
        frame: see `MaskBackend.segment`.

    Returns:
        The mask, with ids that count from 1.
    """
    backend.reset()
    found = backend.segment(frame)
    places = {old: new for new, old in enumerate(sorted(found.labels), start=1)}
    new_id = np.zeros(max(places, default=0) + 1, dtype=np.uint16)
    new_id[list(places)] = list(places.values())
    labels = {places[old]: label for old, label in found.labels.items()}
    return InstanceMask(new_id[found.ids], labels, found.problem)


# The backends are imported on demand: Open3D and torch take seconds to load.
def _tabletop(_: Categories, config: MaskBackendConfig) -> MaskBackend:
    from sdfpose_core.masks.tabletop import TabletopMasks

    backend = TabletopMasks(config.tabletop)
    return _Adapter(lambda x: backend.segment(x.depth, x.camera), backend.reset)


def _torchvision(categories: Categories, config: MaskBackendConfig) -> MaskBackend:
    from sdfpose_core.masks.torchvision_masks import TorchvisionMasks

    backend = TorchvisionMasks(
        threshold=config.min_score,
        weights=config.weights,
        device=config.device,
        min_pixels=config.tabletop.min_pixels,
        categories=categories,
    )
    return _Adapter(lambda x: backend.segment(x.colour), backend.reset)


def _network(_: Categories, config: MaskBackendConfig) -> MaskBackend:
    from sdfpose_core.masks.network_masks import NetworkMasks

    return NetworkMasks(
        config.weights,
        config.device,
        min_pixels=config.tabletop.min_pixels,
        min_score=config.min_score,
    )


_MAKERS: Mapping[str, Callable[[Categories, MaskBackendConfig], MaskBackend]] = {
    "tabletop": _tabletop,
    "torchvision": _torchvision,
    NETWORK: _network,
}


@dataclass(frozen=True)
class _Adapter:
    """Gives a backend the part of the frame that it needs."""

    _segment: Callable[[RgbdFrame], InstanceMask]
    _reset: Callable[[], None]

    def segment(self, frame: RgbdFrame) -> InstanceMask:
        return self._segment(frame)

    def reset(self) -> None:
        self._reset()
