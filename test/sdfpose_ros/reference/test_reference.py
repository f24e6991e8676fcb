import argparse
from pathlib import Path

import pytest

from sdfpose_ros.reference import PAGES
from sdfpose_ros.reference.commands import _help_and_default, _usage
from sdfpose_ros.reference.markdown import prose
from sdfpose_ros.reference.messages import messages_page

FOLDER = Path(__file__).parents[3] / "docs/reference"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: make() for name, make in PAGES.items()}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(pages: dict[str, str], name: str) -> None:
    """If this fails, run: python -m sdfpose_ros.reference docs/reference"""
    assert (FOLDER / name).read_text("utf-8") == pages[name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parameters.md", "| `autostart` | bool | `true` |  |  | "),
        ("parameters.md", "| `device` | string | `auto` |  | unconfigured | "),
        ("parameters.md", "| `slop_s` | double | `0.02` | 1e-06 to 10 | always | "),
        ("parameters.md", "| `encoder` | string | `fast` | `fast`, `ssc6d`, `none` |"),
        ("parameters.md", "| `mask_categories` | string array | `[]` |  |"),
        ("parameters.md", "| `weights_dirs` | string array | `[]` |"),
        ("parameters.md", "| `threads` | integer | `0` | 0 to 1024 |"),
        ("commands.md", "### `sdfpose bench node`"),
        ("commands.md", "| `--refine` `REFINE` | `sdf`, `icp`, `none` | `sdf` | "),
        ("messages.md", "| `TRACKED` | `2` | "),
        ("messages.md", "| `objects` | [`SdfObject[]`](#sdfposemsgsdfobject) | "),
        ("messages.md", "| request | type | description |"),
    ],
)
def test_page_holds(pages: dict[str, str], name: str, text: str) -> None:
    assert text in pages[name]


def test_pages_do_not_depend_on_the_machine(pages: dict[str, str]) -> None:
    for text in pages.values():
        assert str(FOLDER.parents[1]) not in text


def test_usage_is_wrapped_between_arguments() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("frames", nargs="+")
    for i in range(9):
        parser.add_argument(f"--option-{i}")
    first, *others = _usage("sdfpose x", parser)
    assert first.startswith("sdfpose x frames [frames ...] --out DIR [--option-0 OPTION_0]")
    assert others
    assert all(line.startswith("          [--option-") for line in others)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"default": 3, "help": "how many (default: %(default)s)"}, ("how many", "`3`")),
        ({"default": 3, "help": "how many (default: 3)"}, ("how many", "`3`")),
        ({"default": 0, "help": "threads (default: all cores)"}, ("threads", "all cores")),
        ({"required": True, "help": "where"}, ("where", "required")),
        ({"action": "store_true", "help": "see --out"}, ("see `--out`", "")),
    ],
)
def test_default_of_an_argument(options: dict[str, object], expected: tuple[str, str]) -> None:
    action = argparse.ArgumentParser().add_argument("--x", **options)  # type: ignore[arg-type]
    assert _help_and_default(action) == expected


def test_prose_marks_names_as_code() -> None:
    assert prose("see --mask-categories,\n  ~/mask or mesh_dir") == (
        "see `--mask-categories`, `~/mask` or `mesh_dir`"
    )
    assert prose("a <b> * c") == "a \\<b> \\* c"


def test_comment_above_constants_is_that_of_their_field(tmp_path: Path) -> None:
    (tmp_path / "msg").mkdir()
    (tmp_path / "msg/A.msg").write_text(
        "# An A.\n\n# State of it.\nuint8 X=1  # known\nuint8 state\n"
    )
    text = messages_page(tmp_path)
    assert "| `X` | `1` | known |" in text
    assert "| `state` | `uint8` | State of it. |" in text
