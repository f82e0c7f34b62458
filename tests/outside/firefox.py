"""Real Firefox ESR, headless, in a home of its own, driven by Marionette: frames of JSON over TCP."""

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from processes import Running, run, wait_for

PREFERENCES = {
    "marionette.port": 0,
    # No name leads anywhere: whatever a page asks of the world beyond this computer fails at once.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1, localhost",
    "browser.aboutwelcome.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
}


class Firefox:
    """A browser that trusts the given roots and else what every Firefox trusts; or one that finds its profile in `home`.
    `wrapper` is a command that starts the browser."""

    def __init__(
        self, roots: Iterable[Path] = (), home: Path | None = None, wrapper: Iterable[str | Path] = ()
    ) -> None:
        program = shutil.which("firefox-esr")
        assert program, "firefox-esr is not installed: scripts/setup"
        self._home = tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)
        home = home or Path(self._home.name)
        profile = home / ".mozilla/firefox/test.default"
        profile.mkdir(parents=True, exist_ok=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        self._trust(home, profile, roots)
        active = profile / "MarionetteActivePort"
        active.unlink(missing_ok=True)
        options = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")
        self._browser = Running([*wrapper, program, *options, "--profile", profile], home)

        def port() -> int | None:
            ended = self._browser.process.poll()
            assert ended is None, f"firefox ended with {ended}: {self._browser.said()}"
            text = active.read_text() if active.exists() else ""
            return int(text) if text else None

        try:
            address = ("127.0.0.1", wait_for("the browser", 60, port))
            self._socket = socket.create_connection(address, timeout=60)
            self._number = 0
            self._buffer = b""
            self._receive()
            self._call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _trust(home: Path, profile: Path, roots: Iterable[Path]) -> None:
        for root in roots:
            command = ["certutil", "-d", f"sql:{profile}", "-A", "-t", "C,,", "-n", str(root), "-i", root]
            done = run(command, home)
            assert done.returncode == 0, f"{command}: {done.stderr}"

    def _receive(self) -> Any:
        """One frame: the length in digits, a colon, and so many bytes of JSON."""
        while True:
            length, colon, rest = self._buffer.partition(b":")
            if colon and len(rest) >= int(length):
                self._buffer = rest[int(length) :]
                return json.loads(rest[: int(length)])
            read = self._socket.recv(65_536)
            assert read, f"firefox ended: {self._browser.said()}"
            self._buffer += read

    def _send(self, method: str, parameters: dict[str, Any]) -> tuple[dict[str, Any] | None, Any]:
        self._number += 1
        message = json.dumps([0, self._number, method, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._number
        return error, result

    def _call(self, method: str, **parameters: Any) -> Any:
        error, result = self._send(method, parameters)
        assert error is None, f"{method}: {error}"
        return result

    def visit(self, url: str) -> str | None:
        """Goes to an address; the code of the error page, such as SEC_ERROR_UNKNOWN_ISSUER, or nothing if the page came."""
        error, _ = self._send("WebDriver:Navigate", {"url": url})
        if error is None:
            return None
        code = "return document.getFailedCertSecurityInfo().errorCodeString"
        self._call("Marionette:SetContext", value="content")
        failed, result = self._send("WebDriver:ExecuteScript", {"script": code, "args": [], "sandbox": "system"})
        return error["message"] if failed else str(result["value"])

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        script = {"script": f"return {expression}", "args": [], "sandbox": None}
        return self._call("WebDriver:ExecuteScript", **script)["value"]

    def wait_until(self, expression: str, seconds: float = 20) -> None:
        """Until it is true in the page."""
        end = time.monotonic() + seconds
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.05)

    def close(self) -> None:
        """Ends the browser with all its processes, and removes its home."""
        if hasattr(self, "_socket"):
            self._socket.close()
        self._browser.stop()
        self._home.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
