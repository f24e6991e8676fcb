"""The viewer in a real browser: what is on the page, by its pixels and its text."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from simple_estimates import make_estimate, make_frame

from sdfpose_core.categories import default_categories
from sdfpose_core.viewer.address import free_address
from sdfpose_core.viewer.packages import ViewerError, require_viser
from sdfpose_core.viewer.viewer import Viewer
from sdfpose_core.viewer.views import FrameView, ObjectView

try:
    require_viser()
except ViewerError as error:
    pytest.skip(str(error), allow_module_level=True)
if CHROMIUM is None:
    pytest.skip("no Chromium: expected chromium in PATH", allow_module_level=True)

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Subprotocol

pytestmark = pytest.mark.timeout(600)

PATIENCE_S = 250.0
"""A busy machine without a GPU needs tens of seconds for a picture."""

SIZE = 1100, 700

NOTICE = "document.querySelectorAll('[class*=Notification-root]').forEach(x => x.remove())"
"""Removes the notice that there is no GPU, which covers the scene."""


def wait_for(condition, what):
    """Poll a condition until it holds."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"{what} did not appear"
        time.sleep(0.5)


def pink(browser):
    """Pixels (N, 2), (u, v), of the pink surface."""
    browser.evaluate(NOTICE)
    red, green, blue = np.moveaxis(browser.screenshot().astype(int), -1, 0)
    v, u = np.nonzero((red > 110) & (blue > 110) & (green < 0.5 * np.minimum(red, blue)))
    return np.stack([u, v], axis=-1)


@pytest.fixture(scope="module")
def view():
    """A pink ball in front of the camera."""
    estimate = replace(
        make_estimate("mug", at=(0.0, 0.0, 0.6), side=0.25),
        covariance=1e-6 * np.eye(6),
        diagnostics={"inlier_ratio": 0.5},
    )
    colours = np.tile(np.array([[255, 0, 255]], np.uint8), (len(estimate.vertices), 1))
    seen = ObjectView(1, estimate, "tracked", 1, colours)
    return FrameView("image 12", [seen], make_frame(160, 120), latency_s=0.25)


@pytest.fixture(scope="module")
def viewer():
    with Viewer(free_address(), default_categories(), "test") as viewer:
        yield viewer


@pytest.fixture(scope="module")
def browser(viewer):
    with Browser(viewer.address.url, SIZE) as browser:
        yield browser


def test_nothing_is_drawn_before_a_browser_connects(viewer, view):
    viewer.show(view)
    viewer.log("node: ready")
    assert not viewer.is_watched
    assert viewer._drawn is None


def test_a_browser_that_connects_later_sees_surface_numbers_and_log(viewer, view, browser):
    wait_for(lambda: "mug 1" in browser.text(), "the object")
    assert viewer.is_watched
    text = browser.text()
    assert "image 12" in text
    assert "tracked" in text
    wait_for(lambda: len(pink(browser)) > 500, "the surface")
    pixels = pink(browser)
    # A ball is round: as wide as high, and its middle is pink as well.
    width, height = np.ptp(pixels, axis=0)
    assert 0.7 < width / height < 1.4
    assert (np.abs(pixels - pixels.mean(axis=0)) < 6).all(axis=1).any()


def test_a_click_on_an_object_shows_its_numbers(browser):
    assert "std. dev., position" not in browser.text()
    browser.click(*pink(browser).mean(axis=0))
    wait_for(lambda: "std. dev., position" in browser.text(), "the numbers")
    assert "inlier ratio" in browser.text()


def test_a_page_that_is_loaded_again_shows_the_present_state(viewer, view, browser):
    viewer.show(replace(view, name="image 13"), still=True)
    browser.call("Page.reload")
    wait_for(lambda: "image 13" in browser.text(), "the image")
    wait_for(lambda: len(pink(browser)) > 500, "the surface")


def test_a_page_of_another_version_is_refused_and_the_others_stay(viewer, browser):
    """As one that is still open from before an upgrade, or that a proxy has kept."""
    connected = len(viewer._server.get_clients())
    url = viewer.address.url.replace("http", "ws")
    message = r"Version mismatch\. Client: 0\.0\.1, Server"
    with (
        connect(url, subprotocols=[Subprotocol("viser-v0.0.1")]) as socket,
        pytest.raises(ConnectionClosed, match=message),
    ):
        socket.recv(timeout=PATIENCE_S)
    assert len(viewer._server.get_clients()) == connected
    assert "image 13" in browser.text()


def test_layers_are_hidden(viewer, browser):
    viewer._set_visible("surfaces", False)
    wait_for(lambda: len(pink(browser)) == 0, "the scene without the surface")
    viewer._set_visible("surfaces", True)


def test_objects_that_are_gone_disappear(viewer, view, browser):
    viewer.show(replace(view, name="image 14", objects=[]), still=True)
    wait_for(lambda: len(pink(browser)) == 0 and "No objects." in browser.text(), "the empty scene")


def test_the_page_needs_no_network(viewer, browser):
    browser.text()
    own = (viewer.address.url, f"blob:{viewer.address.url}", "data:")
    assert [x for x in browser.requests if not x.startswith(own)] == []


def test_a_browser_that_is_closed_costs_nothing_and_another_one_sees_the_present_state(
    viewer, view, browser
):
    browser.close()
    wait_for(lambda: not viewer.is_watched, "the end of the connection")
    drawn = viewer._drawn
    viewer.show(replace(view, name="image 15"), still=True)
    assert viewer._drawn is drawn, "nobody is looking"
    with Browser(viewer.address.url, SIZE) as other:
        wait_for(lambda: "image 15" in other.text(), "the image")
        wait_for(lambda: len(pink(other)) > 500, "the surface")
