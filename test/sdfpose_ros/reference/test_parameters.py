from pathlib import Path

from sdfpose_ros.reference.parameters import parameter_documentation

DOCUMENT = Path(__file__).parents[3] / "docs/parameters.md"


def test_the_document_is_that_of_the_tables():
    """Otherwise: python -m sdfpose_ros.reference.parameters > docs/parameters.md"""
    assert DOCUMENT.read_text() == parameter_documentation()


def test_types_defaults_and_limits_are_told():
    text = parameter_documentation()
    for row in (
        "| `autostart` | bool | `true` |  |  | Configure",
        "| `device` | string | `auto` |  | unconfigured | Device of the networks",
        "| `slop_s` | double | `0.02` | 1e-06 to 10 | always | Largest difference of the stamps",
        "| `encoder` | string | `fast` | `fast`, `ssc6d`, `none` |",
        "| `mask_categories` | string array | `[]` |  |",
        "| `publish_meshes` | bool | `true` |",
        "| `weights_dir` | string | empty |",
        "| `threads` | integer | `0` | 0 to 1024 |",
    ):
        assert row in text
