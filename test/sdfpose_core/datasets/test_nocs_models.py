import pickle

import numpy as np
import pytest
import trimesh

from sdfpose_core.datasets.nocs_frames import MugFrame
from sdfpose_core.datasets.nocs_models import NocsModels
from sdfpose_core.datasets.nocs_results import read_dictionary
from sdfpose_core.errors import ConfigurationError

SIDES = np.array([0.12, 0.1, 0.08])


@pytest.fixture
def root(tmp_path):
    (tmp_path / "obj_models" / "real_test").mkdir(parents=True)
    return tmp_path


def write_mesh(path, sides, offset=0.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    box = trimesh.creation.box(extents=sides)
    box.vertices += offset
    path.write_text(box.export(file_type="obj"))


def test_sizes_are_twice_the_largest_coordinates(root):
    write_mesh(root / "obj_models" / "real_test" / "mug_a_norm.obj", SIDES, (0.01, 0.0, 0.0))
    np.savetxt(root / "obj_models" / "real_test" / "can_b_norm.txt", SIDES)
    write_mesh(root / "obj_models" / "val" / "03797390" / "ab12" / "model.obj", SIDES)
    own = root / "obj_models" / "val" / "03797390" / "cd34"
    own.mkdir()
    np.savetxt(own / "bbox.txt", np.stack([0.5 * SIDES, -0.6 * SIDES]))
    problems = []
    unit = SIDES / np.linalg.norm(SIDES)
    real, rendered = NocsModels(root, "Real/test"), NocsModels(root, "CAMERA/val")
    moved = np.array([0.14, 0.1, 0.08]) / np.linalg.norm(SIDES)
    np.testing.assert_allclose(real.size("mug_a_norm", problems), moved, atol=1e-6)
    np.testing.assert_allclose(real.size("can_b_norm", problems), unit)
    np.testing.assert_allclose(rendered.size("ab12", problems), unit, atol=1e-6)
    np.testing.assert_allclose(rendered.size("cd34", problems), 1.2 / 1.1 * unit)
    assert problems == []


@pytest.mark.parametrize("content", ["", "1 2", "1 2 nan", "1 2 3\n1 2 3", "a b c", "0 1 2"])
def test_unusable_files_are_named_and_the_mesh_is_taken(root, content):
    folder = root / "obj_models" / "real_test"
    (folder / "mug_a_norm.txt").write_text(content)
    models, problems = NocsModels(root, "Real/test"), []
    assert models.size("mug_a_norm", problems) is None
    assert len(problems) == 2
    assert "mug_a_norm.txt" in problems[0]
    assert "has no usable model 'mug_a_norm'" in problems[1]
    assert models.size("mug_a_norm", problems) is None
    assert len(problems) == 2  # told once
    write_mesh(folder / "mug_a_norm.obj", SIDES)
    assert NocsModels(root, "Real/test").size("mug_a_norm", problems) is not None


def test_published_frames_of_mugs_come_first(root):
    (root / "obj_models" / "mug_meta.pkl").write_bytes(
        pickle.dumps({"known": [np.array([0.1, 0.0, 0.02]), 0.9], "bad": [np.zeros(2), 1.0]})
    )
    models, problems = NocsModels(root, "Real/test"), []
    found = models.mug_frame("known", SIDES, problems)
    np.testing.assert_array_equal(found.shift, [0.1, 0.0, 0.02])
    assert found.scale == 0.9
    assert len(problems) == 1
    assert "unusable entries (bad)" in problems[0]
    for name in ("bad", "other"):
        found = models.mug_frame(name, SIDES, problems)
        np.testing.assert_allclose(found.shift, MugFrame.of_box(SIDES).shift)
    special = models.mug_frame("649a51c711dc7f3b32e150233fdd42e9", SIDES / 0.1, problems)
    assert special.shift[0] == 0.0
    assert special.shift[2] < 0.0
    assert len(problems) == 1


class Code:
    def __reduce__(self):
        return eval, ("1 + 1",)


@pytest.mark.parametrize("content", [pickle.dumps({"x": Code()}), pickle.dumps([1]), b"rubbish"])
def test_unusable_frames_are_named(root, content):
    (root / "obj_models" / "mug_meta.pkl").write_bytes(content)
    models, problems = NocsModels(root, "Real/test"), []
    frame = models.mug_frame("mug", SIDES, problems)
    np.testing.assert_allclose(frame.shift, MugFrame.of_box(SIDES).shift)
    assert len(problems) == 1
    assert "mug_meta.pkl" in problems[0]


def test_unknown_parts_are_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match="part 'Real/val' is unknown: expected one of"):
        NocsModels(tmp_path, "Real/val")


def test_published_sizes_are_those_of_the_models(nocs_sample):
    path = nocs_sample / "gts" / "val" / "results_val_00000_0000.pkl"
    content = read_dictionary(path)
    models, problems = NocsModels(nocs_sample, "CAMERA/val"), []
    for name, size in zip(content["obj_list"], content["gt_scales"], strict=True):
        found = models.size(name.split("/")[-2], problems)
        np.testing.assert_allclose(found, size, atol=1e-5)
    assert problems == []
