"""What can be wrong, or odd, with a certificate, its chain and its server: each as a change to a faultless plan."""

import dataclasses
from collections.abc import Callable

from certificate_maker import ANY, CLIENT, SERVER, Made, Plan, an_authority, element, make, sequence

DAY = 86400
Change = Callable[[Plan], None]
# authorityInfoAccess: the issuer's certificate can be had where nothing answers.
ACCESS = (
    "1.3.6.1.5.5.7.1.1",
    False,
    sequence(sequence(b"\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x02", element(0x86, b"http://127.0.0.1:1/issuer.cer"))),
)
UNKNOWN = ("1.3.6.1.4.1.55738.1", True, b"\x05\x00")
NAMES, BASIC, CONSTRAINTS, POLICIES = "2.5.29.17", "2.5.29.19", "2.5.29.30", "2.5.29.32"
LOOPBACK = b"\x87\x04\x7f\0\0\1"


def leaf(**fields: object) -> Change:
    """Changes to the leaf."""
    return lambda plan: _set(plan.leaf, fields)


def root(**fields: object) -> Change:
    """Changes to the root."""
    return lambda plan: _set(plan.root, fields)


def issuer(**fields: object) -> Change:
    """Changes to the issuer between, which comes with them."""

    def change(plan: Plan) -> None:
        plan.has_issuer = True
        _set(plan.issuer, fields)

    return change


def server(**fields: object) -> Change:
    """Changes to the plan itself."""
    return lambda plan: _set(plan, fields)


def _set(thing: object, fields: dict[str, object]) -> None:
    for name, value in fields.items():
        assert hasattr(thing, name), name
        setattr(thing, name, value)


def name(host: str, *names: str) -> Change:
    """Another host in the address bar, and these names in the certificate."""

    def change(plan: Plan) -> None:
        plan.host, plan.leaf.names = host, list(names)

    return change


def common_name(host: str) -> Change:
    """The host as common name, and no subjectAltName."""

    def change(plan: Plan) -> None:
        plan.host, plan.leaf.names, plan.leaf.subject = host, [], host.strip("[]")

    return change


def send(change: Callable[[Plan, list[Made], Made], list[Made]], between: bool = True) -> Change:
    """Another chain than leaf and issuer; the issuer comes along if it is `between`."""

    def apply(plan: Plan) -> None:
        plan.has_issuer |= between
        plan.sending.append(change)

    return apply


def every(*changes: Change) -> Change:
    """All of them."""

    def apply(plan: Plan) -> None:
        for change in changes:
            change(plan)

    return apply


def signed_with(hash: str, pss: bool = False) -> Change:
    """The leaf is signed with an RSA key, whoever signs it."""

    def change(plan: Plan) -> None:
        signers = [plan.root, plan.issuer, *([plan.leaf] if plan.self_signed else [])]
        for signer in signers:
            if not signer.key.startswith("rsa"):
                signer.key = "rsa-2048"
        plan.leaf.hash, plan.leaf.pss = hash, pss

    return change


def issuer_signed_with(hash: str) -> Change:
    """The issuer between is signed with an RSA key."""
    return every(issuer(hash=hash), root(key="rsa-2048"))


def self_signed(**fields: object) -> Change:
    """The leaf is its own issuer."""
    return every(server(self_signed=True, has_issuer=False), leaf(**fields))


def trusted_itself(**fields: object) -> Change:
    """The leaf is its own issuer, and trusted."""

    def change(plan: Plan) -> None:
        plan.self_signed, plan.has_issuer, plan.trusts_root = True, False, False
        _set(plan.leaf, fields)
        plan.sending.append(lambda plan, sent, root: plan_trusts(plan, sent))

    return change


def plan_trusts(plan: Plan, sent: list[Made]) -> list[Made]:
    """The leaf joins the roots."""
    plan.more_roots.append(sent[0].der)
    return sent


def namesake(plan: Plan) -> None:
    """A trusted root of the same name has another key than the one that signed."""
    plan.trusts_root = False
    plan.also_trusted.append(dataclasses.replace(plan.root, number=50))


def renewed(plan: Plan) -> None:
    """Both the old and the new root of a name are trusted; the old one has ended."""
    plan.also_trusted.append(dataclasses.replace(plan.root, ends=-DAY))


def two_namesakes(plan: Plan) -> None:
    """Two trusted roots have one name and different keys; the second one signed."""
    plan.also_trusted.append(dataclasses.replace(plan.root, number=50))


def cross_signed(plan: Plan, sent: list[Made], root: Made) -> list[Made]:
    """The issuer has a second certificate, of an authority that nobody trusts, and it is sent first."""
    other = make(an_authority(f"Other root {plan.mark}", 60))
    return [sent[0], make(dataclasses.replace(plan.issuer), other), *sent[1:]]


def cross_signed_ended(plan: Plan, sent: list[Made], root: Made) -> list[Made]:
    """The issuer has a second certificate of the same root, which has ended, and it is sent first."""
    return [sent[0], make(dataclasses.replace(plan.issuer, ends=-DAY), root), *sent[1:]]


def stranger(plan: Plan, sent: list[Made], root: Made) -> list[Made]:
    """A certificate that has nothing to do with it."""
    return [*sent, make(an_authority(f"Stranger {plan.mark}", 70))]


def many_issuers(count: int, path_length: int | None = None) -> Change:
    """So many issuers, each below the one before it; the topmost has a path length."""

    def chain(plan: Plan, sent: list[Made], root: Made) -> list[Made]:
        above, between = root, []
        for number in range(count):
            spec = an_authority(f"Issuer {number} {plan.mark}", 80 + number)
            spec.path_length = path_length if number == 0 else None
            above = make(spec, above)
            between.append(above)
        return [make(plan.leaf, above), *reversed(between)]

    return send(chain, between=False)


def constrained(where: Callable[..., Change], permitted: list[str], excluded: list[str], critical: bool = True) -> Change:
    """Name constraints of the root or of the issuer between."""
    return where(permitted=permitted, excluded=excluded, constraints_critical=critical)


def only(version: str, ciphers: str = "DEFAULT:@SECLEVEL=0") -> Change:
    """One version of TLS."""
    return server(versions=(version, version), ciphers=ciphers)


def rsa_with(ciphers: str) -> Change:
    """An RSA key and TLS 1.2 with these ciphers alone."""
    return every(leaf(key="rsa-2048", usage=("digital_signature", "key_encipherment")), only("TLSv1_2", ciphers + ":@SECLEVEL=0"))


def subtree(*parts: bytes) -> bytes:
    """Name constraints that permit one subtree, as it is written."""
    return sequence(element(0xA0, sequence(*parts)))


SIGN = ("key_cert_sign", "crl_sign")

ALERTS = (10, 20, 22, 30, 40, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60, 70, 71, 80, 86, 90, 100, 109, 110, 112, 113, 116, 120)

FAULTS: dict[str, Change] = {
    "faultless": leaf(),
    # Names.
    "wrong-address": leaf(names=["IP:10.1.2.3"]),
    "wrong-domain": name("cam1.lan", "DNS:cam2.lan"),
    "domain": name("cam1.lan", "DNS:cam1.lan"),
    "domain-and-address": name("cam1.lan", "DNS:cam1.lan", "IP:127.0.0.1"),
    "address-for-domain": name("cam1.lan", "IP:127.0.0.1"),
    "upper-case": name("cam1.lan", "DNS:CAM1.LAN"),
    "single-label": name("cam1", "DNS:cam1"),
    "underscore": name("cam_1.lan", "DNS:cam_1.lan"),
    "wildcard": name("a.cams.lan", "DNS:*.cams.lan"),
    "wildcard-of-one-label": name("cam1.lan", "DNS:*.lan"),
    "wildcard-two-levels": name("a.b.cams.lan", "DNS:*.cams.lan"),
    "wildcard-not-the-parent": name("cams.lan", "DNS:*.cams.lan"),
    "wildcard-in-label": name("cam1.cams.lan", "DNS:cam*.cams.lan"),
    "wildcard-second": name("a.cams.lan", "DNS:a.*.lan"),
    "wildcard-of-home-arpa": name("cam1.home.arpa", "DNS:*.home.arpa"),
    "wildcard-below-home-arpa": name("a.cams.home.arpa", "DNS:*.cams.home.arpa"),
    "ipv6": name("[::1]", "IP:::1"),
    "wrong-ipv6": name("[::1]", "IP:fd00::1"),
    "address-as-dns": leaf(names=["DNS:127.0.0.1"]),
    "no-names": leaf(names=[]),
    "address-as-cn": common_name("127.0.0.1"),
    "domain-as-cn": common_name("cam1.lan"),
    "empty-subject": leaf(subject=None, names_critical=True),
    "empty-subject-not-critical": leaf(subject=None),
    "no-names-no-subject": leaf(subject=None, names=[]),
    "critical-names": leaf(names_critical=True),
    "mail-name-only": leaf(names=["email:a@cams.lan"]),
    "many-names": leaf(names=["IP:127.0.0.1", *[f"DNS:cam{n}.lan" for n in range(60)]]),
    # Validity.
    "expired": leaf(begins=-300 * DAY, ends=-2 * DAY),
    "just-expired": leaf(ends=-30),
    "not-yet": leaf(begins=2 * DAY),
    "just-begun": leaf(begins=0),
    "398-days": leaf(begins=-DAY, ends=397 * DAY),
    "825-days": leaf(begins=-DAY, ends=824 * DAY),
    "ten-years": every(leaf(ends=3650 * DAY), root(ends=7000 * DAY)),
    "hundred-years": every(leaf(ends=36500 * DAY), root(ends=36500 * DAY)),
    "since-1970": leaf(begins=-50 * 365 * DAY),
    "longer-than-root": leaf(ends=2000 * DAY),
    "expires-soon": leaf(ends=3 * DAY),
    "ends-before-it-begins": leaf(begins=-DAY, ends=-DAY),
    "root-expired": root(ends=-DAY),
    "root-not-yet": root(begins=DAY),
    "issuer-expired": issuer(ends=-DAY),
    "issuer-not-yet": issuer(begins=DAY),
    # Keys.
    "rsa-512": leaf(key="rsa-512"),
    "rsa-1000": leaf(key="rsa-1000"),
    "rsa-1024": leaf(key="rsa-1024"),
    "rsa-1536": leaf(key="rsa-1536"),
    "rsa-2048": leaf(key="rsa-2048"),
    "rsa-3072": leaf(key="rsa-3072"),
    "rsa-4096": leaf(key="rsa-4096"),
    "p384": leaf(key="p384"),
    "p521": leaf(key="p521"),
    "ed25519": leaf(key="ed25519"),
    "root-rsa-1024": root(key="rsa-1024"),
    "root-rsa-1000": root(key="rsa-1000"),
    "issuer-rsa-1024": issuer(key="rsa-1024"),
    "issuer-rsa-1000": issuer(key="rsa-1000"),
    "root-p384": every(root(key="p384"), leaf(hash="sha384")),
    "root-p521": every(root(key="p521"), leaf(hash="sha512")),
    "issuer-p521": every(issuer(key="p521"), leaf(hash="sha512")),
    # Signatures.
    "sha1": signed_with("sha1"),
    "md5": signed_with("md5"),
    "sha384": signed_with("sha384"),
    "sha512": signed_with("sha512"),
    "pss": signed_with("sha256", pss=True),
    "issuer-sha1": issuer_signed_with("sha1"),
    "issuer-md5": issuer_signed_with("md5"),
    "root-sha1": root(key="rsa-2048", hash="sha1"),
    "forged": leaf(forged=True),
    "issuer-forged": issuer(forged=True),
    # Usages.
    "no-usage": leaf(usage=None),
    "key-encipherment-only": leaf(usage=("key_encipherment",)),
    "key-agreement-only": leaf(usage=("key_agreement",)),
    "rsa-key-encipherment-only": leaf(key="rsa-2048", usage=("key_encipherment",)),
    "both-usages": leaf(key="rsa-2048", usage=("digital_signature", "key_encipherment")),
    "usage-cert-sign": leaf(usage=("digital_signature", "key_cert_sign")),
    "usage-cert-sign-only": leaf(usage=("key_cert_sign",)),
    "no-purposes": leaf(purposes=None),
    "two-purposes": leaf(purposes=(SERVER, CLIENT)),
    "client-only": leaf(purposes=(CLIENT,)),
    "any-purpose": leaf(purposes=(ANY,)),
    "any-and-client": leaf(purposes=(ANY, CLIENT)),
    "leaf-is-ca": leaf(authority=True),
    "leaf-is-ca-usage": leaf(authority=True, usage=("digital_signature", *SIGN)),
    "leaf-without-constraints": leaf(authority=None),
    "leaf-path-length": leaf(authority=True, path_length=0),
    "no-key-identifiers": leaf(key_identifiers=False),
    "root-no-usage": root(usage=None),
    "root-no-cert-sign": root(usage=("crl_sign",)),
    "root-digital-signature-too": root(usage=("digital_signature", *SIGN)),
    "root-without-constraints": root(authority=None),
    "root-not-ca": root(authority=False),
    "root-client-only": root(purposes=(CLIENT,)),
    "root-server": root(purposes=(SERVER, CLIENT)),
    "root-any": root(purposes=(ANY,)),
    "root-path-length-0": root(path_length=0),
    "root-version-1": root(version=1),
    "issuer-no-usage": issuer(usage=None),
    "issuer-no-cert-sign": issuer(usage=("crl_sign",)),
    "issuer-without-constraints": issuer(authority=None),
    "issuer-not-ca": issuer(authority=False, usage=None),
    "issuer-client-only": issuer(purposes=(CLIENT,)),
    "issuer-server": issuer(purposes=(SERVER,)),
    "issuer-any": issuer(purposes=(ANY,)),
    "issuer-version-1": issuer(version=1),
    "version-1": leaf(version=1),
    # Name constraints.
    "root-permits-ip": constrained(root, ["IP:127.0.0.0/8"], []),
    "root-permits-other-ip": constrained(root, ["IP:10.0.0.0/8"], []),
    "root-permits-other-ip-not-critical": constrained(root, ["IP:10.0.0.0/8"], [], False),
    "root-permits-dns-only": constrained(root, ["DNS:lan"], []),
    "root-permits-other-dns": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, ["DNS:home.arpa"], [])),
    "root-permits-dns": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, ["DNS:lan"], [])),
    "root-permits-dot-dns": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, ["DNS:.lan"], [])),
    "root-permits-dot-dns-itself": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, ["DNS:.cam1.lan"], [])),
    "root-permits-one-of-two": every(
        name("cam1.lan", "DNS:cam1.lan", "IP:127.0.0.1"), constrained(root, ["DNS:lan", "IP:10.0.0.0/8"], [])
    ),
    "root-permits-ip-for-domain": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, ["IP:10.0.0.0/8"], [])),
    "root-excludes-ip": constrained(root, [], ["IP:127.0.0.0/8"]),
    "root-excludes-all-ip": constrained(root, [], ["IP:0.0.0.0/0"]),
    "root-excludes-dns": every(name("cam1.lan", "DNS:cam1.lan"), constrained(root, [], ["DNS:lan"])),
    "root-excludes-other": constrained(root, [], ["IP:10.0.0.0/8"]),
    "root-permits-wildcard": every(name("a.cams.lan", "DNS:*.cams.lan"), constrained(root, ["DNS:cams.lan"], [])),
    "root-excludes-below-wildcard": every(name("a.cams.lan", "DNS:*.cams.lan"), constrained(root, [], ["DNS:b.cams.lan"])),
    "root-permits-dirname": constrained(root, ["dirName:Nobody"], []),
    "root-excludes-dirname": constrained(root, [], ["dirName:Nobody"]),
    "root-permits-mail": constrained(root, ["email:cams.lan"], []),
    "issuer-permits-ip": constrained(issuer, ["IP:127.0.0.0/8"], []),
    "issuer-permits-other-ip": constrained(issuer, ["IP:10.0.0.0/8"], []),
    "issuer-excludes-ip": constrained(issuer, [], ["IP:127.0.0.0/8"], False),
    "root-narrower-than-issuer": every(constrained(root, ["IP:10.0.0.0/8"], []), constrained(issuer, ["IP:127.0.0.0/8"], [])),
    "cn-outside-constraints": every(leaf(subject="cam1.home"), constrained(root, ["DNS:lan"], [])),
    "cn-only-outside-constraints": every(common_name("127.0.0.1"), constrained(root, ["IP:10.0.0.0/8"], [])),
    # Chains.
    "issuer": issuer(),
    "issuer-missing": send(lambda plan, sent, root: sent[:1]),
    "issuer-missing-elsewhere": every(leaf(more=[ACCESS]), send(lambda plan, sent, root: sent[:1])),
    "root-sent": send(lambda plan, sent, root: [*sent, root]),
    "root-sent-first": send(lambda plan, sent, root: [sent[0], root, *sent[1:]]),
    "leaf-twice": send(lambda plan, sent, root: [sent[0], *sent]),
    "stranger-sent": send(stranger),
    "stranger-between": send(lambda plan, sent, root: [sent[0], *reversed(stranger(plan, sent[1:], root))]),
    "cross-signed": send(cross_signed),
    "cross-signed-ended": send(cross_signed_ended),
    "three-issuers": many_issuers(3),
    "three-issuers-unordered": every(
        many_issuers(3), send(lambda plan, sent, root: [sent[0], *reversed(sent[1:])], between=False)
    ),
    "seven-issuers": many_issuers(7),
    "path-length-kept": many_issuers(2, path_length=1),
    "path-length-exceeded": many_issuers(3, path_length=1),
    "root-path-length-exceeded": every(root(path_length=0), issuer()),
    "untrusted": server(trusts_root=False),
    "untrusted-root-sent": every(server(trusts_root=False), send(lambda plan, sent, root: [*sent, root])),
    "self-signed": self_signed(),
    "self-signed-ca": self_signed(authority=True),
    "self-signed-version-1": self_signed(version=1),
    "trusted-itself": trusted_itself(),
    "trusted-itself-ca": trusted_itself(authority=True, usage=("digital_signature", *SIGN)),
    "namesake": namesake,
    "two-namesakes": two_namesakes,
    "renewed": renewed,
    # Extensions.
    "unknown-critical": leaf(more=[UNKNOWN]),
    "unknown": leaf(more=[(UNKNOWN[0], False, UNKNOWN[2])]),
    "issuer-unknown-critical": issuer(more=[UNKNOWN]),
    "root-unknown-critical": root(more=[UNKNOWN]),
    "must-staple": leaf(more=[("1.3.6.1.5.5.7.1.24", False, sequence(b"\x02\x01\x05"))]),
    "issuer-must-staple": issuer(more=[("1.3.6.1.5.5.7.1.24", False, sequence(b"\x02\x01\x05"))]),
    "access-unreadable": leaf(more=[("1.3.6.1.5.5.7.1.1", False, b"\x04\x00")]),
    "policies": leaf(more=[(POLICIES, False, sequence(sequence(b"\x06\x01\x2a")))]),
    "policies-empty": leaf(more=[(POLICIES, False, sequence())]),
    "explicit-policy": issuer(more=[("2.5.29.36", True, sequence(b"\x80\x01\x00"))]),
    "explicit-policy-root": root(more=[("2.5.29.36", True, sequence(b"\x80\x01\x00"))]),
    "explicit-policy-later": root(more=[("2.5.29.36", True, sequence(b"\x80\x01\x05"))]),
    # Encodings.
    "authority-of-1": leaf(authority=None, more=[(BASIC, True, sequence(b"\x01\x01\x01"))]),
    "authority-false-written": leaf(authority=None, more=[(BASIC, True, sequence(b"\x01\x01\x00"))]),
    "path-length-padded": issuer(authority=None, more=[(BASIC, True, sequence(b"\x01\x01\xff\x02\x02\x00\x05"))]),
    "path-length-negative": issuer(authority=None, more=[(BASIC, True, sequence(b"\x01\x01\xff\x02\x01\xff"))]),
    "path-length-200": issuer(authority=None, more=[(BASIC, True, sequence(b"\x01\x01\xff\x02\x02\x00\xc8"))]),
    "odd-address-beside": leaf(names=[], more=[(NAMES, False, sequence(LOOPBACK, b"\x87\x03\x01\x02\x03"))]),
    "domain-in-latin-1-beside": leaf(names=[], more=[(NAMES, False, sequence(LOOPBACK, b"\x82\x02c\xe9"))]),
    "root-constraints-of-nothing": root(more=[(CONSTRAINTS, True, sequence())]),
    "root-constraints-with-holes": root(more=[(CONSTRAINTS, True, subtree(b"\x87\x08\x7f\0\0\0\xff\0\xff\0"))]),
    "root-constraints-with-minimum": root(
        more=[(CONSTRAINTS, True, subtree(b"\x87\x08\x7f\0\0\0\xff\0\0\0", b"\x80\x01\x00"))]
    ),
    # TLS.
    "tls-1.0": only("TLSv1"),
    "tls-1.1": only("TLSv1_1"),
    "tls-1.2": only("TLSv1_2"),
    "tls-1.3": only("TLSv1_3"),
    "rsa-key-exchange": rsa_with("AES128-GCM-SHA256"),
    "rsa-key-exchange-cbc": rsa_with("AES128-SHA"),
    "rsa-key-exchange-cbc-sha256": rsa_with("AES128-SHA256"),
    "ecdhe-cbc": rsa_with("ECDHE-RSA-AES128-SHA"),
    "ecdhe-cbc-sha256": rsa_with("ECDHE-RSA-AES128-SHA256"),
    "ecdhe-cbc-sha384": rsa_with("ECDHE-RSA-AES256-SHA384"),
    "ecdsa-cbc": only("TLSv1_2", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    "ecdsa-cbc-sha256": only("TLSv1_2", "ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0"),
    "dhe": rsa_with("DHE-RSA-AES128-GCM-SHA256"),
    "chacha": rsa_with("ECDHE-RSA-CHACHA20-POLY1305"),
    "asks-client": server(client="CERT_OPTIONAL"),
    "demands-client": server(client="CERT_REQUIRED"),
    "demands-client-tls-1.2": server(client="CERT_REQUIRED", versions=("TLSv1_2", "TLSv1_2")),
    "closes": server(instead="close"),
    "resets": server(instead="reset"),
    "speaks-http": server(instead="http"),
    "speaks-ssh": server(instead="ssh"),
    "garbage": server(instead="garbage"),
    **{f"alert-{number}": server(instead=f"alert:{number}") for number in ALERTS},
}
