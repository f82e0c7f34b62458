"""Writes crates/inspect/tests/fixtures/limbo.json: cases in the format of C2SP/x509-limbo, from RFC 5280 and what
browsers do. The certificates are new each time; what is expected of them is here.

    .venv/bin/python tests/outside/limbo_cases.py
"""

import json
import ssl
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certificate_maker import CLIENT, NOW, SERVER, Made, Plan, children, element, private_key, sequence
from processes import REPOSITORY
from verdict_faults import DAY, FAULTS, Change, constrained, every, issuer, leaf, many_issuers, root, self_signed, send

FILE = REPOSITORY / "crates/inspect/tests/fixtures/limbo.json"
HOST = "cam1.example.com"
SUCCESS, FAILURE = "SUCCESS", "FAILURE"

AKI, SKI, SAN, AIA = "2.5.29.35", "2.5.29.14", "2.5.29.17", "1.3.6.1.5.5.7.1.1"
CONSTRAINTS, POLICY_CONSTRAINTS = "2.5.29.30", "2.5.29.36"


def identifiers(number: int, critical: str | None = None, authority: bytes | None = None) -> dict[str, Any]:
    """Key identifiers of a root with the key of this number, one of them critical or another authority's."""
    public = private_key("p256", number).public_key()
    own = x509.SubjectKeyIdentifier.from_public_key(public).public_bytes()
    of_issuer = authority or x509.AuthorityKeyIdentifier.from_issuer_public_key(public).public_bytes()
    return {"key_identifiers": False, "more": [(SKI, critical == SKI, own), (AKI, critical == AKI, of_issuer)]}


def only_ski(number: int) -> dict[str, Any]:
    """No identifier of the issuer's key."""
    found = identifiers(number)
    return {**found, "more": found["more"][:1]}


def subtrees(tag: int, content: bytes) -> tuple[str, bool, bytes]:
    """Name constraints that permit one name, however malformed."""
    return (CONSTRAINTS, True, sequence(element(0xA0, sequence(element(tag, content)))))


def names(*entries: tuple[int, bytes]) -> tuple[str, bool, bytes]:
    """A subjectAltName, however malformed."""
    return (SAN, False, sequence(*[element(tag, content) for tag, content in entries]))


def odd_serial(plan: Plan) -> None:
    """Twenty-one octets, which the library would not make."""
    plan.sending.append(lambda plan, sent, root: [replaced_serial(sent[0], root, b"\x01" * 21), *sent[1:]])


def replaced_serial(made: Made, root: Made, serial: bytes) -> Made:
    """The certificate with another serial number, signed anew."""
    tbs, algorithm, _ = children(made.der)
    parts = children(tbs)
    content = sequence(parts[0], element(0x02, serial), *parts[2:])
    signature = root.key.sign(content, ec.ECDSA(hashes.SHA256()))
    return Made(sequence(content, algorithm, element(0x03, b"\0" + signature)), made.key, made.spec)


def fault(name: str) -> Change:
    """One of the differential test's, whose names are set to this file's host."""
    return FAULTS[name]


DNS, IP = 0x82, 0x87
PERMITTED_ELSEWHERE = constrained(root, ["DNS:elsewhere.example.com"], [])
BOTH = constrained(root, ["DNS:example.com"], ["DNS:cam1.example.com"])

# Name, what is changed, what is expected; each for the host above unless it says otherwise.
CASES: list[tuple[str, Change, str] | tuple[str, Change, str, dict[str, Any]]] = [
    ("path::leaf-below-root", leaf(), SUCCESS),
    ("path::leaf-below-issuer", issuer(), SUCCESS),
    ("path::issuer-missing", fault("issuer-missing"), FAILURE),
    ("path::root-sent-too", fault("root-sent"), SUCCESS),
    ("path::stranger-sent-too", fault("stranger-sent"), SUCCESS),
    ("path::cross-signed-by-nobody", fault("cross-signed"), SUCCESS),
    ("path::cross-signed-and-ended", fault("cross-signed-ended"), SUCCESS),
    ("path::three-issuers-unordered", fault("three-issuers-unordered"), SUCCESS),
    ("path::untrusted", fault("untrusted-root-sent"), FAILURE),
    ("path::self-signed", self_signed(), FAILURE),
    ("path::root-of-the-same-name", fault("namesake"), FAILURE),
    ("path::two-roots-of-one-name", fault("two-namesakes"), SUCCESS),
    ("path::forged", leaf(forged=True), FAILURE),
    ("path::issuer-forged", issuer(forged=True), FAILURE),
    ("path::length-kept", many_issuers(2, path_length=1), SUCCESS),
    ("path::length-exceeded", many_issuers(3, path_length=1), FAILURE),
    ("path::root-length-exceeded", every(root(path_length=0), issuer()), FAILURE),
    ("path::depth-enough", issuer(), SUCCESS, {"max_chain_depth": 1}),
    ("path::depth-exceeded", issuer(), FAILURE, {"max_chain_depth": 0}),
    ("validity::expired", leaf(ends=-DAY), FAILURE),
    ("validity::last-second", leaf(ends=0), SUCCESS),
    ("validity::first-second", leaf(begins=0), SUCCESS),
    ("validity::not-yet", leaf(begins=1), FAILURE),
    ("validity::root-expired", root(ends=-DAY), FAILURE),
    ("validity::issuer-expired", issuer(ends=-DAY), FAILURE),
    ("validity::a-hundred-years", fault("hundred-years"), SUCCESS),
    ("name::another", leaf(names=["DNS:cam2.example.com"]), FAILURE),
    ("name::upper-case", leaf(names=["DNS:CAM1.EXAMPLE.COM"]), SUCCESS),
    ("name::wildcard", leaf(names=["DNS:*.example.com"]), SUCCESS),
    ("name::wildcard-of-two-labels", leaf(names=["DNS:*.com"]), FAILURE),
    ("name::wildcard-inside-a-label", leaf(names=["DNS:cam*.example.com"]), FAILURE),
    ("name::common-name-only", leaf(subject=HOST, names=[]), FAILURE),
    ("name::address", leaf(names=["IP:192.0.2.1"]), SUCCESS, {"peer": ("IP", "192.0.2.1")}),
    ("name::address-as-dns", leaf(names=["DNS:192.0.2.1"]), FAILURE, {"peer": ("IP", "192.0.2.1")}),
    ("name::ipv6", leaf(names=["IP:2001:db8::1"]), SUCCESS, {"peer": ("IP", "2001:db8::1")}),
    ("name::empty-subject", leaf(subject=None, names_critical=True), SUCCESS),
    ("name::empty-subject-not-critical", leaf(subject=None), FAILURE),
    ("name::critical-beside-a-subject", leaf(names_critical=True), FAILURE),
    ("name::malformed", leaf(names=[], more=[names((DNS, b".example.com"), (DNS, HOST.encode()))]), FAILURE),
    ("name::unreadable", leaf(names=[], more=[(SAN, False, HOST.encode())]), FAILURE),
    ("name::network-as-address", leaf(names=[], more=[names((DNS, HOST.encode()), (IP, bytes(8)))]), FAILURE),
    ("constraints::inside", constrained(root, ["DNS:example.com"], []), SUCCESS),
    ("constraints::inside-not-critical", constrained(root, ["DNS:example.com"], [], False), SUCCESS),
    ("constraints::outside", PERMITTED_ELSEWHERE, FAILURE),
    ("constraints::excluded", constrained(issuer, [], ["DNS:example.com"]), FAILURE),
    ("constraints::excluded-wins", BOTH, FAILURE),
    ("constraints::of-another-kind", constrained(root, ["IP:10.0.0.0/8"], []), SUCCESS),
    ("constraints::wildcard-reaches-out", every(leaf(names=["DNS:*.example.com"]), BOTH), FAILURE),
    ("constraints::narrower-below", every(constrained(root, ["DNS:example.com"], []), constrained(issuer, ["DNS:cam2.example.com"], [])), FAILURE),
    ("constraints::directory-name", constrained(root, ["dirName:Nobody"], []), FAILURE),
    ("constraints::in-the-leaf", constrained(leaf, ["DNS:example.com"], []), FAILURE),
    ("constraints::empty", issuer(more=[(CONSTRAINTS, True, sequence())]), FAILURE),
    ("constraints::wildcard-in-them", root(more=[subtrees(DNS, b"*.example.com")]), FAILURE),
    ("constraints::dot-before-them", root(more=[subtrees(DNS, b".example.com")]), FAILURE),
    ("constraints::address-without-mask", root(more=[subtrees(IP, bytes(4))]), FAILURE),
    ("constraints::mask-with-a-hole", root(more=[subtrees(IP, bytes(4) + b"\xff\x00\xff\x00")]), FAILURE),
    ("usage::none", leaf(usage=None), SUCCESS),
    ("usage::cert-sign-without-authority", leaf(usage=("digital_signature", "key_cert_sign")), FAILURE),
    ("usage::root-without-cert-sign", root(usage=("crl_sign",)), FAILURE),
    ("usage::issuer-without-cert-sign", issuer(usage=("crl_sign",)), FAILURE),
    ("usage::client-only", leaf(purposes=(CLIENT,)), FAILURE),
    ("usage::server-and-client", leaf(purposes=(SERVER, CLIENT)), SUCCESS),
    ("usage::issuer-client-only", issuer(purposes=(CLIENT,)), FAILURE),
    ("authority::issuer-is-none", issuer(authority=False), FAILURE),
    ("authority::issuer-does-not-say", issuer(authority=None), FAILURE),
    ("authority::root-does-not-say", root(authority=None), FAILURE),
    ("authority::leaf-is-one", leaf(authority=True), FAILURE),
    ("authority::nameless", root(subject=None), FAILURE),
    ("identifier::leaf-without", leaf(**only_ski(3)), FAILURE),
    ("identifier::issuer-without", issuer(**only_ski(2)), FAILURE),
    ("identifier::root-without-issuers", root(**only_ski(1)), SUCCESS),
    ("identifier::root-without-its-own", root(key_identifiers=False), FAILURE),
    ("identifier::critical-authority", root(**identifiers(1, AKI)), FAILURE),
    ("identifier::critical-subject", root(**identifiers(1, SKI)), FAILURE),
    ("identifier::root-with-anothers", root(**identifiers(1, authority=sequence(element(0x80, bytes(20))))), FAILURE),
    ("identifier::root-with-an-empty-one", root(**identifiers(1, authority=sequence())), FAILURE),
    ("extension::unknown", leaf(more=[("1.3.6.1.4.1.55738.1", False, b"\x05\x00")]), SUCCESS),
    ("extension::unknown-critical", fault("unknown-critical"), FAILURE),
    ("extension::unknown-critical-in-issuer", fault("issuer-unknown-critical"), FAILURE),
    ("extension::unknown-critical-in-root", fault("root-unknown-critical"), FAILURE),
    ("extension::access-malformed", leaf(more=[(AIA, False, b"malformed")]), FAILURE),
    ("form::serial-of-21-octets", odd_serial, FAILURE),
    ("form::version-1", leaf(version=1), FAILURE),
    ("key::rsa-1024", leaf(key="rsa-1024"), FAILURE),
    ("key::rsa-2048", leaf(key="rsa-2048"), SUCCESS),
    ("key::p384", leaf(key="p384"), SUCCESS),
    ("signature::sha1", fault("sha1"), FAILURE),
    ("signature::pss", fault("pss"), SUCCESS),
    ("signature::p521", fault("root-p521"), SUCCESS),
    ("skipped::client", leaf(), SUCCESS, {"validation_kind": "CLIENT"}),
    ("skipped::revocation", leaf(), SUCCESS, {"features": ["has-crl"]}),
    ("skipped::authority-as-server", fault("leaf-is-ca-usage"), SUCCESS),
]


def case(number: int, name: str, change: Callable[[Plan], None], expected: str, more: dict[str, Any]) -> dict[str, Any]:
    """One case as the suite writes it."""
    plan = Plan(str(number))
    plan.leaf.names = [f"DNS:{HOST}"]
    change(plan)
    served = plan.serve()
    kind, value = more.pop("peer", ("DNS", HOST))
    pem = [ssl.DER_cert_to_PEM_cert(der) for der in served.chain]
    return {
        "id": name,
        "features": [],
        "description": name.replace("::", ": ").replace("-", " "),
        "validation_kind": "SERVER",
        "trusted_certs": [ssl.DER_cert_to_PEM_cert(der) for der in served.roots],
        "untrusted_intermediates": pem[1:],
        "peer_certificate": pem[0],
        "peer_certificate_key": None,
        "validation_time": NOW.isoformat(),
        "signature_algorithms": [],
        "key_usage": [],
        "extended_key_usage": [],
        "expected_result": expected,
        "expected_peer_name": {"kind": kind, "value": value},
        "expected_peer_names": [],
        "max_chain_depth": None,
        "crls": [],
        **more,
    }


def main() -> None:
    """Writes the file."""
    cases = [case(n, name, change, expected, *(more or [{}])) for n, (name, change, expected, *more) in enumerate(CASES)]
    FILE.write_text(json.dumps({"version": 1, "testcases": cases}, indent=1) + "\n")
    print(f"{len(cases)} cases in {FILE}")


if __name__ == "__main__":
    main()
