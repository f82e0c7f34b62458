"""CAs that other programs made become Camlock's authority, and OpenSSL and GnuTLS accept what it issues under them."""

import base64
import datetime
import json
import shutil
import ssl
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from chromium import Chromium
from mirror import certificates
from openssl import openssl, tls_server
from processes import program, run

EASY_RSA = Path("/usr/share/easy-rsa/easyrsa")
PASSPHRASE = "correct-horse"
NAMES = ("192.168.1.64", "gate.lan")


@dataclass
class Export:
    """What a program exported: the words for `camlock authority import`, the root, and the issuer below it."""

    words: tuple[str | Path, ...]
    root: Path
    issuer: Path | None = None
    encrypted: bool = False
    weaknesses: tuple[str, ...] = ("unconstrained",)


def _root(
    folder: Path,
    *extensions: str,
    name: str = "/C=HU/ST=Fejer/L=Szekesfehervar/O=Bolt Kft/OU=IT/CN=Bolt CA",
    key: tuple[str, ...] = ("rsa:2048",),
    more: tuple[str, ...] = (),
) -> tuple[Path, Path]:
    """A root as `openssl req -x509` makes it with these extensions and no others: certificate and key."""
    folder.mkdir(exist_ok=True)
    settings = folder / "openssl.cnf"
    text = "[req]\ndistinguished_name=dn\nx509_extensions=ca\n[dn]\n[ca]\n" + "\n".join(extensions)
    settings.write_text(text + "\n")
    certificate, private = folder / "ca.crt", folder / "ca.key"
    openssl(
        *("req", "-x509", "-config", settings, "-newkey", *key, "-nodes", "-subj", name, "-days", "3650"),
        *more,
        *("-keyout", private, "-out", certificate),
    )
    return certificate, private


USUAL = (
    "basicConstraints=critical,CA:TRUE",
    "keyUsage=critical,keyCertSign,cRLSign",
    "subjectKeyIdentifier=hash",
    "authorityKeyIdentifier=keyid",
)


def pem_pair(folder: Path) -> Export:
    """Two files, the key in PKCS#8."""
    certificate, key = _root(folder, *USUAL)
    return Export((certificate, key), certificate)


def der_pair(folder: Path) -> Export:
    """Two files, the certificate in DER, the key in DER (SEC1)."""
    certificate, key = _root(folder, *USUAL, key=("ec", "-pkeyopt", "ec_paramgen_curve:P-384"))
    openssl("x509", "-in", certificate, "-outform", "DER", "-out", folder / "ca.der")
    openssl("ec", "-in", key, "-outform", "DER", "-out", folder / "key.der")
    return Export((folder / "ca.der", folder / "key.der"), certificate)


def xca_pem_and_key(folder: Path) -> Export:
    """One file as XCA writes "PEM + key": certificate, then the key in PKCS#1, with XCA's usual extensions."""
    certificate, key = _root(folder, *USUAL, "nsCertType=sslCA,emailCA,objCA", "nsComment=xca certificate")
    traditional = folder / "key.pem"
    openssl("rsa", "-in", key, "-traditional", "-out", traditional)
    both = folder / "Bolt_CA.pem"
    both.write_text(certificate.read_text() + traditional.read_text())
    return Export((both,), certificate, weaknesses=("unconstrained", "lint-path-length"))


def encrypted_key(folder: Path) -> Export:
    """PEM, the key encrypted as OpenSSL did before PKCS#8 (DEK-Info)."""
    certificate, key = _root(folder, *USUAL)
    locked = folder / "locked.key"
    openssl("rsa", "-in", key, "-traditional", "-aes256", "-passout", f"pass:{PASSPHRASE}", "-out", locked)
    return Export((certificate, locked), certificate, encrypted=True)


def _pkcs12(folder: Path, *options: str) -> Export:
    certificate, key = _root(folder, *USUAL)
    package = folder / "ca.p12"
    files = ("-in", certificate, "-inkey", key, "-out", package, "-name", "Bolt CA")
    openssl("pkcs12", "-export", *options, *files, "-passout", f"pass:{PASSPHRASE}")
    return Export((package,), certificate, encrypted=True)


def pkcs12(folder: Path) -> Export:
    """PKCS#12 as today's OpenSSL, XCA and OPNsense write it."""
    return _pkcs12(folder)


def pkcs12_old(folder: Path) -> Export:
    """PKCS#12 of old programs."""
    return _pkcs12(folder, "-legacy")


def windows(folder: Path) -> Export:
    """The certificate as Windows exports it (.p7b), the key as PEM."""
    certificate, key = _root(folder, *USUAL)
    bundle = folder / "ca.p7b"
    openssl("crl2pkcs7", "-nocrl", "-certfile", certificate, "-outform", "DER", "-out", bundle)
    return Export((bundle, key), certificate)


def synology(folder: Path) -> Export:
    """What DSM 6 exports beside its own certificate: an archive."""
    no_identifiers = ("subjectKeyIdentifier=none", "authorityKeyIdentifier=none")
    name = "/C=TW/L=Taipei/O=Synology Inc./CN=Synology Inc. CA"
    certificate, key = _root(folder, "basicConstraints=CA:TRUE", *no_identifiers, name=name)
    own = ("-keyout", folder / "privkey.pem", "-out", folder / "r")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nas", *own)
    openssl("x509", "-req", "-in", folder / "r", "-CA", certificate, "-CAkey", key, "-out", folder / "cert.pem")
    shutil.copy(certificate, folder / "syno-ca-cert.pem")
    shutil.copy(key, folder / "syno-ca-privkey.pem")
    members = ["syno-ca-privkey.pem", "syno-ca-cert.pem", "privkey.pem", "cert.pem"]
    done = run(["zip", "-q", "-j", folder / "archive.zip", *(folder / name for name in members)], folder)
    assert done.returncode == 0, done.stderr
    return Export((folder / "archive.zip",), certificate, weaknesses=("lint-key-id", "lint-not-ca", "lint-ca-usage"))


def synology_unpacked(folder: Path) -> Export:
    """The same, unpacked."""
    export = synology(folder / "made")
    unpacked = folder / "archive"
    shutil.unpack_archive(folder / "made/archive.zip", unpacked)
    return Export((unpacked,), export.root, weaknesses=export.weaknesses)


def mkcert(folder: Path) -> Export:
    """mkcert's own root, in no trust store of this machine."""
    # The home is the folder's own, and the names of the stores are none that mkcert knows.
    command = ["env", f"CAROOT={folder / 'caroot'}", "TRUST_STORES=none", "mkcert", "-install"]
    done = run(command, folder)
    assert done.returncode == 0, done.stderr
    return Export((folder / "caroot",), folder / "caroot/rootCA.pem", weaknesses=("lint-ca-usage", "lint-ca-purposes"))


def _easy_rsa(folder: Path, *words: str) -> None:
    done = run(["env", "EASYRSA_BATCH=1", EASY_RSA, *words], folder)
    assert done.returncode == 0, done.stdout + done.stderr


def easy_rsa(folder: Path) -> Export:
    """A working directory of Easy-RSA 3, in which the CA has issued already."""
    for words in (("init-pki",), ("build-ca", "nopass"), ("build-server-full", "server1", "nopass")):
        _easy_rsa(folder, *words)
    return Export((folder,), folder / "pki/ca.crt", weaknesses=("unconstrained", "lint-path-length"))


def easy_rsa_encrypted(folder: Path) -> Export:
    """Its PKI, elliptic, with an encrypted key."""
    _easy_rsa(folder, "init-pki")
    words = ("--use-algo=ec", "--curve=secp384r1", f"--passin=pass:{PASSPHRASE}", f"--passout=pass:{PASSPHRASE}")
    _easy_rsa(folder, *words, "build-ca")
    return Export((folder / "pki",), folder / "pki/ca.crt", encrypted=True)


def easy_rsa_below(folder: Path) -> Export:
    """A CA of Easy-RSA that another one signed: two tiers."""
    for name in ("top", "sub"):
        (folder / name).mkdir()
        _easy_rsa(folder / name, "init-pki")
    _easy_rsa(folder / "top", "--req-cn=Top CA", "build-ca", "nopass")
    _easy_rsa(folder / "sub", "--req-cn=Sub CA", "build-ca", "nopass", "subca")
    _easy_rsa(folder / "top", "import-req", str(folder / "sub/pki/reqs/ca.req"), "sub")
    _easy_rsa(folder / "top", "sign-req", "ca", "sub")
    # From here on the folder has what its user would have: the CA below, and the root's certificate.
    shutil.copy(folder / "top/pki/issued/sub.crt", folder / "sub/pki/ca.crt")
    root = folder / "root.crt"
    shutil.copy(folder / "top/pki/ca.crt", root)
    return Export((folder / "sub", root), root, issuer=folder / "sub/pki/ca.crt")


def _configuration(product: str, authorities: list[tuple[str, Path, Path | None]]) -> str:
    def element(name: str, certificate: Path, key: Path | None) -> str:
        encoded = [base64.b64encode(f.read_bytes()).decode() if f else "" for f in (certificate, key)]
        return textwrap.dedent(f"""\
              <ca uuid="0f6c1b0e-7b6f-4e0c-9f0a-1d2f3a4b5c6d">
                <refid>5f3a8c1b2d4e6</refid>
                <descr>{name}</descr>
                <crt>{encoded[0]}</crt>
                <prv>{encoded[1]}</prv>
                <serial>3</serial>
              </ca>
            """)

    return "\n".join(
        [
            '<?xml version="1.0"?>',
            f"<{product}>",
            "  <system><hostname>fw</hostname><domain>lan</domain></system>",
            "  <cert><refid>1</refid><descr>Web GUI</descr><crt>LS0t</crt><prv>LS0t</prv></cert>",
            *(element(*authority) for authority in authorities),
            f"</{product}>",
        ]
    )


def opnsense(folder: Path) -> Export:
    """The configuration of OPNsense with two CAs of its own and one that it only trusts."""
    wanted = _root(folder / "a", *USUAL, name="/C=HU/O=Bolt/CN=internal-ca")
    other = _root(folder / "b", *USUAL, name="/CN=vpn-ca")
    public = _root(folder / "c", *USUAL, name="/CN=public")
    text = _configuration(
        "opnsense", [("VPN", *other), ("Cameras", *wanted), ("Public", public[0], None)]
    )
    (folder / "config.xml").write_text(text)
    return Export((folder / "config.xml", "--ca", "Cameras"), wanted[0])


def pfsense(folder: Path) -> Export:
    """The configuration of pfSense with one CA, its name in CDATA."""
    certificate, key = _root(folder / "a", *USUAL)
    (folder / "config.xml").write_text(_configuration("pfsense", [("<![CDATA[K & F]]>", certificate, key)]))
    return Export((folder / "config.xml",), certificate)


def bare(folder: Path) -> Export:
    """A root of old advice: nothing but CA:TRUE, no identifiers, a serial number of 1, signed with SHA-1, in other
    kinds of strings."""
    certificate, key = _root(
        folder,
        "basicConstraints=CA:TRUE",
        "subjectKeyIdentifier=none",
        "authorityKeyIdentifier=none",
        # PrintableString, T61String and BMPString.
        "[req]",
        "string_mask=default",
        name="/C=DE/O=Bäckerei/OU=Székesfehérvár/L=Győr/CN=Old CA",
        more=("-utf8", "-sha1", "-set_serial", "1"),
    )
    weak = ("lint-signature", "lint-key-id", "lint-serial", "lint-not-ca", "lint-path-length", "lint-ca-usage")
    return Export((certificate, key), certificate, weaknesses=weak)


EXPORTS: list[Callable[[Path], Export]] = [
    pem_pair,
    der_pair,
    xca_pem_and_key,
    encrypted_key,
    pkcs12,
    pkcs12_old,
    windows,
    synology,
    synology_unpacked,
    mkcert,
    easy_rsa,
    easy_rsa_encrypted,
    easy_rsa_below,
    opnsense,
    pfsense,
    bare,
]


class Imported:
    """A site whose authority was made elsewhere."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home = home
        (home / "passphrase").write_text("outside tests of camlock\n")
        (home / "import-passphrase").write_text(PASSPHRASE + "\n")

    def camlock(self, *words: Any, status: int = 0) -> Any:
        """A command with --json; its document."""
        common = ["--data", self.home / "data", "--passphrase-file", self.home / "passphrase", "--json"]
        done = run([program("camlock"), *words, *common], self.home)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout else None

    def take(self, export: Export) -> Any:
        """`authority import`."""
        passphrase = ("--import-passphrase-file", self.home / "import-passphrase") if export.encrypted else ()
        return self.camlock("authority", "import", *export.words, *passphrase)

    def issue(self, out: str) -> Path:
        """A package for NAMES."""
        names = ("--ip", NAMES[0], "--dns", NAMES[1])
        self.camlock("issue", "--name", "Gate", *names, "--key", "p256", "--out", self.home / out)
        return self.home / out


def _judged(root: Path, package: Path, home: Path) -> None:
    for word, name in (("-verify_ip", NAMES[0]), ("-verify_hostname", NAMES[1])):
        said = openssl(
            *("verify", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", word, name),
            *("-CAfile", root, "-untrusted", package, package),
        )
        assert said.strip().endswith("OK"), said
        # GnuTLS compares names byte for byte.
        words = ("--verify-purpose", "1.3.6.1.5.5.7.3.1", "--load-ca-certificate", root, "--infile", package)
        done = run(["certtool", "--verify", "--verify-hostname", name, *words], home)
        assert done.returncode == 0, done.stdout + done.stderr


def _names(certificate: x509.Certificate) -> tuple[bytes, bytes]:
    """Issuer and subject as they stand in the certificate (RFC 5280, section 4.1): the fourth and the sixth field."""
    rest, fields = _opened(certificate.tbs_certificate_bytes)[1], []
    while rest:
        size = len(rest) - len(_opened(rest)[2])
        fields.append(rest[:size])
        rest = rest[size:]
    return fields[3], fields[5]


def _opened(der: bytes) -> tuple[int, bytes, bytes]:
    """Tag and content of the first element, and what comes after it."""
    length, start = der[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[0], der[start : start + length], der[start + length :]


@pytest.mark.parametrize("make", EXPORTS, ids=lambda make: make.__name__.replace("_", " "))
def test_what_is_issued_under_an_imported_ca_is_accepted(make: Callable[[Path], Export], tmp_path: Path) -> None:
    """By whoever trusts the old root; the files stay as they were; revocation works; and a rollover leads away."""
    folder = tmp_path / "export"
    folder.mkdir()
    export = make(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    site = Imported(tmp_path / "site")
    if export.encrypted:
        site.camlock("authority", "import", *export.words, status=2)
        assert not (site.home / "data").exists()
    imported = site.take(export)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    codes = {weakness["code"] for weakness in imported["weaknesses"]}
    assert codes >= set(export.weaknesses), codes

    (root,) = certificates(export.root)
    assert imported["sha256"] == root.fingerprint(hashes.SHA256()).hex()
    package = site.issue("gate.pem")
    _judged(export.root, package, tmp_path)
    leaf, *issuers = certificates(package)
    above = certificates(export.issuer or export.root)[0]
    assert _names(leaf)[0] == _names(above)[1]
    assert issuers == ([above] if export.issuer else [])

    site.camlock("revoke", f"{leaf.serial_number:x}")
    doctor = site.camlock("doctor", status=1)
    assert not {"stored-lint", "signed-by-another"} & {finding["code"] for finding in doctor["findings"]}

    site.camlock("authority", "rollover", "--key", "p256")
    _judged(export.root, site.issue("still.pem"), tmp_path)
    site.camlock("authority", "rollover", "--confirm")
    site.camlock("trust", "export", "--out", site.home / "roots.pem")
    _judged(site.home / "roots.pem", site.issue("new.pem"), tmp_path)


@pytest.mark.parametrize("text", ["House_CA", "House&CA", "House@CA", "House CA"])
def test_a_ca_that_chromium_refuses_is_told_before_it_is_taken_over(text: str, tmp_path: Path) -> None:
    """A name in a kind of text that has no place for it, as old programs write it: by what the browser then shows."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "House CA", _ASN1Type.PrintableString)])
    now = datetime.datetime.now(datetime.UTC)
    root = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = tmp_path / "ca.crt", tmp_path / "ca.key"
    # The library writes no such thing, so its text is exchanged and the root signed anew.
    tbs = root.tbs_certificate_bytes.replace(b"House CA", text.encode())
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    signature = b"\0" + key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    whole = tbs + algorithm + bytes([0x03, len(signature)]) + signature
    der = bytes([0x30, 0x82]) + len(whole).to_bytes(2, "big") + whole
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    site = Imported(tmp_path / "site")
    words = ("authority", "import", certificate, private, "--permit", "127.0.0.1")
    refused = text != "House CA"
    if refused:
        site.camlock(*words, status=2)
        assert not (site.home / "data").exists()
    imported = site.camlock(*words, *(("--yes",) if refused else ()))
    assert imported["subject"] == f"CN={text}"
    said = [weakness["text"] for weakness in imported["weaknesses"] if "Chromium" in weakness["text"]]
    site.camlock("issue", "--name", "Gate", "--ip", "127.0.0.1", "--key", "p256", "--out", site.home / "gate.pem")
    with tls_server(site.home / "gate.pem", tmp_path) as port, Chromium([certificate]) as browser:
        error = browser.errors([f"https://127.0.0.1:{port}/"])[0]
    assert error == ("ERR_SSL_SERVER_CERT_BAD_FORMAT" if refused else None)
    assert [error in text for text in said] == ([True] if refused else [])


def test_several_cas_are_listed(tmp_path: Path) -> None:
    """A firewall has one for each purpose."""
    export = opnsense(tmp_path)
    site = Imported(tmp_path / "site")
    common = ["--data", site.home / "data", "--passphrase-file", site.home / "passphrase"]
    done = run([program("camlock"), "authority", "import", export.words[0], *common], site.home)
    assert done.returncode == 2
    assert "VPN (until" in done.stderr and "Cameras (until" in done.stderr and "Public" not in done.stderr
