"""Training shapes from families and folders."""

import numpy as np
import pytest

from sdfpose_core.errors import CategoryError, ConfigurationError, MeshError
from sdfpose_core.geometry.meshes import write_ply
from sdfpose_core.sdf.training_shapes import (
    SampleCounts,
    folder_shapes,
    procedural_shapes,
    read_exclusions,
)
from sdfpose_core.shapes.families import sample_model

COUNTS = SampleCounts(surface=60, uniform=30, boundary=10)


@pytest.fixture
def collection(tmp_path):
    """A folder in ShapeNet's layout: five cans, and a file that holds no mesh."""
    root = tmp_path / "02946921"
    for seed in range(5):
        model = sample_model("can", seed)
        write_ply(
            root / f"model{seed}" / "models" / "model_normalized.ply",
            model.vertices * 1000.0,
            model.faces,
            np.tile([0.0, 1.0, 0.0], (len(model.vertices), 1)),
        )
    (root / "broken.ply").write_text("garbage")
    return root


def test_procedural_shapes_and_their_cache(tmp_path):
    log = []
    shapes = procedural_shapes("bowl", COUNTS, tmp_path, training=3, validation=2, log=log.append)
    assert [len(x.points) for x in shapes.training + shapes.validation] == [100] * 5
    assert log[0] == "bowl_0000000"
    assert log[3] == "bowl_1000000", "validation shapes are the held-out ones"
    assert len(list((tmp_path / "bowl").iterdir())) == 5
    again = procedural_shapes("bowl", COUNTS, tmp_path, training=3, validation=2)
    np.testing.assert_array_equal(again.training[2].points, shapes.training[2].points)
    np.testing.assert_allclose(shapes.diagonals_m[0], sample_model("bowl", 0).diagonal_m)


def test_a_category_without_a_family(tmp_path):
    with pytest.raises(CategoryError, match=r"no procedural family 'vase'.*folder of meshes"):
        procedural_shapes("vase", COUNTS, tmp_path, training=1, validation=1)


def test_a_folder_of_meshes(collection, tmp_path):
    shapes = folder_shapes(
        "tin", collection, COUNTS, tmp_path / "cache", exclude=["model1"], unit_m=0.001
    )
    assert len(shapes.training) == 3
    assert len(shapes.validation) == 1
    assert "4 models used, 1 rejected, 1 excluded" in shapes.report
    assert "broken.ply" in shapes.report
    np.testing.assert_allclose(shapes.diagonals_m[0], sample_model("can", 0).diagonal_m, rtol=1e-5)


def test_too_few_meshes(collection, tmp_path):
    unwanted = ["model1", "model2", "model3"]
    with pytest.raises(MeshError, match="only 2 models are usable") as caught:
        folder_shapes("tin", collection, COUNTS, tmp_path / "cache", exclude=unwanted)
    assert "3 excluded" in str(caught.value)
    (tmp_path / "empty").mkdir()
    with pytest.raises(MeshError, match="contains no mesh"):
        folder_shapes("tin", tmp_path / "empty", COUNTS, tmp_path / "cache")


@pytest.mark.parametrize("text", ["[model1, '12']", "{'02946921': [model1, 12], '03797390': [x]}"])
def test_exclusions(tmp_path, collection, text):
    path = tmp_path / "exclude.yaml"
    path.write_text(text)
    assert read_exclusions(path, collection) == {"model1", "12"}


@pytest.mark.parametrize("content", [b"model1\n12\n", b"\xef\xbb\xbf model1 \r\n\r\n12"])
def test_exclusions_as_ssc6d_publishes_them(tmp_path, collection, content):
    path = tmp_path / "02946921.txt"
    path.write_bytes(content)
    (tmp_path / "03797390.txt").write_text("other\n")
    assert read_exclusions(path, collection) == {"model1", "12"}
    assert read_exclusions(tmp_path, collection) == {"model1", "12"}
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"expected a file 02946921\.txt .*found 03797390"):
        read_exclusions(tmp_path, collection)
    with pytest.raises(ConfigurationError, match=r"02946921\.txt: cannot be read as text"):
        read_exclusions(path, collection)


def test_excluded_and_unknown_models_are_named(tmp_path, collection):
    shapes = folder_shapes("can", collection, COUNTS, tmp_path, exclude=["model1", "nobody"])
    assert shapes.names == ("model0", "model2", "model3")
    assert "excluded model1" in shapes.report
    assert "warning: the excluded model 'nobody' does not exist" in shapes.report


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'03797390': [x]}", "contains no list for '02946921': expected .* of its keys 03797390"),
        ("5", "expected a list of model names"),
        ("[[1]]", "expected a list of model names"),
        ("[1", "cannot be read as YAML"),
    ],
)
def test_bad_exclusions(tmp_path, collection, text, message):
    path = tmp_path / "exclude.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        read_exclusions(path, collection)
