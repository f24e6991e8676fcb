"""Text files of editors on Windows, in other encodings and under other locales."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from sdfpose_core.categories import read_category
from sdfpose_core.datasets import read_frame, write_frame
from sdfpose_core.datasets.images import read_text as read_data_text
from sdfpose_core.errors import FrameError
from sdfpose_core.geometry.camera import PinholeCamera
from sdfpose_core.observation.frame import InstanceLabel, RgbdFrame
from sdfpose_core.sdf.training_shapes import read_exclusions
from sdfpose_core.selfsup.training import SelfSupervision
from sdfpose_core.storage.configuration import read_configuration
from sdfpose_core.storage.text import decode_text, read_text
from sdfpose_core.weights import SHIPPED

ROOT = Path(__file__).parents[3]
TEXT = "Küche: 5 µm\n"
ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "latin-1",
]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_is_read_in_any_encoding(encoding, end):
    assert decode_text(TEXT.replace("\n", end).encode(encoding)) == TEXT


def test_big_endian_marks():
    assert decode_text(b"\xfe\xff" + TEXT.encode("utf-16-be")) == TEXT
    assert decode_text(b"\0\0\xfe\xff" + TEXT.encode("utf-32-be")) == TEXT


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_empty_files(content):
    assert decode_text(content) == ""


@pytest.mark.parametrize("content", [b"\x89PNG\xff\xfe\x00", b"\xff\xfe\x00", b"ab\x00\xff"])
def test_what_is_no_text_is_refused(tmp_path, content):
    with pytest.raises(UnicodeDecodeError):
        decode_text(content)
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(FrameError, match=r"x\.txt: cannot be read as text"):
        read_data_text(tmp_path / "x.txt")


@pytest.fixture(params=ENCODINGS)
def rewrite(request):
    """Change the encoding of a file, with the line ends of Windows."""

    def change(path: Path) -> Path:
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(text.encode(request.param))
        return path

    return change


def test_meta_json(tmp_path, rewrite):
    mask = np.zeros((24, 32), np.uint16)
    mask[4:12, 4:12] = 1
    frame = RgbdFrame(
        colour=np.zeros((24, 32, 3), np.uint8),
        depth=np.ones((24, 32), np.float32),
        mask=mask,
        camera=PinholeCamera(32, 24, 90.0, 90.0, 16.0, 12.0),
        labels={1: InstanceLabel("mug")},
    )
    write_frame(tmp_path / "f", frame)
    path = tmp_path / "f" / "meta.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta["objects"][0]["instance"] = "Tasse_grün"
    path.write_text(json.dumps(meta, ensure_ascii=False, indent=1), encoding="utf-8")
    rewrite(path)
    assert read_frame(tmp_path / "f").instances == {1: "Tasse_grün"}


def test_yaml_files(tmp_path, rewrite):
    entry = tmp_path / "category.yaml"
    entry.write_bytes((SHIPPED / "bottle" / "category.yaml").read_bytes())
    assert read_category(rewrite(entry)).name == "bottle"
    (tmp_path / "exclude.yaml").write_text("- Töpfe\n- kettle\n", encoding="utf-8")
    found = read_exclusions(rewrite(tmp_path / "exclude.yaml"), tmp_path)
    assert found == {"Töpfe", "kettle"}
    (tmp_path / "c.yaml").write_text("# für mich\nlosses: paper\n", encoding="utf-8")
    assert read_configuration(rewrite(tmp_path / "c.yaml"), SelfSupervision).losses == "paper"
    assert read_text(tmp_path / "c.yaml").startswith("# für mich\n")


def text_calls(path: Path) -> list[str]:
    """Calls that read or write text in the encoding of the locale."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute | ast.Name):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        given = any(x.arg == "encoding" for x in node.keywords)
        constants = [x.value for x in node.args if isinstance(x, ast.Constant)]
        method = isinstance(node.func, ast.Attribute)
        needs = (
            (name == "read_text" and method and not node.args)
            or (name == "write_text" and method and len(node.args) < 2)
            or (name == "open" and not method and not any("b" in str(x) for x in constants[-1:]))
        )
        if needs and not given:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {name}")
    return found


def test_no_text_is_read_in_the_encoding_of_the_locale():
    folders = ("sdfpose_core", "sdfpose_ros", "training", "launch", "packaging", "docs", "examples")
    files = [x for folder in folders for x in (ROOT / folder).rglob("*.py")]
    assert [x for path in files for x in text_calls(path)] == []
