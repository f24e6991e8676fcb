"""Pages whose text is that of a file elsewhere in the repository, such as the changelog.

In ``docs/`` such a page is a stub with a link, which works where the repository is browsed. On the
site the stub becomes the file's text, and links to that file lead to the page.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^()\s#]+)(#[^()\s]*)?\)")


def _read(app: Sphinx, name: str, source: list[str]) -> None:
    folder = Path(app.srcdir)
    pages: dict[str, str] = app.config.mirrored
    page = folder / f"{name}.md"
    origin = page
    if name in pages:
        origin = (folder.parent / pages[name]).resolve()
        app.env.note_dependency(str(origin))
        source[0] = origin.read_text("utf-8")
    mirrors = {(folder.parent / x).resolve(): folder / f"{y}.md" for y, x in pages.items()}

    def moved(match: re.Match[str]) -> str:
        target = (origin.parent / match[1]).resolve()
        path = os.path.relpath(mirrors.get(target, target), page.parent)
        return f"]({path}{match[2] or ''})"

    source[0] = _LINK.sub(moved, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Rewrite sources when they are read."""
    app.add_config_value("mirrored", {}, "env", types=[dict])
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
