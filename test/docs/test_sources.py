"""What is called "the paper" is named, and linked on pages, where it is first mentioned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINK = "https://ojs.aaai.org/index.php/AAAI/article/view/20104"

PAGES = [
    x
    for x in [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
    if "reference" not in x.parts
]
MODULES = sorted(
    x
    for folder in ("sdfpose_core", "sdfpose_ros", "training")
    for x in (ROOT / folder).rglob("*.py")
)
MENTION = re.compile(r"\b[Tt]he\s+paper\b(?!s)")
NAMED = re.compile(r"SSC-6D")


def first(pattern: re.Pattern[str], text: str) -> int:
    """Where a pattern first occurs; the end of the text if it does not."""
    found = pattern.search(text)
    return len(text) if found is None else found.start()


@pytest.mark.parametrize("page", PAGES, ids=lambda x: str(x.relative_to(ROOT)))
def test_pages_link_the_paper_where_they_first_mention_it(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    mention = first(MENTION, text)
    if mention == len(text):
        return
    assert text.find(LINK) >= 0, "names 'the paper' without a link"
    # "The paper" may be defined in the paragraph of the link, before or after the link.
    start = text.rfind("\n\n", 0, mention)
    end = text.find("\n\n", mention)
    assert text.find(LINK) < (end if end >= 0 else len(text)), text[start:end]


@pytest.mark.parametrize("module", MODULES, ids=lambda x: str(x.relative_to(ROOT)))
def test_modules_name_the_paper(module: Path) -> None:
    text = module.read_text("utf-8")
    mention = first(MENTION, text)
    paragraph = text.find("\n\n\n", mention)
    assert mention == len(text) or first(NAMED, text) < (paragraph if paragraph >= 0 else len(text))
