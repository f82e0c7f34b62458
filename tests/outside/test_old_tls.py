"""What `camlock check` says of servers that are too old for browsers, and for the library that Camlock speaks with."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openssl import openssl
from processes import program, run, running, wait_for

OLD = {
    "TLSv1.0": (["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"], "tls-too-old", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    "TLSv1.1": (["-tls1_1", "-cipher", "AES256-SHA:@SECLEVEL=0"], "tls-too-old", "TLS_RSA_WITH_AES_256_CBC_SHA"),
    "TLSv1.2": (["-tls1_2", "-cipher", "AES128-SHA256:@SECLEVEL=0"], "no-common-cipher", "AES_128_CBC_SHA256"),
}


@contextmanager
def server(folder: Path, options: list[str]) -> Iterator[int]:
    """openssl's server with these options and a key of 1024 bits; its port."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    openssl(
        "req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=An old camera", "-days", "90",
        "-keyout", key, "-out", certificate,
    )  # fmt: skip
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    command = ["openssl", "s_server", "-quiet", "-accept", f"127.0.0.1:{port}", "-key", key, "-cert", certificate]

    def answers() -> bool | None:
        with socket.socket() as client:
            return True if client.connect_ex(("127.0.0.1", port)) == 0 else None

    with running([*command, *options], folder / "server"):
        wait_for("openssl's server", 10, answers)
        yield port


@pytest.mark.parametrize("version", OLD)
def test_an_old_server_is_described(version: str, tmp_path: Path) -> None:
    """Version, cipher and certificate, though nothing here could finish that handshake."""
    options, code, suite = OLD[version]
    with server(tmp_path, options) as port:
        done = run([program("camlock"), "check", f"https://127.0.0.1:{port}", "--json"], tmp_path)
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)[0]
    first, *others = report["findings"]
    assert first["code"] == code and suite in first["text"] and version in first["text"], first
    assert {"self-signed", "no-alt-name", "weak-key"} <= {finding["code"] for finding in others}
    assert report["tls"] == version
    assert (report["certificate"]["key"], report["certificate"]["subject"]) == ("rsa-1024", "CN=An old camera")
    # What a browser shows is decided by the handshake alone.
    assert report["chromium"] == "ERR_SSL_VERSION_OR_CIPHER_MISMATCH"
