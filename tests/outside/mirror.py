"""A mirror of an authority: other keys, and Camlock's own extensions byte for byte.

It makes what the authority refuses to make, so that a verifier's refusal is owed to the extensions that Camlock wrote.
"""

import datetime
import ipaddress
import itertools
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def certificates(pem: Path) -> list[x509.Certificate]:
    """Every certificate of a PEM file; a key in it is passed over."""
    return x509.load_pem_x509_certificates(pem.read_bytes())


def alt_names(names: Sequence[str]) -> x509.SubjectAlternativeName:
    """Addresses as addresses, all else as host names."""

    def general(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    return x509.SubjectAlternativeName([general(name) for name in names])


class Mirror:
    """The mirror of the authority that `package` (key, leaf, issuers) and `root` come from."""

    def __init__(self, root: Path, package: Path, folder: Path) -> None:
        self._leaf, *issuers = certificates(package)
        above = [*certificates(root), *reversed(issuers)]
        self._keys = [_same_kind(c.public_key()) for c in above]
        signers = [self._keys[0], *self._keys]
        self._chain = [_copy(c, key, by) for c, key, by in zip(above, self._keys, signers)]
        self._folder = folder
        folder.mkdir()
        self._numbers = itertools.count(1)
        self.root = folder / "root.pem"
        self.root.write_bytes(self._chain[0].public_bytes(serialization.Encoding.PEM))

    def package(self, *names: str, end: datetime.datetime | None = None) -> Path:
        """Key, leaf and issuers below the root; the leaf is Camlock's but for these names and this end."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _copy(self._leaf, key, self._keys[-1], names=names, end=end)
        text = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        for certificate in (leaf, *reversed(self._chain[1:])):
            text += certificate.public_bytes(serialization.Encoding.PEM)
        out = self._folder / f"package{next(self._numbers)}.pem"
        out.write_bytes(text)
        return out


def _same_kind(key: object) -> PrivateKeyTypes:
    if isinstance(key, rsa.RSAPublicKey):
        return rsa.generate_private_key(65537, key.key_size)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return ec.generate_private_key(key.curve)


def _copy(
    certificate: x509.Certificate,
    key: PrivateKeyTypes,
    signer: PrivateKeyTypes,
    names: Sequence[str] = (),
    end: datetime.datetime | None = None,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        certificate.issuer,
        certificate.subject,
        key.public_key(),
        x509.random_serial_number(),
        certificate.not_valid_before_utc,
        end or certificate.not_valid_after_utc,
    )
    for extension in certificate.extensions:
        value = extension.value.public_bytes()
        assert value in certificate.tbs_certificate_bytes, f"{extension.oid} would not be the same"
        if names and isinstance(extension.value, x509.SubjectAlternativeName):
            value = alt_names(names).public_bytes()
        builder = builder.add_extension(x509.UnrecognizedExtension(extension.oid, value), extension.critical)
    return builder.sign(signer, certificate.signature_hash_algorithm)
