"""Import the published networks of SSC-6D (github.com/swords123/SSC-6D).

They come as ``.pth`` files, one decoder and one pose network per category; the files do not name
the category. Reading a file runs no code from it. The names and shapes of all tensors are checked.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.errors import WeightsError
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.shape_decoder import code_statistics
from sdfpose_core.storage.checkpoint import load_third_party

__all__ = ["import_decoder", "import_encoder"]

_CODE_BOUND = 1.0
"""SSC-6D limits predicted codes to the ball to which the decoders' codes were constrained."""

_MAX_CODE_LENGTH, _MAX_WIDTH = 1024, 4096
"""Largest plausible sizes of a DeepSDF network; the published ones are 16 and 512."""

_MAX_CHANNELS = 256
"""Largest plausible width of a PSPNet; the published one is 64."""

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
"""Prefixes of our parameter names and of the published ones."""

_UNUSED = "cnn.model.classifier."
"""A classifier that is part of the published PSPNet but is not used."""


class _Published:
    """Tensors of a published file, by name; each is taken once."""

    def __init__(self, path: Path, tensors: dict[str, Tensor], network: str) -> None:
        self.path = path
        self.tensors = tensors
        self._network = network

    @classmethod
    def read(cls, path: Path, network: str) -> tuple[_Published, dict[str, object]]:
        """Read a file and return its tensors and its whole content.

        Args:
            path: a file with a state dict, or with a dictionary that has one as
                ``model_state_dict``.
            network: name of the network for error messages.
        """
        content = load_third_party(path)
        state = content.get("model_state_dict", content)
        if not isinstance(state, dict):
            raise WeightsError(
                f"{path}: model_state_dict is a {type(state).__name__}: expected a dictionary of "
                f"the tensors of {network}"
            )
        # Names start with "module." if the network was trained on several GPUs.
        tensors = {
            str(name).removeprefix("module."): x for name, x in state.items() if torch.is_tensor(x)
        }
        return cls(path, tensors, network), content

    def size(self, name: str, dimension: int, maximum: int) -> int:
        """Size of a tensor along a dimension, used to infer the architecture."""
        tensor = self._find(name)
        if dimension >= tensor.ndim or not 0 < tensor.shape[dimension] <= maximum:
            raise WeightsError(
                f"{self.path}: {name} has shape {tuple(tensor.shape)}: expected at most {maximum} "
                f"along dimension {dimension}, as in {self._network}"
            )
        return tensor.shape[dimension]

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Remove and return a tensor as float32; check its shape and that it is finite."""
        tensor = self._find(name)
        if tuple(tensor.shape) != shape:
            raise WeightsError(
                f"{self.path}: {name} has shape {tuple(tensor.shape)}: expected {shape}, as in "
                f"{self._network}"
            )
        del self.tensors[name]
        tensor = tensor.float()
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{self.path}: {name} has non-finite values")
        return tensor

    def finish(self, ignored: str | None = None) -> None:
        """Reject tensors that were not taken: they belong to another network."""
        left = [x for x in self.tensors if ignored is None or not x.startswith(ignored)]
        if left:
            raise WeightsError(
                f"{self.path}: contains {left[0]}{' and others' if left[1:] else ''}, which "
                f"{self._network} does not have"
            )

    def _find(self, name: str) -> Tensor:
        if name not in self.tensors:
            names = ", ".join(list(self.tensors)[:3]) or "none"
            raise WeightsError(
                f"{self.path}: has no tensor {name}: expected the tensors of {self._network} "
                f"(found {names}{', ...' if len(self.tensors) > 3 else ''})"
            )
        return self.tensors[name]


def import_decoder(path: Path, codes: Path | None = None) -> DeepSdf:
    """Import a category's decoder as written by DeepSDF training (``ModelParameters/2000.pth``).

    SSC-6D's settings apply: shapes fill the ball of radius 1, distances were clamped at 0.1.

    Args:
        path: file of the network.
        codes: file of the training shapes' codes (``LatentCodes/2000.pth``), from which the prior
            is computed. By default, the codes in `path` are used if it has any; otherwise the
            prior is that of DeepSDF's initialisation.

    Raises:
        WeightsError: a file is missing, damaged, refused, or has other content.
    """
    published, content = _Published.read(path, "the DeepSDF network of SSC-6D")
    last = 0
    while any(x.startswith(f"lin{last + 1}.weight") for x in published.tensors):
        last += 1
    names = [_layer_weight_name(published, i) for i in range(last + 1)]
    inputs = published.size(names[0], 1, _MAX_CODE_LENGTH + 3)
    width = published.size(names[-1], 1, _MAX_WIDTH)
    narrower = [
        i + 1
        for i, name in enumerate(names[:-1])
        if published.size(name, 0, _MAX_WIDTH) == width - inputs
    ]
    if not narrower or inputs <= 3:
        raise WeightsError(
            f"{path}: code and point enter only at the first layer: expected a second input at a "
            "later layer, as in the DeepSDF network of SSC-6D"
        )
    decoder = DeepSdf(DeepSdfConfig(inputs - 3, width, last, narrower[0]))
    state = {"code_mean": decoder.code_mean, "code_covariance": decoder.code_covariance}
    for i, layer in enumerate([*decoder.layers, decoder.output]):
        name = "output" if i == last else f"layers.{i}"
        out, n_in = layer.weight.shape
        state[f"{name}.weight"] = _layer_weight(published, i, (out, n_in))
        state[f"{name}.bias"] = published.take(f"lin{i}.bias", (out,))
    published.finish()
    codes_content = content if codes is None else load_third_party(codes)
    latent = _latent_codes(codes or path, codes_content, inputs - 3, required=codes is not None)
    if latent is not None:
        state["code_mean"], state["code_covariance"] = code_statistics(latent)
    decoder.load_state_dict(state)
    return decoder.eval().requires_grad_(False)


def import_encoder(path: Path) -> Ssc6dEncoder:
    """Import a category's pose network.

    Raises:
        WeightsError: the file is missing, damaged, refused, or has other content.
    """
    published, _ = _Published.read(path, "the pose network of SSC-6D")
    encoder = Ssc6dEncoder(
        Ssc6dConfig(
            code_length=published.size("fc3_code.weight", 0, _MAX_CODE_LENGTH),
            width=published.size("feat.conv1.weight", 0, _MAX_CHANNELS),
            code_bound=_CODE_BOUND,
        )
    )
    state = {}
    for name, tensor in encoder.state_dict().items():
        prefix = next(x for x in _ENCODER_NAMES if name.startswith(x))
        if prefix == "colour.resnet." and name.endswith(".bias"):
            state[name] = torch.zeros_like(tensor)  # the published network has none
        else:
            published_name = _ENCODER_NAMES[prefix] + name.removeprefix(prefix)
            state[name] = published.take(published_name, tuple(tensor.shape))
    published.finish(ignored=_UNUSED)
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)


def _layer_weight_name(published: _Published, layer: int) -> str:
    """Name of a layer's weight, or of its direction if weight normalisation was used."""
    direction = f"lin{layer}.weight_v"
    return direction if direction in published.tensors else f"lin{layer}.weight"


def _layer_weight(published: _Published, layer: int, shape: tuple[int, int]) -> Tensor:
    """Weight of a layer, with weight normalisation resolved."""
    name = _layer_weight_name(published, layer)
    weight = published.take(name, shape)
    if name.endswith("_v"):
        length = published.take(f"lin{layer}.weight_g", (shape[0], 1))
        weight = length * torch.nn.functional.normalize(weight, dim=1)
    return weight


def _latent_codes(
    path: Path, content: dict[str, object], length: int, *, required: bool
) -> Tensor | None:
    """Codes (S, D) of the training shapes in a file; None if it has none and needs none."""
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
            f"{path}: latent_codes has shape {tuple(latent.shape)}: expected the codes of at least "
            f"2 shapes, each of length {length}"
        )
    if not torch.isfinite(flat).all():
        raise WeightsError(f"{path}: latent_codes has non-finite values")
    return flat.float()
