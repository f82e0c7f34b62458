"""Certificates as good or as bad as a test wants them, and the chains that servers show.

A `Plan` is a whole chain: a root, perhaps an issuer between, a leaf, and how the server shows them. Everything in it is
faultless until something is changed, so that a case is a list of changes.
"""

import datetime
import functools
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import NameOID, ObjectIdentifier

from openssl import openssl

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
SERVER, CLIENT, ANY = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"
CURVES: dict[str, ec.EllipticCurve] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
HASHES: dict[str, Any] = {
    "md5": hashes.MD5(), "sha1": hashes.SHA1(), "sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512(),
}  # fmt: skip
# What stands for each in sha256WithRSAEncryption's place (RFC 8017, appendix C); all are of one length.
RSA_WITH = {"md5": 4, "sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13}
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@functools.cache
def private_key(kind: str, number: int = 0) -> Any:
    """A key of a kind, always the same one for the same number: `rsa-2048`, `p256`, `ed25519`, `rsa-pss-2048`."""
    match kind.rsplit("-", 1):
        case ["ed25519"]:
            return ed25519.Ed25519PrivateKey.generate()
        case [curve]:
            return ec.generate_private_key(CURVES[curve])
        case ["rsa", bits] if int(bits) >= 1024:
            return rsa.generate_private_key(65537, int(bits))
        case [algorithm, bits]:
            with TemporaryDirectory() as folder:
                file = Path(folder) / "key.pem"
                options = ["-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", file]
                openssl("genpkey", "-algorithm", algorithm.upper(), *options)
                return serialization.load_pem_private_key(file.read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    raise ValueError(kind)


@dataclass
class Spec:
    """What one certificate says."""

    # The common name; an empty subject without.
    subject: str | None
    key: str = "p256"
    number: int = 0
    # `IP:` or `DNS:` before each; no extension if empty.
    names: list[str] = field(default_factory=list)
    names_critical: bool = False
    # Seconds from now.
    begins: float = -86400
    ends: float = 300 * 86400
    # basicConstraints; none at all if None.
    authority: bool | None = False
    path_length: int | None = None
    # Of keyUsage and extendedKeyUsage; no extension if None.
    usage: tuple[str, ...] | None = ("digital_signature",)
    usage_critical: bool = True
    purposes: tuple[str, ...] | None = (SERVER,)
    permitted: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    constraints_critical: bool = True
    # Object identifier, whether critical, content.
    more: list[tuple[str, bool, bytes]] = field(default_factory=list)
    key_identifiers: bool = True
    version: int = 3
    serial: int | None = None
    # Of the signature that its issuer makes.
    hash: str = "sha256"
    pss: bool = False
    # Another key than the issuer's signs.
    forged: bool = False


def general_name(text: str) -> x509.GeneralName:
    """`IP:192.168.1.64`, `IP:10.0.0.0/8`, `DNS:gate.lan`, `email:a@b.c`, `dirName:Common name`."""
    kind, _, value = text.partition(":")
    match kind:
        case "IP" if "/" in value:
            return x509.IPAddress(ipaddress.ip_network(value))
        case "IP":
            return x509.IPAddress(ipaddress.ip_address(value))
        case "DNS":
            return x509.DNSName(value)
        case "email":
            return x509.RFC822Name(value)
        case "URI":
            return x509.UniformResourceIdentifier(value)
        case "dirName":
            return x509.DirectoryName(named(value))
    raise ValueError(text)


def named(common_name: str | None) -> x509.Name:
    """A distinguished name of one common name, or of nothing."""
    attributes = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name(attributes)


@dataclass
class Made:
    """A certificate and its key."""

    der: bytes
    key: Any
    spec: Spec

    def pem(self) -> str:
        """One PEM block."""
        return x509.load_der_x509_certificate(self.der).public_bytes(serialization.Encoding.PEM).decode()


def make(spec: Spec, issuer: Made | None = None) -> Made:
    """Signs what the spec says, by `issuer` or by itself."""
    key = private_key(spec.key, spec.number)
    above, signing = (issuer.spec, issuer.key) if issuer else (spec, key)
    if spec.forged:
        signing = private_key(above.key, above.number + 100)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(spec.subject))
        .issuer_name(named(above.subject))
        .public_key(key.public_key())
        .serial_number(spec.serial or x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(seconds=spec.begins))
        .not_valid_after(NOW + datetime.timedelta(seconds=spec.ends))
    )
    for extension, critical in extensions(spec, key, private_key(above.key, above.number)):
        builder = builder.add_extension(extension, critical)
    is_rsa = isinstance(signing, rsa.RSAPrivateKey)
    how = padding.PSS(padding.MGF1(HASHES[spec.hash]), padding.PSS.DIGEST_LENGTH) if spec.pss else None
    old = spec.hash in ("md5", "sha1")
    assert is_rsa or not old, "the old hashes are for RSA here"
    chosen = None if isinstance(signing, ed25519.Ed25519PrivateKey) else HASHES["sha256" if old else spec.hash]
    der = builder.sign(signing, chosen, rsa_padding=how).public_bytes(serialization.Encoding.DER)
    if old or spec.version == 1:
        der = rewritten(der, signing, spec)
    return Made(der, key, spec)


def extensions(spec: Spec, key: Any, above: Any) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions, and whether each is critical."""
    found: list[tuple[x509.ExtensionType, bool]] = []
    if spec.authority is not None:
        found.append((x509.BasicConstraints(spec.authority, spec.path_length), True))
    if spec.usage is not None:
        found.append((x509.KeyUsage(**{name: name in spec.usage for name in USAGES}), spec.usage_critical))
    if spec.purposes is not None:
        found.append((x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in spec.purposes]), False))
    if spec.names:
        names = x509.SubjectAlternativeName([general_name(name) for name in spec.names])
        found.append((names, spec.names_critical))
    if spec.permitted or spec.excluded:
        lists = [[general_name(name) for name in names] or None for names in (spec.permitted, spec.excluded)]
        found.append((x509.NameConstraints(*lists), spec.constraints_critical))
    if spec.key_identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        found.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), False))
    for oid, critical, content in spec.more:
        found.append((x509.UnrecognizedExtension(ObjectIdentifier(oid), content), critical))
    return found


def rewritten(der: bytes, key: Any, spec: Spec) -> bytes:
    """The certificate as the library refuses to make it: of version 1, or with an old hash."""
    tbs = children(children(der)[0])
    if spec.version == 1:
        # Version and extensions are what it does not have (RFC 5280, section 4.1).
        tbs = [element for element in tbs if element[0] not in (0xA0, 0xA3)]
    content = sequence(*tbs)
    algorithm = children(der)[1]
    if spec.hash in ("md5", "sha1"):
        new = algorithm.replace(bytes([RSA_WITH["sha256"]]) + b"\x05\x00", bytes([RSA_WITH[spec.hash]]) + b"\x05\x00")
        content, algorithm = content.replace(algorithm, new), new
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(content, padding.PKCS1v15(), HASHES[spec.hash])
    else:
        signature = key.sign(content, ec.ECDSA(HASHES[spec.hash]))
    return sequence(content, algorithm, element(0x03, b"\0" + signature))


def element(tag: int, content: bytes) -> bytes:
    """DER: tag, length, content."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*elements: bytes) -> bytes:
    """DER: a SEQUENCE."""
    return element(0x30, b"".join(elements))


def children(der: bytes) -> list[bytes]:
    """The elements inside a DER element."""

    def header(at: int) -> tuple[int, int]:
        first = der[at + 1]
        count = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(der[at + 2 : at + 2 + count], "big") if count else first
        return at + 2 + count, length

    at, length = header(0)
    end, found = at + length, []
    while at < end:
        content, length = header(at)
        found.append(der[at : content + length])
        at = content + length
    return found


@dataclass
class Served:
    """What a server has, and what the computer trusts."""

    chain: list[bytes]
    key: Any
    roots: list[bytes]


def an_authority(subject: str, number: int) -> Spec:
    """A faultless root or issuer."""
    usage = ("key_cert_sign", "crl_sign")
    spec = Spec(subject, number=number, authority=True, usage=usage, purposes=None)
    spec.begins, spec.ends = -1000 * 86400, 1000 * 86400
    return spec


@dataclass
class Plan:
    """Root, perhaps an issuer between, leaf; what is trusted and what is sent."""

    # Names that no other plan has: browsers remember what they saw.
    mark: str
    root: Spec = field(init=False)
    issuer: Spec = field(init=False)
    leaf: Spec = field(init=False)
    has_issuer: bool = False
    # How the chain is sent: changes to the list of leaf, issuer (and root, where it is sent).
    sending: list[Callable[["Plan", list[Made], Made], list[Made]]] = field(default_factory=list)
    trusts_root: bool = True
    self_signed: bool = False
    # More roots that are trusted: to be made, or made already.
    also_trusted: list[Spec] = field(default_factory=list)
    more_roots: list[bytes] = field(default_factory=list)
    # What a browser's address bar has.
    host: str = "127.0.0.1"
    # TLS versions and ciphers as Python's ssl and OpenSSL name them.
    versions: tuple[str, str] = ("TLSv1_2", "TLSv1_3")
    ciphers: str = "DEFAULT:@SECLEVEL=0"
    # Whether the server asks for the browser's certificate: `CERT_NONE`, `CERT_OPTIONAL`, `CERT_REQUIRED`.
    client: str = "CERT_NONE"
    # Bytes in place of TLS; see `servers`.
    instead: str | None = None

    def __post_init__(self) -> None:
        self.root = an_authority(f"Root {self.mark}", 1)
        self.issuer = an_authority(f"Issuer {self.mark}", 2)
        self.leaf = Spec(f"Camera {self.mark}", number=3, names=["IP:127.0.0.1"])

    def serve(self) -> Served:
        """Makes the certificates."""
        root = make(self.root)
        issuer = make(self.issuer, root) if self.has_issuer else root
        leaf = make(self.leaf, None if self.self_signed else issuer)
        sent = [leaf, issuer] if self.has_issuer else [leaf]
        for change in self.sending:
            sent = change(self, sent, root)
        roots = [root.der] if self.trusts_root else []
        roots += [make(spec).der for spec in self.also_trusted] + self.more_roots
        return Served([made.der for made in sent], leaf.key, roots)
