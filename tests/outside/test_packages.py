"""What `issue` packs, opened by OpenSSL, Java's keytool and NSS's pk12util: each finds the same key and certificate."""

import re
from itertools import product
from pathlib import Path

import pytest

from conftest import FULL, Site
from openssl import openssl
from processes import program, run
from terminal import Person

KEYS = ["rsa-2048", "p256"] + (["rsa-4096", "p384"] if FULL else [])
KEY_FORMS = list(product(KEYS, ["pkcs8", "traditional"]))
PASSPHRASE = "a package's passphrase: %&"
BEGIN = re.compile("^-----BEGIN (.*)-----$", re.MULTILINE)
NAMES = ("--name", "Kapu ő", "--ip", "192.168.1.65")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One for all: nothing is stored in it that matters here."""
    site = Site(tmp_path_factory.mktemp("packages") / "site")
    (site.home / "secret").write_text(PASSPHRASE + "\n")
    return site


def issue(site: Site, out: Path, *words: str) -> list[Path]:
    """A package; its files."""
    described = site.camlock("issue", *NAMES, "--out", out, *words)
    files = [Path(file) for file in described["files"]]
    for file in files:
        is_certificate = file.suffix in (".crt", ".der")
        assert file.stat().st_mode & 0o777 == (0o644 if is_certificate else 0o600), file
    return files


def public_key(certificate: Path, form: str = "PEM") -> str:
    """Of a certificate that is for the camera of NAMES."""
    words = ("-in", certificate, "-inform", form, "-noout")
    assert "IP Address:192.168.1.65" in openssl("x509", *words, "-ext", "subjectAltName")
    return openssl("x509", *words, "-pubkey")


def private_key(file: Path, form: str = "PEM") -> str:
    """The public half of a private key, which is whole."""
    assert "Key is valid" in openssl("pkey", "-in", file, "-inform", form, "-check", "-noout")
    return openssl("pkey", "-in", file, "-inform", form, "-pubout")


@pytest.mark.parametrize("key, form", KEY_FORMS)
def test_pem_in_each_order(authority: Site, tmp_path: Path, key: str, form: str) -> None:
    """Key and certificate are where they were wanted, and OpenSSL reads both."""
    label = "PRIVATE KEY" if form == "pkcs8" else f"{'RSA' if key.startswith('rsa') else 'EC'} PRIVATE KEY"
    options = ("--key", key, "--key-form", form)
    expected = {
        ("--order", "key-first"): [[label, "CERTIFICATE"]],
        ("--order", "certificate-first"): [["CERTIFICATE", label]],
        ("--order", "certificate-first", "--with-root"): [["CERTIFICATE", "CERTIFICATE", label]],
        ("--order", "separate"): [["CERTIFICATE"], [label]],
        ("--order", "separate", "--no-chain"): [["CERTIFICATE"], [label]],
    }
    for number, (order, labels) in enumerate(expected.items()):
        out = tmp_path / f"{number}.{'crt' if len(labels) > 1 else 'pem'}"
        files = issue(authority, out, *order, *options)
        assert [BEGIN.findall(file.read_text()) for file in files] == labels
        assert public_key(files[0]) == private_key(files[-1])
        if "--with-root" in order:
            chain = files[0].read_text()
            assert authority.root.read_text().strip() in chain


@pytest.mark.parametrize("key, form", KEY_FORMS)
def test_der(authority: Site, tmp_path: Path, key: str, form: str) -> None:
    """Certificate and key are a file each, and so is the root if it is wanted."""
    options = ("--format", "der", "--key", key, "--key-form", form, "--with-root")
    certificate, root, private = issue(authority, tmp_path / "gate.der", *options)
    assert public_key(certificate, "DER") == private_key(private, "DER")
    assert openssl("x509", "-inform", "DER", "-in", root) == openssl("x509", "-in", authority.root)
    # PKCS#8 names the algorithm in a sequence after its version; the older forms have no such thing.
    second = openssl("asn1parse", "-inform", "DER", "-in", private).splitlines()[2]
    assert ("SEQUENCE" in second) == (form == "pkcs8")


def java(store: Path, home: Path, *words: str | Path) -> str:
    """keytool on a PKCS#12 store."""
    secret = home / "java"
    secret.write_text(PASSPHRASE)
    command = ["keytool", *words, "-keystore", store, "-storetype", "PKCS12", "-storepass:file", secret]
    done = run(command, home)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("key, form, root", list(product(KEYS, ["p12", "p12-legacy"], [False, True])))
def test_pkcs12(authority: Site, tmp_path: Path, key: str, form: str, root: bool) -> None:
    """Protected as its name says, and open to three programs that share no code."""
    options = ["--format", form, "--key", key, "--package-passphrase-file", str(authority.home / "secret")]
    (package,) = issue(authority, tmp_path / "gate.p12", *options, *(["--with-root"] if root else []))
    secret = f"pass:{PASSPHRASE}"
    legacy = ["-legacy"] if form == "p12-legacy" else []
    words = ("pkcs12", *legacy, "-in", package, "-passin", secret, "-nodes", "-info")
    opened = openssl(*words)
    (tmp_path / "opened.pem").write_text(opened)
    assert public_key(tmp_path / "opened.pem") == private_key(tmp_path / "opened.pem")
    assert opened.count("BEGIN CERTIFICATE") == 1 + root
    # OpenSSL shows the lower half of each letter; Java and NSS, below, the whole.
    assert opened.count("friendlyName: Kapu ") == 2
    ids = re.findall("localKeyID: (.*)", opened)
    assert len(ids) == 2 and ids[0] == ids[1]
    if legacy:
        assert "MAC: sha1, Iteration 2048" in opened
        assert opened.count("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048") == 2
    else:
        assert "MAC: sha256, Iteration 100000" in opened
        assert opened.count("PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256") == 2
    for wrong in ("", "a package's passphrase"):
        attempt = openssl("pkcs12", *legacy, "-in", package, "-passin", f"pass:{wrong}", "-nodes", fails=True)
        assert "invalid password" in attempt

    # Java shows the entry, and writes the key anew, which it must have decrypted for that.
    listed = java(package, tmp_path, "-list", "-v")
    assert "Entry type: PrivateKeyEntry" in listed and "Your keystore contains 1 entry" in listed
    assert f"Certificate chain length: {1 + root}" in listed and "Alias name: kapu ő" in listed
    source = ("-srcstoretype", "PKCS12", "-srckeystore", package, "-srcstorepass:file", tmp_path / "java")
    java(tmp_path / "java.p12", tmp_path, "-importkeystore", "-noprompt", *source)
    rewritten = openssl("pkcs12", "-in", tmp_path / "java.p12", "-passin", secret, "-nodes")
    (tmp_path / "rewritten.pem").write_text(rewritten)
    assert private_key(tmp_path / "rewritten.pem") == private_key(tmp_path / "opened.pem")

    # NSS, whose code is Firefox's.
    (tmp_path / "nss").mkdir()
    for command in (
        ["certutil", "-N", "-d", tmp_path / "nss", "--empty-password"],
        ["pk12util", "-i", package, "-d", tmp_path / "nss", "-W", PASSPHRASE],
    ):
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Kapu ő +u,u,u", run(["certutil", "-L", "-d", tmp_path / "nss"], tmp_path).stdout)


@pytest.mark.parametrize("form", ["p12", "p12-legacy"])
def test_a_passphrase_beyond_ascii(authority: Site, tmp_path: Path, form: str) -> None:
    """OpenSSL and NSS open it; Java never does, of which `issue` warns."""
    secret = tmp_path / "secret"
    secret.write_text("titkós ő\n")
    package = tmp_path / "gate.p12"
    command = ["issue", *NAMES, "--format", form, "--package-passphrase-file", secret, "--out", package]
    common = ["--data", authority.home / "data", "--passphrase-file", authority.home / "passphrase"]
    done = run([program("camlock"), *command, *common], tmp_path)
    assert done.returncode == 0 and "ASCII" in done.stderr, done.stderr
    openssl("pkcs12", "-legacy", "-in", package, "-passin", "pass:titkós ő", "-nodes")
    (tmp_path / "nss").mkdir()
    run(["certutil", "-N", "-d", tmp_path / "nss", "--empty-password"], tmp_path)
    opened = run(["pk12util", "-i", package, "-d", tmp_path / "nss", "-W", "titkós ő"], tmp_path)
    assert opened.returncode == 0, opened.stdout + opened.stderr


def test_a_passphrase_is_asked_for_twice(authority: Site, tmp_path: Path) -> None:
    """On a terminal: the same twice makes a package, anything else makes none; it is never shown."""
    package = tmp_path / "gate.p12"
    common = ["--data", authority.home / "data", "--passphrase-file", authority.home / "passphrase"]
    command = ["issue", *NAMES, "--format", "p12", "--out", package, *common]

    def answered(*lines: str) -> tuple[int, str]:
        person = Person(tmp_path, *command)
        for first, again in zip(lines[::2], lines[1::2], strict=True):
            person.secret("Passphrase of the package: ", first)
            person.secret("The same again: ", again)
        return person.end(), person.shown

    exit_code, shown = answered(*["one thing", "another thing"] * 3)
    assert exit_code == 2 and "passphrases differ" in shown and not package.exists(), shown
    exit_code, shown = answered("", "")
    assert exit_code == 2 and "passphrase is empty" in shown and not package.exists(), shown
    exit_code, shown = answered("one thing", "another thing", "the same thing", "the same thing")
    assert exit_code == 0 and "the same thing" not in shown, shown
    openssl("pkcs12", "-in", package, "-passin", "pass:the same thing", "-nokeys")
