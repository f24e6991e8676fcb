"""Checks of the environment: what they say, and what they advise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from own_pack import own_pack

from sdfpose_core.diagnosis import environment
from sdfpose_core.diagnosis.environment import (
    check_packages,
    check_python,
    check_weights,
    cpu_finding,
    disk_finding,
    environment_findings,
)
from sdfpose_core.diagnosis.findings import Finding, worst_level

GIB = 2**30


def test_this_environment_has_no_fault():
    findings = environment_findings()
    assert [x for x in findings if x.level == "fault"] == []
    names = [x.name for x in findings]
    assert names == ["Python", "packages", "threads", "memory", "disk", "GPU", "weights"]


@pytest.mark.parametrize(
    ("cores", "usable", "load", "level", "text"),
    [
        (8, 8, 0.5, "ok", "8 of 8 cores"),
        (8, 8, 20.0, "warning", "busy"),
        (8, 1.5, 0.5, "warning", "may not use all cores"),
        (1, 1, 0.5, "warning", "1 of 1 cores"),
    ],
)
def test_threads(cores, usable, load, level, text):
    finding = cpu_finding(cores, usable, load, "")
    assert (finding.level, text in finding.text) == (level, True)


def test_the_advice_about_threads_is_a_number_that_can_be_set():
    assert "to 3," in cpu_finding(16, 4.0, 1.0, "").remedy
    assert "to 1," in cpu_finding(16, 0.5, 1.0, "").remedy
    assert "OMP_NUM_THREADS=1" in cpu_finding(16, 16, 1.0, "1").text


@pytest.mark.parametrize(
    ("content", "cores"),
    [("max 100000", math.inf), ("150000 100000", 1.5), ("", math.inf), ("a b", math.inf)],
)
def test_the_quota_of_a_container(tmp_path, content, cores):
    (tmp_path / "cpu.max").write_text(content)
    assert environment._quota(tmp_path / "cpu.max") == cores
    assert environment._quota(tmp_path / "none") == math.inf


@pytest.mark.parametrize(
    ("free", "level"), [(10 * GIB, "ok"), (GIB, "warning"), (GIB // 50, "fault")]
)
def test_disk(free, level):
    assert disk_finding(Path("/x"), free).level == level


def test_another_python_is_a_warning(monkeypatch):
    assert check_python().level == "ok"
    monkeypatch.setattr(environment, "_PYTHON_CLASSIFIER", "Programming Language :: Python :: 3.10")
    version = tuple(environment.sys.version_info[:2])
    assert check_python().level == ("ok" if version == (3, 10) else "warning")


def test_a_package_that_is_broken_is_named(monkeypatch, tmp_path):
    (tmp_path / "broken_module.py").write_text("raise ImportError('libGL.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "broken_module"))
    finding = check_packages()
    assert finding.level == "fault"
    assert "broken_module cannot be loaded: libGL.so.1" in finding.text


def test_weights(tmp_path):
    assert check_weights().level == "ok"
    assert check_weights([tmp_path]).level == "fault"
    pack = own_pack(tmp_path)
    found = check_weights([tmp_path])
    assert (found.level, "mug, kettle;" in found.text) == ("ok", True)
    (pack / "decoder.safetensors").write_bytes(b"x")
    some = check_weights([tmp_path])
    assert some.level == "warning"
    assert some.text.startswith("not usable: kettle: ")
    (pack / "decoder.safetensors").unlink()
    assert check_weights([tmp_path]).level == "fault"


def test_the_worst_level_counts():
    assert worst_level([]) == "ok"
    assert worst_level(["ok", "fault", "warning"]) == "fault"
    assert worst_level(["warning", "ok"]) == "warning"
    assert Finding("ok", "a", "b").as_json() == {
        "level": "ok", "name": "a", "text": "b", "remedy": ""
    }  # fmt: skip
