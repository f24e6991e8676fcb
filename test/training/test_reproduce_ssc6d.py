"""The reproduction of SSC-6D: its stages on a miniature of the data, interrupted and resumed."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from own_pack import own_pack

from sdfpose_core.cli.main import main as command
from sdfpose_core.encoder.ssc6d import Ssc6dConfig, Ssc6dEncoder
from sdfpose_core.encoder.training_run import TrainingRun
from sdfpose_core.errors import CategoryError, ConfigurationError, WeightsError
from sdfpose_core.learning.stages import Stage
from sdfpose_core.sdf.deepsdf import DeepSdf, DeepSdfConfig

TRAINING = Path(__file__).parents[2] / "training"

STAGES = ["prepare", "decoder-can", "codes-can", "pretrain-can"]
STAGES += ["self-supervise-can-0", "self-supervise-can-1"]
STAGES += ["evaluate-none-0", "evaluate-none-1", "evaluate-icp-0", "evaluate-icp-1"]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Loads a script of the folder `training` as a module."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def recipe(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which runs the commands of its stages in this process: others start slowly."""
    module = script("reproduce_ssc6d")
    module.ran = []  # type: ignore[attr-defined]

    def run_here(stage: Stage) -> None:
        module.ran.append(stage.name)
        python, name, *words = stage.command
        assert python == sys.executable
        if name == "-m":
            assert command(words[1:]) == 0
            return
        loaded = script(Path(name).stem)
        loaded.ProcessPoolExecutor = lambda *arguments: ThreadPoolExecutor(1)  # type: ignore[attr-defined]
        monkeypatch.setattr(sys, "argv", [name, *words])
        assert loaded.main() == 0

    module.run_stage = run_here  # type: ignore[attr-defined]
    return module


def kill_after_first_checkpoint(stage: Stage, checkpoint: Path) -> None:
    process = subprocess.Popen(stage.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60.0
    while not checkpoint.is_file():
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    raise ConfigurationError("the command has failed (exit status -9)")


def test_miniature(
    recipe: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, runs = tmp_path / "data", tmp_path / "runs"
    arguments = [str(data), "--out", str(runs), "--miniature", "--device", "cpu"]
    arguments += ["--threads", "1", "--workers", "0"]
    run_here = recipe.run_stage
    checkpoint = runs / "stages" / "pretrain-can" / "can.ssc6d.ckpt"

    def killed(stage: Stage) -> None:
        if stage.name == "pretrain-can":
            kill_after_first_checkpoint(stage, checkpoint)
        run_here(stage)

    # The pre-training is killed after its first checkpoint.
    recipe.run_stage = killed
    with pytest.raises(ConfigurationError, match=r"7 of 10 .*: pretrain-can \(failed\), self-sup"):
        recipe.main(arguments)
    assert recipe.ran == STAGES[:3]
    assert recipe.main([*arguments, "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "decoder-can: there\n" in plan
    assert "pretrain-can: partly, to run; about " in plan
    assert "evaluate-icp-1: missing, to run; about " in plan
    assert "7 of 10 stages to run" in plan

    # It goes on, and so do the others.
    recipe.run_stage = run_here
    steps: list[int] = []
    run_to = TrainingRun._run_to

    def counted(self: TrainingRun, *rest: object) -> None:
        taken = type(self)._train_step

        def step() -> dict[str, object]:
            steps.append(self.step)
            return taken(self)  # type: ignore[return-value]

        self._train_step = step  # type: ignore[method-assign,assignment]
        run_to(self, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TrainingRun, "_run_to", counted)
    assert recipe.main(arguments) == 0
    assert recipe.ran == STAGES
    assert steps[0] >= 20, "the pre-training did not resume"
    report = json.loads((runs / "report.json").read_text())
    assert report["truth"] == "coordinate_maps"
    assert (report["runs"], report["categories"], report["miniature"]) == (2, ["can"], True)
    assert list(report["stages"]) == STAGES
    for refine in ("none", "icp"):
        singles = [
            json.loads((runs / f"stages/evaluate-{refine}-{x}/real275.json").read_text())
            for x in (0, 1)
        ]
        found = report["refine"][refine]
        mean = sum(x["mean"]["iou50"] for x in singles) / 2.0
        assert found["mean"]["iou50"] == pytest.approx(mean)
        assert found["mean"]["n"] > 0
    assert report["refine"]["icp"]["mean"]["iou25"] > 50.0
    text = (runs / "report.md").read_text()
    table = "| can | 4 | "
    assert text.count(table) == 2
    assert "not those of the benchmark" in text
    assert "### pretrain-can" in text
    assert "width: 8" in text
    assert table in capsys.readouterr().out

    # The second time nothing runs; more seeds need new stages only.
    assert recipe.main(arguments) == 0
    assert recipe.ran == STAGES
    assert recipe.main([*arguments, "--repeat", "3", "--dry-run"]) == 0
    assert "3 of 13 stages to run" in capsys.readouterr().out

    # A changed setting is named.
    for path in (recipe.CONFIGS / "miniature").iterdir():
        text = path.read_text().replace("render_size: 24", "render_size: 32")
        (tmp_path / path.name).write_text(text)
    with pytest.raises(
        ConfigurationError,
        match=r"self-supervise-can-0 .*learning\.render_size was 24, now 32.*run0/can/encoder",
    ):
        recipe.main([*arguments, "--configs", str(tmp_path)])


def test_missing_data_are_named_before_any_work(recipe: ModuleType, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "runs")]
    with pytest.raises(ConfigurationError) as error:
        recipe.main(arguments)
    for part in ("camera_train.zip", "real_train.zip", "obj_models.zip", "real_test.zip"):
        assert part in str(error.value)
    assert "mrcnn_results/real_test: the segmentation results of Object-DeformNet" in str(
        error.value
    )
    assert not (tmp_path / "runs").exists()
    assert recipe.ran == []


def test_the_published_numbers_make_36_networks(
    recipe: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher = ["--launcher", "srun torchrun --nproc-per-node 2"]
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "runs"), "--dry-run"]
    assert recipe.main([*arguments, *launcher]) == 0
    lines = capsys.readouterr().out.splitlines()
    stages = [x.split(":")[0] for x in lines if not x.startswith(" ") and ": missing" in x]
    assert len(stages) == 1 + 3 * 6 + 36 + 12
    assert sum(x.startswith("self-supervise-") for x in stages) == 36
    started = [x for x in lines if x.startswith("    srun torchrun --nproc-per-node 2 ")]
    assert len(started) == 6 + 6 + 36
    assert "not measured on a GPU" in lines[-1]
    assert not (tmp_path / "runs").exists()


def test_networks_that_do_not_belong_together_are_named(recipe: ModuleType, tmp_path: Path) -> None:
    """Decoder and encoder were put there by hand."""
    weights = tmp_path / "runs" / "weights"
    decoder = DeepSdf(DeepSdfConfig(code_length=16, width=32))
    encoder = Ssc6dEncoder(Ssc6dConfig(code_length=12, image_size=24, width=8))
    own_pack(weights, "can", {"decoder": decoder, "encoder": encoder}, like="can")
    for part in ("CAMERA/train", "Real/train", "Real/test", "obj_models"):
        for name in ("train", "real_train", "real_test") if part == "obj_models" else ("scene",):
            (tmp_path / "data" / part / name / "x").mkdir(parents=True)
    arguments = [str(tmp_path / "data"), "--out", str(tmp_path / "runs"), "--categories", "can"]
    with pytest.raises(WeightsError, match=r"codes of length 12, .* have length 16"):
        recipe.main([*arguments, "--detections", "masks"])
    assert recipe.ran == []


def test_bad_arguments_are_named(recipe: ModuleType, tmp_path: Path) -> None:
    data = [str(tmp_path / "data")]
    with pytest.raises(ConfigurationError, match=r"--out .*: cannot be written"):
        recipe.main([*data, "--out", "/proc/none"])
    arguments = [*data, "--out", str(tmp_path / "runs"), "--categories", "can"]
    with pytest.raises(ConfigurationError, match=r"--stages x\*: no such stage: .*pretrain-can"):
        recipe.main([*arguments, "--stages", "x*"])
    with pytest.raises(ConfigurationError, match="pretrain-can uses the results of prepare"):
        recipe.main([*arguments, "--stages", "pretrain-*"])
    with pytest.raises(CategoryError, match="chair"):
        recipe.main([*arguments, "--categories", "chair"])
    with pytest.raises(ConfigurationError, match=r"deepsdf\.yaml: cannot be read"):
        recipe.main([*arguments, "--configs", str(tmp_path)])
    for name in ("deepsdf", "ssc6d", "ssc6d_self_supervision"):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"training": {"stepz": 1}}))
    with pytest.raises(ConfigurationError, match=r"deepsdf\.yaml: training: unknown key 'stepz'"):
        recipe.main([*arguments, "--configs", str(tmp_path)])


def test_commands_run_in_processes(
    script: Callable[[str], ModuleType], capfd: pytest.CaptureFixture[str]
) -> None:
    run_stage = script("reproduce_ssc6d").run_stage
    run_stage(Stage("one", (sys.executable, "-c", "print('hello')"), {}, ()))
    out = capfd.readouterr().out
    assert "one: " in out
    assert "hello" in out
    with pytest.raises(ConfigurationError, match="exit status 3"):
        run_stage(Stage("two", (sys.executable, "-c", "raise SystemExit(3)"), {}, ()))
    with pytest.raises(ConfigurationError, match="no-such-launcher: cannot be started"):
        run_stage(Stage("three", ("no-such-launcher",), {}, ()))
