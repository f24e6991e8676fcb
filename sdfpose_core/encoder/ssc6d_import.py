"""The published networks of SSC-6D (github.com/swords123/SSC-6D) in our format.

They come as ``.pth`` files, one decoder and one pose network for each category; nothing in a
network says which category it is for. Files are read without running code from them; the names
and shapes of all tensors are checked.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.errors import WeightsError
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.shape_decoder import code_statistics
from sdfpose_core.storage.checkpoint import load_published

__all__ = ["import_decoder", "import_encoder"]

_CODE_BOUND = 1.0
"""SSC-6D shortens predicted codes to the ball in which the decoders' codes were kept."""

_LARGEST_CODE, _LARGEST_WIDTH = 1024, 4096
"""Sizes above these are no DeepSDF's..."""

_LARGEST_CHANNELS = 256
"""...and no PSPNet's; the published ones are 16, 512 and 64."""

_ENCODER_NAMES = {
    "colour.resnet.": "cnn.model.feats.",
    **{f"colour.pyramid.{i}.": f"cnn.model.psp.stages.{i}.1." for i in range(4)},
    "colour.bottleneck.": "cnn.model.psp.bottleneck.",
    **{f"colour.up.{i}.conv.": f"cnn.model.up_{i + 1}.conv.1." for i in range(3)},
    **{f"colour.up.{i}.slope.": f"cnn.model.up_{i + 1}.conv.2." for i in range(3)},
    "colour.final.": "cnn.model.final.0.",
    **{f"fusion.point.{i}.": f"feat.conv{i + 1}." for i in range(2)},
    **{f"fusion.pixel.{i}.": f"feat.e_conv{i + 1}." for i in range(2)},
    **{f"fusion.joint.{i}.": f"feat.conv{i + 5}." for i in range(2)},
    **{f"summary.{i}.": f"conv{i + 1}." for i in range(2)},
    **{
        f"heads.{ours}.{2 * i}.": f"fc{i + 1}_{theirs}."
        for ours, theirs in (("rotation", "r"), ("translation", "t"), ("scale", "s"))
        for i in range(3)
    },
    **{f"heads.code.{2 * i}.": f"fc{i + 1}_code." for i in range(3)},
}
"""First parts of our names and of theirs."""

_UNUSED = "cnn.model.classifier."
"""A classifier that comes with PSPNet and that nothing is asked of."""


class _Published:
    """The tensors of a file, by name; each is taken once."""

    def __init__(self, path: Path, tensors: dict[str, Tensor], network: str) -> None:
        self.path = path
        self.tensors = tensors
        self._network = network

    @classmethod
    def read(cls, path: Path, network: str) -> tuple[_Published, dict[str, object]]:
        """Tensors, and the file's whole content.

        Args:
            path: the file: a state dict, or a dictionary with one as ``model_state_dict``.
            network: for messages.
        """
        content = load_published(path)
        state = content.get("model_state_dict", content)
        if not isinstance(state, dict):
            raise WeightsError(
                f"{path}: its model_state_dict is a {type(state).__name__}: expected tensors by "
                f"name, those of {network}"
            )
        # The names of networks that were trained on several GPUs start with "module.".
        tensors = {
            str(name).removeprefix("module."): x for name, x in state.items() if torch.is_tensor(x)
        }
        return cls(path, tensors, network), content

    def size(self, name: str, dimension: int, most: int) -> int:
        """Size of a tensor along one dimension, by which a network is recognised."""
        found = self._find(name)
        if dimension >= found.ndim or not 0 < found.shape[dimension] <= most:
            raise WeightsError(
                f"{self.path}: {name} has shape {tuple(found.shape)}: expected at most {most} "
                f"along dimension {dimension}, as in {self._network}"
            )
        return found.shape[dimension]

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """A tensor that has to have this shape and finite values, in float32."""
        found = self._find(name)
        if tuple(found.shape) != shape:
            raise WeightsError(
                f"{self.path}: {name} has shape {tuple(found.shape)}: expected {shape}, as in "
                f"{self._network}"
            )
        del self.tensors[name]
        found = found.float()
        if not torch.isfinite(found).all():
            raise WeightsError(f"{self.path}: {name} has values that are no finite numbers")
        return found

    def finish(self, ignored: str | None = None) -> None:
        """Refuse tensors that nobody has taken: they are of another network."""
        left = [x for x in self.tensors if ignored is None or not x.startswith(ignored)]
        if left:
            raise WeightsError(
                f"{self.path}: holds {left[0]}{' and others' if left[1:] else ''}, which "
                f"{self._network} does not have"
            )

    def _find(self, name: str) -> Tensor:
        if name not in self.tensors:
            there = ", ".join(list(self.tensors)[:3]) or "none"
            raise WeightsError(
                f"{self.path}: has no tensor {name}: expected those of {self._network} (found "
                f"{there}{', ...' if len(self.tensors) > 3 else ''})"
            )
        return self.tensors[name]


def import_decoder(path: Path, codes: Path | None = None) -> DeepSdf:
    """The decoder of a category, as DeepSDF's training writes it (``ModelParameters/2000.pth``).

    Its settings are SSC-6D's: shapes fill the ball of radius 1, distances were clamped at 0.1.

    Args:
        path: the network.
        codes: the codes of its training shapes (``LatentCodes/2000.pth``), of which the prior is
            made. Without them, those in `path` itself are taken where it has any, else the prior
            is that of DeepSDF's initialisation.

    Raises:
        WeightsError: a file is missing, damaged, refused, or holds something else.
    """
    found, content = _Published.read(path, "the DeepSDF network of SSC-6D")
    last = 0
    while any(x.startswith(f"lin{last + 1}.weight") for x in found.tensors):
        last += 1
    sizes = [_layer_weight_name(found, i) for i in range(last + 1)]
    inputs = found.size(sizes[0], 1, _LARGEST_CODE + 3)
    width = found.size(sizes[-1], 1, _LARGEST_WIDTH)
    narrower = [
        i + 1
        for i, name in enumerate(sizes[:-1])
        if found.size(name, 0, _LARGEST_WIDTH) == width - inputs
    ]
    if not narrower or inputs <= 3:
        raise WeightsError(
            f"{path}: code and point enter its network at the first layer alone: expected them "
            "again before a later one, as in the DeepSDF network of SSC-6D"
        )
    decoder = DeepSdf(DeepSdfConfig(inputs - 3, width, last, narrower[0]))
    state = {"code_mean": decoder.code_mean, "code_covariance": decoder.code_covariance}
    for i, layer in enumerate([*decoder.layers, decoder.output]):
        name = "output" if i == last else f"layers.{i}"
        out, n_in = layer.weight.shape
        state[f"{name}.weight"] = _layer_weight(found, i, (out, n_in))
        state[f"{name}.bias"] = found.take(f"lin{i}.bias", (out,))
    found.finish()
    known = content if codes is None else load_published(codes)
    latent = _latent_codes(codes or path, known, inputs - 3, required=codes is not None)
    if latent is not None:
        state["code_mean"], state["code_covariance"] = code_statistics(latent)
    decoder.load_state_dict(state)
    return decoder.eval().requires_grad_(False)


def import_encoder(path: Path) -> Ssc6dEncoder:
    """The pose network of a category.

    Raises:
        WeightsError: the file is missing, damaged, refused, or holds something else.
    """
    found, _ = _Published.read(path, "the pose network of SSC-6D")
    encoder = Ssc6dEncoder(
        Ssc6dConfig(
            code_length=found.size("fc3_code.weight", 0, _LARGEST_CODE),
            width=found.size("feat.conv1.weight", 0, _LARGEST_CHANNELS),
            code_bound=_CODE_BOUND,
        )
    )
    state = {}
    for name, tensor in encoder.state_dict().items():
        prefix = next(x for x in _ENCODER_NAMES if name.startswith(x))
        if prefix == "colour.resnet." and name.endswith(".bias"):
            state[name] = torch.zeros_like(tensor)  # theirs has none
        else:
            theirs = _ENCODER_NAMES[prefix] + name.removeprefix(prefix)
            state[name] = found.take(theirs, tuple(tensor.shape))
    found.finish(ignored=_UNUSED)
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)


def _layer_weight_name(found: _Published, layer: int) -> str:
    """Name of a layer's weight, or of its direction where length and direction are apart."""
    apart = f"lin{layer}.weight_v"
    return apart if apart in found.tensors else f"lin{layer}.weight"


def _layer_weight(found: _Published, layer: int, shape: tuple[int, int]) -> Tensor:
    """The weight of a layer; one that is stored as length and direction is put together."""
    name = _layer_weight_name(found, layer)
    weight = found.take(name, shape)
    if name.endswith("_v"):
        length = found.take(f"lin{layer}.weight_g", (shape[0], 1))
        weight = length * torch.nn.functional.normalize(weight, dim=1)
    return weight


def _latent_codes(
    path: Path, content: dict[str, object], length: int, *, required: bool
) -> Tensor | None:
    """Codes (S, D) of training shapes in a file; None where it has none and need not."""
    latent = content.get("latent_codes")
    if isinstance(latent, dict):
        latent = latent.get("weight")
    if not isinstance(latent, Tensor):
        if required:
            raise WeightsError(f"{path}: has no latent_codes: expected DeepSDF's LatentCodes file")
        return None
    # Old versions of DeepSDF store (S, 1, D).
    flat = latent.squeeze(1) if latent.ndim == 3 else latent
    if flat.ndim != 2 or flat.shape[1] != length or len(flat) < 2:
        raise WeightsError(
            f"{path}: latent_codes has shape {tuple(latent.shape)}: expected those of at least 2 "
            f"shapes, each of length {length}"
        )
    if not torch.isfinite(flat).all():
        raise WeightsError(f"{path}: latent_codes has values that are no finite numbers")
    return flat.float()
