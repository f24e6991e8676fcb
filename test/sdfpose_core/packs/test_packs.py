"""Packs on disk: what is read, what is refused, and with which words."""

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml
from own_pack import copied_pack, own_pack, rewrite_entry

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import CategoryError, PackError
from sdfpose_core.packs.collection import Packs, find_packs
from sdfpose_core.packs.pack import Pack
from sdfpose_core.weights import MASKS_FILE, SHIPPED

SIX = ["bottle", "bowl", "camera", "can", "laptop", "mug"]


def test_the_shipped_categories_are_packs():
    packs = Packs.beside_shipped()
    assert list(packs) == SIX
    assert dict(packs.categories) == dict(default_categories())
    for name, pack in packs.items():
        assert pack.kinds == ("decoder", "encoder")
        for kind in pack.kinds:
            assert pack.verified(kind) == SHIPPED / name / f"{kind}.safetensors"
        assert pack.size_bytes < 3 * 2**20
        assert (pack.folder / "card.md").read_text().startswith(f"# {name}\n")


def test_a_pack_stands_beside_the_shipped_ones(tmp_path):
    pack = own_pack(tmp_path)
    packs = Packs.beside_shipped([pack])
    assert list(packs) == [*SIX, "kettle"]
    assert packs["kettle"].folder == pack
    assert packs.categories.by_label("Kettle").name == "kettle"
    assert packs.shared(MASKS_FILE) == SHIPPED / MASKS_FILE


def test_a_folder_of_packs_may_have_shared_networks(tmp_path):
    own_pack(tmp_path, "kettle")
    own_pack(tmp_path, "drill")
    (tmp_path / MASKS_FILE).touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "category.yaml").touch()
    packs = Packs.beside_shipped([tmp_path])
    assert list(packs) == [*SIX, "drill", "kettle"]
    assert packs.own_shared == {MASKS_FILE: tmp_path / MASKS_FILE}
    assert packs.shared(MASKS_FILE) == tmp_path / MASKS_FILE


def test_a_folder_may_have_shared_networks_alone(tmp_path):
    (tmp_path / MASKS_FILE).touch()
    packs = Packs.beside_shipped([tmp_path])
    assert (list(packs), packs.shared(MASKS_FILE)) == (SIX, tmp_path / MASKS_FILE)


def test_a_given_pack_takes_the_place_of_a_shipped_one(tmp_path):
    pack = copied_pack(tmp_path, "mug")
    rewrite_entry(pack, labels=["mug", "cup", "beaker"])
    packs = Packs.beside_shipped([pack])
    assert list(packs) == SIX
    assert packs["mug"].folder == pack
    assert packs.categories.by_label("beaker").name == "mug"


def test_a_pack_without_an_encoder(tmp_path):
    pack = Pack.read(own_pack(tmp_path, encoder=False))
    assert (pack.encoder, pack.kinds) == (None, ("decoder",))
    assert yaml.safe_load((pack.folder / "category.yaml").read_text())["encoder"] == "none"
    with pytest.raises(PackError, match=r"kettle: has no encoder \(encoder: none\)"):
        pack.verified("encoder")


def test_an_unknown_name_suggests_a_near_one(tmp_path):
    packs = Packs.beside_shipped([own_pack(tmp_path)])
    with pytest.raises(CategoryError, match=r"'kettel' \(did you mean 'kettle'\?\)"):
        packs["kettel"]


def test_two_packs_of_the_same_name(tmp_path):
    one, two = own_pack(tmp_path / "a"), own_pack(tmp_path / "b")
    with pytest.raises(PackError) as raised:
        Packs.beside_shipped([one, two])
    assert str(raised.value) == (
        f"category 'kettle' is in two packs, {one} and {two}: give one of them, or rename one"
    )


@pytest.mark.parametrize("labels", [("kettle", "cup"), ("mug",), ("vase", "Drill ")])
def test_a_label_of_two_categories(tmp_path, labels):
    one, two = own_pack(tmp_path, labels=labels), own_pack(tmp_path, "drill")
    with pytest.raises(
        PackError, match=r"stands for two categories, '(mug|kettle)' of .* and"
    ) as e:
        Packs.beside_shipped([one, two])
    assert str(one) in str(e.value)
    assert str(two if "vase" in labels else SHIPPED / "mug") in str(e.value)


def test_two_folders_with_the_same_shared_network(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MASKS_FILE).touch()
    with pytest.raises(PackError, match=r"two folders have masks\.safetensors, .*a and .*b: "):
        Packs.beside_shipped([tmp_path / "a", tmp_path / "b"])


def test_folders_without_a_pack(tmp_path):
    with pytest.raises(PackError, match=r"no pack found: expected a folder with category\.yaml"):
        find_packs(tmp_path)
    with pytest.raises(PackError, match="nowhere: No such file or directory: expected a pack"):
        find_packs(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(PackError, match="file: Not a directory: expected a pack"):
        find_packs(tmp_path / "file")
    with pytest.raises(PackError, match=r": no pack: expected a folder with category\.yaml"):
        Pack.read(tmp_path)


def test_weights_from_before_there_were_packs(tmp_path):
    shutil.copy(SHIPPED / "mug" / "decoder.safetensors", tmp_path / "mug.decoder.safetensors")
    with pytest.raises(PackError, match=r"holds mug\.decoder\.safetensors, weights of sdfpose bef"):
        find_packs(tmp_path)


def test_files_swapped_between_packs(tmp_path):
    mug, can = (copied_pack(tmp_path, x) for x in ("mug", "can"))
    files = [x / "encoder.safetensors" for x in (mug, can)]
    contents = [x.read_bytes() for x in files]
    for file, content in zip(files, reversed(contents), strict=True):
        file.write_bytes(content)
    for name, other in (("mug", "can"), ("can", "mug")):
        pack = Pack.read(tmp_path / name)
        pack.check_complete()
        pack.verified("decoder")
        with pytest.raises(PackError) as raised:
            pack.verified("encoder")
        assert f"of another pack (its header says category '{other}')" in str(raised.value)
        assert str(pack.file("encoder")) in str(raised.value)


def test_a_damaged_file(tmp_path):
    pack = Pack.read(copied_pack(tmp_path, "mug"))
    pack.file("decoder").write_bytes(b"rubbish")
    with pytest.raises(PackError, match=r"decoder\.safetensors: damaged, changed or of another pa"):
        pack.verified("decoder")


@pytest.mark.parametrize("kind", ["decoder", "encoder"])
def test_a_missing_file(tmp_path, kind):
    pack = copied_pack(tmp_path, "mug")
    (pack / f"{kind}.safetensors").unlink()
    message = rf"mug.{kind}\.safetensors: no such weights file: the pack of 'mug' is incomplete"
    with pytest.raises(PackError, match=message):
        Packs.beside_shipped([pack])
    with pytest.raises(PackError, match=message):
        Pack.read(pack).verified(kind)


@pytest.mark.parametrize("number", [2, 0, "1", None, True])
def test_a_pack_in_another_format(tmp_path, number):
    pack = copied_pack(tmp_path, "mug")
    rewrite_entry(pack, format=number, version="9.1.0")
    with pytest.raises(PackError, match=r"made by sdfpose 9\.1\.0 in format .* of packs, but sdfp"):
        Pack.read(pack)


def test_a_pack_of_another_version_in_the_same_format_fits(tmp_path):
    pack = copied_pack(tmp_path, "mug")
    rewrite_entry(pack, version="9.1.0")
    assert Pack.read(pack).version == "9.1.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("category: {name: mug", "cannot be read as YAML"),
        ("- mug", "expected a mapping with the keys format, version, category, decoder, encoder"),
        ("", "expected a mapping with the keys"),
        ("format: 1\nversion: 1.0\ncategory: {}\ndecoder: none", "missing key 'encoder'"),
        ("format: 1\nversion: 1.0\nsize: 3\n", "missing key 'category'"),
    ],
)
def test_a_broken_entry(tmp_path, content, message):
    pack = copied_pack(tmp_path, "mug")
    (pack / "category.yaml").write_text(content)
    with pytest.raises(PackError, match=rf"category\.yaml: {message}"):
        Pack.read(pack)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Tea Kettle"}, "category.name is 'Tea Kettle': expected a name for frame ids"),
        ({"name": "any"}, "category.name is 'any': expected a name for frame ids"),
        ({"symmetry": "x"}, "category.symmetry is 'x': expected none | y | y_without_handle"),
        ({"decoder": "none"}, "decoder is 'none': expected the SHA-256 of decoder.safetensors"),
        ({"encoder": 7}, "encoder is 7: expected the SHA-256 of encoder.safetensors, or none"),
    ],
)
def test_a_wrong_value(tmp_path, changes, message):
    pack = copied_pack(tmp_path, "mug")
    rewrite_entry(pack, **changes)
    with pytest.raises(PackError) as raised:
        Pack.read(pack)
    assert str(raised.value).startswith(f"{pack / 'category.yaml'}: {message}")


def test_digests_are_sha256():
    pack = Pack.read(SHIPPED / "can")
    assert pack.decoder == hashlib.sha256(pack.file("decoder").read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_single_path_is_one_pack(tmp_path, kind):
    folder = own_pack(tmp_path, "kettle")
    assert "kettle" in Packs.beside_shipped(kind(folder))
