"""The optional packages of the viewer: missing and old ones are told with what to do."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from sdfpose_core.viewer import packages
from sdfpose_core.viewer.packages import ViewerError, require_rerun, require_viser

REQUIRE = {"viser": require_viser, "rerun": require_rerun}


@pytest.mark.parametrize("name", REQUIRE)
def test_a_package_that_is_missing_is_named_with_its_command(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ViewerError, match=r"which is not installed: run 'pip install"):
        REQUIRE[name]()


@pytest.mark.parametrize(
    ("name", "version", "accepted"),
    [
        ("viser", "0.2.23", False),
        ("viser", "1.1.0.post1", False),
        ("viser", "1.1.1", True),
        ("viser", "1.10.0rc1", True),
        ("rerun", "0.9.1", False),
        ("rerun", "0.41.0", True),
        ("rerun", "1.0", True),
    ],
)
def test_an_old_version_is_told(name, version, accepted, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr(metadata, "version", lambda _: version)
    if accepted:
        REQUIRE[name]()
    else:
        message = rf"version {version} is installed, but .* or later is expected: run 'pip install"
        with pytest.raises(ViewerError, match=message):
            REQUIRE[name]()


def test_the_oldest_versions_are_those_of_the_package():
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text()
    assert f'viewer = ["viser>={packages._VISER}"]' in text
    assert f'rerun = ["rerun-sdk>={packages._RERUN}"]' in text
