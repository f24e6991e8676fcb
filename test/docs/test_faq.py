"""The messages that the FAQ quotes are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VARIABLE = re.compile(r"\.\.\.|'[^']*'|/camera/\w+|\d+(?:x\d+)?")
"""What a quoted message has in place of what varies."""


def texts(tree: ast.AST) -> Iterator[str]:
    """Strings of the code; what a formatted one inserts is left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [x.value if isinstance(x, ast.Constant) else "" for x in node.values]
            yield "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@cache
def code() -> list[str]:
    files = [
        x for package in ("sdfpose_core", "sdfpose_ros") for x in (ROOT / package).rglob("*.py")
    ]
    found = [text for x in files for text in texts(ast.parse(x.read_text("utf-8")))]
    return [*found, (ROOT / "packaging/setup_environment.sh").read_text("utf-8")]


def symptoms() -> list[str]:
    """Messages in code type below 'Symptom'; single words are states and names, not messages."""
    page = (ROOT / "docs/faq.md").read_text("utf-8")
    found = re.findall(r"^- \*\*Symptom\*\*:(.*?)\n- ", page, re.MULTILINE | re.DOTALL)
    quoted = [" ".join(x.split()) for text in found for x in re.findall(r"`([^`]+)`", text)]
    return [x for x in quoted if " " in x]


def is_in(message: str, text: str) -> bool:
    """Whether the fixed parts of a message are in a text, in order."""
    start = 0
    for part in VARIABLE.split(message):
        part = part.strip(" :()")
        position = text.find(part, start)
        if position < 0:
            return False
        start = position + len(part)
    return True


@pytest.mark.parametrize("message", symptoms())
def test_message_is_in_the_code(message: str) -> None:
    assert any(is_in(message, x) for x in code())
