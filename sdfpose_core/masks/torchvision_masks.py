"""Instance masks from colour with torchvision's Mask R-CNN, trained on COCO.

He et al., "Mask R-CNN", ICCV 2017, in the version of Li et al., "Benchmarking Detection Transfer
Learning with Vision Transformers", 2021. torchvision is optional and imported on use.
"""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdfpose_core.categories import Categories, default_categories
from sdfpose_core.errors import WeightsError
from sdfpose_core.masks.candidates import Candidate, compose, image_identities
from sdfpose_core.masks.errors import MaskBackendError
from sdfpose_core.masks.instance_mask import InstanceMask

__all__ = ["TorchvisionMasks"]

_MASK_THRESHOLD = 0.5
"""A pixel with a larger soft mask value belongs to the instance."""


class TorchvisionMasks:
    """Mask R-CNN with ids that persist from image to image.

    Only COCO classes that are labels of a category are kept: bottle, bowl, cup (a mug) and laptop.
    COCO has neither cans nor cameras.

    Args:
        threshold: instances with a lower score are dropped, 0 to 1.
        weights: file with the weights of the network, safetensors or a torch state dict; None to
            download those of torchvision.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        min_pixels: smaller instances are dropped.
        categories: table of categories; that of the package by default.

    Raises:
        MaskBackendError: torchvision is not installed, or the weights cannot be downloaded or read.
        DeviceError: the device is not available.
    """

    def __init__(
        self,
        threshold: float = 0.5,
        weights: Path | None = None,
        device: str = "auto",
        min_pixels: int = 150,
        categories: Categories | None = None,
    ) -> None:
        detection = _detection()
        # Imported here because importing torch takes seconds.
        from sdfpose_core.device import resolve_device

        known = default_categories() if categories is None else categories
        trained = detection.MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
        matches = [known.by_label(name) for name in trained.meta["categories"]]
        self._category_of = {i: x.name for i, x in enumerate(matches) if x is not None}
        self._device = resolve_device(device)
        self._min_pixels = min_pixels
        self._identities = image_identities()
        state = _downloaded(trained) if weights is None else _read(weights)
        self._network = detection.maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None, box_score_thresh=threshold
        )
        try:
            self._network.load_state_dict(state)
        except RuntimeError as error:
            raise MaskBackendError(
                f"{weights or trained.url}: weights of another network ({str(error)[:200]}): "
                "expected weights of torchvision's maskrcnn_resnet50_fpn_v2"
            ) from error
        self._network.eval().to(self._device)

    def segment(self, colour: NDArray[np.uint8]) -> InstanceMask:
        """Segment the next image.

        Args:
            colour: (H, W, 3), RGB.
        """
        import torch

        from sdfpose_core.device import adopt_threads

        adopt_threads()  # the pose node finds masks in a thread of its own
        with torch.inference_mode():
            image = torch.from_numpy(np.ascontiguousarray(colour)).to(self._device)
            (found,) = self._network([image.permute(2, 0, 1).float() / 255.0])
            kept = [i for i, x in enumerate(found["labels"].tolist()) if x in self._category_of]
            masks = (found["masks"][kept, 0] > _MASK_THRESHOLD).cpu().numpy()
        candidates = [
            Candidate(mask, self._category_of[int(found["labels"][i])], float(found["scores"][i]))
            for i, mask in zip(kept, masks, strict=True)
        ]
        height, width, _ = colour.shape
        return compose(candidates, (height, width), self._min_pixels, self._identities)

    def reset(self) -> None:
        """Forget the objects of previous images."""
        self._identities.reset()


def _detection() -> Any:
    """Import the detection module of torchvision."""
    try:
        return importlib.import_module("torchvision.models.detection")
    except ImportError as error:
        raise MaskBackendError(
            f"Mask R-CNN needs torchvision, which cannot be imported ({error}): install it with "
            "pip install torchvision (the release for your torch), or use masks from depth "
            "(backend tabletop)"
        ) from error


def _downloaded(trained: Any) -> Any:
    """Load the state dict of torchvision's weights from torch's cache or the network."""
    import torch

    try:
        # torchvision's own function could run code from the file.
        return torch.hub.load_state_dict_from_url(
            trained.url, map_location="cpu", progress=False, check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise MaskBackendError(
            f"the weights of Mask R-CNN cannot be downloaded or read ({error}): expected a network "
            f"connection, or the file {trained.url.rsplit('/', 1)[-1]} in {folder} (set TORCH_HOME "
            f"to change the folder); or download {trained.url} to any file and set the parameter "
            "weights"
        ) from error


def _read(path: Path) -> Any:
    """Load a state dict from a file without running code from it."""
    # Imported here because importing torch takes seconds.
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from sdfpose_core.storage.checkpoint import load_third_party

    try:
        return load_file(path) if path.suffix == ".safetensors" else load_third_party(path)
    except (OSError, SafetensorError, WeightsError) as error:
        raise MaskBackendError(
            f"{path}: the weights of Mask R-CNN cannot be read ({error}): expected a readable file "
            "in safetensors format, or a state dict saved by torch"
        ) from error
