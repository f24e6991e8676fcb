"""Networks that are stored as weights files: one way to save and load all of them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from sdfpose_core.errors import WeightsError
from sdfpose_core.weights import read_weights, write_weights

__all__ = ["StoredNetwork"]

Network = TypeVar("Network", bound="StoredNetwork")


class StoredNetwork(nn.Module):
    """Base class of a network with a configuration and a weights file.

    Attributes:
        KIND: kind of network in the header of its files.
        CONFIG: dataclass of its architecture.
        DTYPE: precision in which its files store the weights.
        REMEDY: what to do about a file of another architecture.
        config: the architecture.
    """

    KIND: ClassVar[str]
    CONFIG: ClassVar[type[Any]]
    DTYPE: ClassVar[torch.dtype] = torch.float32
    REMEDY: ClassVar[str] = "retrain the category with this version (make weights)"

    config: Any

    def save(self, path: Path | str, category: str) -> None:
        """Write weights and architecture to a safetensors file.

        Args:
            path: the file.
            category: name of the category that the network was trained for.
        """
        write_weights(path, self.KIND, category, self._settings(), self.state_dict(), self.DTYPE)

    @classmethod
    def load(cls: type[Network], path: Path | str, device: torch.device | None = None) -> Network:
        """Load a network, in evaluation mode and without gradients, from a file of `save`.

        Raises:
            WeightsError: the file is missing, damaged or has another architecture.
        """
        settings, tensors = read_weights(path, cls.KIND)
        try:
            network = cls._from_settings(settings)
            network._restore(tensors)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            raise WeightsError(
                f"{path}: the tensors do not fit the {cls.KIND}'s architecture {settings}: "
                f"{error}; {cls.REMEDY}"
            ) from error
        network.requires_grad_(False)
        return network.eval().to(device or torch.device("cpu"))

    def _settings(self) -> dict[str, Any]:
        """The architecture, JSON-serialisable."""
        return asdict(self.config)

    @classmethod
    def _from_settings(cls: type[Network], settings: dict[str, Any]) -> Network:
        """An untrained network of the architecture."""
        return cls(cls.CONFIG(**settings))

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        """Take the weights of a file."""
        self.load_state_dict(tensors)
