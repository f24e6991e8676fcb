"""training/adapt_colour.py with settings for a few steps."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from sdfpose_core.benchmark.colour_adaptation import (
    METHODS,
    ColourAdaptation,
    gap_closed,
    instances_of,
)
from sdfpose_core.storage.configuration import read_configuration

SCRIPT = Path(__file__).parents[2] / "training" / "adapt_colour.py"


@pytest.fixture(scope="module")
def adapt_colour():
    spec = importlib.util.spec_from_file_location("adapt_colour", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["adapt_colour"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["adapt_colour"]


@pytest.fixture
def config(adapt_colour, tmp_path):
    """The shipped settings, with few and small views and few steps."""
    content = yaml.safe_load(adapt_colour.CONFIG.read_text(encoding="utf-8"))
    content |= {"models": 2, "views": 12, "real_models": 2, "real_views": 4, "test_models": 1}
    content |= {"test_views": 1, "pixels": 3000}
    content["pretraining"] |= {"steps": 2, "batch": 4, "round_views": 12}
    content["pretraining"]["encoder"] |= {"points": 32, "image_size": 32, "width": 4}
    content["adaptation"] |= {"real_batch": 2, "render_size": 8}
    # An untrained network's estimates need not be good to become labels here.
    certificate = {"confidence": 0.0, "inlier_ratio": 0.0, "free_space_violation": 1.0}
    content["adaptation"]["labelling"] |= {"min_labels": 1, "certificate": certificate}
    content["adaptation"]["training"] |= {"steps": 1, "batch": 4, "round_views": 12}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_all_methods_are_measured_once(adapt_colour, config, tmp_path, capsys):
    report = tmp_path / "colour.json"
    arguments = ["bowl", "--work", str(tmp_path / "work"), "--config", str(config)]
    arguments += ["--seeds", "1", "--json", str(report), "--threads", "1"]
    assert adapt_colour.main(arguments) == 0
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["category"] == "bowl"
    assert document["before"]["alone"]["n"] == 1
    assert {name: len(runs) for name, runs in document["runs"].items()} == dict.fromkeys(METHODS, 1)
    files = {x: x.stat().st_mtime_ns for x in (tmp_path / "work").iterdir()}
    assert adapt_colour.main(arguments) == 0
    assert files == {x: x.stat().st_mtime_ns for x in (tmp_path / "work").iterdir()}
    assert "gap closed" in capsys.readouterr().out


def test_the_domains_show_different_objects_and_noise(adapt_colour, config):
    settings = read_configuration(config, ColourAdaptation)
    real = list(instances_of("bowl", settings, "real", "field"))
    test = list(instances_of("bowl", settings, "test", "field"))
    assert not {x.model_seed for x in real} & {x.model_seed for x in test}
    (ideal,) = instances_of("bowl", settings, "test", "studio")
    np.testing.assert_array_equal(ideal.truth.rotation, test[0].truth.rotation)
    assert not np.array_equal(ideal.instance.points, test[0].instance.points)


def test_the_gap_that_is_closed():
    assert gap_closed(40.0, 55.0, 70.0) == pytest.approx(0.5)
    assert gap_closed(40.0, 30.0, 70.0) == pytest.approx(-1.0 / 3.0)
    assert gap_closed(70.0, 75.0, 70.0) is None
