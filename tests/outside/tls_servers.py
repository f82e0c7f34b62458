"""Web servers with TLS on loopback, one for each plan: what they show and how they break."""

import selectors
import socket
import ssl
import struct
import threading
import warnings
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization

from certificate_maker import Plan, Served

PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
SECONDS = 20


def context(plan: Plan, served: Served, folder: Path) -> ssl.SSLContext:
    """OpenSSL's side of it, as willing as it can be made."""
    file = folder / f"{plan.mark}.pem"
    key = served.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [ssl.DER_cert_to_PEM_cert(der).encode() for der in served.chain]
    file.write_bytes(b"".join([key, *chain]))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(plan.ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what some servers are about
        made.minimum_version, made.maximum_version = (ssl.TLSVersion[name] for name in plan.versions)
    made.load_cert_chain(file)
    made.verify_mode = ssl.VerifyMode[plan.client]
    return made


class Servers:
    """All of them, until the end of the block: a thread for each connection."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._ended = threading.Event()

    def start(self, plan: Plan, served: Served) -> int:
        """A server for the plan; its port."""
        tls = None if plan.instead else context(plan, served, self._folder)
        address = ("::1", socket.AF_INET6) if plan.host == "[::1]" else ("127.0.0.1", socket.AF_INET)
        listener = socket.create_server((address[0], 0), family=address[1])
        self._selector.register(listener, selectors.EVENT_READ, (plan, tls))
        port: int = listener.getsockname()[1]
        return port

    def _accept(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.2):
                connection, _ = key.fileobj.accept()  # type: ignore[union-attr]
                connection.settimeout(SECONDS)
                threading.Thread(target=talk, args=(connection, *key.data), daemon=True).start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()


def talk(connection: socket.socket, plan: Plan, tls: ssl.SSLContext | None) -> None:
    """One connection, from its first byte to its end."""
    try:
        if tls is None:
            connection.recv(8192)
            break_off(str(plan.instead), connection)
        else:
            with tls.wrap_socket(connection, server_side=True) as stream:
                if stream.recv(8192):
                    stream.sendall(PAGE)
    except OSError:
        pass  # the browser went away, which is its right
    finally:
        connection.close()


def break_off(how: str, connection: socket.socket) -> None:
    """What a port does that was sent a ClientHello and has no TLS."""
    match how.split(":"):
        case ["close"]:
            pass
        case ["reset"]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        case ["alert", number]:
            connection.sendall(bytes([21, 3, 3, 0, 2, 2, int(number)]))
        case ["http"]:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        case ["ssh"]:
            connection.sendall(b"SSH-2.0-dropbear_2019.78\r\n")
        case ["garbage"]:
            connection.sendall(bytes(range(128, 256)) * 4)
        case _:
            raise ValueError(how)
    connection.shutdown(socket.SHUT_WR)
    # Closed with something unread, the system would send a reset, which may overtake the answer.
    while connection.recv(8192):
        pass
