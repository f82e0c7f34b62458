"""The report of `camlock check` on many pages, in a real browser."""

import socket
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chromium import Chromium
from processes import program, run

NAME = x509.NameOID.COMMON_NAME
HOSTILE = "</td><img src=x onerror=alert(1)>\u202e<script>alert(1)</script>"


def called(name: str) -> x509.Name:
    """A name of one part."""
    return x509.Name([x509.NameAttribute(NAME, name)])


class Root:
    """An authority, which issues what it is told."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self.sign("Shop root", self.key, self.key, called("Shop root"), (-30, 3650), None)

    def sign(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        signer: ec.EllipticCurvePrivateKey,
        issuer: x509.Name,
        days: tuple[int, int],
        address: str | None,
    ) -> bytes:
        """A certificate in PEM: valid from and until so many days from now; for an address, or an authority's."""
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(issuer, called(name), key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + timedelta(days[0])).not_valid_after(now + timedelta(days[1]))
        builder = builder.add_extension(x509.BasicConstraints(address is None, None), critical=True)
        if address:
            names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def context(self, kind: str, address: str, days: tuple[int, int]) -> ssl.SSLContext:
        """A server's side with a certificate of that kind: good, self-signed or for another address."""
        key = ec.generate_private_key(ec.SECP256R1())
        named = "192.168.1.9" if kind == "other" else address
        if kind == "self":
            chain = self.sign(HOSTILE, key, key, called(HOSTILE), days, named)
        else:
            chain = self.sign("Camera", key, self.key, called("Shop root"), days, named)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(key.private_bytes(*form) + chain)
            file.flush()
            context.load_cert_chain(file.name)
        return context


class Server(socketserver.ThreadingTCPServer):
    """A page over TLS, or without."""

    daemon_threads = True

    def __init__(self, address: str, context: ssl.SSLContext | None) -> None:
        self.context = context
        super().__init__((address, 0), Page)


class Page(socketserver.BaseRequestHandler):
    """One connection."""

    def handle(self) -> None:
        """Shakes hands, or answers as a page does."""
        assert isinstance(self.server, Server)
        try:
            if self.server.context:
                self.server.context.wrap_socket(self.request, server_side=True).recv(1)
            else:
                self.request.recv(4096)
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        except OSError:
            pass


@contextmanager
def site(root: Root, secure: int) -> Iterator[list[str]]:
    """So many good pages, whose certificates end in different months, and a dozen that are none; their targets."""
    kinds = [("good", (-60, 45 + 397 * number // secure)) for number in range(secure)]
    kinds += [("self", (-400, 7000))] * 4 + [("good", (-400, -3))] * 2 + [("other", (-10, 300))] * 2
    kinds += [("good", (-300, 12))] + [("http", (0, 0))] * 2 + [("closed", (0, 0))]
    with ExitStack() as stack:
        targets = []
        for number, (kind, days) in enumerate(kinds):
            address = f"127.0.3.{number + 1}"
            if kind == "closed":
                with socket.create_server((address, 0)) as taken:
                    targets.append(f"{address}:{taken.getsockname()[1]}")
                continue
            context = None if kind == "http" else root.context(kind, address, days)
            server = stack.enter_context(Server(address, context))
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            stack.callback(server.shutdown)
            targets.append(f"{address}:{server.server_address[1]}")
        yield targets


def report(folder: Path, secure: int, *more: str) -> Path:
    """The file, made by the program from such a site."""
    root = Root()
    (folder / "root.pem").write_bytes(root.pem)
    with site(root, secure) as targets:
        command = [program("camlock"), "check", "--ca", folder / "root.pem", "--html", "report.html", *targets, *more]
        done = run(command, folder)
    assert done.returncode == 1, done.stderr
    return folder / "report.html"


def test_a_browser_shows_the_report_and_asks_for_nothing(tmp_path: Path) -> None:
    """Whatever certificates hold is text there, and the page is whole without a network or a script."""
    file = report(tmp_path, 6, "127.0.4.0/30")
    with Chromium() as browser:
        tab = browser.tab()
        seen = tab.visit(file.as_uri())
        assert seen.error is None and seen.requests == [file.as_uri()] and seen.console == [], seen
        assert tab.evaluate("document.querySelectorAll('img, script, iframe, object').length") == 0
        assert tab.evaluate("document.querySelector('h1').innerText") == "7 of 18 pages are secure"
        rows = tab.evaluate("[...document.querySelectorAll('.pages tbody tr')].map(row => row.innerText)")
        assert len(rows) == 18 and sum("<script>" in row.replace("\\", "") for row in rows) == 4, rows
        # What wants doing comes first.
        assert ["not secure" in row for row in rows] == [True] * 10 + [False] * 8
        assert "unreachable" in rows[10]
        ends = "[...document.querySelectorAll('.months .number')].map(one => Number(one.innerText))"
        assert sum(tab.evaluate(ends)) == 15 and tab.evaluate(ends)[0] == 2
        # On a phone nothing is wider than the screen.
        tab.show_as(390, 900, "light")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        tab.close()
