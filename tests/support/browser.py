"""A real browser for tests: Debian's chromium, driven through the WebDriver protocol (W3C) over plain HTTP."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from support import needs

if TYPE_CHECKING:
    from pathlib import Path

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol gives element references (W3C, 12.1)


class Browser:
    """One headless chromium with a fresh profile in `folder`; a context manager."""

    def __init__(self, folder: Path, *, dark: bool = False) -> None:
        driver = needs.program("chromedriver", "chromium-driver")
        chromium = needs.program("chromium", "chromium")
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        port = next(line.split()[-1].rstrip(".") for line in self.process.stdout if "successfully on port" in line)
        self.address = f"http://127.0.0.1:{port}/session"
        arguments = [
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--window-size=1200,900",
            f"--user-data-dir={folder}", *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        ]  # fmt: skip
        wanted = {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        try:
            session = self._ask("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._end()
            raise
        self.address += f"/{session['sessionId']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._end()

    def _end(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = json.dumps(body if body is not None else {}).encode() if method == "POST" else None
        request = urllib.request.Request(  # noqa: S310  (always http://127.0.0.1)
            self.address + path, data, {"Content-Type": "application/json"}, method=method
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the machine is set to
        try:
            with direct.open(request, timeout=30) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(json.load(error)["value"]["message"]) from error

    def go(self, address: str) -> None:
        """Open a page and wait until it is loaded."""
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the function body `script` returns in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def _element(self, selector: str) -> str:
        found = self._ask("POST", "/element", {"using": "css selector", "value": selector})
        return str(found[_ELEMENT])

    def type(self, selector: str, text: str) -> None:
        """Type `text` into an element, key by key."""
        self._ask("POST", f"/element/{self._element(selector)}/value", {"text": text})

    def click(self, selector: str) -> None:
        """Click on an element, which must be visible."""
        self._ask("POST", f"/element/{self._element(selector)}/click", {})

    def texts(self, selector: str) -> list[str]:
        """The visible text of every element that matches."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)"
        return list(self.run(script, selector))

    def messages(self) -> list[str]:
        """What the browser wrote into its console: errors, and everything that a policy blocked."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def screenshot(self) -> bytes:
        """What a person would see now, as PNG."""
        return base64.b64decode(self._ask("GET", "/screenshot"))
