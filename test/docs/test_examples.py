"""The documentation shows every example, and its own snippets fit the library."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(x.name for x in (ROOT / "examples").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^python -c \"(.*)\"$", re.MULTILINE)

SNIPPETS = [
    pytest.param(snippet, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    if "reference" not in page.parts
    for text in [page.read_text("utf-8")]
    for number, snippet in enumerate([*PYTHON.findall(text), *COMMAND.findall(text)])
]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_example_is_on_the_page_and_in_the_list(name: str) -> None:
    page = (ROOT / "docs/examples.md").read_text("utf-8")
    assert f"```{{literalinclude}} ../examples/{name}\n" in page
    assert f"]({name})" in (ROOT / "examples/README.md").read_text("utf-8")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_import_what_exists(snippet: str) -> None:
    for node in ast.walk(ast.parse(snippet)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sdfpose_core"):
            module = importlib.import_module(node.module or "")
            for x in node.names:
                assert hasattr(module, x.name), f"{node.module} has no {x.name}"
