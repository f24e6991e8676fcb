"""The packs that are in use: those of the package, and those of the user beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from sdfpose_core.categories import CATEGORY_FILE, Categories
from sdfpose_core.errors import PackError
from sdfpose_core.packs.pack import Pack
from sdfpose_core.weights import SHARED_FILES, SHIPPED

__all__ = ["Packs", "find_packs"]


class Packs(Mapping[str, Pack]):
    """Packs by the names of their categories.

    Args:
        packs: in order; of two with the same name, the later one counts.
        shared: own files of the networks that serve all categories (`SHARED_FILES`), by name.

    Attributes:
        own_shared: as given.

    Raises:
        PackError: a label stands for two categories.
    """

    def __init__(self, packs: Iterable[Pack], shared: Mapping[str, Path] | None = None) -> None:
        self._packs = {x.name: x for x in packs}
        self.own_shared = dict(shared or {})
        _check_labels(self._packs.values())

    @classmethod
    def beside_shipped(cls, folders: Iterable[Path | str] | Path | str = ()) -> Packs:
        """The packs of folders beside the shipped ones.

        A given pack takes the place of a shipped one of the same name. A folder of packs may also
        hold files of `SHARED_FILES`, which take the place of the shipped ones.

        Args:
            folders: packs, or folders of packs; or a single one.

        Raises:
            PackError: a folder holds nothing of use, a pack is incomplete or of another format, two
                folders have packs of the same name or the same shared file, or a label stands for
                two categories.
        """
        if isinstance(folders, (str, Path)):
            folders = [folders]
        given: dict[str, Pack] = {}
        shared: dict[str, Path] = {}
        for folder in map(Path, folders):
            for pack in map(Pack.read, find_packs(folder)):
                if pack.name in given:
                    raise PackError(
                        f"category '{pack.name}' is in two packs, {given[pack.name].folder} and "
                        f"{pack.folder}: give one of them, or rename one"
                    )
                pack.check_complete()
                given[pack.name] = pack
            for name in _shared_of(folder):
                if name in shared:
                    raise PackError(
                        f"two folders have {name}, {shared[name].parent} and {folder}: give one of "
                        "them"
                    )
                shared[name] = folder / name
        return cls([*map(Pack.read, find_packs(SHIPPED)), *given.values()], shared)

    @cached_property
    def categories(self) -> Categories:
        """The categories of the packs."""
        return Categories({name: x.category for name, x in self._packs.items()})

    def shared(self, name: str) -> Path:
        """Path of a file of `SHARED_FILES`: the user's own, or else the shipped one."""
        return self.own_shared.get(name, SHIPPED / name)

    def __getitem__(self, name: str) -> Pack:
        """The pack of a category.

        Raises:
            CategoryError: there is none; the message suggests a name.
        """
        return self._packs[self.categories[name].name]

    def __contains__(self, name: object) -> bool:
        return name in self._packs

    def __iter__(self) -> Iterator[str]:
        return iter(self._packs)

    def __len__(self) -> int:
        return len(self._packs)


def find_packs(folder: Path) -> list[Path]:
    """The packs of a folder: itself, or its subfolders; none if it only has shared networks.

    Raises:
        PackError: there is no such folder, or it holds nothing of use.
    """
    if (folder / CATEGORY_FILE).is_file():
        return [folder]
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise PackError(f"{folder}: {error.strerror}: expected a pack, a folder") from error
    found = [x for x in inside if not x.name.startswith(".") and (x / CATEGORY_FILE).is_file()]
    if found or _shared_of(folder):
        return found
    if former := [
        x for x in inside if x.name.endswith((".decoder.safetensors", ".encoder.safetensors"))
    ]:
        raise PackError(
            f"{folder}: holds {former[0].name}, weights of sdfpose before it had packs: train or "
            "import them again with this version"
        )
    raise PackError(
        f"{folder}: no pack found: expected a folder with {CATEGORY_FILE}, or a folder of such "
        "folders"
    )


def _shared_of(folder: Path) -> list[str]:
    return [x for x in SHARED_FILES if (folder / x).is_file()]


def _check_labels(packs: Iterable[Pack]) -> None:
    owners: dict[str, Pack] = {}
    for pack in packs:
        for label in dict.fromkeys((pack.name, *pack.category.labels)):
            other = owners.setdefault(label, pack)
            if other is not pack:
                raise PackError(
                    f"label '{label}' stands for two categories, '{other.name}' of {other.folder} "
                    f"and '{pack.name}' of {pack.folder}: remove it from one {CATEGORY_FILE}"
                )
