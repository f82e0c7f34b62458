"""Real Firefox ESR, headless, in a home of its own, driven by Marionette: frames of JSON over TCP.

What Firefox says of a page is taken from Firefox: the code on its error page, as the page itself reads it.
"""

import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from chromium import trust
from processes import Closing, Running, wait_for

PREFERENCES: dict[str, Any] = {
    "marionette.port": 0,
    # No name leads anywhere: whatever a page asks of the world beyond this computer fails at once.
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.dns.disablePrefetch": True,
    "app.update.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
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


class Firefox(Closing):
    """A browser in a home of its own, which trusts the given roots and else what every Firefox trusts; or in `home`, with the
    profile that is there (~/.mozilla/firefox/test.default).

    `names` lead to this computer, and no others anywhere; `wrapper` is a command that starts the browser.
    """

    def __init__(
        self,
        roots: Iterable[Path] = (),
        names: Iterable[str] = (),
        home: Path | None = None,
        wrapper: Iterable[str | Path] = (),
    ) -> None:
        program = shutil.which("firefox-esr")
        assert program, "firefox-esr is not installed: scripts/setup"
        self._home = tempfile.TemporaryDirectory(prefix="firefox-", ignore_cleanup_errors=True)
        home = home or Path(self._home.name)
        profile = home / ".mozilla/firefox/test.default"
        profile.mkdir(parents=True, exist_ok=True)
        here = list(names)
        preferences = {
            **PREFERENCES,
            "network.dns.localDomains": ",".join(here),
            "network.proxy.no_proxies_on": ", ".join(["127.0.0.1", "[::1]", "localhost", *here]),
        }
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (profile / "user.js").write_text("".join(lines))
        if roots := list(roots):
            trust(profile, roots, home)
        listening = profile / "MarionetteActivePort"
        listening.unlink(missing_ok=True)
        options = ("--headless", "--no-remote", "--marionette", "--remote-allow-system-access")
        self._browser = Running([*wrapper, program, *options, "--profile", profile], home)

        def port() -> int | None:
            ended = self._browser.process.poll()
            assert ended is None, f"firefox ended with {ended}: {self._browser.said()}"
            text = listening.read_text() if listening.exists() else ""
            return int(text) if text else None

        try:
            address = ("127.0.0.1", wait_for("the browser", 60, port))
            self._socket = socket.create_connection(address, timeout=60)
            self._stream = self._socket.makefile("rb")
            self._number = 0
            self._receive()  # its greeting
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

    def _send(self, method: str, parameters: dict[str, Any]) -> tuple[dict[str, Any] | None, Any]:
        """A method's error, if there is one, and its result."""
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
        """Goes to an address; the code on the error page, such as SEC_ERROR_UNKNOWN_ISSUER, or none: the page came."""
        error, _ = self._send("WebDriver:Navigate", {"url": url})
        if error is None:
            return None
        script = {"script": READ_CODE, "args": [], "sandbox": "system"}
        page, code = self._call("WebDriver:ExecuteScript", **script)["value"]
        assert page.startswith(("about:certerror", "about:neterror")), f"{url}: {error}; it shows {page}"
        # What is forbidden by a policy has a page, and a word in its address alone.
        return str(code or parse_qs(urlsplit(page).query)["e"][0])

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
