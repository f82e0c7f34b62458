"""The authority, judged by strangers: pkilint, OpenSSL, GnuTLS, Go and Java (rustls-webpki: crates/pki/tests/all/webpki.rs).

Every verifier is seen to accept what it then refuses with one thing changed.
"""

import datetime
import itertools
import urllib.request
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from conftest import FULL, Site
from mirror import NOW, Mirror, alt_names, certificates
from pkix_lint import certificate_findings, crl_findings, pair_findings
from processes import program, run
from test_serve import service
from verifiers import JAVA, VERIFIERS, Verifier, compile_verifiers, gnutls_revoked, openssl_revoked

ROOT_KEYS = ["rsa-3072", "p256", "p384"] + (["rsa-4096"] if FULL else [])
LEAF_KEYS = ["rsa-2048", "p256", "p384"] + (["rsa-3072", "rsa-4096"] if FULL else [])
ROOT_OPTIONS = {
    "default": (),
    "none": ("--constraints", "none"),
    "permit": ("--permit", "81.2.3.0/24", "--permit", "2001:db8::/32", "--permit", "cams.example.com"),
}
# Two tiers: the constraints stand in the issuer, which Java heeds.
AUTHORITIES = [("rsa-3072", ()), ("p256", ()), ("p256", ("--two-tier",))]
AUTHORITIES += [("p384", ()), ("rsa-4096", ()), ("rsa-3072", ("--two-tier",))] if FULL else []
# For pkilint: each key with each of the constraints, or else each of both once.
LINTED = list(itertools.product(ROOT_KEYS, ROOT_OPTIONS) if FULL else zip(ROOT_KEYS, ROOT_OPTIONS))

RIGHT = ("192.168.1.64", "fd00::64", "gate.lan")
WRONG = ("192.168.1.65", "fd00::65", "yard.lan")
OUTSIDE = ("8.8.8.8", "2001:db8::1", "www.example.com", "lan.example.com")

# A certificate's names; Camlock adds a host name where there is none.
NAMES = {
    "ipv4": ("192.168.1.64",),
    "ipv6": ("fd00::64",),
    "dns": ("gate.home.arpa",),
    "single label": ("nvr",),
    "both": ("192.168.1.64", "fd00::64", "gate.lan", "nvr"),
}
PROFILES = ["device", "device-dual", "server"]


@dataclass
class Chain:
    """An authority, a certificate of it, and its mirror."""

    site: Site
    package: Path
    mirror: Mirror
    two_tier: bool


@pytest.fixture(scope="module", params=AUTHORITIES, ids=lambda p: " ".join((p[0], *p[1])))
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Each kind of authority."""
    key, options = request.param
    folder = tmp_path_factory.mktemp("authority")
    _known(folder, "init", *options)
    site = Site(folder / "site", key, *options)
    package = folder / "gate.pem"
    site.camlock("issue", "--name", "Gate", *_words(RIGHT), "--key", "p256", "--out", package)
    return Chain(site, package, Mirror(site.root, package, folder / "mirror"), "--two-tier" in options)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verifiers of Go and Java."""
    folder = tmp_path_factory.mktemp("verifiers")
    compile_verifiers(folder)
    return folder


@pytest.mark.parametrize("verifier", VERIFIERS, ids=str)
def test_only_the_right_names_are_accepted(chain: Chain, verifier: Verifier, compiled: Path) -> None:
    """Camlock's own certificate, for each of its names and for no other."""
    said = verifier.judge(chain.site.root, chain.package, RIGHT + WRONG, compiled)
    assert said[:3] == ["ok"] * 3
    assert len(said) == 6 and all(verifier.wrong_name in refused for refused in said[3:]), said


@pytest.mark.parametrize("verifier", VERIFIERS, ids=str)
def test_a_stolen_key_speaks_for_no_other_name(chain: Chain, verifier: Verifier, compiled: Path) -> None:
    """Whatever is signed with the authority's key, names outside its constraints are refused; by Java only where the
    constraints stand in an issuer: it does not look at those of a root."""
    root, sign = chain.mirror.root, chain.mirror.package
    assert verifier.judge(root, sign(*RIGHT), RIGHT, compiled) == ["ok"] * 3
    for name in OUTSIDE if FULL or verifier is not JAVA else OUTSIDE[1:3]:
        said = verifier.judge(root, sign(name, "gate.lan"), (name, "gate.lan"), compiled)
        if verifier is JAVA and not chain.two_tier:
            assert said == ["ok", "ok"], "Java heeds the constraints of a root: say so in the documents"
        else:
            assert len(said) == 2 and all(verifier.outside in refused for refused in said), said


@pytest.mark.parametrize("verifier", VERIFIERS, ids=str)
def test_what_is_over_or_forged_is_refused(chain: Chain, verifier: Verifier, compiled: Path) -> None:
    """A certificate past its end; one by an impostor with the authority's name and key identifier."""
    root, sign = chain.mirror.root, chain.mirror.package
    hour = datetime.timedelta(hours=1)
    assert verifier.judge(root, sign(end=NOW + hour), RIGHT, compiled) == ["ok"] * 3
    (over,) = verifier.judge(root, sign(end=NOW - hour), RIGHT[:1], compiled)
    assert verifier.expired in over
    (forged,) = verifier.judge(chain.site.root, sign(), RIGHT[:1], compiled)
    assert verifier.forged in forged


@pytest.mark.parametrize(("key", "constraints"), LINTED)
@pytest.mark.parametrize("tiers", [(), ("--two-tier",)], ids=["one tier", "two tiers"])
def test_pkilint_finds_nothing_in_an_authority(
    key: str, constraints: str, tiers: tuple[str, ...], tmp_path: Path
) -> None:
    """Root, issuer, and a leaf under them."""
    _known(tmp_path, "init", *tiers)
    site = Site(tmp_path / "site", key, *ROOT_OPTIONS[constraints], *tiers)
    package = tmp_path / "gate.pem"
    site.camlock("issue", "--name", "Gate", *_words(RIGHT), "--key", "p256", "--out", package)
    leaf, *issuers = certificates(package)
    path = [*certificates(site.root), *reversed(issuers), leaf]
    assert len(path) == 2 + len(tiers)
    for certificate in path:
        assert certificate_findings(certificate, tmp_path) == []
    for issuer, subject in itertools.pairwise(path):
        assert pair_findings(issuer, subject, tmp_path) == []


@pytest.fixture(scope="module")
def permitting(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An authority that may also speak for a single label."""
    return Site(tmp_path_factory.mktemp("permitting") / "site", "p256", "--permit", "nvr")


# Each key, each kind of names, with and without a common name; with CAMLOCK_FULL=1 all with all.
LEAVES = (
    list(itertools.product(LEAF_KEYS, NAMES, (True, False)))
    if FULL
    else [
        ("rsa-2048", "both", True),
        ("p256", "ipv4", False),
        ("p384", "ipv6", True),
        ("p256", "dns", False),
        ("p256", "single label", True),
        ("rsa-2048", "both", False),
    ]
)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: f"{leaf[0]}, {leaf[1]}, CN {leaf[2]}")
def test_pkilint_finds_nothing_in_a_leaf(
    permitting: Site, profile: str, leaf: tuple[str, str, bool], tmp_path: Path
) -> None:
    """Every profile with every kind of key and of names; from `issue`, and from `sign` where there is no common name."""
    key, kind, named = leaf
    words = _words(NAMES[kind])
    if profile != "device":
        words += _known(tmp_path, "issue", "--profile", profile)
    out = tmp_path / "leaf.pem"
    if named:
        permitting.camlock("issue", "--name", "Kapu 1", *words, "--key", key, "--out", out)
    else:
        request = tmp_path / "leaf.csr"
        request.write_bytes(_request(key))
        permitting.camlock("sign", request, *words, "--out", out)
    (certificate,) = certificates(out)
    assert bool(certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)) == named
    assert certificate_findings(certificate, tmp_path) == []
    assert pair_findings(certificates(permitting.root)[0], certificate, tmp_path) == []


def test_pkilint_does_find_mistakes(chain: Chain, tmp_path: Path) -> None:
    """Else an empty list would prove nothing. One waiver does not cover more than it says."""
    (good,) = certificates(chain.mirror.root)
    (leaf, *_) = certificates(chain.mirror.package("gate lan", "nvr"))
    (found,) = certificate_findings(leaf, tmp_path)
    assert 'Invalid domain name syntax: "gate lan"' in found
    assert certificate_findings(good, tmp_path) == []
    stranger = certificates(chain.mirror.package())[0]
    assert any("signature" in f for f in pair_findings(certificates(chain.site.root)[-1], stranger, tmp_path))
    key = ec.generate_private_key(ec.SECP256R1())
    list_without_number = (
        x509.CertificateRevocationListBuilder(good.subject, NOW, NOW + datetime.timedelta(days=1))
        .add_extension(x509.DeltaCRLIndicator(1), critical=False)
        .sign(key, hashes.SHA256())
    )
    assert crl_findings(list_without_number, tmp_path) != []


@pytest.mark.parametrize("tiers", [(), ("--two-tier",)], ids=["one tier", "two tiers"])
def test_a_revoked_certificate_is_refused(tiers: tuple[str, ...], tmp_path: Path) -> None:
    """By OpenSSL and GnuTLS, with the list that the service publishes; another certificate stays good."""
    _known(tmp_path, "revoke")
    _known(tmp_path, "init", *tiers)
    site = Site(tmp_path / "site", "p256", *tiers)
    good, bad = tmp_path / "good.pem", tmp_path / "bad.pem"
    for out in (good, bad):
        issued = site.camlock("issue", "--name", "Gate", *_words(RIGHT), "--out", out)
    leaf, *issuers = certificates(bad)
    issuer = (issuers or certificates(site.root))[0]
    site.camlock("revoke", issued["serial"], "--reason", "key-compromise")

    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    with service(site, "service") as served:
        with urllib.request.urlopen(f"{served.trust}crl/{key_id}.crl", timeout=10) as answer:
            assert answer.headers["Content-Type"] == "application/pkix-crl"
            crl = x509.load_der_x509_crl(answer.read())
    assert crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    assert [entry.serial_number for entry in crl] == [leaf.serial_number]
    (entry,) = crl
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason == x509.ReasonFlags.key_compromise
    assert crl.next_update_utc is not None and crl.next_update_utc > NOW
    assert crl_findings(crl, tmp_path) == []

    pem = tmp_path / "crl.pem"
    pem.write_bytes(crl.public_bytes(serialization.Encoding.PEM))
    for judge in (openssl_revoked, gnutls_revoked):
        assert judge(site.root, good, pem, tmp_path) == "ok"
        assert "revoked" in judge(site.root, bad, pem, tmp_path)


@cache
def _help(command: str, home: Path) -> str:
    return run([program("camlock"), command, "--help"], home).stdout


def _known(home: Path, command: str, *options: str) -> list[str]:
    """The options, if the program has them; else the test waits for them."""
    text = _help(command, home)
    if not text or any(option.startswith("--") and option not in text for option in options):
        pytest.skip(f"there is no camlock {' '.join((command, *options))} yet")
    return list(options)


def _words(names: tuple[str, ...]) -> list[str]:
    """The names as options."""
    general = alt_names(names)
    return [word for name, g in zip(names, general) for word in ("--dns" if isinstance(g, x509.DNSName) else "--ip", name)]


@cache
def _request(kind: str) -> bytes:
    """A request without a subject."""
    curves: dict[str, Any] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1()}
    if kind in curves:
        key: Any = ec.generate_private_key(curves[kind])
    else:
        key = rsa.generate_private_key(65537, int(kind.removeprefix("rsa-")))
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
