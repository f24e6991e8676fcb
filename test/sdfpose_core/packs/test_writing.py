"""A pack is complete, or it is not there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from own_pack import copied_pack, own_pack

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import PackError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.packs.pack import Pack
from sdfpose_core.packs.writing import copy_shared, write_pack
from sdfpose_core.sdf.decoder import DecoderConfig, SdfDecoder
from sdfpose_core.weights import CONFIDENCE_FILE, SHIPPED

VASE = replace(default_categories()["can"], name="vase", nocs_id=0, labels=("vase", "urn"))


def decoder(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SdfDecoder(DecoderConfig(code_length=4, width=8, hidden_layers=2))


def names(folder):
    return sorted(x.name for x in folder.iterdir())


def test_what_is_written_is_read(tmp_path):
    pack = write_pack(tmp_path / "new" / "vase", VASE, {"decoder": decoder()})
    assert pack == Pack.read(tmp_path / "new" / "vase")
    assert (pack.category, pack.encoder) == (VASE, None)
    assert names(pack.folder) == ["card.md", "category.yaml", "decoder.safetensors"]
    assert names(tmp_path / "new") == ["vase"]
    assert SdfDecoder.load(pack.verified("decoder")).config.code_length == 4
    assert "`vase`" in (pack.folder / "card.md").read_text()


@pytest.mark.parametrize("name", list(default_categories()))
def test_entries_are_written_as_they_are_read(tmp_path, name):
    shipped = Pack.read(SHIPPED / name)
    assert write_pack(tmp_path / name, shipped.category, {}, shipped).category == shipped.category


def test_a_pack_keeps_what_is_not_new(tmp_path):
    base = copied_pack(tmp_path, "can")
    (base / "views.png").write_bytes(b"picture")
    (base / "card.md").write_text("mine")
    before = Pack.read(base)
    pack = write_pack(base, replace(before.category, diagonal_m=0.2), {}, before)
    assert (pack.decoder, pack.encoder) == (before.decoder, before.encoder)
    assert pack.category.diagonal_m == 0.2
    assert (base / "views.png").read_bytes() == b"picture"
    assert (base / "card.md").read_text() == "mine"
    assert names(tmp_path) == ["can"]
    write_pack(base, before.category, {}, before, card="# new\n")
    assert (base / "card.md").read_text() == "# new\n"


def test_an_encoder_of_another_decoder_is_left_out(tmp_path):
    base = Pack.read(copied_pack(tmp_path, "can"))
    same = SdfDecoder.load(base.file("decoder"))
    assert write_pack(base.folder, base.category, {"decoder": same}, base).encoder == base.encoder
    pack = write_pack(base.folder, base.category, {"decoder": decoder()}, base)
    assert pack.encoder is None
    assert not pack.file("encoder").exists()


def test_a_pack_needs_a_decoder(tmp_path):
    with pytest.raises(PackError, match="a pack needs a decoder: train or import that of 'vase'"):
        write_pack(tmp_path / "vase", VASE, {})
    assert names(tmp_path) == []


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PackError, match="is no pack and not empty: choose another folder"):
        write_pack(tmp_path, VASE, {"decoder": decoder()})
    assert names(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_pack_or_none(tmp_path, monkeypatch, exists, error):
    if exists:
        write_pack(tmp_path / "vase", VASE, {"decoder": decoder(1)})
    before = {x.name: x.read_bytes() for x in (tmp_path / "vase").glob("*")}

    def full(*_, **__):
        raise error

    monkeypatch.setattr(Path, "write_text", full)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else PackError
    with pytest.raises(expected) as raised:
        write_pack(tmp_path / "vase", VASE, {"decoder": decoder(2)})
    if expected is PackError:
        assert str(raised.value).endswith("vase: cannot be written: No space left on device")
    assert {x.name: x.read_bytes() for x in (tmp_path / "vase").glob("*")} == before
    assert names(tmp_path) == (["vase"] if exists else [])


def test_own_shared_networks_are_copied(tmp_path):
    own_pack(tmp_path / "a")
    (tmp_path / "a" / CONFIDENCE_FILE).write_text("own")
    copy_shared(Packs.beside_shipped([tmp_path / "a"]), tmp_path / "b")
    assert names(tmp_path / "b") == [CONFIDENCE_FILE]
    copy_shared(Packs.beside_shipped(), tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_files_that_cannot_be_copied_are_named(tmp_path):
    base = Pack.read(copied_pack(tmp_path, "can"))
    (base.folder / "notes.txt").symlink_to(tmp_path / "gone")
    with pytest.raises(PackError, match=r"notes.txt could not be copied: .*No such file"):
        write_pack(tmp_path / "new", base.category, {}, base)
    assert names(tmp_path) == ["can"]


def test_people_can_read_labels_of_all_languages(tmp_path):
    category = replace(VASE, labels=("vase", "чайник", "水壶"))
    pack = write_pack(tmp_path / "vase", category, {"decoder": decoder()})
    assert pack.category == category
    assert "чайник, 水壶" in (pack.folder / "category.yaml").read_text(encoding="utf-8")
