"""The examples run on what ships with the package, and print and write what they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import trimesh

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = EXAMPLES / "01_estimate_a_frame.ipynb"
MOST_LINES = 40
CATEGORIES = ("bottle", "bowl", "camera", "can", "laptop", "mug")


def run(name: str, folder: Path) -> str:
    """Output of an example that runs in a folder of its own, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(output: str) -> dict[str, list[str]]:
    """Lines that start with a category, by category, split into words."""
    words = [line.split() for line in output.splitlines()]
    return {x[0]: x for x in words if x and x[0] in CATEGORIES}


def test_estimate_a_frame(tmp_path: Path) -> None:
    output = run("01_estimate_a_frame.py", tmp_path)
    found = rows(output)
    assert tuple(found) == CATEGORIES
    assert all(float(x[-1]) > 0.5 for x in found.values())
    picture = cv2.imread(str(tmp_path / "out/examples/overlay.png"))
    assert picture is not None
    assert picture.shape == (480, 640, 3)


def test_track_a_sequence(tmp_path: Path) -> None:
    lines = run("02_track_a_sequence.py", tmp_path).splitlines()
    steps = [x for x in lines if " ms  " in x]
    assert len(steps) == 8
    assert all("bottle 1 " in x and "bowl 2 " in x for x in steps)
    table = [x.split() for x in lines[lines.index("") + 2 :]]
    assert [(x[0], x[1]) for x in table] == [(str(i), c) for i, c in enumerate(CATEGORIES, start=1)]
    assert {x[2] for x in table} == {"TRACKED"}
    assert {x[3] for x in table} == {"8"}


def test_mesh_and_grasp_frame(tmp_path: Path) -> None:
    output = run("03_mesh_and_grasp_frame.py", tmp_path)
    mesh = trimesh.load(tmp_path / "out/examples/mug.ply")
    assert mesh.is_watertight
    assert 0.05 < max(mesh.extents) < 0.25
    numbers = output.replace("[", " ").replace("]", " ").split()[-16:]
    grasp = np.array(numbers, dtype=float).reshape(4, 4)
    rotation = grasp[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=2e-3)
    assert np.linalg.det(rotation) == pytest.approx(1.0, abs=2e-3)
    assert 0.8 < grasp[2, 3] < 1.5


def test_evaluate_a_bag(tmp_path: Path) -> None:
    output = run("04_evaluate_a_bag.py", tmp_path)
    assert "6 frames replayed" in output
    assert "problems: none" in output
    found = rows(output)
    assert tuple(found) == CATEGORIES
    for category, x in found.items():
        assert float(x[2]) < 20.0, category
        assert float(x[3]) < 5.0, category
    assert (tmp_path / "out/examples/table/metadata.yaml").is_file()


def test_your_own_masks(tmp_path: Path) -> None:
    output = run("05_your_own_masks.py", tmp_path)
    assert "mug 1: confidence" in output
    assert "can 2: confidence" in output
    assert "skipped" not in output


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    scope: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), scope)  # noqa: S102
    assert tuple(rows(capsys.readouterr().out)) == CATEGORIES
    assert (tmp_path / "out/examples/mug.ply").is_file()
    shown = "".join(line for x in cells for y in x.get("outputs", []) for line in y.get("text", []))
    assert tuple(rows(shown)) == CATEGORIES


def test_the_ladder_lists_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 5
    for path in [*scripts, NOTEBOOK]:
        assert f"({path.name})" in readme
    for path in scripts:
        assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES, path.name
