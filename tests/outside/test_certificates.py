"""Camlock's certificates, judged by OpenSSL: read, verified with its strict rules, and served."""

import re
import ssl
from pathlib import Path
from typing import Any

import pytest

from conftest import FULL, Site
from openssl import der, openssl, served_certificate, tls_server

ROOT_KEYS = ["rsa-3072", "p256", "p384"] + (["rsa-4096"] if FULL else [])
LEAF_KEYS = ["rsa-2048", "p256", "p384"] + (["rsa-3072", "rsa-4096"] if FULL else [])
REQUEST_KEYS = {
    "rsa-2048": ("rsa:2048",),
    "p256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
}
NAMES = ("--ip", "127.0.0.1", "--ip", "192.168.1.65", "--dns", "gate.lan")


@pytest.fixture(scope="module", params=ROOT_KEYS)
def authority(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An authority with each kind of root key."""
    return Site(tmp_path_factory.mktemp(request.param) / "site", request.param)


def verify(root: Path, leaf: Path, *words: str, fails: bool = False) -> str:
    """`openssl verify` with every rule it has switched on, for a web server's certificate."""
    strict = ("-x509_strict", "-check_ss_sig", "-purpose", "sslserver", "-no-CApath", "-no-CAstore")
    return openssl("verify", *strict, "-CAfile", root, *words, leaf, fails=fails)


def assert_good(site: Site, leaf: Path) -> None:
    """Right for each of NAMES under this root, and refused, for the right reason, for anything else."""
    for words in (("-verify_ip", "127.0.0.1"), ("-verify_ip", "192.168.1.65"), ("-verify_hostname", "gate.lan")):
        verify(site.root, leaf, *words)
    assert "IP address mismatch" in verify(site.root, leaf, "-verify_ip", "127.0.0.2", fails=True)
    assert "hostname mismatch" in verify(site.root, leaf, "-verify_hostname", "yard.lan", fails=True)
    # An address written as a name, as some certificates do it, is no name.
    assert "hostname mismatch" in verify(site.root, leaf, "-verify_hostname", "127.0.0.1", fails=True)
    assert "expired" in verify(site.root, leaf, "-attime", "4102444800", fails=True)
    assert "unsuitable certificate purpose" in verify(site.root, leaf, "-purpose", "sslclient", fails=True)


def assert_described(described: dict[str, Any], leaf: Path) -> None:
    """What --json says of a certificate is what OpenSSL reads in it."""
    read = openssl(
        *("x509", "-in", leaf, "-noout", "-serial", "-fingerprint", "-sha256"),
        *("-dates", "-dateopt", "iso_8601", "-ext", "subjectAltName"),
    )
    said = dict(re.findall(r"^(serial|sha256 Fingerprint|notBefore|notAfter)=(.*)$", read, re.MULTILINE))
    assert int(described["serial"], 16) == int(said["serial"], 16)
    assert described["sha256"].lower() == said["sha256 Fingerprint"].replace(":", "").lower()
    assert described["not_before"] == said["notBefore"].replace(" ", "T")
    assert described["not_after"] == said["notAfter"].replace(" ", "T")
    # OpenSSL says "IP Address:" and "DNS:", Camlock "IP:" and "DNS:".
    names = re.findall(r"(?:IP Address|DNS):[^,\s]+", read)
    assert described["sans"] == [name.replace("IP Address:", "IP:") for name in names]


@pytest.mark.parametrize("key", LEAF_KEYS)
def test_an_issued_package_is_good_and_serves(authority: Site, tmp_path: Path, key: str) -> None:
    """`issue`: OpenSSL verifies the certificate, serves the file as it is, and Python's ssl accepts the server."""
    package = tmp_path / "gate.pem"
    described = authority.camlock("issue", "--name", "Gate", *NAMES, "--key", key, "--out", package)
    assert_described(described, package)
    assert_good(authority, package)
    openssl("pkey", "-in", package, "-check", "-noout")
    with tls_server(package, tmp_path) as port:
        assert served_certificate(port, authority.root) == der(package)
        with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
            served_certificate(port, authority.root, "127.0.0.2")


@pytest.mark.parametrize("kind", REQUEST_KEYS)
def test_a_signed_request_is_good(authority: Site, tmp_path: Path, kind: str) -> None:
    """`sign`: a request of OpenSSL's gets a certificate for its own key and for the names that were ordered."""
    key, request, certificate = tmp_path / "gate.key", tmp_path / "gate.csr", tmp_path / "gate.crt"
    openssl(
        *("req", "-new", "-newkey", *REQUEST_KEYS[kind], "-nodes", "-subj", "/CN=Gate"),
        *("-keyout", key, "-out", request),
    )
    described = authority.camlock("sign", request, *NAMES, "--out", certificate)
    assert_described(described, certificate)
    assert_good(authority, certificate)
    public_key = openssl("req", "-in", request, "-noout", "-pubkey")
    assert openssl("x509", "-in", certificate, "-noout", "-pubkey") == public_key


def test_a_request_decides_nothing(site: Site, tmp_path: Path) -> None:
    """What a request asks for beyond its key is a wish: no CA, no code signing, no name that was not ordered."""
    key, request, certificate = tmp_path / "evil.key", tmp_path / "evil.csr", tmp_path / "evil.crt"
    openssl(
        *("req", "-new", "-newkey", *REQUEST_KEYS["p256"], "-nodes", "-subj", "/CN=www.example.com"),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"),
        *("-addext", "extendedKeyUsage=codeSigning", "-addext", "subjectAltName=DNS:yard.lan,IP:192.168.1.9"),
        *("-keyout", key, "-out", request),
    )
    site.camlock("sign", request, *NAMES, "--out", certificate)
    assert_good(site, certificate)
    extensions = openssl("x509", "-in", certificate, "-noout", "-ext", "basicConstraints,keyUsage,extendedKeyUsage")
    assert "CA:FALSE" in extensions
    assert "Certificate Sign" not in extensions and "Code Signing" not in extensions
    # It cannot be an issuer: what it signs is refused.
    forged_request, forged = tmp_path / "forged.csr", tmp_path / "forged.crt"
    openssl("req", "-new", "-key", key, "-subj", "/CN=Forged", "-out", forged_request)
    openssl("x509", "-req", "-in", forged_request, "-CA", certificate, "-CAkey", key, "-out", forged)
    assert "invalid CA certificate" in verify(site.root, forged, "-untrusted", str(certificate), fails=True)


def test_only_its_own_root_vouches_for_it(site: Site, tmp_path: Path) -> None:
    """Another site's root, even with the same site name, does not."""
    other = Site(tmp_path / "other")
    package = tmp_path / "gate.pem"
    site.camlock("issue", "--name", "Gate", *NAMES, "--out", package)
    assert_good(site, package)
    assert "unable to get local issuer certificate" in verify(other.root, package, fails=True)


def test_names_outside_the_constraints_are_refused(site: Site, tmp_path: Path) -> None:
    """Nobody gets a certificate for a public name or address, and nothing is left where it would have been."""
    for name in (("--dns", "www.example.com"), ("--ip", "8.8.8.8"), ("--ip", "127.0.0.2")):
        package = tmp_path / "outside.pem"
        site.camlock("issue", "--name", "Outside", *name, "--out", package, status=1)
        assert not package.exists()
    constraints = openssl("x509", "-in", site.root, "-noout", "-ext", "nameConstraints")
    assert "critical" in constraints and "IP:127.0.0.1/255.255.255.255" in constraints
