"""Packs are written as a whole: a pack is complete, or it is not there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch

from sdfpose_core.categories import CATEGORY_FILE, Category
from sdfpose_core.errors import PackError
from sdfpose_core.packs.collection import Packs
from sdfpose_core.packs.pack import (
    CARD_FILE,
    FORMAT,
    NO_ENCODER,
    Kind,
    Pack,
    digest_of,
    own_version,
)
from sdfpose_core.storage.files import create_atomically, replace_folder
from sdfpose_core.storage.text import yaml_text
from sdfpose_core.weights import read_weights, weights_kind
from sdfpose_core.weights.network import StoredNetwork

__all__ = ["copy_shared", "write_pack"]


def write_pack(
    folder: Path | str,
    category: Category,
    networks: Mapping[Kind, StoredNetwork],
    base: Pack | None = None,
    *,
    card: str | None = None,
    pictures: Mapping[str, bytes] | None = None,
) -> Pack:
    """Write a pack, or replace one.

    An encoder fits only the decoder that it was trained with: with another decoder, that of `base`
    is left out.

    Args:
        folder: of the pack; created if missing.
        category: its entry.
        networks: new networks by kind.
        base: pack whose files serve for all that is not new, such as the other network, the card
            and pictures.
        card: text of `CARD_FILE`, Markdown; None keeps that of `base`, or writes a short one.
        pictures: contents of further files by name, such as the pictures of the card.

    Raises:
        PackError: there is no decoder, `folder` holds something else than a pack, or it cannot be
            written.
    """
    folder = Path(folder)
    if base is None and "decoder" not in networks:
        raise PackError(
            f"{folder}: a pack needs a decoder: train or import that of '{category.name}' first"
        )
    try:
        if folder.exists() and not (folder / CATEGORY_FILE).is_file() and any(folder.iterdir()):
            raise PackError(f"{folder}: is no pack and not empty: choose another folder")
        with replace_folder(folder) as temporary:
            _fill(temporary, category, networks, base, card)
            for name, picture in (pictures or {}).items():
                (temporary / name).write_bytes(picture)
    except shutil.Error as error:
        raise _not_copied(folder, error) from error
    except OSError as error:
        raise PackError(f"{folder}: cannot be written: {error.strerror}") from error
    return Pack.read(folder)


def copy_shared(packs: Packs, folder: Path | str) -> None:
    """Copy the user's own shared networks to a folder that has none of their names.

    Raises:
        PackError: the folder cannot be written.
    """
    try:
        for name, path in packs.own_shared.items():
            create_atomically(Path(folder) / name, path.read_bytes())
    except OSError as error:
        raise PackError(f"{folder}: cannot be written: {error.strerror}") from error


def _fill(
    folder: Path,
    category: Category,
    networks: Mapping[Kind, StoredNetwork],
    base: Pack | None,
    card: str | None,
) -> None:
    """Write the files of a pack to an empty folder."""
    if base is not None:
        base.check_complete()
        shutil.copytree(base.folder, folder, dirs_exist_ok=True)
    for kind, network in networks.items():
        network.save(folder / f"{kind}.safetensors", category.name)
    decoder, encoder = (folder / f"{kind}.safetensors" for kind in ("decoder", "encoder"))
    if "encoder" not in networks and (base is None or not _fits(base, decoder)):
        encoder.unlink(missing_ok=True)
    content = {
        "format": FORMAT,
        "version": own_version(),
        "category": category.as_entry(),
        "decoder": digest_of(decoder),
        "encoder": digest_of(encoder) if encoder.is_file() else NO_ENCODER,
    }
    text = yaml_text(content)
    (folder / CATEGORY_FILE).write_text(text, encoding="utf-8")
    if card is not None or not (folder / CARD_FILE).exists():
        text = card if card is not None else _short_card(category)
        (folder / CARD_FILE).write_text(text, encoding="utf-8")


def _not_copied(folder: Path, error: shutil.Error) -> PackError:
    """The error for files that could not be copied, of which the first one is named."""
    source, _, reason = error.args[0][0]
    return PackError(f"{folder}: cannot be written: {source} could not be copied: {reason}")


def _fits(base: Pack, decoder: Path) -> bool:
    """Whether a pack has an encoder that was trained with a decoder.

    The order of a file's header is arbitrary: equal weights may have different digests.
    """
    if base.encoder is None:
        return False
    files = decoder, base.file("decoder")
    kinds = [weights_kind(x, "decoder") for x in files]
    if kinds[0] != kinds[1]:
        return False
    (settings, one), (other_settings, other) = (read_weights(x, kinds[0]) for x in files)
    same = settings == other_settings and one.keys() == other.keys()
    return same and all(torch.equal(x, other[name]) for name, x in one.items())


def _short_card(category: Category) -> str:
    return (
        f"# {category.name}\n\n"
        f"Pack of the category `{category.name}`, made by sdfpose {own_version()}.\n"
    )
