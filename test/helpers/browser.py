"""A headless Chromium, driven over its debugging protocol, for tests of web pages."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CHROMIUM = next(
    (x for x in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if x), None
)
"""Path of the browser; None if there is none."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--mute-audio",
    "--hide-scrollbars",
    # Draws WebGL on the CPU.
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--remote-debugging-port=0",
)

_START_S = 180.0
"""Longest wait for an answer; a busy machine without a GPU draws slowly."""


class Browser:
    """A page of a headless browser.

    Args:
        url: the page to open.
        size: width and height of the window, pixels.
    """

    def __init__(self, url: str, size: tuple[int, int] = (1280, 800)) -> None:
        assert CHROMIUM is not None
        self._profile = tempfile.TemporaryDirectory(prefix="sdfpose-browser-")
        flags = (*_FLAGS, f"--user-data-dir={self._profile.name}")
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, f"--window-size={size[0]},{size[1]}", url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        from websockets.sync.client import connect  # a dependency of the viewer

        self._number = 0
        self.requests: list[str] = []
        # A browser that is busy drawing answers no pings.
        self._socket = connect(self._page(), max_size=None, ping_interval=None)
        self.call("Network.enable")
        self.call("Runtime.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the debugging protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=_START_S))
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        """Evaluate JavaScript and return its value."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result["result"].get("value")

    def text(self) -> str:
        """The text of the page."""
        return str(self.evaluate("document.body.innerText"))

    def screenshot(self) -> NDArray[np.uint8]:
        """The page as (H, W, 3) uint8, RGB."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        return np.ascontiguousarray(image[..., ::-1])

    def click(self, x: float, y: float) -> None:
        """Click at a pixel."""
        where = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self.call("Input.dispatchMouseEvent", type="mousePressed", **where)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **where)

    def close(self) -> None:
        """End the browser."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(20.0)
        self._profile.cleanup()

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _page(self) -> str:
        """Address of the page's debugging socket."""
        file = Path(self._profile.name) / "DevToolsActivePort"
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if file.exists() and (lines := file.read_text().splitlines()):
                url = f"http://127.0.0.1:{lines[0]}/json/list"
                pages = json.loads(urllib.request.urlopen(url).read())
                found = [x for x in pages if x["type"] == "page"]
                if found:
                    return str(found[0]["webSocketDebuggerUrl"])
            time.sleep(0.1)
        raise TimeoutError("the browser did not start")
