import math

import pytest
import yaml

from sdfpose_core.categories import Category, Resting, default_categories, read_category
from sdfpose_core.errors import CategoryError, ConfigurationError

ENTRY = {
    "name": "vase",
    "nocs_id": 0,
    "symmetry": "y",
    "vessel": False,
    "diagonal_m": 0.2,
    "diagonal_log_sd": 0.3,
    "labels": ["Vase"],
    "colour": [1, 2, 3],
}


NAME = (
    "a name for frame ids: a lower-case letter, then lower-case letters, digits and underscores, "
    "but not 'any'"
)


def write(tmp_path, content):
    path = tmp_path / "category.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_the_shipped_table():
    categories = default_categories()
    assert list(categories) == ["bottle", "bowl", "camera", "can", "laptop", "mug"]
    assert [c.nocs_id for c in categories.values()] == [1, 2, 3, 4, 5, 6]
    symmetric = {name for name, c in categories.items() if c.symmetry == "y"}
    assert symmetric == {"bottle", "bowl", "can"}
    assert categories["mug"].symmetry == "y_without_handle"
    assert len({c.colour for c in categories.values()}) == 6
    for category in categories.values():
        assert 0.05 < category.diagonal_m < 1.0
        assert 0.05 < category.diagonal_log_sd < 0.7


def test_labels_are_found_whatever_their_case():
    categories = default_categories()
    found = categories.by_label(" Cup ")
    assert found is categories["mug"]
    assert categories.by_label("MUG") is categories["mug"]
    assert categories.by_label("teapot") is None


def test_an_entry_of_ones_own(tmp_path):
    found = read_category(write(tmp_path, {"category": ENTRY}))
    assert found == Category("vase", 0, "y", False, 0.2, 0.3, ("vase",), (1, 2, 3))
    assert read_category(str(tmp_path / "category.yaml")) == found
    again = read_category(write(tmp_path, {"category": found.as_entry(), "format": 7}))
    assert again == found


def test_an_unknown_category_names_the_known_ones():
    categories = default_categories()
    with pytest.raises(
        CategoryError,
        match=r"unknown category 'mugg' \(did you mean 'mug'\?\): expected one of bottle, bowl, ",
    ):
        categories["mugg"]
    with pytest.raises(CategoryError, match="unknown category 'xyzzy': expected one of"):
        categories["xyzzy"]
    # `get` of a mapping looks for a KeyError, which this is not: a typo is never swallowed.
    with pytest.raises(CategoryError):
        categories.get("xyzzy")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"missing\.yaml: cannot be read as YAML: .*No such"
    ):
        read_category(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match=r"category\.yaml: cannot be read as YAML"):
        read_category(write(tmp_path, "mug: {nocs_id: 6"))


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "category.yaml"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"category\.yaml: cannot be read as YAML"):
        read_category(path)


@pytest.mark.parametrize("content", ["", "[]", "- mug", "mug", "vase: {nocs_id: 0}"])
def test_a_file_without_the_section(tmp_path, content):
    with pytest.raises(ConfigurationError, match="expected a mapping with the section 'category'"):
        read_category(write(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    ["mug: {}\nmug: {}", "mug: {nocs_id: 1, nocs_id: 2}", "mug: 2020-99-99", "[" * 5000, "a: b: c"],
)
def test_a_file_that_is_no_yaml_or_has_a_key_twice(tmp_path, content):
    with pytest.raises(ConfigurationError, match="cannot be read as YAML"):
        read_category(write(tmp_path, content))


def test_an_entry_without_settings(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"yaml: category: expected the keys name, nocs_id"
    ):
        read_category(write(tmp_path, {"category": None}))


@pytest.mark.parametrize("key", ENTRY)
def test_a_missing_key(tmp_path, key):
    entry = {k: v for k, v in ENTRY.items() if k != key}
    with pytest.raises(
        ConfigurationError, match=f"yaml: category: missing key '{key}': expected the"
    ):
        read_category(write(tmp_path, {"category": entry}))


def test_an_unknown_key(tmp_path):
    with pytest.raises(
        ConfigurationError, match=r"yaml: category: unknown key 'diagonal': expected"
    ):
        read_category(write(tmp_path, {"category": {**ENTRY, "diagonal": 0.2}}))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("name", "Vase", NAME),
        ("name", "tea kettle", NAME),
        ("name", "2nd", NAME),
        ("name", "a/b", NAME),
        ("name", "", NAME),
        ("name", "any", NAME),
        ("name", 3, NAME),
        ("labels", ["Any"], "names other than 'any', which stands for all categories"),
        ("nocs_id", -1, "an integer, 0 for none"),
        ("nocs_id", "one", "an integer, 0 for none"),
        ("nocs_id", True, "an integer, 0 for none"),
        ("diagonal_m", True, "a positive number"),
        ("symmetry", "z", "none | y | y_without_handle"),
        ("symmetry", ["y"], "none | y | y_without_handle"),
        ("diagonal_m", 0, "a positive number"),
        ("diagonal_m", "0.2 m", "a positive number"),
        ("diagonal_m", math.nan, "a positive number"),
        ("diagonal_m", math.inf, "a positive number"),
        ("diagonal_m", 10**400, "a positive number"),
        ("vessel", "yes", "true or false"),
        ("diagonal_log_sd", -0.1, "a positive number"),
        ("labels", ["vase", " "], "names that are not empty"),
        ("labels", "vase", "a list of names"),
        ("labels", [1], "a list of names"),
        ("colour", [1, 2], "three integers from 0 to 255"),
        ("colour", [1, 2, 256], "three integers from 0 to 255"),
        ("colour", [1, 2, 0.5], "three integers from 0 to 255"),
        ("colour", "red", "three integers from 0 to 255"),
    ],
)
def test_an_ill_typed_value(tmp_path, key, value, expected):
    with pytest.raises(ConfigurationError) as caught:
        read_category(write(tmp_path, {"category": {**ENTRY, key: value}}))
    message = str(caught.value)
    assert message.endswith(f"category.yaml: category.{key} is {value!r}: expected {expected}")


@pytest.mark.parametrize(
    ("factor", "hint"),
    [(1000.0, "is it in millimetres?"), (100.0, "centimetres"), (39.4, "inches"), (0.01, "metres")],
)
def test_sizes_in_another_unit_are_implausible(factor, hint):
    for category in default_categories().values():
        assert category.implausible_size(category.diagonal_m) is None
        assert category.implausible_size(1.9 * category.diagonal_m) is None
        assert category.implausible_size(math.nan) is None
        told = category.implausible_size(factor * category.diagonal_m)
        assert told is not None
        assert f"times that of category {category.name}: expected metres" in told
        assert hint in told


def test_how_objects_rest_is_read_and_has_a_default(tmp_path):
    shares = {"standing": 0.5, "upside_down": 0.25, "lying": 0}
    told = read_category(write(tmp_path, {"category": {**ENTRY, "resting": shares}}))
    assert told.resting == Resting(0.5, 0.25, 0.0)
    assert read_category(write(tmp_path, {"category": ENTRY})).resting == Resting()
    assert told.as_entry()["resting"] == shares


def test_the_shift_of_the_confidence_is_read_and_optional(tmp_path):
    told = read_category(write(tmp_path, {"category": {**ENTRY, "confidence_shift": 0.5}}))
    assert told.confidence_shift == told.as_entry()["confidence_shift"] == 0.5
    plain = read_category(write(tmp_path, {"category": ENTRY}))
    assert plain.confidence_shift == 0.0
    assert "confidence_shift" not in plain.as_entry()


@pytest.mark.parametrize("shift", [None, "0.5", True, math.nan, math.inf, -11])
def test_a_shift_that_is_none_is_told(tmp_path, shift):
    with pytest.raises(ConfigurationError, match="expected a number from -10 to 10"):
        read_category(write(tmp_path, {"category": {**ENTRY, "confidence_shift": shift}}))


def test_frames_of_parts_are_read_and_optional(tmp_path):
    told = read_category(write(tmp_path, {"category": {**ENTRY, "frames": ["rim", "handle"]}}))
    assert told.frames == ("rim", "handle")
    assert told.as_entry()["frames"] == ["rim", "handle"]
    plain = read_category(write(tmp_path, {"category": ENTRY}))
    assert plain.frames == ()
    assert "frames" not in plain.as_entry()
    assert all(x.frames for x in default_categories().values())


@pytest.mark.parametrize("frames", [None, "rim", ["lid"], [1], [["rim"]], {"rim": 1}])
def test_frames_of_no_known_part_are_an_error(frames, tmp_path):
    path = write(tmp_path, {"category": {**ENTRY, "frames": frames}})
    with pytest.raises(
        ConfigurationError, match=r"category\.frames is .*: expected a list of names"
    ):
        read_category(path)


def test_shares_of_the_shipped_table_leave_some_for_other_poses():
    for category in default_categories().values():
        x = category.resting
        assert 0.0 < x.standing + x.upside_down + x.lying < 1.0
        assert x.standing > 0.5


@pytest.mark.parametrize(
    "resting",
    [
        None,
        0.9,
        [0.9, 0.1, 0.0],
        {},
        {"standing": 0.9, "lying": 0.1},
        {"standing": 0.9, "upside_down": 0.0, "lying": 0.1, "leaning": 0.0},
        {"standing": 0.9, "upside_down": 0.1, "lying": 0.1},
        {"standing": -0.1, "upside_down": 0.1, "lying": 0.1},
        {"standing": 1.5, "upside_down": -0.5, "lying": 0.0},
        {"standing": "0.9", "upside_down": 0.0, "lying": 0.1},
        {"standing": True, "upside_down": 0.0, "lying": 0.0},
        {"standing": math.nan, "upside_down": 0.0, "lying": 0.0},
    ],
)
def test_shares_that_are_none_are_told(tmp_path, resting):
    with pytest.raises(ConfigurationError) as caught:
        read_category(write(tmp_path, {"category": {**ENTRY, "resting": resting}}))
    written = dict(sorted(resting.items())) if isinstance(resting, dict) else resting
    assert str(caught.value).endswith(
        f"category.yaml: category.resting is {written!r}: expected shares standing, upside_down, "
        "lying from 0 to 1 with a sum of at most 1"
    )


@pytest.mark.parametrize("shares", [(0.34, 0.11, 0.55), (0.6, 0.3, 0.1)])
def test_shares_that_sum_to_one_up_to_rounding_are_accepted(tmp_path, shares):
    resting = dict(zip(("standing", "upside_down", "lying"), shares, strict=True))
    found = read_category(write(tmp_path, {"category": {**ENTRY, "resting": resting}}))
    assert found.resting == Resting(*shares)
