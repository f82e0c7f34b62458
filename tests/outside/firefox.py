"""Real Firefox ESR, headless, in a home of its own, driven by Marionette: frames of JSON over TCP."""

import json
import shutil
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from processes import Running, wait_for

PREFERENCES = {
    "marionette.port": 0,
    # No name leads anywhere: whatever a page asks of the world beyond this computer fails at once.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "127.0.0.1, localhost",
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.enabled": False,
}

# On an error page the document knows the error: of the certificate, or of the network.
ERROR = """
    const read = (name) => { try { return document[name]().errorCodeString } catch { return null } };
    return read("getFailedCertSecurityInfo") ?? read("getNetErrorInfo");
"""


class Firefox:
    """A browser with its profile in a home (~/.mozilla/firefox/test.default), which trusts what it finds there."""

    def __init__(self, home: Path) -> None:
        program = shutil.which("firefox-esr")
        assert program, "firefox-esr is not installed: scripts/setup"
        profile = home / ".mozilla/firefox/test.default"
        profile.mkdir(parents=True, exist_ok=True)
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
        (profile / "user.js").write_text("".join(lines))
        listening = profile / "MarionetteActivePort"
        listening.unlink(missing_ok=True)
        options = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")
        self._browser = Running([program, *options, "--profile", profile], home)

        def port() -> int | None:
            ended = self._browser.process.poll()
            assert ended is None, f"firefox ended with {ended}: {self._browser.said()}"
            text = listening.read_text() if listening.exists() else ""
            return int(text) if text else None

        try:
            self._socket = socket.create_connection(("127.0.0.1", wait_for("the browser", 60, port)), timeout=60)
            self._stream = self._socket.makefile("rb")
            self._number = 0
            self._receive()
            self._call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
        except BaseException:
            self.close()
            raise

    def _receive(self) -> Any:
        """One frame: the length in digits, a colon, and so many bytes of JSON."""
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            assert byte, f"firefox ended: {self._browser.said()}"
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))

    def _call(self, method: str, may_fail: bool = False, **parameters: Any) -> Any:
        """A method's result; with `may_fail` its error, if there is one."""
        self._number += 1
        message = json.dumps([0, self._number, method, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._receive()
        assert number == self._number
        if may_fail:
            return error
        assert error is None, f"{method}: {error}"
        return result

    def open(self, url: str) -> str | None:
        """Goes to an address; the code of the error page, such as SEC_ERROR_UNKNOWN_ISSUER, or nothing: the page came."""
        error = self._call("WebDriver:Navigate", may_fail=True, url=url)
        if error is None:
            return None
        code = self._call("WebDriver:ExecuteScript", script=ERROR, args=[], sandbox="system")["value"]
        return str(code or error["message"])

    def close(self) -> None:
        """Ends the browser with all its processes."""
        if hasattr(self, "_socket"):
            self._socket.close()
        self._browser.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
