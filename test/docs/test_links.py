"""Links in the Markdown files lead to files and headings that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs/reference/python"
"""Pages that only `make docs` writes; their links are checked there."""

FILES = sorted(
    x
    for pattern in ("*.md", "docs/**/*.md", "packaging/*.md", "sdfpose_core/weights/*.md")
    for x in ROOT.glob(pattern)
    if not x.is_relative_to(GENERATED)
)

LINK = re.compile(
    r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s>]*(?:\([^()]*\)[^()\s>]*)*)>?[^)]*\)"
)
REFERENCE = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
DIRECTIVE = re.compile(r"^[`:]{3,}\{(?:figure|image|include)\}\s+(\S+)", re.MULTILINE)
FENCE = re.compile(r"^( *)(`{3,}|:{3,})(?!\{(?:figure|image|include)\}).*?^\1\2`*:*$", re.M | re.S)


def prose(path: Path) -> str:
    """Text of a file without code."""
    text = FENCE.sub("", path.read_text("utf-8"))
    return re.sub(r"(?<!`)(`+)(?!`)((?:(?!\1).)+?)\1(?!`)", "", text)


def links(path: Path) -> Iterator[str]:
    text = prose(path)
    for pattern in (LINK, REFERENCE, DIRECTIVE):
        yield from pattern.findall(text)


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("\\", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


@cache
def anchors(path: Path) -> set[str]:
    text = FENCE.sub("", path.read_text("utf-8"))
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        name, number = slug(heading), 0
        while (unique := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(unique)
    found |= set(re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE))
    return found


def problem(path: Path, link: str) -> str | None:
    """What is wrong with a link of a file; None if nothing is."""
    parts = urlsplit(link)
    if parts.scheme:
        well_formed = parts.scheme in ("http", "https") and "." in parts.netloc
        return None if well_formed or parts.scheme == "mailto" else "malformed address"
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if target.is_relative_to(GENERATED):
        return None
    if not target.is_relative_to(ROOT):
        return "leads out of the project"
    if not target.exists():
        return "no such file"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target):
        return f"no such heading: expected one of {', '.join(sorted(anchors(target)))}"
    return None


@pytest.mark.parametrize("path", FILES, ids=lambda x: str(x.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    wrong = [f"{x}: {y}" for x in links(path) if (y := problem(path, x))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("link", "works"),
    [
        ("a.md", True),
        ("a.md#a-heading-with-code", True),
        ("#twice-1", True),
        ("../test/docs/test_links.py", True),
        ("https://example.org/a_(b)", True),
        ("b.md", False),
        ("a.md#elsewhere", False),
        ("../../out", False),
        ("https:/example", False),
        ("ftp://example.org", False),
    ],
)
def test_problem_of_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: str, works: bool
) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "test/docs").mkdir(parents=True)
    (tmp_path / "test/docs/test_links.py").touch()
    page = tmp_path / "docs/a.md"
    page.write_text("# A heading with `code`\n## Twice\n## Twice\n```sh\n# no heading\n```\n")
    assert (problem(page, link) is None) is works


def test_code_has_no_links(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("[x](a) `[y](b)`\n```sh\n[z](c)\n```\n![i [j]](d_(e).png)\n[r]: f.md\n")
    assert list(links(page)) == ["a", "d_(e).png", "f.md"]


def test_the_readme_lists_all_pages():
    listed = (ROOT / "README.md").read_text("utf-8").partition("## Documentation\n")[2]
    listed = listed.partition("\n## ")[0]
    # The front page of the site, and pages whose text is that of a file at the root.
    elsewhere = {"index", "changelog", "citation", "contributing", "packaging", "quality"}
    for page in [*ROOT.glob("docs/*.md"), *ROOT.glob("docs/getting-started/*.md")]:
        assert page.stem in elsewhere or f"({page.relative_to(ROOT)})" in listed
