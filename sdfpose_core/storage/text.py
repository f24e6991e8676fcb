"""Text files of users: read whatever the editor, the system and the locale, written for people."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any

import yaml

__all__ = ["decode_text", "read_text", "read_yaml", "yaml_text"]

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_WINDOWS = "cp1252"
"""Encoding of Western editors on Windows; Latin-1 with further characters."""


def read_text(path: Path | str) -> str:
    """Read a text file in the encoding that `decode_text` finds.

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: the file is no text.
    """
    return decode_text(Path(path).read_bytes())


def read_yaml(path: Path | str) -> Any:
    """Read a YAML file of plain data.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is no text or no YAML, or has a key twice.
    """
    try:
        return yaml.load(read_text(path), _UniqueKeys)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error


def yaml_text(content: Any) -> str:
    """Text of a YAML file that people read and edit: in order, short mappings on one line."""
    return str(
        yaml.safe_dump(
            content, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
        )
    )


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that appears twice, whose first value YAML would drop silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' appears twice", key.start_mark
                )
            if name is not None:
                seen.add(name)
        return super().construct_mapping(node, deep)


def decode_text(content: bytes) -> str:
    """Decode text: UTF-8, UTF-16 or UTF-32 with or without a byte order mark, or Windows-1252.

    Line ends become newlines. The locale does not matter.

    Raises:
        UnicodeDecodeError: the content is no text.
    """
    return _decode(content).replace("\r\n", "\n").replace("\r", "\n")


def _decode(content: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    if content[:2].count(0) == 1 and len(content) % 2 == 0:  # files begin with an ASCII character
        return content.decode("utf-16-be" if content[0] == 0 else "utf-16-le")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        if b"\0" in content:
            raise
        try:
            return content.decode(_WINDOWS)
        except UnicodeDecodeError:
            raise error from None
    return text
