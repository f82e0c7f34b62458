"""Real Firefox ESR, headless, in a home and profile of its own, driven over Marionette.

What Firefox says of a page is taken from Firefox: the code on its error page, as the page itself reads it.
"""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chromium import trust
from processes import Running, wait_for

PREFERENCES: dict[str, Any] = {
    "marionette.port": 0,
    # No connection to anything but what a test opens.
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
    "toolkit.telemetry.enabled": False,
    # A plain http page in place of a broken https one would hide the error.
    "dom.security.https_first": False,
    "security.OCSP.enabled": 0,
}

# The code on the error page, for certificates and for everything else that breaks.
READ_CODE = """
    const read = name => { try { return document[name]().errorCodeString } catch (e) { return null } };
    return [document.documentURI, read("getFailedCertSecurityInfo") || read("getNetErrorInfo")];
"""


class Firefox:
    """A browser in a home of its own, which trusts the given roots and else what every Firefox trusts.

    `names` lead to this computer; no other name is asked for by the tests.
    """

    def __init__(self, roots: Iterable[Path] = (), names: Iterable[str] = ()) -> None:
        program = shutil.which("firefox-esr")
        assert program, "firefox-esr is not installed: scripts/setup"
        self._home = tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
        home = Path(self._home.name)
        profile = home / "profile"
        profile.mkdir()
        preferences = {**PREFERENCES, "network.dns.localDomains": ",".join(names)}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in preferences.items()]
        (profile / "user.js").write_text("\n".join(lines))
        trust(profile, roots, home)
        options = ["--headless", "--marionette", "--remote-allow-system-access", "--no-remote"]
        self._browser = Running([program, *options, "--profile", profile], home)

        def port() -> int | None:
            ended = self._browser.process.poll()
            assert ended is None, f"firefox ended with {ended}: {self._browser.said()}"
            file = profile / "MarionetteActivePort"
            return int(file.read_text()) if file.exists() and file.read_text() else None

        try:
            address = ("127.0.0.1", wait_for("the browser", 60, port))
            self._socket = socket.create_connection(address, timeout=60)
            self._stream = self._socket.makefile("rb")
            self._receive()  # its greeting
            self._number = 0
            self.call("WebDriver:NewSession", capabilities={"alwaysMatch": {"acceptInsecureCerts": False}})
        except BaseException:
            self.close()
            raise

    def _receive(self) -> Any:
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            assert byte, f"firefox hung up: {self._browser.said()}"
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))

    def call(self, command: str, **parameters: Any) -> tuple[Any, Any]:
        """A command; its error, if there is one, and its result."""
        self._number += 1
        message = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(str(len(message)).encode() + b":" + message)
        _, number, error, result = self._receive()
        assert number == self._number
        return error, result

    def visit(self, url: str) -> str | None:
        """The code on the error page, such as SEC_ERROR_UNKNOWN_ISSUER; none if the page came."""
        error, _ = self.call("WebDriver:Navigate", url=url)
        if error is None:
            return None
        script = {"script": READ_CODE, "args": [], "sandbox": "system"}
        failed, read = self.call("WebDriver:ExecuteScript", **script)
        assert failed is None, f"{url}: {error}, and then {failed}"
        page, code = read["value"]
        assert page.startswith(("about:certerror", "about:neterror")), f"{url}: {error}; it shows {page}"
        assert code, f"{url}: {page} has no code; {error}"
        return str(code)

    def close(self) -> None:
        """Ends the browser with all its processes, and removes its home."""
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
