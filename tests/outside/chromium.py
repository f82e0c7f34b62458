"""Real Chromium, headless, in a home of its own, driven over the DevTools protocol.

What a browser says of a page is taken from the browser: the event Security.visibleSecurityStateChanged is what its
address bar is made of, and the error of Page.navigate is the name of its error page.
"""

import base64
import itertools
import json
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

from processes import Closing, Running, run, wait_for

OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # it refuses to sandbox itself for root, which a container's user often is
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-breakpad",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
    "about:blank",
)


@dataclass
class Visit:
    """What the browser says after it went to an address."""

    url: str
    # The error page's name, such as net::ERR_CERT_AUTHORITY_INVALID; none if the page came.
    error: str | None = None
    # secure, neutral, insecure or insecure-broken: what the address bar shows.
    state: str = ""
    # Why it is not secure, in the browser's own words.
    issues: list[str] = field(default_factory=list)
    # What the browser saw of the certificate and TLS; empty for plain http.
    certificate: dict[str, Any] = field(default_factory=dict)
    # Every address the page asked for.
    requests: list[str] = field(default_factory=list)
    # Errors and warnings in the console, of the page's own or the browser's about it.
    console: list[str] = field(default_factory=list)

    def foreign_requests(self) -> list[str]:
        """What was asked of another origin than the page's; data: addresses ask nobody."""
        home = urlsplit(self.url)[:2]
        asked = [urlsplit(address) for address in self.requests]
        return [one.geturl() for one in asked if one.scheme not in ("data", "blob") and one[:2] != home]


class Tab:
    """One tab, from its opening to its closing."""

    def __init__(self, debugger: str, seconds: float) -> None:
        # Without an Origin header, which the browser would refuse.
        self._socket = websocket.create_connection(debugger, suppress_origin=True, timeout=seconds)
        self._deadline = time.monotonic() + seconds
        self._number = 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Log", "Runtime", "Security"):
            self.call(f"{domain}.enable")

    def _receive(self) -> dict[str, Any]:
        left = self._deadline - time.monotonic()
        assert left > 0, f"the browser is not done in time; last: {self._events[-3:]}"
        self._socket.settimeout(left)
        message: dict[str, Any] = json.loads(self._socket.recv())
        return message

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method; events that come meanwhile are kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = self._receive()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                result: dict[str, Any] = message["result"]
                return result
            self._events.append(message)

    def _parameters(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self._events if event["method"] == method]

    def visit(self, url: str) -> Visit:
        """Goes to an address and waits until the page, or the browser's error page, is there."""
        self._events.clear()
        error = self.call("Page.navigate", url=url).get("errorText")
        while not self._parameters("Page.loadEventFired"):
            self._events.append(self._receive())
        # To enable the domain makes the browser tell the state that it is in now: nothing to wait for.
        self.call("Security.disable")
        self.call("Security.enable")
        seen = self._parameters("Security.visibleSecurityStateChanged")[-1]["visibleSecurityState"]
        return Visit(
            url=url,
            error=error,
            state=seen["securityState"],
            issues=seen.get("securityStateIssueIds", []),
            certificate=seen.get("certificateSecurityState", {}),
            requests=[sent["request"]["url"] for sent in self._parameters("Network.requestWillBeSent")]
            + [opened["url"] for opened in self._parameters("Network.webSocketCreated")],
            console=self._console(),
        )

    def _console(self) -> list[str]:
        logged = [logged["entry"] for logged in self._parameters("Log.entryAdded")]
        thrown = self._parameters("Runtime.exceptionThrown")
        called = self._parameters("Runtime.consoleAPICalled")
        return (
            [entry["text"] for entry in logged if entry["level"] in ("error", "warning")]
            + [exception["exceptionDetails"]["text"] for exception in thrown]
            + [str(call["args"]) for call in called if call["type"] in ("error", "warning", "assert")]
        )

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def show_as(self, width: int, height: int, scheme: str) -> None:
        """Makes the page believe in a screen of this size (a phone's, if narrow) and a light or dark scheme."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        # Without motion, so that the picture does not depend on the moment it was taken.
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )

    def screenshot(self, file: Path) -> None:
        """The whole page as PNG."""
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(picture["data"]))

    def print_to(self, file: Path) -> None:
        """The page on paper, as PDF."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        file.write_bytes(base64.b64decode(printed["data"]))

    def close(self) -> None:
        """The tab closes itself."""
        self.call("Page.close")
        self._socket.close()


def trust(database: Path, roots: Iterable[Path], home: Path) -> None:
    """Makes an NSS database that trusts these roots for web servers."""
    commands = home / "roots.certutil"
    commands.write_text("".join(f'-A -t "C,," -n "{root}" -i "{root}"\n' for root in roots))
    for words in (["-N", "--empty-password"], ["-B", "-i", commands]):
        done = run(["certutil", "-d", f"sql:{database}", *words], home, seconds=120)
        assert done.returncode == 0, f"certutil {words}: {done.stderr}"


class Chromium(Closing):
    """A browser in a home of its own, which trusts the given roots and else what every Chromium trusts; or in `home`, as
    that one is.

    `names` lead to this computer, and no other name leads anywhere: whatever a page asks of the world beyond fails at
    once. `wrapper` is a command that starts the browser.
    """

    def __init__(
        self,
        roots: Iterable[Path] = (),
        names: Iterable[str] = (),
        home: Path | None = None,
        options: Iterable[str] = (),
        wrapper: Iterable[str | Path] = (),
    ) -> None:
        program = shutil.which("chromium")
        assert program, "chromium is not installed: scripts/setup"
        # Not a test's own folder: the browser puts a Unix socket here, whose path must be short.
        self._home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        if not home:
            home = Path(self._home.name)
            self._trust(home, roots)
        profile = Path(self._home.name) / "profile"
        rules = [f"MAP {name} 127.0.0.1" for name in names]
        rules += ["MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE ::1", "EXCLUDE localhost"]
        own = [f"--user-data-dir={profile}", f"--host-resolver-rules={', '.join(rules)}"]
        self._browser = Running([*wrapper, program, *own, *options, *OPTIONS], home)

        def port() -> str | None:
            ended = self._browser.process.poll()
            assert ended is None, f"chromium ended with {ended}: {self._browser.said()}"
            file = profile / "DevToolsActivePort"
            lines = file.read_text().splitlines() if file.exists() else []
            return lines[0] if len(lines) > 1 else None

        try:
            self._address = f"http://127.0.0.1:{wait_for('the browser', 60, port)}"
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _trust(home: Path, roots: Iterable[Path]) -> None:
        """Where Chromium on Linux looks for the roots that its user added."""
        database = home / ".pki/nssdb"
        database.mkdir(parents=True)
        trust(database, roots, home)

    def tab(self, seconds: float = 60) -> Tab:
        """A new tab, which must be done with everything within so many seconds."""
        request = urllib.request.Request(f"{self._address}/json/new?about:blank", method="PUT")
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return Tab(json.load(answer)["webSocketDebuggerUrl"], seconds)

    def errors(self, urls: Sequence[str], at_once: int = 12) -> list[str | None]:
        """The name of the error page (ERR_CERT_DATE_INVALID) at each address, none if the page comes.

        In many tabs: before it shows some of these pages the browser waits for seconds, for its other checks.
        """

        def visits(mine: Sequence[str]) -> list[str | None]:
            tab = self.tab(seconds=600)
            texts = [tab.call("Page.navigate", url=url).get("errorText") for url in mine]
            return [None if text is None else str(text).removeprefix("net::") for text in texts]

        shares = [urls[n::at_once] for n in range(at_once)]
        with ThreadPoolExecutor(at_once) as pool:
            seen = dict(zip(itertools.chain(*shares), itertools.chain(*pool.map(visits, shares)), strict=True))
        return [seen[url] for url in urls]

    def visit(self, url: str) -> Visit:
        """One address in a tab of its own."""
        tab = self.tab()
        try:
            return tab.visit(url)
        finally:
            tab.close()

    def close(self) -> None:
        """Ends the browser with all its processes, and removes its home."""
        self._browser.stop()
        self._home.cleanup()
