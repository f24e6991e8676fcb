"""The command `sdfpose bench world`."""

import json

import pytest

from sdfpose_core.cli.main import main

COMMAND = ["bench", "world", "--threads", "1", "--colour", "none"]


def test_world(tmp_path, capsys):
    out = tmp_path / "world.json"
    assert main([*COMMAND, "--duration", "0.6", "--hz", "5", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    assert (document["cameras"], document["seed"], document["images"]) == (1, 0, 3)
    assert document["objects"] == 6
    assert (document["id_switches"], document["given_up"]) == (0, 0)
    assert document["one_id"] == 100.0
    assert document["reidentified"] is None
    assert document["last"]["centimetres"] < 3.0
    output = capsys.readouterr().out
    assert "6 objects in 3 images: 0 id switches" in output
    assert "- % of 0 returns" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["--count", "0"], "argument --count: '0'"), (["--duration", "-1"], "argument --duration")],
)
def test_bad_arguments(arguments, message, capsys):
    assert main([*COMMAND, *arguments]) == 2
    assert message in capsys.readouterr().err
