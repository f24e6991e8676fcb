"""Checks that the built site works without a network: no page loads anything from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

_log = logging.getLogger(__name__)

_SOURCES = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class _Resources(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag that loads something."""
        address = dict(attrs).get(_SOURCES.get(tag, ""))
        if address and re.match(r"(https?:)?//", address):
            self.found.append(address)


def external_resources(folder: Path) -> list[str]:
    """Return 'FILE: ADDRESS' for everything that the pages and styles load from elsewhere."""
    problems = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".html", ".css"):
            continue
        text = path.read_text("utf-8")
        found = _STYLE.findall(text)
        if path.suffix == ".html":
            parser = _Resources()
            parser.feed(text)
            found += parser.found
        problems += [f"{path.relative_to(folder)}: {x}" for x in found]
    return problems


def _check(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        for problem in external_resources(Path(app.outdir)):
            _log.error(
                "%s: the site loads this from elsewhere: expected a file of the site", problem
            )
            app.statuscode = 1


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the check."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
