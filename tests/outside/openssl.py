"""OpenSSL as a certificate authority and as a judge that shares no code with Camlock."""

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import running


def openssl(*words: str | Path, stdin: bytes | None = None, fails: bool = False) -> str:
    """Runs `openssl`; what it says. With `fails` it must refuse, else it must succeed."""
    program = shutil.which("openssl")
    assert program, "openssl is not installed: scripts/setup"
    done = subprocess.run(
        [program, *map(str, words)], input=stdin or b"", capture_output=True, timeout=60, check=False
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode != 0) == fails, f"openssl {' '.join(map(str, words))}: {said}"
    return said


@contextmanager
def self_signed_server(folder: Path, newkey: list[str], options: list[str]) -> Iterator[int]:
    """OpenSSL's server with these options, and a certificate of its own for a key of that kind; its port."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    openssl(
        *("req", "-x509", "-newkey", *newkey, "-nodes", "-subj", "/CN=An old camera", "-days", "90"),
        *("-keyout", key, "-out", certificate),
    )
    with _serving(["-key", key, "-cert", certificate, *options], folder / "server") as port:
        yield port


@contextmanager
def _serving(words: list[str | Path], home: Path) -> Iterator[int]:
    """`openssl s_server` with these words, on a port that the system chooses. With `-www` it asks nothing of its input."""
    with running(["openssl", "s_server", "-www", "-accept", "127.0.0.1:0", *words], home) as server:

        def port(output: str) -> int | None:
            accepting = re.search(r"^ACCEPT \S+:(\d+)$", output, re.MULTILINE)
            return int(accepting[1]) if accepting else None

        yield server.wait_for_output("port", 20, port)


class TestAuthority:
    """A throw-away authority of OpenSSL's, for what must not depend on Camlock's."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root.pem"
        self._key = folder / "root.key"
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "30", "-subj", "/CN=Outside tests", "-keyout", self._key, "-out", self.root),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign"),
        )

    def sign(self, request: Path, out: Path) -> None:
        """Signs a request for a camera on 127.0.0.1; `out` is PEM."""
        extensions = self.folder / "leaf.cnf"
        extensions.write_text(
            "subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n"
        )
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.root, "-CAkey", self._key),
            *("-days", "20", "-extfile", extensions, "-out", out),
        )


def der(pem: Path) -> bytes:
    """The first certificate of a PEM file."""
    text = pem.read_text()
    end = "-----END CERTIFICATE-----"
    start = text.index("-----BEGIN CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(text[start : text.index(end, start) + len(end)])


def served_certificate(port: int, root: Path, name: str = "127.0.0.1") -> bytes:
    """The certificate (DER) of a TLS server on loopback; Python's ssl must accept it for `name` under `root`."""
    context = ssl.create_default_context(cafile=str(root))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            certificate = tls.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


@contextmanager
def tls_server(package: Path, home: Path) -> Iterator[int]:
    """`openssl s_server` with a PEM file that holds key and certificates, as a camera takes it; its port."""
    with _serving(["-key", package, "-cert", package, "-cert_chain", package], home) as port:
        yield port
