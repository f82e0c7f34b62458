"""What crosses the network in clear when a camera is met for the first time: a capture of the loopback traffic."""

import base64
import binascii
import re
import select
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_private_key

from conftest import Site, StartCamera
from processes import REPOSITORY

IPV4, TCP, OUTGOING = 0x0800, 6, 4


class Capture:
    """The TCP streams of loopback, each direction by itself."""

    def __init__(self) -> None:
        self._streams: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)

    def take(self, packet: bytes) -> None:
        header = (packet[0] & 15) * 4
        if packet[9] != TCP:
            return
        source, target, sequence = struct.unpack_from("!HHI", packet, header)
        payload = packet[header + (packet[header + 12] >> 4) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        if payload:
            self._streams[source, target][sequence] = payload

    def to_and_from(self, ports: set[int]) -> list[bytes]:
        """What these ports were sent and what they sent."""
        return [
            b"".join(pieces[sequence] for sequence in sorted(pieces))
            for ends, pieces in self._streams.items()
            if ports.intersection(ends)
        ]


@contextmanager
def captured() -> Iterator[Capture]:
    """Captures while the block runs; complete when it has ended."""
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV4))
    except PermissionError:
        pytest.skip("capturing takes the right to open packet sockets (CAP_NET_RAW)")
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    wire.bind(("lo", IPV4))
    capture, ended = Capture(), threading.Event()

    def read() -> None:
        # What is still in the queue at the end belongs to it.
        while select.select([wire], [], [], 0.2)[0] or not ended.is_set():
            if select.select([wire], [], [], 0)[0]:
                packet, (_, _, kind, *_) = wire.recvfrom(1 << 17)
                # Loopback shows each packet as it goes out and as it comes in.
                if kind != OUTGOING:
                    capture.take(packet)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield capture
    finally:
        ended.set()
        reader.join()
        wire.close()


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
    with captured() as capture:
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
