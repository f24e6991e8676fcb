"""The selection of ``make test-quick``."""

from pathlib import Path

import pytest
from slow_files import SLOW_FILES

TEST = Path(__file__).parent
FOLDERS = sorted({x.parent for x in TEST.rglob("test_*.py")} - {TEST / "examples"})


def test_slow_files_exist():
    assert [x for x in SLOW_FILES if not (TEST / x).is_file()] == []


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda x: x.relative_to(TEST).as_posix())
def test_every_folder_has_a_quick_file(folder):
    files = {x.relative_to(TEST).as_posix() for x in folder.glob("test_*.py")}
    assert files - SLOW_FILES
