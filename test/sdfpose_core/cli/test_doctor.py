"""`sdfpose doctor` on recordings: lines, status and JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sdfpose_core.cli import doctor
from sdfpose_core.cli.main import main
from sdfpose_core.datasets import write_frame


@pytest.fixture
def bag(bags, table_frames, tmp_path):
    """A bag at 15 Hz; `change` alters its frames."""

    def write(change=lambda x: x):
        frames = [
            replace(change(x), stamp_ns=x.stamp_ns + 333_333_333 * k)
            for k in range(3)
            for x, _ in table_frames
        ]
        return bags.write(tmp_path / "bag", frames)

    return write


def test_a_healthy_bag_has_status_0(bag, capsys, tmp_path):
    out = tmp_path / "doctor.json"
    assert main(["doctor", "--camera", f"bag:{bag()}", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    assert document["status"] in ("ok", "warning")  # the machine may be busy
    # The test's bag says that it was recorded at once.
    assert [x["name"] for x in document["camera"] if x["level"] != "ok"] == ["clock"]
    text = capsys.readouterr().out
    assert "ok       alignment" in text
    assert "0 faults" in text


def test_a_fault_has_status_1_and_says_what_to_do(bag, capsys):
    path = bag(lambda x: replace(x, depth=np.zeros_like(x.depth)))
    assert main(["doctor", "--camera", f"bag:{path}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, x in enumerate(lines) if "missing depth" in x)
    assert lines[place].split()[:3] == ["fault", "missing", "depth"]
    assert lines[place + 1].strip().startswith("-> check the range of the camera")


def test_frame_folders(table_frames, tmp_path, capsys):
    frame, truths = table_frames[0]
    write_frame(tmp_path / "frames" / "one", frame, truths)
    assert main(["doctor", "--camera", f"frames:{tmp_path / 'frames'}", "--json", "-"]) == 0
    names = {x["name"] for x in json.loads(capsys.readouterr().out)["camera"]}
    assert {"alignment", "depth unit", "masks"} <= names
    assert "rate" not in names


def test_without_the_ros_package_the_rest_is_checked(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "_GROUP", "sdfpose.none")
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "warning  ROS 2" in text
    assert "ok       weights" in text
    assert main(["doctor", "--camera", "topic:/camera"]) == 2
    assert "needs ROS 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--camera /camera", "expected topic:NAMESPACE, bag:FILE or frames:DIR"),
        ("--camera bag:", "expected topic:NAMESPACE"),
        ("--camera bag:none.mcap", "no such bag"),
        ("--camera frames:x --seconds 2", "no effect on frame folders"),
        ("--camera bag:x --network", "no effect on recordings"),
        ("--seconds 0", "expected a finite number above 0"),
    ],
)
def test_wrong_usage_has_status_2(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", *arguments.split()]) == 2
    assert message in capsys.readouterr().err
