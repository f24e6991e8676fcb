"""`sdfpose packs`: what it says of good and of broken packs, and its exit status."""

import json

import pytest
from own_pack import copied_pack, own_pack, rewrite_entry

from sdfpose_core.cli.main import main
from sdfpose_core.packs.pack import Pack

SIX = ["bottle", "bowl", "camera", "can", "laptop", "mug"]


def run(*arguments):
    return main(["packs", *map(str, arguments)])


def document(capsys):
    return json.loads(capsys.readouterr().out)


def test_the_shipped_packs_fit(capsys):
    assert run("check", "--json", "-") == 0
    found = document(capsys)
    assert [x["category"]["name"] for x in found["packs"]] == SIX
    assert all(x["fits"] and x["encoder"] == "fast" for x in found["packs"])
    assert found["problems"] == []


def test_given_packs_are_listed_beside_the_shipped_ones(tmp_path, capsys):
    own_pack(tmp_path, encoder=False)
    assert run("list", tmp_path, "--json", "-") == 0
    kettle = document(capsys)["packs"][-1]
    assert kettle["category"]["labels"] == ["kettle"]
    assert (kettle["encoder"], kettle["problem"]) == ("none", "")
    assert kettle["files"] == ["card.md", "category.yaml", "decoder.safetensors"]
    assert kettle["size_bytes"] == Pack.read(tmp_path / "kettle").size_bytes
    assert run("list", tmp_path) == 0
    assert "kettle" in capsys.readouterr().out


def test_swapped_files_are_found(tmp_path, capsys):
    mug, can = (copied_pack(tmp_path, x) for x in ("mug", "can"))
    (mug / "decoder.safetensors").write_bytes((can / "decoder.safetensors").read_bytes())
    assert run("list", mug) == 0
    capsys.readouterr()
    assert run("check", tmp_path, "--json", "-") == 1
    found = document(capsys)
    assert [x["fits"] for x in found["packs"]] == [True, False]
    assert "of another pack (its header says category 'can')" in found["problems"][0]
    assert run("check", mug) == 1
    assert "of another pack" in capsys.readouterr().out


def test_a_pack_in_another_format_does_not_fit(tmp_path, capsys):
    pack = copied_pack(tmp_path, "mug")
    rewrite_entry(pack, format=2, version="9.0.0")
    for action in ("list", "check"):
        assert run(action, pack, "--json", "-") == 1
        (problem,) = document(capsys)["problems"]
        assert "made by sdfpose 9.0.0 in format 2 of packs" in problem
    assert run("show", pack) == 2
    assert "made by sdfpose 9.0.0" in capsys.readouterr().err


def test_collisions_are_found(tmp_path, capsys):
    one, two = own_pack(tmp_path / "a"), own_pack(tmp_path / "b")
    assert run("check", one, two) == 1
    assert f"category 'kettle' is in two packs, {one} and {two}" in capsys.readouterr().out


def test_a_missing_decoder(tmp_path, capsys):
    pack = copied_pack(tmp_path, "mug")
    (pack / "decoder.safetensors").unlink()
    assert run("list", pack) == 1
    assert "decoder.safetensors: no such weights file" in capsys.readouterr().out
    assert run("show", pack) == 1
    assert "fits: no: " in capsys.readouterr().out


def test_a_pack_is_shown_with_its_card(tmp_path, capsys):
    assert run("show", "mug") == 0
    said = capsys.readouterr().out
    assert "labels: mug, cup\n" in said
    assert "\n# mug\n" in said
    pack = own_pack(tmp_path)
    assert run("show", pack, "--json", "-") == 0
    found = document(capsys)
    assert found["category"]["name"] == "kettle"
    assert found["card"] == (pack / "card.md").read_text()


def test_links_and_pictures_of_a_card_are_paths(tmp_path, capsys):
    pack = own_pack(tmp_path)
    links = (
        "![Held-out models (grey)](models.png) [a.png](a.png) [limits](../L.md) [x](http://x.org)"
    )
    (pack / "card.md").write_text(links)
    assert run("show", pack) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Held-out models (grey) ({pack}/models.png) {pack}/a.png limits ({tmp_path}/L.md) "
        "x (http://x.org)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "nowhere"], "nowhere: No such file or directory: expected a pack"),
        (["check", "."], "no pack found: expected a folder with category.yaml"),
        (["show", "nowhere"], "nowhere: no pack: expected a folder with category.yaml"),
    ],
)
def test_bad_input_is_named(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
