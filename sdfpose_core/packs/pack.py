"""A pack: the folder of one category."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from sdfpose_core.categories import CATEGORY_FILE, Category, category_of
from sdfpose_core.errors import ConfigurationError, PackError, WeightsError
from sdfpose_core.storage.text import read_yaml
from sdfpose_core.weights import weights_category

__all__ = ["CARD_FILE", "FORMAT", "NO_ENCODER", "Kind", "Pack", "digest_of", "own_version"]

Kind = Literal["decoder", "encoder"]
"""Kind of a network of a pack."""

FORMAT = 1
"""Version of the format. It changes when older versions cannot read new packs, or the reverse."""

CARD_FILE = "card.md"
"""Name of the file that says where a pack comes from and what it is good for."""

NO_ENCODER = "none"
"""Stands for the digest of an encoder that a pack does not have."""

_KEYS = ("format", "version", "category", "decoder", "encoder")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pack:
    """The entry of a category, with the weights beside it.

    Attributes:
        folder: of the files.
        category: as its ``category.yaml`` describes it.
        version: of sdfpose, which made the pack.
        decoder: SHA-256 of the decoder's file, hexadecimal.
        encoder: of the encoder's file; None for a pack without an encoder, whose objects are
            searched from upright poses.
    """

    folder: Path
    category: Category
    version: str
    decoder: str
    encoder: str | None

    @classmethod
    def read(cls, folder: Path | str) -> Pack:
        """Read the entry of a pack. Its weights are not read.

        Raises:
            PackError: the folder is none, or its entry is invalid or of another format.
        """
        folder = Path(folder)
        path = folder / CATEGORY_FILE
        if not path.is_file():
            raise PackError(f"{folder}: no pack: expected a folder with {CATEGORY_FILE}")
        try:
            content = read_yaml(path)
        except (OSError, ValueError) as error:
            raise PackError(f"{path}: cannot be read as YAML: {error}") from error
        if not isinstance(content, dict):
            raise PackError(f"{path}: expected a mapping with the keys {', '.join(_KEYS)}")
        version = _made_by(path, content)
        if mismatched := sorted(set(content) ^ set(_KEYS), key=str):
            state = "unknown" if mismatched[0] in content else "missing"
            raise PackError(
                f"{path}: {state} key '{mismatched[0]}': expected the keys {', '.join(_KEYS)}"
            )
        try:
            category = category_of(content, path)
        except ConfigurationError as error:
            raise PackError(str(error)) from error
        encoder = None if content["encoder"] == NO_ENCODER else _digest(path, content, "encoder")
        return cls(folder, category, version, _digest(path, content, "decoder"), encoder)

    @property
    def name(self) -> str:
        """Name of the category."""
        return self.category.name

    def file(self, kind: Kind) -> Path:
        """Path of a network's weights."""
        return self.folder / f"{kind}.safetensors"

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of the networks that the pack has."""
        return ("decoder",) if self.encoder is None else ("decoder", "encoder")

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(x.stat().st_size for x in self.folder.rglob("*") if x.is_file())

    def digest(self, kind: Kind) -> str | None:
        """SHA-256 of a network's file, as the entry gives it; None without the network."""
        return self.decoder if kind == "decoder" else self.encoder

    def check_complete(self) -> None:
        """Check that the files of all networks are there.

        Raises:
            PackError: one is missing.
        """
        for kind in self.kinds:
            if not self.file(kind).is_file():
                raise self._missing(self.file(kind))

    def verified(self, kind: Kind) -> Path:
        """Path of a network's weights, after a look whether the file is that of this pack.

        Raises:
            PackError: the file is missing, cannot be read, is of another pack or was changed, or
                the pack has no network of this kind.
        """
        path, expected = self.file(kind), self.digest(kind)
        if expected is None:
            raise PackError(f"{self.folder}: has no {kind} ({kind}: {NO_ENCODER})")
        if not path.is_file():
            raise self._missing(path)
        try:
            found = digest_of(path)
        except OSError as error:
            raise PackError(f"{path}: cannot be read: {error.strerror}") from error
        if found != expected:
            raise PackError(
                f"{path}: damaged, changed or of another pack{_origin(path, kind)}: its SHA-256 is "
                f"not that of {CATEGORY_FILE}; restore the pack, or make it again"
            )
        return path

    def _missing(self, path: Path) -> PackError:
        return PackError(
            f"{path}: no such weights file: the pack of '{self.name}' is incomplete; restore it, "
            "or make it again"
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def own_version() -> str:
    """Version of the installed package; ``unknown`` if it is not installed."""
    try:
        return metadata.version("sdfpose")
    except metadata.PackageNotFoundError:
        return "unknown"


def _made_by(path: Path, content: dict[Any, Any]) -> str:
    """The version that made a pack, if this version reads its format."""
    version, number = str(content.get("version", "unknown")), content.get("format")
    if number != FORMAT or isinstance(number, bool):
        raise PackError(
            f"{path}: made by sdfpose {version} in format {number!r} of packs, but sdfpose "
            f"{own_version()} reads format {FORMAT}: make the pack again with this version, or use "
            "the version that made it"
        )
    return version


def _digest(path: Path, content: dict[Any, Any], kind: Kind) -> str:
    value = content[kind]
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        none = f", or {NO_ENCODER}" if kind == "encoder" else ""
        raise PackError(
            f"{path}: {kind} is {value!r}: expected the SHA-256 of {kind}.safetensors{none}"
        )
    return value


def _origin(path: Path, kind: Kind) -> str:
    """What the header of a weights file says it is; empty if it cannot be read."""
    try:
        return f" (its header says category '{weights_category(path, kind)}')"
    except WeightsError:
        return ""
