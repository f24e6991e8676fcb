"""`sdfpose view`, and the option `--view` of other commands."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys

import pytest
from simple_estimates import make_frame

from sdfpose_core.cli.main import main
from sdfpose_core.datasets.folder_writing import write_frame

HAS_VISER = importlib.util.find_spec("viser") is not None


@pytest.fixture
def without_viser(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.fixture
def frames(tmp_path):
    for i in range(2):
        write_frame(tmp_path / "frames" / f"{i}", make_frame(64, 48), [])
    return tmp_path / "frames"


@pytest.mark.parametrize("arguments", [["view", "run.mcap"], ["estimate", "--sample", "--view"]])
def test_a_missing_package_is_named_with_its_remedy(without_viser, arguments, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "needs the package viser, which is not installed" in error
    assert 'pip install "viser>=' in error


def test_an_address_without_the_viewer_is_refused(capsys):
    assert main(["estimate", "--sample", "--port", "8080"]) == 2
    assert "--host and --port have no effect alone: expected --view" in capsys.readouterr().err


def test_the_other_commands_do_not_load_the_viewer():
    program = (
        "from sdfpose_core.cli.main import main; main(['estimate', '--help']); "
        "import sys; assert not {'viser', 'websockets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.skipif(not HAS_VISER, reason="viser is not installed")
def test_what_cannot_be_shown_is_told(tmp_path, capsys):
    assert main(["view", str(tmp_path / "nothing.mcap")]) == 2
    assert "no such file or folder: expected a bag" in capsys.readouterr().err


@pytest.mark.skipif(not HAS_VISER, reason="viser is not installed")
def test_the_address_is_printed_and_an_interrupt_ends_the_command(frames):
    program = "import sys; from sdfpose_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "view", str(frames), "--play"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert lines[0].startswith("viewer: open http://127.0.0.1:80")
    assert "ssh -N -L" in lines[1]
    assert lines[2] == "viewer: Ctrl-C ends it\n"
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
