from __future__ import annotations

import json
import sys
import warnings
from importlib import metadata

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from sdfpose_core.encoder.fast import FastEncoder, FastEncoderConfig
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.errors import ConfigurationError, ExportError
from sdfpose_core.export.onnx_files import export_decoder, export_encoder, export_masks
from sdfpose_core.export.opsets import OPSETS
from sdfpose_core.masks.network import MaskNetwork, MaskNetworkConfig
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.weights import weights_file

SMALL = DecoderConfig(code_length=6, width=16, hidden_layers=3)
TINY_ENCODER = FastEncoderConfig(
    code_length=6, points=40, patches=5, patch_points=4, width=16, layers=2, heads=2, hypotheses=3
)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make().eval().requires_grad_(False)


def run(path, *tensors):
    """Outputs of a file by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    given = {k: x.numpy() for k, x in zip(names, tensors, strict=True)}
    return dict(zip([x.name for x in session.get_outputs()], session.run(None, given), strict=True))


def assert_close(found, expected, tolerance=1e-4):
    expected = expected.numpy()
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def facts(path):
    return {x.key: x.value for x in onnx.load(path).metadata_props}


def axes(path):
    """Sizes, or names where any will do, of all inputs and outputs."""
    graph = onnx.load(path).graph
    return {
        x.name: tuple(d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim)
        for x in (*graph.input, *graph.output)
    }


@pytest.fixture(scope="module")
def decoder():
    return SdfDecoder.load(weights_file("mug", "decoder"))


@pytest.fixture(scope="module")
def encoder():
    return FastEncoder.load(weights_file("mug", "encoder"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, decoder, encoder):
    """The shipped networks of the mug."""
    folder = tmp_path_factory.mktemp("onnx")
    written = [*export_decoder(decoder, "mug", folder), export_encoder(encoder, "mug", folder)]
    names = ["mug_decoder.onnx", "mug_decoder_jacobian.onnx", "mug_encoder.onnx"]
    assert [x.path for x in written] == [folder / x for x in names]
    assert sorted(x.name for x in folder.iterdir()) == sorted(names)
    for file in written:
        assert file.size == file.path.stat().st_size
        assert 0.0 < file.deviation <= file.tolerance <= 1e-3
    return folder


@pytest.mark.parametrize(("objects", "count"), [(1, 1), (1, 5000), (2, 5), (3, 2000), (9, 1)])
def test_decoders_take_any_number_of_objects_and_points(folder, decoder, objects, count):
    generator = torch.Generator().manual_seed(3)
    points = 0.3 * torch.randn(objects, count, 3, generator=generator)
    codes = 0.3 * torch.randn(objects, 32, generator=generator)
    found = run(folder / "mug_decoder.onnx", points, codes)
    with torch.no_grad():
        expected = decoder.value_and_jacobian(points, codes)
    assert list(found) == ["sdf"]
    assert_close(found["sdf"], expected[0])
    found = run(folder / "mug_decoder_jacobian.onnx", points, codes)
    assert list(found) == ["sdf", "d_point", "d_code"]
    for name, value in zip(found, expected, strict=True):
        assert_close(found[name], value)


@pytest.mark.parametrize("objects", [1, 2, 7])
@pytest.mark.parametrize("distinct", [512, 90])
def test_the_encoder_takes_any_number_of_objects(folder, encoder, objects, distinct):
    generator = torch.Generator().manual_seed(objects)
    points = 0.04 * torch.randn(objects, distinct, 3, generator=generator)
    points = (points + torch.tensor([-0.1, 0.1, 0.7])).repeat(1, 6, 1)[:, :512]
    support = torch.tensor([0.0, -0.8, -0.6, -0.55]).repeat(objects, 1)
    support[::3] = 0.0
    found = run(folder / "mug_encoder.onnx", points, support)
    with torch.no_grad():
        expected = encoder(points, support)
    similarity, spread = expected.similarity, expected.shape_spread
    assert_close(found.pop("rotation"), similarity.rotation)
    assert_close(found.pop("translation"), similarity.translation)
    assert_close(found.pop("scale"), similarity.scale)
    assert_close(found.pop("logits"), expected.logits)
    assert_close(found.pop("log_spread"), expected.log_spread)
    assert_close(found.pop("codes"), expected.codes)
    assert_close(found.pop("log_code"), spread.log_code)
    assert_close(found.pop("log_size"), spread.log_size)
    assert not found


def test_sizes_of_tensors(folder):
    decoder = {"points": ("B", "N", 3), "codes": ("B", 32), "sdf": ("B", "N")}
    assert axes(folder / "mug_decoder.onnx") == decoder
    assert axes(folder / "mug_decoder_jacobian.onnx") == decoder | {
        "d_point": ("B", "N", 3),
        "d_code": ("B", "N", 32),
    }
    assert axes(folder / "mug_encoder.onnx") == {
        "points": ("B", 512, 3),
        "support": ("B", 4),
        "rotation": ("B", 4, 3, 3),
        "translation": ("B", 4, 3),
        "scale": ("B", 4),
        "logits": ("B", 4),
        "log_spread": ("B", 4, 3),
        "codes": ("B", 32),
        "log_code": ("B", 32),
        "log_size": ("B",),
    }


def test_files_say_what_they_are(folder, decoder, encoder):
    said = facts(folder / "mug_decoder.onnx")
    assert said["category"] == "mug"
    assert said["units"] == "normalised object units"
    assert said["sdfpose_version"] == metadata.version("sdfpose")
    assert said["code_length"] == "32"
    assert said["reach"] == "inf"
    np.testing.assert_allclose(json.loads(said["code_mean"]), decoder.code_mean)
    np.testing.assert_allclose(json.loads(said["code_covariance"]), decoder.code_covariance)
    jacobian = facts(folder / "mug_decoder_jacobian.onnx")
    assert jacobian["description"] != said["description"]
    said = facts(folder / "mug_encoder.onnx")
    assert said["category"] == "mug"
    assert said["units"] == "metres, camera frame"
    assert float(said["unit_m"]) == pytest.approx(float(encoder.unit), rel=1e-6)
    np.testing.assert_allclose(json.loads(said["code_axes"]), encoder.code_axes)
    model = onnx.load(folder / "mug_encoder.onnx")
    meanings = {x.name: x.doc_string for x in (*model.graph.input, *model.graph.output)}
    assert meanings["points"] == "(B, 512, 3), metres, camera frame, in random order"
    assert all(meanings.values())


def test_a_decoder_of_the_papers(tmp_path):
    config = DeepSdfConfig(code_length=4, width=32, hidden_layers=4, skip_at=2)
    decoder = seeded(lambda: DeepSdf(config))
    export_decoder(decoder, "can", tmp_path)
    generator = torch.Generator().manual_seed(0)
    points = 0.2 * torch.randn(4, 30, 3, generator=generator)
    codes = torch.randn(4, 4, generator=generator)
    found = run(tmp_path / "can_decoder_jacobian.onnx", points, codes)
    for name, value in zip(found, decoder.value_and_jacobian(points, codes), strict=True):
        assert_close(found[name], value)
    assert float(facts(tmp_path / "can_decoder.onnx")["reach"]) == decoder.reach


@pytest.mark.parametrize("objects", [1, 3])
def test_the_encoder_of_ssc6d(tmp_path, objects):
    config = Ssc6dConfig(code_length=5, points=20, image_size=48, width=8, code_bound=0.01)
    encoder = seeded(lambda: Ssc6dEncoder(config))
    file = export_encoder(encoder, "can", tmp_path)
    generator = torch.Generator().manual_seed(objects)
    colour = torch.randint(256, (objects, 48, 48, 3), generator=generator)
    points = torch.randn(objects, 20, 3, generator=generator)
    index = torch.randint(48 * 48, (objects, 20), generator=generator)
    found = run(file.path, colour.float(), points, index)
    expected = encoder(colour, points, index)
    assert list(found) == ["rotation", "translation", "scale", "codes"]
    assert_close(found["rotation"], expected.similarity.rotation)
    assert_close(found["translation"], expected.similarity.translation)
    assert_close(found["scale"], expected.similarity.scale)
    assert_close(found["codes"], expected.codes)


def test_crops_that_onnx_cannot_divide(tmp_path):
    encoder = seeded(lambda: Ssc6dEncoder(Ssc6dConfig(points=20, image_size=40, width=8)))
    with pytest.raises(ExportError, match="40 pixels: expected a multiple of 48"):
        export_encoder(encoder, "can", tmp_path)


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """A mask network and its file."""
    config = MaskNetworkConfig(widths=(6, 8, 12, 12), blocks=(1, 1, 1, 1), free=2)
    network = seeded(lambda: MaskNetwork(config))
    file = export_masks(network, tmp_path_factory.mktemp("masks"))
    assert file.path.name == "masks.onnx"
    assert 0.0 < file.deviation <= file.tolerance <= 1e-3
    return network, file.path


@pytest.mark.parametrize("size", [(1, 2, 2), (1, 16, 16), (2, 90, 34), (1, 104, 186)])
def test_the_mask_network_takes_images_of_any_even_size(masks, size):
    network, path = masks
    count, height, width = size
    generator = torch.Generator().manual_seed(0)
    colour = torch.randint(256, (count, 3, height, width), generator=generator).float()
    depth = 0.7 + 0.3 * torch.rand(count, 1, height, width, generator=generator)
    depth[:, :, : height // 2, : width // 2] = 0.0
    focal = torch.linspace(60.0, 90.0, count)
    found = run(path, colour, depth, focal)
    expected = network(colour, depth, focal)
    assert list(found) == ["foreground", "seed", "votes", "log_precision"]
    for name, value in expected._asdict().items():
        assert_close(found[name], value, 1e-3)


def test_the_file_of_the_mask_network_says_what_it_is(masks):
    _, path = masks
    said = facts(path)
    assert "category" not in said
    assert said["units"] == "votes in 64 pixels"
    assert said["free_coordinates"] == "2"
    assert axes(path) == {
        "colour": ("B", 3, "H", "W"),
        "depth": ("B", 1, "H", "W"),
        "focal": ("B",),
        "foreground": ("B", 1, "H", "W"),
        "seed": ("B", 1, "H", "W"),
        "votes": ("B", 5, "H", "W"),
        "log_precision": ("B", 2, "H", "W"),
    }


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_opsets(tmp_path, opset):
    files = export_decoder(seeded(lambda: SdfDecoder(SMALL)), "mug", tmp_path, opset=opset)
    tiny = seeded(lambda: FastEncoder(TINY_ENCODER, 0.2))
    files.append(export_encoder(tiny, "mug", tmp_path, opset=opset))
    for file in files:
        assert [(x.domain, x.version) for x in onnx.load(file.path).opset_import] == [("", opset)]


@pytest.mark.parametrize("opset", [OPSETS[0] - 1, OPSETS[-1] + 1])
def test_an_opset_that_is_not_there(tmp_path, opset):
    with pytest.raises(ConfigurationError, match=f"opset {opset}: expected 14 to 20"):
        export_decoder(seeded(lambda: SdfDecoder(SMALL)), "mug", tmp_path, opset=opset)


def test_nothing_is_said_and_nothing_left_changed(tmp_path, capfd):
    encoder = seeded(lambda: FastEncoder(TINY_ENCODER, 0.2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_encoder(encoder, "mug", tmp_path)
        export_masks(seeded(lambda: MaskNetwork(MaskNetworkConfig((4, 6), (1, 1)))), tmp_path)
    assert capfd.readouterr() == ("", "")
    assert not any(x.training for x in encoder.modules())
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_package_that_is_not_installed(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ExportError, match=rf"^{package} .* pip install onnx onnxruntime$"):
        export_decoder(seeded(lambda: SdfDecoder(SMALL)), "mug", tmp_path)


def test_an_operation_that_torch_cannot_export(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise torch.onnx.errors.OnnxExporterError("no such operator\nin this graph")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ExportError, match=r"the decoder with opset 17 \(no such operator\): exp"):
        export_decoder(seeded(lambda: SdfDecoder(SMALL)), "mug", tmp_path)
    assert not list(tmp_path.iterdir())


class TwoAreSpecial(SdfDecoder):
    """Computes something else for any other number of objects than two."""

    def forward(self, points, codes):
        value = super().forward(points, codes)
        return value if len(points) == 2 else 2.0 * value


class TwoAreFixed(SdfDecoder):
    """Has the number of objects in its graph."""

    def forward(self, points, codes):
        value = super().forward(points, codes)
        return value.reshape(int(points.shape[0]), -1)


def test_a_graph_that_differs_is_not_kept(tmp_path):
    earlier = tmp_path / "mug_decoder.onnx"
    earlier.write_bytes(b"earlier")
    wanted = r"mug_decoder\.onnx: .* with 1 objects 'sdf' deviates by 5\.0e-01, more than 1e-04: "
    with pytest.raises(ExportError, match=wanted):
        export_decoder(seeded(lambda: TwoAreSpecial(SMALL)), "mug", tmp_path)
    assert list(tmp_path.iterdir()) == [earlier]
    assert earlier.read_bytes() == b"earlier"


def test_a_graph_of_a_fixed_size_is_not_kept(tmp_path, capfd):
    with pytest.raises(ExportError, match=r"mug_decoder\.onnx: .* onnxruntime fails"):
        export_decoder(seeded(lambda: TwoAreFixed(SMALL)), "mug", tmp_path)
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")
