"""Plain text of help and comments as Markdown."""

from __future__ import annotations

import re

__all__ = ["cell", "prose"]

_CODE = re.compile(
    r"(?<![\w\\-])(--[a-z][\w-]*|-[a-z](?= )|~/\w+|[A-Za-z]\w*(?:_\w+)+(?:\.\w+)?)(?![\w-])"
)
"""Options, private topic names, and names with an underscore."""

_MARKUP = re.compile(r"[\\*<\[]")


def prose(text: str) -> str:
    """Return text on one line, with options and identifiers as code and no other markup."""
    text = _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))
    if "`" in text:
        return text
    return _CODE.sub(r"`\1`", text)


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|")
