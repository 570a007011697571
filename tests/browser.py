"""A thin client of chromedriver (the W3C WebDriver protocol over urllib), for tests of pages."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
ARGUMENTS = (
    "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
    "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1600,900",
)  # fmt: skip
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """A headless Chromium with an empty profile."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        self._driver = subprocess.Popen(
            [str(DRIVER), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._driver.stdout is not None
        port = ""
        for line in self._driver.stdout:
            if "started successfully on port" in line:
                port = line.strip().rstrip(".").rpartition(" ")[2]
                break
        self._base = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": CHROMIUM,
            "args": [*ARGUMENTS, f"user-data-dir={self._profile.name}"],
        }
        wanted = {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}
        }  # fmt: skip
        found = self._send("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/{found['sessionId']}"

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with _NO_PROXY.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)["value"]["message"]) from None

    def open(self, page: Path) -> None:
        """Load a file. What was asked for before (the browser's own first page) is forgotten."""
        self._send("POST", "/url", {"url": "about:blank"})
        self.requests()
        self._send("POST", "/url", {"url": page.as_uri()})

    def run(self, script: str, *args: Any) -> Any:
        """The value of JavaScript: the body of a function."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(args)})

    def press(self, *keys: str) -> None:
        """Real key events, on what has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._send("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def point(self, selector: str) -> None:
        """Move the mouse to the middle of an element."""
        element = self._send("POST", "/element", {"using": "css selector", "value": selector})
        move = {"type": "pointerMove", "duration": 0, "origin": element, "x": 0, "y": 0}
        mouse = {"type": "pointer", "id": "mouse", "actions": [move]}
        self._send("POST", "/actions", {"actions": [mouse]})

    def command(self, name: str, **params: Any) -> Any:
        """A command of the DevTools protocol."""
        return self._send("POST", "/goog/cdp/execute", {"cmd": name, "params": params})

    def resize(self, width: int, height: int) -> None:
        self._send("POST", "/window/rect", {"width": width, "height": height})

    def messages(self) -> list[str]:
        """Errors and warnings of the console since the last call."""
        return [entry["message"] for entry in self._send("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        events = [
            json.loads(e["message"])["message"]
            for e in self._send("POST", "/se/log", {"type": "performance"})
        ]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def print(self, path: Path) -> None:
        """The page as PDF."""
        path.write_bytes(base64.b64decode(self._send("POST", "/print", {"background": False})))

    def close(self) -> None:
        try:
            self._send("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(20)
            if self._driver.stdout:
                self._driver.stdout.close()
            self._profile.cleanup()
