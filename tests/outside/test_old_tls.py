"""What `camlock check` says of servers that are too old for browsers, and for the library that Camlock speaks with."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import Site, keep
from openssl import openssl, self_signed_server
from processes import program, run

OLD = {
    "TLSv1.0": (["-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"], "tls-too-old", "TLS_RSA_WITH_AES_128_CBC_SHA"),
    "TLSv1.1": (["-tls1_1", "-cipher", "AES256-SHA:@SECLEVEL=0"], "tls-too-old", "TLS_RSA_WITH_AES_256_CBC_SHA"),
    "TLSv1.2": (["-tls1_2", "-cipher", "AES128-SHA256:@SECLEVEL=0"], "no-common-cipher", "AES_128_CBC_SHA256"),
}


@pytest.mark.parametrize("version", OLD)
def test_an_old_server_is_described(version: str, tmp_path: Path) -> None:
    """Version, cipher and certificate, though nothing here could finish that handshake."""
    options, code, suite = OLD[version]
    with self_signed_server(tmp_path, ["rsa:1024"], options) as port:
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


# Key exchange by RSA: browsers still speak it, and the library that Camlock speaks with does not.
RSA_EXCHANGE = ["-tls1_2", "-cipher", "AES256-GCM-SHA384"]


def test_a_server_that_only_browsers_can_speak_to_is_told_so(site: Site, tmp_path: Path) -> None:
    """Not that address or network are to blame; and nobody signs in."""
    password = tmp_path / "password"
    keep(password, "open sesame\n")
    with self_signed_server(tmp_path, ["rsa:2048"], RSA_EXCHANGE) as port:
        target = f"https://127.0.0.1:{port}"
        as_user = ["--user", "admin", "--password-file", password]
        outcome = site.camlock("secure", target, *as_user, status=1)[0]
        found = site.camlock("find", target, *as_user)[0]
    for said in (outcome["error"], found["reason"]):
        assert said["code"] == "tls-unusable" and "TLS_RSA_WITH_AES_256_GCM_SHA384" in said["text"], said
    assert found["driver"] is None


@pytest.mark.parametrize("newkey", [["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], ["rsa:2048"]])
def test_a_package_by_hand_keeps_the_kind_of_the_served_key(newkey: list[str], site: Site, tmp_path: Path) -> None:
    """Some firmware takes P-256 and nothing else, some RSA."""
    package = tmp_path / "package.pem"
    with self_signed_server(tmp_path, newkey, []) as port:
        target = f"https://127.0.0.1:{port}"
        site.camlock("secure", target, "--by-hand", "--wait", "0", "--out", package, status=1)
    kind = openssl("pkey", "-in", package, "-noout", "-text")
    assert ("prime256v1" in kind) == (newkey[0] == "ec"), kind
