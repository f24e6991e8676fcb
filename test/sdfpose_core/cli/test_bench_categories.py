"""The command `sdfpose bench categories`."""

import json

import pytest

from sdfpose_core.cli.main import main

COMMAND = ["bench", "categories", "--threads", "1", "--colour", "none"]


def test_more_and_more_categories(tmp_path, capsys):
    out = tmp_path / "categories.json"
    options = ["--count", "1", "--category", "can", "--numbers", "9", "6", "--json", str(out)]
    assert main([*COMMAND, *options]) == 0
    document = json.loads(out.read_text())
    assert document["problems"] == []
    assert document["loading"]["n"] == 9
    assert list(document["categories"]) == ["6", "9"]
    for row in document["categories"].values():
        assert row["n"] == 1
        assert 1 <= row["tried"] <= 6
        assert row["kept_kin"] == row["right_kin"] == 100.0
        assert 0.0 < row["ms"] <= row["ms_p95"]
    output = capsys.readouterr().out
    assert "to load (medians of 9)" in output
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--numbers", "5"], "--numbers 5: expected at least 6, the number of packs"),
        (["--numbers", "6", "31"], "25 decoys of 6 packs: expected at most 24"),
        (["--count", "0"], "argument --count: '0'"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    assert main([*COMMAND, *arguments]) in (1, 2)
    assert message in capsys.readouterr().err
