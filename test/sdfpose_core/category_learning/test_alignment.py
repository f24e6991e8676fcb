"""Proposed orientations: axes that point up, fronts that agree, and the file that people edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from sdfpose_core.category_learning.alignment import propose_alignment
from sdfpose_core.category_learning.alignment_file import read_orientations, write_orientations
from sdfpose_core.category_learning.orientation import UPS, Orientation, oriented
from sdfpose_core.category_learning.sheets import alignment_sheet
from sdfpose_core.category_learning.standing import foot_areas
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.shapes.families import sample_model
from sdfpose_core.shapes.model import CadModel

MUGS = [sample_model("mug", seed) for seed in range(6)]


def turned(model: CadModel, rotation: np.ndarray) -> CadModel:
    return CadModel.centred(model.name, model.category, model.vertices @ rotation.T, model.faces)


@pytest.mark.parametrize("up", UPS)
def test_each_axis_is_turned_up(up):
    sign, axis = (1.0 if up[0] == "+" else -1.0), "xyz".index(up[1])
    rotation = Orientation(up, 40.0).rotation
    np.testing.assert_allclose(rotation @ (sign * np.eye(3)[axis]), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_a_front_at_z_is_turned_to_x():
    np.testing.assert_allclose(Orientation("+y", 90.0).rotation @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    assert {x.yaw_deg for x in propose_alignment(MUGS[:2], "z").orientations.values()} == {90.0}
    assert {x.yaw_deg for x in propose_alignment(MUGS[:2], "none").orientations.values()} == {0.0}


def test_different_fronts_are_found():
    yaws = [0.0, 0.0, 0.0, 0.0, 90.0, 215.0]
    files = [turned(x, Orientation("+y", a).rotation) for x, a in zip(MUGS, yaws, strict=True)]
    proposal = propose_alignment(files)
    for model, angle in zip(files, yaws, strict=True):
        found = proposal.orientations[model.name]
        assert found.up == "+y"
        assert abs((found.yaw_deg + angle + 180.0) % 360.0 - 180.0) <= 10.0
    assert not proposal.notes
    one = propose_alignment(files[4:5])
    assert one.orientations[files[4].name] == Orientation()


def test_a_model_on_its_side_is_set_up():
    side = Orientation("+z").rotation.T  # from y up to z up
    files = [*MUGS[:5], turned(MUGS[5], side)]
    proposal = propose_alignment(files)
    assert [proposal.orientations[x.name].up for x in files] == ["+y"] * 5 + ["+z"]
    assert "+z of its file seems to point up" in proposal.notes[MUGS[5].name]
    upright = oriented(files[5], proposal.orientations[MUGS[5].name])
    assert upright.dimensions_m[1] == pytest.approx(MUGS[5].dimensions_m[1])


def test_files_with_z_up():
    files = [turned(x, Orientation("+z").rotation.T) for x in MUGS[:4]]
    proposal = propose_alignment(files)
    assert {x.up for x in proposal.orientations.values()} == {"+z"}
    assert "+z of the files" in proposal.summary


def test_round_models_have_no_front():
    bowls = [sample_model("bowl", seed) for seed in range(3)]
    files = [turned(x, Orientation("+y", 50.0 * i).rotation) for i, x in enumerate(bowls)]
    proposal = propose_alignment(files)
    assert "no front" in proposal.summary
    assert {x.yaw_deg for x in proposal.orientations.values()} == {0.0}


def test_models_that_are_added_later_agree_with_the_known_ones():
    """The known front is at z of the files, where comparison alone would leave it at x."""
    known = {x.name: Orientation("+y", 90.0) for x in MUGS[:4]}
    side = Orientation("+z").rotation.T
    files = [*MUGS[:5], turned(MUGS[5], side @ Orientation("+y", 120.0).rotation)]
    proposal = propose_alignment(files, known={**known, "missing": Orientation()})
    assert set(proposal.orientations) == {MUGS[4].name, MUGS[5].name}
    assert proposal.orientations[MUGS[4].name] == Orientation("+y", 90.0)
    later = proposal.orientations[MUGS[5].name]
    assert later.up == "+z"
    assert later.yaw_deg == pytest.approx(-30.0, abs=10.0)
    assert set(proposal.notes) == {MUGS[5].name}


def test_a_foot_is_below_the_centre_of_mass():
    box = CadModel.centred("box", "box", *_box(1.0, 2.0, 3.0))
    np.testing.assert_allclose(list(foot_areas(box).values()), 1.0)
    leaning = CadModel.centred("leaning", "box", box.vertices + 2 * box.vertices[:, [1, 0, 0]]
                               * [1, 0, 0], box.faces)  # fmt: skip
    assert foot_areas(leaning)["+y"] == 0.0


def _box(x: float, y: float, z: float) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.box((x, y, z))
    return np.asarray(mesh.vertices), np.asarray(mesh.faces)


def test_orientations_are_edited_in_a_file(tmp_path: Path):
    path = tmp_path / "alignment.yaml"
    orientations = {"a/b": Orientation("-z", 15.0), "c": Orientation(use=False)}
    write_orientations(path, orientations)
    assert read_orientations(path) == orientations
    path.write_text("c: {up: +y}\n1: {yaw_deg: 30, use: true}\n")
    assert read_orientations(path) == {"c": Orientation(), "1": Orientation("+y", 30.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c: {up: y}", r"c: up is 'y': expected '\+x' or '-x'"),
        ("c: {yaw: 3}", "c: unknown key 'yaw' .did you mean 'yaw_deg'"),
        ("- c", "expected a mapping of model names"),
        ("c: {", "cannot be read as YAML"),
    ],
)
def test_a_file_that_was_edited_wrongly(tmp_path: Path, text: str, message: str):
    path = tmp_path / "alignment.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_orientations(path)


def test_the_sheet_shows_three_views_of_each_model():
    sheet = alignment_sheet(MUGS[:3], {MUGS[0].name: "its front is doubtful"}, size=64)
    assert sheet.shape == (2 * (32 + 64), 2 * 3 * 64, 3)
    assert (sheet[:32, :192] < 200).any()
    assert (sheet[96:, 192:] == 255).all()  # the fourth place is empty
