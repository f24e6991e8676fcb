from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_messages import recorded

from sdfpose_core.categories import default_categories
from sdfpose_core.errors import ConfigurationError
from sdfpose_core.messages.errors import LabelsError
from sdfpose_ros.masks.classes import ClassTable, parse_classes

CATEGORIES = default_categories()


def label_info(*classes):
    return recorded(
        "vision_msgs/LabelInfo", class_map=[{"class_id": i, "class_name": x} for i, x in classes]
    )


def test_classes_are_found_by_id_by_name_and_by_label():
    table = ClassTable({"41": "bowl", "glass": "any"}, CATEGORIES)
    assert table.category("41") == "bowl"
    assert table.category("7", "glass") == "any"
    assert table.category("7", "Cup") == "mug"
    assert table.category("ANY") == "any"
    assert table.category("41", "cup") == "bowl"  # what the user says comes first
    assert table.category("7", "person") is None
    assert table.category() is None
    assert table.by_id() == {41: "bowl"}


def test_label_info_names_class_ids():
    table = ClassTable({"0": "can", "glass": "mug"}, CATEGORIES).with_names(
        label_info((3, "cup"), (4, "person"), (5, "glass"), (65535, "UNLABELED")), "/info"
    )
    assert table.by_id() == {0: "can", 3: "mug", 5: "mug"}
    assert table.category("4") is None
    assert ClassTable({}, CATEGORIES).with_names(label_info(), "/info").by_id() == {}


def test_one_id_with_two_names_is_refused():
    with pytest.raises(LabelsError, match="/info: class id 3 is 'cup' and 'bowl'"):
        ClassTable({}, CATEGORIES).with_names(label_info((3, "cup"), (3, "bowl")), "/info")
    same = label_info((3, "cup"), (3, "cup"))
    assert ClassTable({}, CATEGORIES).with_names(same, "/info").by_id() == {3: "mug"}


@given(st.lists(st.text("acnpuy 41:", max_size=5), max_size=3))
def test_any_class_name_has_a_category_or_none(keys):
    assert ClassTable({}, CATEGORIES).category(*keys) in {*CATEGORIES, "any", None}


def test_classes_may_hold_colons():
    assert parse_classes(["a:b:mug", "2: any"], CATEGORIES) == {"a:b": "mug", "2": "any"}


@pytest.mark.parametrize("entry", ["41", ":mug", "41:mugg"])
def test_entries_in_another_form_are_refused(entry):
    with pytest.raises(ConfigurationError, match="parameter classes: "):
        parse_classes([entry], CATEGORIES)
