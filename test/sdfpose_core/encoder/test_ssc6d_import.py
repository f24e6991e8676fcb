"""Import of published networks: files with their names, small, and files that are not theirs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sdfpose_core.cli.main import main
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.ssc6d_import import import_decoder, import_encoder
from sdfpose_core.errors import WeightsError
from sdfpose_core.packs.pack import Pack
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig
from sdfpose_core.sdf.loading import load_decoder

CODE = 4


class Malicious:
    """Runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.target}",)


def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        f"module.{name}": 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes.items()
    }


def pose_network(w: int = 8, code: int = CODE) -> dict[str, Tensor]:
    """Names and shapes as in the published ``pose_model_*.pth``, where w is 64 and code 16."""
    feats = "cnn.model.feats"
    shapes: dict[str, tuple[int, ...]] = {f"{feats}.conv1.weight": (w, 3, 7, 7)}
    for layer, (n_in, n_out) in enumerate(
        ((w, w), (w, 2 * w), (2 * w, 4 * w), (4 * w, 8 * w)), start=1
    ):
        shapes[f"{feats}.layer{layer}.0.conv1.weight"] = (n_out, n_in, 3, 3)
        shapes[f"{feats}.layer{layer}.0.conv2.weight"] = (n_out, n_out, 3, 3)
        if layer > 1:
            shapes[f"{feats}.layer{layer}.0.downsample.0.weight"] = (n_out, n_in, 1, 1)
        shapes[f"{feats}.layer{layer}.1.conv1.weight"] = (n_out, n_out, 3, 3)
        shapes[f"{feats}.layer{layer}.1.conv2.weight"] = (n_out, n_out, 3, 3)
    for stage in range(4):
        shapes[f"cnn.model.psp.stages.{stage}.1.weight"] = (8 * w, 8 * w, 1, 1)
    layers: dict[str, tuple[int, ...]] = {
        "cnn.model.psp.bottleneck": (16 * w, 40 * w, 1, 1),
        "cnn.model.up_1.conv.1": (4 * w, 16 * w, 3, 3),
        "cnn.model.up_2.conv.1": (w, 4 * w, 3, 3),
        "cnn.model.up_3.conv.1": (w, w, 3, 3),
        "cnn.model.final.0": (w // 2, w, 1, 1),
        "cnn.model.classifier.0": (256, 4 * w),
        "cnn.model.classifier.2": (21, 256),
        "feat.conv1": (w, 3, 1),
        "feat.conv2": (2 * w, w, 1),
        "feat.e_conv1": (w, w // 2, 1),
        "feat.e_conv2": (2 * w, w, 1),
        "feat.conv5": (8 * w, 4 * w, 1),
        "feat.conv6": (16 * w, 8 * w, 1),
        "conv1": (16 * w, 22 * w, 1),
        "conv2": (8 * w, 16 * w, 1),
    }
    for head, count in (("r", 4), ("t", 3), ("s", 1), ("code", code)):
        layers[f"fc1_{head}"] = (4 * w, 8 * w)
        layers[f"fc2_{head}"] = (2 * w, 4 * w)
        layers[f"fc3_{head}"] = (count, 2 * w)
    for name, shape in layers.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = shape, shape[:1]
    for i in (1, 2, 3):
        shapes[f"cnn.model.up_{i}.conv.2.weight"] = (1,)
    return tensors(shapes)


def deepsdf_network(
    width: int = 24, hidden: int = 5, skip_at: int = 3, code: int = CODE
) -> dict[str, Tensor]:
    """Names and shapes as in DeepSDF's ``ModelParameters/2000.pth``: there 512, 8, 4 and 16."""
    shapes: dict[str, tuple[int, ...]] = {}
    n_in = code + 3
    for i in range(hidden):
        out = width - code - 3 if i + 1 == skip_at else width
        shapes[f"lin{i}.bias"] = (out,)
        shapes[f"lin{i}.weight_g"] = (out, 1)
        shapes[f"lin{i}.weight_v"] = (out, n_in)
        n_in = width
    return tensors({**shapes, f"lin{hidden}.weight": (1, width), f"lin{hidden}.bias": (1,)})


@pytest.fixture
def pose(tmp_path: Path) -> Path:
    torch.save(pose_network(), tmp_path / "pose_model_13.pth")
    return tmp_path / "pose_model_13.pth"


@pytest.fixture
def deepsdf(tmp_path: Path) -> Path:
    torch.save({"epoch": 2000, "model_state_dict": deepsdf_network()}, tmp_path / "2000.pth")
    return tmp_path / "2000.pth"


def changed(path: Path, name: str, value: Tensor | None) -> Path:
    """The file with one tensor replaced, or left out."""
    content = torch.load(path, weights_only=True)
    state = content.get("model_state_dict", content)
    if value is None:
        del state[name]
    else:
        state[name] = value
    torch.save(content, path)
    return path


def test_the_pose_networks_tensors_are_all_taken(pose: Path) -> None:
    encoder = import_encoder(pose)
    assert encoder.config == Ssc6dConfig(code_length=CODE, width=8, code_bound=1.0)
    theirs = pose_network()
    expected = sum(x.numel() for name, x in theirs.items() if "classifier" not in name)
    biases = sum(x.numel() for n, x in encoder.named_parameters() if n.startswith("colour.resnet")
                 and n.endswith("bias"))  # fmt: skip
    assert sum(x.numel() for x in encoder.parameters()) == expected + biases
    ours = encoder.state_dict()
    for name, other in (
        ("colour.resnet.layer3.0.downsample.0.weight", "cnn.model.feats.layer3.0.downsample.0."),
        ("colour.pyramid.2.weight", "cnn.model.psp.stages.2.1."),
        ("colour.up.1.slope.weight", "cnn.model.up_2.conv.2."),
        ("fusion.pixel.1.weight", "feat.e_conv2."),
        ("fusion.joint.0.weight", "feat.conv5."),
        ("heads.translation.2.weight", "fc2_t."),
        ("heads.code.4.weight", "fc3_code."),
    ):
        assert torch.equal(ours[name], theirs[f"module.{other}weight"]), name
    assert ours["colour.resnet.conv1.bias"].eq(0.0).all()


def test_the_decoder_is_the_papers_function(deepsdf: Path) -> None:
    decoder = import_decoder(deepsdf)
    assert decoder.config == DeepSdfConfig(CODE, 24, 5, 3, unit=0.5, clamp=0.1)
    state = {k.removeprefix("module."): v for k, v in deepsdf_network().items()}
    generator = torch.Generator().manual_seed(1)
    points, code = torch.randn(20, 3, generator=generator), torch.randn(CODE, generator=generator)
    x = h = torch.cat([code.expand(20, -1), points], dim=1)
    for i in range(5):
        v = state[f"lin{i}.weight_v"]
        weight = state[f"lin{i}.weight_g"] * v / v.norm(dim=1, keepdim=True)
        h = torch.cat([h, x], dim=1) if i == 3 else h
        h = torch.relu(h @ weight.T + state[f"lin{i}.bias"])
    expected = torch.tanh(h @ state["lin5.weight"].T + state["lin5.bias"])[:, 0]
    torch.testing.assert_close(decoder(0.5 * points[None], code[None])[0], 0.5 * expected)
    torch.testing.assert_close(decoder.code_covariance, torch.eye(CODE) / CODE)


@pytest.mark.parametrize("old", [False, True])
def test_the_prior_is_that_of_the_codes(deepsdf: Path, tmp_path: Path, old: bool) -> None:
    codes = 0.1 + 0.2 * torch.randn(40, CODE, generator=torch.Generator().manual_seed(2))
    latent = codes.unsqueeze(1) if old else {"weight": codes}
    torch.save({"epoch": 2000, "latent_codes": latent}, tmp_path / "codes.pth")
    decoder = import_decoder(deepsdf, tmp_path / "codes.pth")
    torch.testing.assert_close(decoder.code_mean, codes.mean(0))
    torch.testing.assert_close(decoder.code_covariance, torch.cov(codes.T))
    # In the decoder's own file they are found, too.
    content = torch.load(deepsdf, weights_only=True)
    torch.save({**content, "latent_codes": latent}, deepsdf)
    torch.testing.assert_close(import_decoder(deepsdf).code_mean, codes.mean(0))


@pytest.mark.parametrize("which", ["deepsdf", "pose"])
def test_a_file_that_needs_code_is_refused(
    which: str, deepsdf: Path, pose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, target = {"deepsdf": deepsdf, "pose": pose}[which], tmp_path / "was_here"
    torch.save({**torch.load(path, weights_only=True), "optimiser": Malicious(target)}, path)
    command = ["import-ssc6d", "mug", f"--{which}", str(path), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert f"{path}: refused" in error
    assert "code from such files is never executed" in error
    assert not target.exists()
    assert not (tmp_path / "out").exists()


def test_whole_networks_are_refused(tmp_path: Path) -> None:
    torch.save({"network": torch.nn.Linear(2, 2)}, tmp_path / "pose.pth")
    with pytest.raises(WeightsError, match=r"refused, .*torch\.save\(network\.state_dict"):
        import_encoder(tmp_path / "pose.pth")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("feat.conv5.weight", torch.zeros(64, 31, 1), r"feat\.conv5\.weight has shape \(64, 31, 1"),
        (
            "feat.conv5.weight",
            None,
            r"has no tensor feat\.conv5\.weight: expected the tensors of t",
        ),
        ("feat.conv1.weight", None, r"has no tensor feat\.conv1\.weight"),
        ("feat.conv1.weight", torch.zeros(9999, 3, 1), r"expected at most 256 along dimension 0"),
        ("fc3_code.weight", torch.zeros(()), r"fc3_code\.weight has shape \(\): expected at most"),
        ("fc3_r.bias", torch.full((4,), torch.nan), r"fc3_r\.bias has non-finite values"),
        ("fc3_g.bias", torch.zeros(4), r"contains fc3_g\.bias, which the pose network of SSC-6D"),
    ],
)
def test_other_pose_networks_are_refused(
    pose: Path, name: str, value: Tensor | None, message: str
) -> None:
    with pytest.raises(WeightsError, match=rf"pose_model_13\.pth: .*{message}"):
        import_encoder(changed(pose, f"module.{name}", value))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "lin1.weight_v",
            torch.zeros(24, 25),
            r"lin1\.weight_v has shape \(24, 25\): expected \(2",
        ),
        ("lin1.weight_g", torch.zeros(24), r"lin1\.weight_g has shape \(24,\): expected \(24, 1\)"),
        ("lin1.weight_g", None, r"has no tensor lin1\.weight_g: expected the tensors of the Deep"),
        ("lin0.bias", None, r"has no tensor lin0\.bias"),
        ("lin2.weight_v", None, r"has no tensor lin2\.weight: expected"),
        ("lin2.weight_v", torch.zeros(24, 24), r"code and point enter only at the first layer"),
        ("lin0.weight_v", torch.zeros(24, 9999), r"lin0\.weight_v .* expected at most 1027 along"),
        ("bn1.weight", torch.zeros(24), r"contains bn1\.weight, which the DeepSDF network of"),
    ],
)
def test_other_decoders_are_refused(
    deepsdf: Path, name: str, value: Tensor | None, message: str
) -> None:
    with pytest.raises(WeightsError, match=rf"2000\.pth: .*{message}"):
        import_decoder(changed(deepsdf, f"module.{name}", value))


def test_files_of_something_else_are_refused(deepsdf: Path, pose: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no tensor fc3_code\.weight: .*found lin0\.bias, "):
        import_encoder(deepsdf)
    with pytest.raises(WeightsError, match=r"has no tensor lin0\.weight: .*found cnn\.model"):
        import_decoder(pose)
    with pytest.raises(WeightsError, match="has no latent_codes: expected DeepSDF's LatentCodes"):
        import_decoder(deepsdf, pose)
    codes = tmp_path / "codes.pth"
    torch.save({"latent_codes": {"weight": torch.zeros(9, CODE + 1)}}, codes)
    with pytest.raises(WeightsError, match=r"latent_codes has shape \(9, 5\): .*of length 4"):
        import_decoder(deepsdf, codes)
    torch.save({"latent_codes": {"weight": torch.full((9, CODE), torch.inf)}}, codes)
    with pytest.raises(WeightsError, match="latent_codes has non-finite values"):
        import_decoder(deepsdf, codes)
    torch.save({"model_state_dict": 3}, codes)
    with pytest.raises(WeightsError, match="model_state_dict is a int: expected a dictionary"):
        import_decoder(codes)
    with pytest.raises(WeightsError, match=r"missing\.pth: not a readable checkpoint"):
        import_encoder(tmp_path / "missing.pth")


def test_the_command_writes_weights(
    deepsdf: Path, pose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "weights"
    files = ["--deepsdf", str(deepsdf), "--pose", str(pose)]
    assert main(["import-ssc6d", "mug", *files, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"{out / 'mug' / 'decoder.safetensors'}: decoder with 0.0 million parameters" in printed
    decoder = load_decoder(out / "mug" / "decoder.safetensors")
    assert isinstance(decoder, DeepSdf)
    encoder = Ssc6dEncoder.load(out / "mug" / "encoder.safetensors")
    assert encoder.config == import_encoder(pose).config
    for name, tensor in import_decoder(deepsdf).state_dict().items():
        assert torch.equal(decoder.state_dict()[name], tensor)


def test_either_file_may_be_left_out(
    deepsdf: Path, pose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "packs"
    arguments = ["import-ssc6d", "can", "--out", str(out)]
    assert main([*arguments, "--pose", str(pose)]) == 2
    assert "a pack needs a decoder: train or import that of 'can'" in capsys.readouterr().err
    for option, path, kinds in (
        ("--deepsdf", deepsdf, ("decoder",)),
        ("--pose", pose, ("decoder", "encoder")),
        ("--deepsdf", deepsdf, ("decoder", "encoder")),
    ):
        assert main([*arguments, option, str(path)]) == 0
        pack = Pack.read(out / "can")
        assert pack.kinds == kinds
        for kind in kinds:
            pack.verified(kind)
    for arguments, message in (
        ([], "nothing to import: expected --deepsdf FILE, --pose FILE or both"),
        (["--pose", str(pose), "--codes", str(pose)], "expected --deepsdf FILE as well"),
    ):
        assert main(["import-ssc6d", "can", *arguments, "--out", str(tmp_path)]) == 2
        assert message in capsys.readouterr().err
    assert main(["import-ssc6d", "cann", "--pose", str(pose), "--out", str(tmp_path)]) == 2
    assert "did you mean 'can'" in capsys.readouterr().err


def test_networks_that_do_not_belong_together_are_refused(
    deepsdf: Path, pose: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(pose, "module.fc3_code.weight", torch.zeros(6, 16))
    changed(pose, "module.fc3_code.bias", torch.zeros(6))
    files = ["--deepsdf", str(deepsdf), "--pose", str(pose)]
    assert main(["import-ssc6d", "mug", *files, "--out", str(tmp_path / "out")]) == 2
    assert f"codes of length 6, but {deepsdf} has codes of length 4" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_published_sizes_are_read(tmp_path: Path) -> None:
    torch.save({"model_state_dict": deepsdf_network(512, 8, 4, 16)}, tmp_path / "2000.pth")
    assert import_decoder(tmp_path / "2000.pth").config == DeepSdfConfig()
    torch.save(pose_network(64, 16), tmp_path / "pose.pth")
    assert import_encoder(tmp_path / "pose.pth").config == Ssc6dConfig(code_bound=1.0)
