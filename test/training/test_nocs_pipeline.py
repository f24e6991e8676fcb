"""The whole way through a miniature of the NOCS data, from its preparation to the evaluation."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from own_pack import copied_pack, own_pack
from torch import Tensor

from sdfpose_core.cli.main import main as command
from sdfpose_core.datasets.instances import read_instances, write_instances
from sdfpose_core.datasets.nocs import NOCS_CATEGORIES, read_nocs_image, scene_images
from sdfpose_core.datasets.nocs_detections import detections_file
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.errors import ConfigurationError, FrameError, MeshError, WeightsError
from sdfpose_core.observation.colour_crop import ColourCrop
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import write_pack
from sdfpose_core.samples import sample_frame
from sdfpose_core.simulation.instances import ModelPool
from sdfpose_core.simulation.nocs_data import write_miniature
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.weights import SHIPPED

TRAINING = Path(__file__).parents[2] / "training"

ENCODER = {"points": 64, "patches": 8, "patch_points": 8, "width": 32, "layers": 1, "heads": 2}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their annotations up there
    spec.loader.exec_module(module)
    return module


def prepare(*arguments: object) -> int:
    """Prepare data in this process: others take seconds to start."""
    module = script("prepare_nocs")
    module.ProcessPoolExecutor = lambda workers, *others: ThreadPoolExecutor(workers)
    return module.main([*(str(x) for x in arguments), "--workers", "1"])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nocs")
    write_miniature(root, images=5)
    return root


@pytest.fixture(scope="module")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    assert script("prepare_nocs").main([str(data), "--out", str(out), "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def weights(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network pre-trained on the rendered images, a few steps only."""
    folder = tmp_path_factory.mktemp("weights")
    copied_pack(folder, "can", encoder=False)
    config = folder / "encoder.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "validation_views": 8,
                "training": {"steps": 4, "batch": 4, "checkpoint_every": 2, "encoder": ENCODER},
            }
        )
    )
    arguments = ["can", "--weights", str(folder), "--work", str(folder / "work")]
    arguments += ["--data", str(prepared), "--config", str(config), "--device", "cpu"]
    assert script("pretrain").main(arguments) == 0
    assert (folder / "can" / "encoder.safetensors").exists()
    return folder


@pytest.fixture(scope="module")
def colour_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps of a tiny network on colour."""
    config = tmp_path_factory.mktemp("colour") / "ssc6d.yaml"
    encoder = {"points": 64, "image_size": 24, "width": 8}
    training = {"steps": 6, "batch": 2, "round_views": 4, "model_points": 32, "epoch_views": 4}
    training |= {"schedule": [[0, 2.0], [1.5, 1.0]], "checkpoint_every": 2, "encoder": encoder}
    config.write_text(yaml.safe_dump({"validation_views": 6, "training": training}))
    return config


@pytest.fixture(scope="module")
def train_colour(
    prepared: Path, colour_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[str]]:
    """Arguments that train the encoder of colour and depth in a new folder."""

    def arguments(*more: str) -> list[str]:
        folder = tmp_path_factory.mktemp("weights")
        copied_pack(folder, "can", encoder=False)
        paths = ["--weights", folder, "--work", folder / "work", "--data", prepared]
        options = ["--config", colour_config, "--encoder", "ssc6d", "--device", "cpu"]
        return ["can", *map(str, [*paths, *options]), *more]

    return arguments


def test_the_encoder_of_colour_learns_from_prepared_images(
    train_colour: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = train_colour("--threads", "1")
    folder = Path(arguments[arguments.index("--weights") + 1])
    assert script("pretrain").main(arguments) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["validation"] == "CAMERA/val"
    assert report["distance_cm"] > 0.0
    whole = _tensors(folder / "can" / "encoder.safetensors")
    # Interrupted, and gone on with.
    state = folder / "work" / "can.ssc6d.ckpt"
    assert state.is_file()
    again = train_colour()
    pretrain = script("pretrain")
    pretrain.Ssc6dTraining = _interrupted_after(pretrain.Ssc6dTraining, 3)
    with pytest.raises(KeyboardInterrupt):
        pretrain.main(again)
    assert script("pretrain").main(again) == 0
    folder = Path(again[again.index("--weights") + 1])
    for name, values in _tensors(folder / "can" / "encoder.safetensors").items():
        np.testing.assert_array_equal(whole[name], values, err_msg=name)
    # In two processes.
    arguments = train_colour("--threads", "1")
    _in_two_processes("pretrain", arguments)
    folder = Path(arguments[arguments.index("--weights") + 1])
    for name, values in _tensors(folder / "can" / "encoder.safetensors").items():
        np.testing.assert_allclose(values, whole[name], atol=1e-3, err_msg=name)


def _interrupted_after(training: type, steps: int) -> type:
    class Interrupted(training):  # type: ignore[misc]
        def _train_step(self) -> dict[str, Tensor]:
            if self.step == steps:
                raise KeyboardInterrupt
            losses: dict[str, Tensor] = super()._train_step()
            return losses

    return Interrupted


def test_colour_that_was_not_prepared_is_named(
    data: Path, prepared: Path, train_colour: Callable[..., list[str]], tmp_path: Path
) -> None:
    shutil.copytree(prepared / "codes", tmp_path / "codes")
    arguments = (data, "--out", tmp_path, "--parts", "CAMERA/train", "--no-codes")
    prepare(*arguments, "--colour", "none")
    with pytest.raises(
        FrameError, match=r"CAMERA/train: none of \d+ instances can.* have no colour"
    ):
        script("pretrain").main(train_colour("--data", str(tmp_path)))
    (tmp_path / "codes" / "can.surfaces.npz").unlink()
    with pytest.raises(MeshError, match=r"can\.surfaces\.npz: contains no surfaces of models"):
        script("pretrain").main(train_colour("--data", str(tmp_path)))


def test_colour_may_be_stored_as_jpeg(data: Path, prepared: Path, tmp_path: Path) -> None:
    arguments = (data, "--out", tmp_path, "--parts", "Real/train", "--no-codes")
    prepare(*arguments, "--colour", "jpeg")
    for close in tmp_path.glob("Real/train/*/*.npz"):
        exact = prepared / close.relative_to(tmp_path)
        for x, y in zip(read_instances(close), read_instances(exact), strict=True):
            a, b = x.instance.colour, y.instance.colour
            assert isinstance(a, ColourCrop)
            assert isinstance(b, ColourCrop)
            assert (a.left, a.top, a.side) == (b.left, b.top, b.side)
            assert np.abs(a.decode().astype(int) - b.decode()).mean() < 10.0


def test_poses_of_prepared_instances_are_those_of_the_maps(data: Path, prepared: Path) -> None:
    items = [x for path in prepared.glob("Real/*/*/*.npz") for x in read_instances(path)]
    assert {x.instance.category for x in items} == {
        "bottle", "bowl", "camera", "can", "laptop", "mug",
    }  # fmt: skip
    posed = [x for x in items if x.truth is not None]
    assert len(posed) > 0.8 * len(items)
    for x in posed:
        assert x.truth is not None
        local = (x.instance.points - x.truth.translation) @ x.truth.rotation
        inside = np.abs(local) < 0.5 * x.truth.dimensions_m + 0.03
        assert inside.all(axis=1).mean() > 0.8


def test_what_is_prepared_is_not_prepared_again(
    data: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = prepared / "Real" / "test" / "scene_2" / "report.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps(report | {"images": 99}))
    assert prepare(data, "--out", prepared, "--parts", "Real/test", "--no-codes") == 0
    assert "Real/test: 99 images" in capsys.readouterr().out
    path.write_text(json.dumps(report))


def test_other_options_are_refused(data: Path, prepared: Path) -> None:
    with pytest.raises(ConfigurationError, match="--colour png, now none"):
        prepare(data, "--out", prepared, "--parts", "Real/test", "--no-codes", "--colour", "none")


def test_a_shard_prepares_its_scenes_alone(data: Path, tmp_path: Path) -> None:
    second = shutil.copytree(
        data / "Real" / "train" / "scene_1", data / "Real" / "train" / "scene_9"
    )
    try:
        arguments = (data, "--out", tmp_path, "--parts", "Real/train", "--no-codes")
        prepare(*arguments, "--shard", "2/2")
    finally:
        shutil.rmtree(second)
    assert [x.name for x in (tmp_path / "Real" / "train").iterdir()] == ["scene_9"]


def test_masks_of_a_detector_take_the_place_of_the_data_s(data: Path, tmp_path: Path) -> None:
    """Of four images one has no detections; a detector that misses the mugs leaves those out."""
    results = tmp_path / "mrcnn"
    results.mkdir()
    for stem in scene_images(data / "Real" / "test" / "scene_2")[1:]:
        frame = read_nocs_image(stem, "Real").frame
        ids = [x for x in sorted(frame.labels) if frame.labels[x].category != "mug"]
        content = {
            "rois": np.zeros((len(ids), 4), np.int32),
            "masks": np.stack([frame.mask == x for x in ids], axis=-1),
            "class_ids": np.array(
                [1 + NOCS_CATEGORIES.index(frame.labels[x].category) for x in ids], np.int32
            ),
            "scores": np.linspace(0.5, 0.9, len(ids), dtype=np.float32),
        }
        path = detections_file(results, stem)
        assert path.name == f"results_test_scene_2_{stem.name}.pkl"
        path.write_bytes(pickle.dumps(content, protocol=2))
    arguments = (data, "--out", tmp_path / "out", "--parts", "Real/test", "--no-codes")
    prepare(*arguments, "--detections", results)
    scene = tmp_path / "out" / "Real" / "test" / "scene_2"
    assert not (scene / "mug.npz").exists()
    plain = scene_images(data / "Real" / "test" / "scene_2")[0]
    report = json.loads((scene / "report.json").read_text())
    assert any("_0000.pkl: cannot be read" in x for x in report["problems"])
    assert sum("(mug) was not detected" in x for x in report["problems"]) >= 1
    cans = read_instances(scene / "can.npz")
    assert all(x.truth is not None and 0.5 <= x.instance.score <= 0.9 for x in cans)
    assert not any(x.image.endswith(plain.name) for x in cans)


def test_damaged_images_are_named_and_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    shutil.copytree(data, root)
    scene = root / "Real" / "train" / "scene_1"
    (scene / "0000_depth.png").unlink()
    (scene / "0001_color.png").write_bytes(b"rubbish")
    (scene / "0002_meta.txt").write_text("1 99 model\n")
    arguments = (root, "--out", tmp_path / "out", "--parts", "Real/train", "--no-codes")
    assert prepare(*arguments) == 0
    log = capsys.readouterr().out
    assert "Real/train: 3 images" in log
    assert "lacks 0000_depth.png" in log
    assert "0001_color.png" in log
    assert "class id 99" in log


def test_what_is_missing_is_said_with_its_source(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert script("prepare_nocs").main([str(data), "--check"]) == 0
    log = capsys.readouterr().out
    assert "Real/train: 5" in log
    assert "results/mrcnn_results is missing" in log
    assert "github.com/mentian/object-deformnet" in log


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        script("prepare_nocs").main([str(tmp_path / "nowhere"), "--check"])


@pytest.fixture(scope="module")
def self_supervision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few steps, with labels of which little is asked: there are few instances."""
    config = tmp_path_factory.mktemp("config") / "self.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "synthetic_views": 8,
                "synthetic_shapes": 2,
                "learning": {
                    "losses": "certified",
                    "synthetic_batch": 2,
                    "real_batch": 2,
                    "rounds": 1,
                    "min_labels": 1,
                    "certificate": {
                        "confidence": 0.3,
                        "inlier_ratio": 0.6,
                        "free_space_violation": 0.3,
                    },
                    "training": {"steps": 3, "checkpoint_every": 2},
                },
            }
        )
    )
    return config


def test_evaluation_after_pre_training_and_self_supervision(
    data: Path, prepared: Path, weights: Path, self_supervision: Path, tmp_path: Path
) -> None:
    """The shipped network labels what a smaller one would not: the teacher must know something."""
    out = tmp_path / "adapted"
    arguments = ["can", "--data", str(prepared), "--part", "Real/train", "--out", str(out)]
    arguments += [
        "--work",
        str(tmp_path / "work"),
        "--config",
        str(self_supervision),
        "--device",
        "cpu",
    ]
    assert script("self_supervise").main(arguments) == 0
    log = tmp_path / "work" / "tensorboard" / "can.certified"
    events = b"".join(x.read_bytes() for x in log.iterdir())
    assert b"overlay/0" in events
    assert b"reconstruction/0" in events
    paper = [*arguments, "--losses", "paper", "--weights", str(weights)]
    paper[paper.index(str(out))] = str(tmp_path / "paper")
    assert script("self_supervise").main(paper) == 0
    assert [x.name for x in out.iterdir()] == ["can"]
    adapted, shipped = Pack.read(out / "can"), Pack.read(SHIPPED / "can")
    assert adapted.decoder == shipped.decoder
    assert adapted.encoder != shipped.encoder
    report = tmp_path / "report.json"
    arguments = ["eval", "real275", str(data), "--category", "can", "--detections", "masks"]
    arguments += ["--weights", str(out), "--json", str(report), "--device", "cpu"]
    assert command([*arguments, "--results", str(tmp_path / "results")]) == 0
    found = json.loads(report.read_text())
    assert found["truth"] == "coordinate_maps"
    assert "are computed from the maps" in found["problems"][0]
    assert found["mean"]["n"] == found["per_category"]["can"]["n"] > 0
    assert found["mean"]["iou25"] > 50.0


def test_codes_for_another_decoder_are_not_taken(
    prepared: Path, weights: Path, tmp_path: Path
) -> None:
    own_pack(tmp_path, "can", like="bottle", encoder=False)
    arguments = ["can", "--weights", str(tmp_path), "--work", str(tmp_path / "work")]
    arguments += ["--data", str(prepared), "--config", str(weights / "encoder.yaml")]
    with pytest.raises(WeightsError, match=r"no codes for .*can/decoder.*--weights"):
        script("pretrain").main([*arguments, "--device", "cpu"])


def test_runs_with_several_seeds_are_averaged(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / "Real" / part).mkdir(parents=True)
    arguments = ["--runs", "2", "--data", str(tmp_path), "--work", str(tmp_path / "runs")]
    arguments += ["--images", str(tmp_path), "--detections", "masks", "--category", "can"]
    arguments += ["--json", str(tmp_path / "runs.json")]
    repeat_runs = script("repeat_runs")
    started: list[str] = []

    def evaluate(words: list[str]) -> None:
        started.append(words[3] if words[0] == "-m" else Path(words[0]).stem)
        if words[0] == "-m":
            measures = ("iou25", "iou50", "iou75", "deg5_cm2", "deg5_cm5", "deg10_cm2", "deg10_cm5")
            row = {"n": 3, **dict.fromkeys(measures, 10.0 * len(started))}
            report = {"per_category": {"can": row}, "mean": row}
            path = Path(words[words.index("--json") + 1])
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(report))

    repeat_runs.run_process = evaluate
    assert repeat_runs.main(arguments) == 0
    assert started == 2 * ["self_supervise", "real275"]
    found = json.loads((tmp_path / "runs.json").read_text())
    assert found["runs"] == 2
    assert found["mean"]["deg10_cm5"] == pytest.approx(30.0)
    assert found["spread"]["deg10_cm5"] == pytest.approx(10.0)
    # The second time nothing is trained.
    assert repeat_runs.main(arguments) == 0
    assert len(started) == 4


def test_a_script_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    repeat_runs = script("repeat_runs")
    path = tmp_path / "evaluate.py"
    path.write_text("import sys; sys.exit(sys.argv[1:] != ['--part', 'x'])")
    repeat_runs.run_process([str(path), "--part", "x"])
    with pytest.raises(ConfigurationError, match=r"evaluate\.py --part y: failed"):
        repeat_runs.run_process([str(path), "--part", "y"])


@pytest.fixture(scope="module")
def colour_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of colour and depth that puts objects of the right size where points are."""
    folder = tmp_path_factory.mktemp("colour_weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Ssc6dConfig(code_length=32, points=64, image_size=24, width=8)
        encoder = Ssc6dEncoder(network)
    with torch.no_grad():
        for head in encoder.heads.values():
            head[-1].weight *= 0.1  # type: ignore[index,operator]
        encoder.heads["translation"][-1].bias.zero_()  # type: ignore[index,operator]
        encoder.heads["scale"][-1].bias.fill_(0.16)  # type: ignore[index,operator]
    base = Pack.read(SHIPPED / "can")
    write_pack(folder / "can", base.category, {"encoder": encoder}, base)
    return folder


@pytest.fixture(scope="module")
def supervise_colour(
    prepared: Path, colour_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[str]]:
    """Arguments that train that network on real images without labels, in a new folder."""
    config = tmp_path_factory.mktemp("config") / "ssc6d_self.yaml"
    certificate = {"confidence": 0.0, "inlier_ratio": 0.0, "free_space_violation": 1.0}
    labelling = {"rounds": 1, "fast_teacher": True, "min_labels": 1, "certificate": certificate}
    training = {"steps": 4, "batch": 4, "round_views": 4, "model_points": 32}
    training |= {"checkpoint_every": 2, "learning_rate": 0.002}
    learning = {"render_size": 12, "labelling": labelling, "training": training}
    config.write_text(yaml.safe_dump({"synthetic_shapes": 2, "learning": learning}))

    def arguments(*more: object) -> list[str]:
        folder = tmp_path_factory.mktemp("adapted")
        paths = ["--weights", colour_weights, "--out", folder, "--work", folder / "work"]
        options = ["--encoder", "ssc6d", "--config", config, "--device", "cpu", "--threads", "1"]
        return ["can", *map(str, [*paths, *options, *more])]

    return arguments


@pytest.fixture(scope="module")
def adapted_colour(prepared: Path, supervise_colour: Callable[..., list[str]]) -> Path:
    """The network after a few steps with the losses of the paper."""
    data = ("--data", prepared, "--part", "Real/train", "--synthetic", "CAMERA/train")
    arguments = supervise_colour(*data)
    assert script("self_supervise").main(arguments) == 0
    return Path(arguments[arguments.index("--out") + 1])


def test_the_encoder_of_colour_learns_without_labels(
    prepared: Path,
    colour_weights: Path,
    adapted_colour: Path,
    supervise_colour: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole = _tensors(adapted_colour / "can" / "encoder.safetensors")
    before = _tensors(colour_weights / "can" / "encoder.safetensors")
    assert any(not np.array_equal(before[name], whole[name]) for name in whole)
    # Interrupted, and gone on with.
    data = ("--data", prepared, "--part", "Real/train", "--synthetic", "CAMERA/train")
    arguments = supervise_colour(*data)
    out = Path(arguments[arguments.index("--out") + 1])
    stopped = script("self_supervise")
    setup = stopped.ssc6d_self_training

    def interrupted(*args: object, **options: object) -> object:
        training = setup(*args, **options)
        training.__class__ = _interrupted_after(type(training), 3)
        return training

    stopped.ssc6d_self_training = interrupted
    with pytest.raises(KeyboardInterrupt):
        stopped.main(arguments)
    assert (out / "work" / "can.ssc6d.paper.ckpt").is_file()
    assert script("self_supervise").main(arguments) == 0
    again = _tensors(out / "can" / "encoder.safetensors")
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["encoder"] == "ssc6d"
    assert (report["losses"], report["ablation"]) == ("paper", "none")


def test_certified_labels_and_ablations_of_the_encoder_of_colour(
    prepared: Path, supervise_colour: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    data = ("--data", prepared, "--part", "Real/train", "--synthetic", "CAMERA/train")
    self_supervise = script("self_supervise")
    assert self_supervise.main(supervise_colour(*data, "--losses", "certified")) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 1 <= report["certified"] <= report["instances"]
    assert self_supervise.main(supervise_colour(*data, "--ablation", "real")) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["ablation"] == "real"


def test_two_processes_learn_without_labels_what_one_does(
    prepared: Path,
    colour_weights: Path,
    adapted_colour: Path,
    supervise_colour: Callable[..., list[str]],
) -> None:
    data = ("--data", prepared, "--part", "Real/train", "--synthetic", "CAMERA/train")
    arguments = supervise_colour(*data)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(TRAINING / "self_supervise.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one = _tensors(adapted_colour / "can" / "encoder.safetensors")
    two = _tensors(Path(arguments[arguments.index("--out") + 1]) / "can" / "encoder.safetensors")
    before = _tensors(colour_weights / "can" / "encoder.safetensors")
    apart = np.concatenate([(two[x] - one[x]).ravel() for x in one])
    moved = np.concatenate([(one[x] - before[x]).ravel() for x in one])
    assert np.abs(apart).mean() < 0.03 * np.abs(moved).mean()


@pytest.mark.parametrize(
    ("encoder", "message"),
    [("fast", "only for --encoder ssc6d"), ("ssc6d", "expected --part as well")],
)
def test_options_that_do_not_fit_are_named(
    encoder: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["can", "--data", str(tmp_path), "--out", str(tmp_path), "--work", str(tmp_path)]
    arguments += ["--synthetic", "CAMERA/train", "--encoder", encoder]
    with pytest.raises(SystemExit):
        script("self_supervise").main(arguments)
    assert message in capsys.readouterr().err


def test_the_shipped_self_supervision_of_the_encoder_of_colour_is_the_default() -> None:
    module = script("self_supervise")
    read = read_configuration(module.DEFAULT_CONFIGS["ssc6d"], module.Ssc6dSettings)
    assert read == module.Ssc6dSettings()


def test_recordings_are_learnt_from_with_simulated_labelled_views(
    supervise_colour: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pool = partial(ModelPool.for_category, distractors=1)
    monkeypatch.setattr(ModelPool, "for_category", pool)
    self_supervise = script("self_supervise")
    self_supervise.procedural_codes = lambda category, decoder, count: torch.zeros(count, 32)
    arguments = supervise_colour("--data", sample_frame())
    assert self_supervise.main(arguments) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["instances"] >= 1
    work = Path(arguments[arguments.index("--work") + 1])
    assert len(list(work.glob("can.2.*.codes.safetensors"))) == 1


def test_prepared_data_without_colour_are_named(
    prepared: Path, supervise_colour: Callable[..., list[str]], tmp_path: Path
) -> None:
    for path in prepared.glob("Real/train/*/can.npz"):
        items = [
            replace(x, instance=replace(x.instance, colour=None)) for x in read_instances(path)
        ]
        target = tmp_path / path.relative_to(prepared)
        target.parent.mkdir(parents=True)
        write_instances(target, items)
    with pytest.raises(FrameError, match="no instance of 'can' has colour"):
        script("self_supervise").main(supervise_colour("--data", tmp_path, "--part", "Real/train"))


def test_two_processes_train_what_one_does(prepared: Path, weights: Path, tmp_path: Path) -> None:
    """The views of a step are shared, and the gradients averaged."""
    copied_pack(tmp_path, "can", encoder=False)
    arguments = ["can", "--weights", str(tmp_path), "--work", str(tmp_path / "work")]
    arguments += ["--data", str(prepared), "--config", str(weights / "encoder.yaml")]
    _in_two_processes("pretrain", [*arguments, "--device", "cpu", "--threads", "1"])
    one = _tensors(weights / "can" / "encoder.safetensors")
    two = _tensors(tmp_path / "can" / "encoder.safetensors")
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, atol=2e-3, err_msg=name)


def _in_two_processes(name: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(TRAINING / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def _tensors(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return {name: x.astype(np.float32) for name, x in load_file(str(path)).items()}
