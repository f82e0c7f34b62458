"""A camera with ONVIF's device service that answers oddly, as people reported real ones to do.

The user is `admin`, the password `open sesame`. Each oddity is a class; the bytes are made up.
"""

import base64
import hashlib
import re
import secrets
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

USER, PASSWORD = "admin", "open sesame"
JPEG = b"\xff\xd8\xff\xe0" + bytes(200) + b"\xff\xd9"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
# Everybody may ask these.
OPEN = {"GetSystemDateAndTime", "GetServices", "GetCapabilities"}


class Asked:
    """One request."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.path = lines[0].split(" ")[:2]
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body.decode(errors="replace")
        found = re.search(r"Body><\w+:(\w+)", self.body)
        self.operation = found[1] if found else None

    def digest(self) -> dict[str, str]:
        """The answer to a challenge, if there is one."""
        value = self.headers.get("authorization", "")
        return {k: q or t for k, q, t in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', value)}

    def has_token(self, clock: datetime) -> bool:
        """Whether the UsernameToken is right, and not more than a minute old by this clock."""
        part = lambda name: (re.search(rf"<\w+:{name}(?: [^>]*)?>([^<]*)<", self.body) or ["", ""])[1]
        if not part("Username"):
            return False
        proof = base64.b64decode(part("Nonce")) + part("Created").encode() + PASSWORD.encode()
        is_right = base64.b64encode(hashlib.sha1(proof).digest()).decode() == part("Password")
        made = datetime.fromisoformat(part("Created").replace("Z", "+00:00"))
        return is_right and abs(made - clock) < timedelta(minutes=1)


class Camera:
    """Nothing odd."""

    model = "C-1"

    def __init__(self) -> None:
        self.nonces: dict[str, str] = {}
        self.refused = 0

    def clock(self) -> datetime:
        return datetime.now(UTC)

    def time(self) -> str:
        now = self.clock()
        return (
            f"<tds:SystemDateAndTime><tt:UTCDateTime><tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}"
            f"</tt:Minute><tt:Second>{now.second}</tt:Second></tt:Time><tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>"
            f"{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime>"
        )

    def said(self, asked: Asked) -> str | None:
        host = asked.headers["host"]
        protocol = "<tds:NetworkProtocols><tt:Name>{}</tt:Name><tt:Enabled>{}</tt:Enabled><tt:Port>{}</tt:Port></tds:NetworkProtocols>"
        service = "<tds:Service><tds:Namespace>{}</tds:Namespace><tds:XAddr>http://{}{}</tds:XAddr></tds:Service>"
        return {
            "GetSystemDateAndTime": self.time(),
            "GetServices": service.format(DEVICE, host, "/onvif/device_service") + service.format(MEDIA, host, "/m"),
            "GetDeviceInformation": f"<tds:Manufacturer>IPCAM</tds:Manufacturer><tds:Model>{self.model}</tds:Model>"
            "<tds:FirmwareVersion>1.0</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>",
            "GetProfiles": '<trt:Profiles token="P"/>',
            "GetSnapshotUri": f"<trt:MediaUri><tt:Uri>http://{host}/picture.jpg</tt:Uri></trt:MediaUri>",
            # No HTTPS, nor will there be.
            "GetNetworkProtocols": protocol.format("HTTP", "true", host.rpartition(":")[2])
            + protocol.format("HTTPS", "false", 1),
            "GetCertificatesStatus": "",
        }.get(asked.operation or "")

    def envelope(self, content: str) -> bytes:
        return (
            '<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
            f'xmlns:tds="{DEVICE}" xmlns:trt="{MEDIA}" xmlns:tt="http://www.onvif.org/ver10/schema" '
            f'xmlns:ter="http://www.onvif.org/ver10/error"><e:Body>{content}</e:Body></e:Envelope>'
        ).encode()

    def fault(self, code: str) -> bytes:
        return self.envelope(
            "<e:Fault><e:Code><e:Value>e:Sender</e:Value><e:Subcode><e:Value>ter:" + code + "</e:Value></e:Subcode>"
            '</e:Code><e:Reason><e:Text xml:lang="en">no</e:Text></e:Reason></e:Fault>'
        )

    def soap(self, asked: Asked) -> bytes:
        said = self.said(asked)
        if said is None:
            return self.http(self.fault("ActionNotSupported"), "500 Error")
        prefix = "trt" if asked.operation in ("GetProfiles", "GetSnapshotUri") else "tds"
        return self.http(self.envelope(f"<{prefix}:{asked.operation}Response>{said}</{prefix}:{asked.operation}Response>"))

    def http(self, body: bytes, status: str = "200 OK", more: str = "") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body

    def elsewhere(self) -> bytes:
        return self.http(b"<html>nothing</html>", "404 Not Found")

    def counts(self, nonce: str, path: str) -> bool:
        """Whether this nonce may be used for this path now."""
        return nonce in self.nonces

    def challenge(self, path: str) -> bytes:
        nonce = secrets.token_hex(8)
        self.nonces[nonce] = path
        return self.http(b"", "401 No", f'WWW-Authenticate: Digest realm="cam", qop="auth", nonce="{nonce}"\r\n')

    def lets_in(self, asked: Asked) -> bool:
        given = asked.digest()
        if not given:
            return False
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        user, request = md5(f"{USER}:cam:{PASSWORD}"), md5(f"{asked.method}:{asked.path}")
        parts = [given.get(name, "") for name in ("nonce", "nc", "cnonce", "qop")]
        if given.get("response") != md5(":".join([user, *parts, request])):
            self.refused += 1
            return False
        return self.counts(given["nonce"], asked.path)

    def refusal(self, asked: Asked) -> bytes:
        return self.challenge(asked.path)

    def answer(self, asked: Asked) -> bytes:
        if asked.path == "/picture.jpg":
            return self.http(JPEG) if self.lets_in(asked) else self.refusal(asked)
        if asked.operation is None:
            return self.elsewhere()
        if asked.operation in OPEN or self.lets_in(asked):
            return self.soap(asked)
        return self.refusal(asked)


class NonceOnce(Camera):
    """Every nonce for one use, and not called stale."""

    def counts(self, nonce: str, path: str) -> bool:
        return self.nonces.pop(nonce, None) is not None


class NonceForAPath(Camera):
    """A nonce of its own for each path."""

    def counts(self, nonce: str, path: str) -> bool:
        return self.nonces.get(nonce) == path


class TokenOnly(Camera):
    """No Digest: a fault, until the message holds a UsernameToken."""

    def lets_in(self, asked: Asked) -> bool:
        return asked.has_token(self.clock())

    def refusal(self, asked: Asked) -> bytes:
        return self.http(self.fault("NotAuthorized"), "400 Bad Request")


class TokenByLocalTime(TokenOnly):
    """Tells its clock as LocalDateTime only, and that is years behind."""

    def clock(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=9000)

    def time(self) -> str:
        return super().time().replace("UTCDateTime", "LocalDateTime")


class TokenUnderBasic(TokenOnly):
    """Offers Basic and takes the UsernameToken."""

    def refusal(self, asked: Asked) -> bytes:
        return self.http(self.fault("NotAuthorized"), "401 No", 'WWW-Authenticate: Basic realm="cam"\r\n')


class LoginForAll(Camera):
    """Tells strangers nothing, in a page that is no SOAP."""

    def answer(self, asked: Asked) -> bytes:
        return super().answer(asked) if asked.operation is None or self.lets_in(asked) else self.refusal(asked)


class LocksTheUserOut(LoginForAll):
    """Knows nobody any more once a certificate came, and ends the connections of those whom it knew."""

    def __init__(self) -> None:
        super().__init__()
        self.known: set[str] | None = None

    def answer(self, asked: Asked) -> bytes:
        if self.known is None and asked.operation == "LoadCertificateWithPrivateKey" and self.lets_in(asked):
            self.known = set(self.nonces)
        if self.known is None or not asked.digest():
            return super().answer(asked)
        if asked.digest()["nonce"] in self.known:
            return b""
        self.refused += 1
        return self.refusal(asked)


class ClosesElsewhere(Camera):
    """Ends the connection on every other path."""

    def elsewhere(self) -> bytes:
        return b""


class NulAtTheEnd(Camera):
    """Sends the string's closing NUL, too."""

    def envelope(self, content: str) -> bytes:
        return super().envelope(content) + b"\0"


class BareAmpersand(Camera):
    """A name with what XML has no place for."""

    model = "C-1</tds:Model><tds:HardwareId>A & B &nbsp; \x07</tds:HardwareId><tds:Model>"


class PrefixNotDeclared(Camera):
    """Does not declare the prefix of the types."""

    def envelope(self, content: str) -> bytes:
        return super().envelope(content).replace(b'xmlns:tt="http://www.onvif.org/ver10/schema" ', b"")


class NoUtf8(Camera):
    """A name in GBK, called UTF-8."""

    model = "C-1</tds:Model><tds:HardwareId>@@</tds:HardwareId><tds:Model>"

    def envelope(self, content: str) -> bytes:
        return super().envelope(content).replace(b"@@", b"\xb4\xf3\xc3\xc5")


class NegativeLength(Camera):
    """A length that is no number."""

    def http(self, body: bytes, status: str = "200 OK", more: str = "") -> bytes:
        return re.sub(rb"Length: \d+", b"Length: -1", super().http(body, status, more), count=1)


class LengthTooLong(Camera):
    """A length that is more than it sends."""

    def http(self, body: bytes, status: str = "200 OK", more: str = "") -> bytes:
        length = len(body) + (100 if body else 0)
        return re.sub(rb"Length: \d+", f"Length: {length}".encode(), super().http(body, status, more), count=1)


@contextmanager
def served(camera: Camera) -> Iterator[int]:
    """The camera on a port of loopback; the port."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = 20

        def handle(self) -> None:
            raw = b""
            while b"\r\n\r\n" not in raw:
                piece = self.connection.recv(65536)
                raw += piece
                # Nothing more, or the beginning of TLS.
                if not piece or raw[:1] == b"\x16":
                    return
            length = int((re.search(rb"(?i)content-length: *(\d+)", raw) or [b"", b"0"])[1])
            while len(raw.partition(b"\r\n\r\n")[2]) < length:
                raw += self.connection.recv(65536)
            self.connection.sendall(camera.answer(Asked(raw)))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
