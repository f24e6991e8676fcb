"""The command `sdfpose shapes`."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from sdfpose_core.cli.main import main


def test_render_writes_a_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheets" / "two.png"
    options = ["--count", "3", "--columns", "3", "--size", "48"]
    assert main(["shapes", "render", "--category", "can", "mug", "--out", str(out), *options]) == 0
    assert cv2.imread(str(out)).shape == (2 * 52, 3 * 52, 3)
    assert "wrote" in capsys.readouterr().out


def test_render_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tetrahedron = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
    (tmp_path / "t.obj").write_text(tetrahedron)
    out = tmp_path / "t.png"
    command = ["shapes", "render", "--models", str(tmp_path), "--out", str(out), "--size", "64"]
    assert main(command) == 0
    assert out.is_file()
    assert "1 models used" in capsys.readouterr().out


def test_render_of_reconstructions(tmp_path: Path) -> None:
    out = tmp_path / "pairs.png"
    command = ["shapes", "render", "--reconstructions", "--out", str(out), "--size", "96"]
    assert main([*command, "--category", "can", "--count", "1", "--columns", "1"]) == 0
    image = cv2.imread(str(out))
    assert image.shape == (100, 200, 3)
    original, made = image[14:96, :96], image[14:96, 100:196]
    covered = [x.min(axis=-1) < 250 for x in (original, made)]
    overlap = (covered[0] & covered[1]).sum() / (covered[0] | covered[1]).sum()
    assert overlap > 0.93


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--category", "bottel"], "did you mean 'bottle'"),
        (["--count", "0"], "'0': expected an integer from 1 to 1000"),
        (["--out", "x.jpg"], "ending in .png"),
        (["--models", "/", "--reconstructions"], "expected --category with one name"),
        (["--models", "/nowhere"], "--models /nowhere: No such file or directory"),
        (["--out", "/proc/sheet.png", "--count", "1", "--size", "32"], "cannot be written"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shapes", "render", "--out", str(tmp_path / "x.png"), *arguments]) == 2
    assert message in capsys.readouterr().err
