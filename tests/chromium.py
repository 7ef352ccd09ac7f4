"""A real browser for tests: headless Chromium, driven through a pipe by its own protocol, cut off from every network.

No package is needed: messages are JSON, each ended by a zero byte, on file descriptors 3 and 4 of the browser
(https://chromedevtools.github.io/devtools-protocol/).
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from printing import BROWSERS, executable

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)

# A runner without a browser would skip these tests in silence: `.ci/run` sets the variable, and there they fail.
REQUIRED = "ASTRACLR_BROWSER_REQUIRED"
needs_browser = pytest.mark.skipif(
    executable() is None and not os.environ.get(REQUIRED), reason=f"no browser: looked for {', '.join(BROWSERS)}"
)


class Browser:
    """One page of one browser.

    `errors` collects what the page complains of, `requests` the addresses it asked for, `failures` those not answered.
    """

    def __init__(self, width: int = 1280, height: int = 900, timeout: float = 180.0):
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.failures: list[str] = []
        self._asked: dict[str, str] = {}
        self._timeout, self._number, self._buffer, self._session = timeout, 0, b"", None
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        self._seen: list[dict[str, Any]] = []
        program = executable()
        assert program is not None, f"no browser: looked for {', '.join(BROWSERS)}"
        shell = f'exec "$0" "$@" 3<&{to_read} 4>&{to_write}'  # the browser wants these two numbers
        command = ["bash", "-c", shell, program, *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_read)
        os.close(to_write)
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(self._timeout)
        os.close(self._write)
        os.close(self._read)
        self._profile.cleanup()

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send one command and return its result; what happens meanwhile is taken note of."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session and not method.startswith("Target."):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        answer = self._wait(lambda m: m.get("id") == self._number)
        assert "error" not in answer, f"{method}: {answer.get('error')}"
        return answer["result"]

    def _wait(self, wanted: Any) -> dict[str, Any]:
        end = time.monotonic() + self._timeout
        while True:
            while b"\0" in self._buffer:
                text, _, self._buffer = self._buffer.partition(b"\0")
                message = json.loads(text)
                self._note(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._read, 1 << 20) if ready else b""
            assert piece, f"the browser was silent for {self._timeout} s, or ended"
            self._buffer += piece

    def _note(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.errors.append(json.dumps(params["args"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
            self._asked[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self.failures.append(f"{self._asked.get(params['requestId'])}: {params['errorText']}")
        elif method == "Network.responseReceived" and params["response"]["status"] >= 400:
            self.failures.append(f"{params['response']['url']}: status {params['response']['status']}")

    def forget(self) -> None:
        """Empty the lists: what comes now belongs to the next page."""
        for seen in (self.errors, self.requests, self.failures, self._asked):
            seen.clear()

    def resize(self, width: int, height: int) -> None:
        """Another window, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until it is loaded."""
        self.send("Page.navigate", url="about:blank")  # so that a new fragment alone loads the page again
        self.until("location.href === 'about:blank'")  # one journey at a time: a second one may get no answer
        self.send("Page.navigate", url=f"{path.resolve().as_uri()}{fragment}")
        self.until("location.protocol === 'file:' && document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression."""
        out = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in out, out["exceptionDetails"]
        return out["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + self._timeout
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.03)

    def mouse(self, kind: str, x: float, y: float, button: str = "none", modifiers: int = 0) -> None:
        """A mouse event, kind "mouseMoved", "mousePressed" or "mouseReleased", at CSS pixels."""
        down = kind == "mousePressed" or (kind == "mouseMoved" and button != "none")
        self.send(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button=button,
            buttons=int(down),
            clickCount=int(kind != "mouseMoved"),
            modifiers=modifiers,
        )

    def click(self, x: float, y: float) -> None:
        """Press and release the left button."""
        self.mouse("mouseMoved", x, y)
        self.mouse("mousePressed", x, y, "left")
        self.mouse("mouseReleased", x, y, "left")

    def key(self, name: str, text: str = "") -> None:
        """Press and release a key, such as "ArrowRight"."""
        extra = {"text": text} if text else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=name, **extra)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=name)

    def dark(self, wanted: bool) -> None:
        """Prefer dark or light colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if wanted else "light"}]
        self.send("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))
