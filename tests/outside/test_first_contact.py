"""What crosses the network in clear when a camera is met for the first time: a capture of the loopback traffic."""

import base64
import binascii
import re
import socket
import ssl
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from conftest import Site, StartCamera
from processes import REPOSITORY
from wire import IPV4, captured


def on_loopback() -> socket.socket:
    """A packet socket, if this user may open one."""
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
    except PermissionError:
        pytest.skip("capturing takes the right to open packet sockets (CAP_NET_RAW)")
    wire.bind(("lo", IPV4))
    return wire


def keys_in_clear(streams: list[bytes]) -> set[bytes]:
    """The public halves of the private keys that can be read in these streams, in PEM or bare base64."""
    found = set()
    bare = b"\n\0".join(streams)
    # A form may be sent percent-encoded.
    for run in re.findall(rb"(?:[A-Za-z0-9+/]+=*(?:\r?\n)?)+", bare + b"\n\0" + unquote_to_bytes(bare)):
        text = re.sub(rb"[^A-Za-z0-9+/=]", b"", run)
        if len(text) < 100:
            continue
        try:
            key = load_der_private_key(base64.b64decode(text), None)
        except (ValueError, binascii.Error, TypeError):
            continue
        found.add(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return found


HTTP, HTTPS = "http", "https"


@pytest.mark.parametrize(
    ("model", "options", "scheme", "transport", "crossing"),
    [
        ("onvif-security", (), HTTP, "none", 0),
        ("onvif-security", ("--factory-certificate",), HTTP, "none", 0),
        ("onvif-device", ("--factory-certificate",), HTTP, "pinned-tls", 0),
        ("pem-page", ("--factory-certificate",), HTTP, "pinned-tls", 0),
        # The key of the throw-away certificate, and no other.
        ("onvif-device", (), HTTP, "throw-away-tls", 1),
        ("onvif-device", ("--fault", "username-token"), HTTP, "throw-away-tls", 1),
        ("onvif-security", ("--fault", "no-key-generation"), HTTP, "throw-away-tls", 1),
        # Encrypted, under a passphrase that crosses too.
        ("onvif-security", ("--fault", "pkcs12-alone"), HTTP, "throw-away-tls", 0),
        ("pem-page", (), HTTP, "throw-away-tls", 1),
        ("uniview", (), HTTP, "throw-away-tls", 1),
        ("hanwha", (), HTTP, "throw-away-tls", 1),
        ("axis", (), HTTP, "none", 0),
        ("bosch", (), HTTPS, "none", 0),
        ("form-page", (), HTTPS, "pinned-tls", 0),
        ("mobotix", (), HTTPS, "pinned-tls", 0),
        ("reolink", (), HTTPS, "pinned-tls", 0),
        ("synology", (), HTTPS, "pinned-tls", 0),
    ],
)
def test_the_camera_s_key_never_crosses_in_clear(
    site: Site,
    start_camera: StartCamera,
    model: str,
    options: tuple[str, ...],
    scheme: str,
    transport: str,
    crossing: int,
) -> None:
    camera = start_camera(model, *options)
    recipes = site.home / "data/recipes"
    recipes.mkdir()
    page = (REPOSITORY / "docs/recipes.md").read_text()
    (recipes / "form-page.toml").write_text(page.split("```toml\n", 1)[1].split("```", 1)[0])
    with captured(on_loopback()) as capture:
        (outcome,) = site.secure(camera | {"http": camera[scheme]}, "--yes")
    assert (outcome["verdict"], outcome["key_transport"]) == ("secure", transport)

    ports = {urlsplit(camera[scheme]).port for scheme in (HTTP, HTTPS)}
    streams = capture.to_and_from({port for port in ports if port})
    # Proofs in clear, or a handshake: the capture saw the whole conversation, and no password in it.
    proofs = (b"Authorization: Digest", b"#PasswordDigest") if scheme == HTTP else (b"\x16\x03\x01",)
    assert any(proof in stream for stream in streams for proof in proofs)
    assert not any(camera["password"].encode() in stream for stream in streams)
    # Nor as Basic authentication has it.
    assert not any(base64.b64encode(f"{camera['user']}:{camera['password']}".encode()) in s for s in streams)

    leaf = ssl.get_server_certificate(("127.0.0.1", urlsplit(camera["https"]).port or 0))
    served = x509.load_pem_x509_certificate(leaf.encode()).public_key()
    served_key = served.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    crossed = keys_in_clear(streams)
    assert served_key not in crossed
    assert len(crossed) == crossing
