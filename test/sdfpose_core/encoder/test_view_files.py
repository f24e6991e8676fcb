"""Files of training views, made in worker processes."""

import multiprocessing
import time

import pytest
from made_files import Failed, Killed, Slow, Written

from sdfpose_core.encoder.view_files import make_view_files
from sdfpose_core.errors import SdfposeError


def test_all_files_are_made(tmp_path):
    files = [Written(tmp_path / f"{i}") for i in range(3)]
    assert {x.path for x in make_view_files(files, 2)} == {x.path for x in files}
    assert all(x.path.exists() for x in files)


def test_a_killed_worker_is_an_error(tmp_path):
    with pytest.raises(SdfposeError, match="was killed, perhaps because memory was short"):
        list(make_view_files([Killed(tmp_path / "a"), Killed(tmp_path / "b")], 2))


def test_the_error_of_a_worker_is_raised(tmp_path):
    with pytest.raises(OSError, match="No space left on device"):
        list(make_view_files([Failed(tmp_path / "a")], 2))


def test_an_interruption_waits_for_no_file(tmp_path):
    slow = Slow(tmp_path / "slow")
    files = make_view_files([Written(tmp_path / "a"), slow, Slow(tmp_path / "more")], 2)
    assert next(files).path.name == "a"
    while not slow.path.exists():
        time.sleep(0.01)
    with pytest.raises(KeyboardInterrupt):
        files.throw(KeyboardInterrupt)
    assert not multiprocessing.active_children()
