"""What crosses a network: the TCP streams that a packet socket hears, each direction by itself."""

import select
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

IPV4, TCP = 0x0800, 6
SOL_PACKET, PACKET_STATISTICS = 263, 6


class Capture:
    """The streams, by their ends: address and port."""

    def __init__(self) -> None:
        self._streams: dict[tuple[bytes, int, bytes, int], dict[int, bytes]] = defaultdict(dict)

    def take(self, packet: bytes) -> None:
        header = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or packet[9] != TCP:
            return
        source, target, sequence = struct.unpack_from("!HHI", packet, header)
        payload = packet[header + (packet[header + 12] >> 4) * 4 : struct.unpack_from("!H", packet, 2)[0]]
        if payload:
            self._streams[packet[12:16], source, packet[16:20], target][sequence] = payload

    def to(self, port: int) -> list[bytes]:
        """What this port was sent."""
        return [whole(pieces) for (_, _, _, target), pieces in self._streams.items() if target == port]

    def to_and_from(self, ports: set[int]) -> list[bytes]:
        """What these ports were sent and what they sent."""
        streams = self._streams.items()
        return [whole(pieces) for (_, source, _, target), pieces in streams if ports.intersection((source, target))]


def whole(pieces: dict[int, bytes]) -> bytes:
    """A stream from its segments."""
    return b"".join(pieces[sequence] for sequence in sorted(pieces))


@contextmanager
def captured(wire: socket.socket) -> Iterator[Capture]:
    """Captures while the block runs; complete when it has ended. Closes the packet socket."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    capture, ended = Capture(), threading.Event()

    def read() -> None:
        # What is still in the queue at the end belongs to it.
        while select.select([wire], [], [], 0.2)[0] or not ended.is_set():
            if select.select([wire], [], [], 0)[0]:
                capture.take(wire.recv(1 << 17))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield capture
    finally:
        ended.set()
        reader.join()
        _, lost = struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        wire.close()
    assert not lost, f"the capture lost {lost} packets"
