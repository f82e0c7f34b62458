"""A network of a test's own: the computer that Camlock runs on and devices, a network namespace each, on one bridge.

Ports are the real ones and ARP is the kernel's. The namespaces have no names and belong to a user namespace, so that they
are gone with the processes in them, and that nothing of the machine is changed, not even by root.
"""

import itertools
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from processes import Running, environment, program, run, running, wait_for
from wire import Capture, captured

NETWORK = "192.168.50"
NAS = f"{NETWORK}.1"
PASSWORD = "the password of the cameras"

# Goes on until it is ended; what it prints, it prints inside.
HOLD = "echo '\"inside\"'; exec sleep infinity"
# A device tells everyone that it has an address now, as those do that take one by DHCP (RFC 5227).
ANNOUNCE = """
import socket, sys
mac, address = bytes.fromhex(sys.argv[1].replace(":", "")), socket.inet_aton(sys.argv[2])
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind(("eth0", 0x0806))
    ethernet = bytes([255] * 6) + mac + bytes.fromhex("0806")
    wire.send(ethernet + bytes.fromhex("0001080006040001") + mac + address + bytes(6) + address)
"""
# Opens a packet socket inside and hands it out. What this computer sends is heard by those for all protocols only.
LISTEN = """
import socket, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as wire, socket.socket(fileno=int(sys.argv[1])) as out:
    wire.bind(("lan0", 3))
    socket.send_fds(out, [b"."], [wire.fileno()])
"""


def at(host: int) -> str:
    """An address of the network."""
    return f"{NETWORK}.{host}"


class Space:
    """A network namespace, while a process holds it: with a view of the files and with users of its own, or beside
    another one with those of that."""

    def __init__(self, stack: ExitStack, folder: Path, beside: "Space | None" = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        make = beside.command("unshare", "-n") if beside else ["unshare", "-rnm"]
        holder = stack.enter_context(running([*make, "sh", "-c", HOLD], folder / "holder"))
        holder.first_document(20)
        self.pid = holder.process.pid
        enter = ["nsenter", "-t", str(self.pid), "-U", "-n", "-m", "--preserve-credentials"]
        # Whoever enters finds himself at the root.
        self._enter = [*enter, "env", "-C", str(folder)]
        self.ip("link set lo up")

    def command(self, *words: Any) -> list[str]:
        """A command line that runs here."""
        return [*self._enter, *map(str, words)]

    def call(self, *words: Any, stdin: str = "", **options: Any) -> str:
        """Runs something here to its end."""
        done = subprocess.run(
            self.command(*words), env=environment(self.folder), input=stdin, capture_output=True, text=True,
            timeout=60, check=False, **options,
        )  # fmt: skip
        assert done.returncode == 0, (words, stdin, done.stderr)
        return done.stdout

    def ip(self, *commands: str) -> str:
        """`ip`, some commands of it at once."""
        return self.call("ip", "-batch", "-", stdin="\n".join(commands) + "\n")


class Device:
    """A computer on the network, with one interface and one address; or behind a router."""

    def __init__(self, lan: "Lan", number: int, router: "Router | None" = None) -> None:
        self.lan, self.router, self.mac, self.address = lan, router, f"02:00:00:00:00:{number:02x}", ""
        folder = lan.folder / f"device{number}"
        self.space = Space(lan.stack, folder, lan.nas)
        (router.space if router else lan.nas).ip(
            f"link add port{number} type veth peer name eth0 address {self.mac} netns {self.space.pid}",
            f"link set port{number} master lan0 up",
        )
        self.space.ip("link set eth0 up")
        self._running = ExitStack()
        lan.stack.enter_context(self._running)

    def start(self, *words: Any) -> Running:
        """Starts a program, ready when it has printed a JSON document; it ends with the device's power."""
        started = self._running.enter_context(running(self.space.command(*words), self.space.folder))
        started.first_document(30)
        return started

    def power_off(self) -> None:
        """Its program ends, and forgets everything; it leaves the network."""
        self._running.close()
        self.leave()

    def leave(self) -> None:
        """It has no address any more."""
        self.space.ip("address flush dev eth0")
        self.address = ""

    def move(self, address: str) -> None:
        """It goes to another address, and leaves the old one to nobody."""
        self.leave()
        self.take(address)

    def take(self, address: str) -> None:
        """It has this address now, and has told everyone: until the neighbour knows no other hardware for it."""
        self.space.ip(f"address add {address}/24 dev eth0")
        self.address = address
        neighbour = self.router.space if self.router else self.lan.nas

        def announced() -> bool | None:
            self.space.call(sys.executable, "-c", ANNOUNCE, self.mac, address)
            known = neighbour.call("ip", "neigh", "show", address)
            return True if "lladdr" not in known or self.mac in known else None

        wait_for(f"ARP of {address}", 20, announced)


class Router(Device):
    """Between the network and a part of it: it answers ARP on each side for all that is on the other."""

    def __init__(self, lan: "Lan", number: int) -> None:
        super().__init__(lan, number)
        may_write = ["test", "-w", "/proc/sys/net/ipv4/ip_forward"]
        if subprocess.run(self.space.command(*may_write), check=False).returncode != 0:
            pytest.skip("this system lets nobody make a router of its own: /proc/sys cannot be written")
        self.space.ip("link add lan0 type bridge", "link set lan0 up", f"route add {NAS} dev eth0")
        self.space.ip(f"route add {NETWORK}.0/24 dev lan0")
        settings = ["ip_forward", *(f"conf/{side}/proxy_arp" for side in ("eth0", "lan0"))]
        # At once, without the pause that is for others to answer.
        zeros = [f"neigh/{side}/proxy_delay" for side in ("eth0", "lan0")]
        for setting, value in [*((s, 1) for s in settings), *((s, 0) for s in zeros)]:
            self.space.call("sh", "-c", f"echo {value} >/proc/sys/net/ipv4/{setting}")


class Camera(Device):
    """A simulated camera, its page on the usual ports. It keeps what it was given while it goes from address to address."""

    def __init__(
        self, lan: "Lan", number: int, address: str, model: str, options: Sequence[str], router: Router | None
    ) -> None:
        super().__init__(lan, number, router)
        self.model, self.options = model, options
        self.power_on()
        self.take(address)

    def power_on(self) -> None:
        """Starts it as it left the factory."""
        self.start(
            program("camera-sim"), self.model, "--bind", "0.0.0.0", "--http-port", "80", "--https-port", "443",
            "--password-file", self.lan.password, "--key-generation-ms", "0", *self.options,
        )  # fmt: skip


class Lan:
    """The network, and Camlock in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.password, self._passphrase, self._hosts = (folder / name for name in ("password", "passphrase", "hosts"))
        self.password.write_text(PASSWORD + "\n")
        self._passphrase.write_text("a passphrase of several words\n")
        self.names({})
        self.nas = Space(stack, folder / "nas")
        self.nas.call("mount", "--bind", self._hosts, "/etc/hosts")
        self.nas.ip("link add lan0 type bridge", f"address add {NAS}/24 dev lan0", "link set lan0 up")
        self._numbers = itertools.count(2)
        self.camlock("init", "--site", "Shop", "--key", "p256")

    def names(self, addresses: dict[str, str]) -> None:
        """From now on these host names lead to these addresses."""
        lines = [f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **addresses}.items()]
        self._hosts.write_text("".join(lines))

    def camera(self, host: int, model: str, *options: str, router: Router | None = None) -> Camera:
        """A new camera at this address of the network."""
        return Camera(self, next(self._numbers), at(host), model, options, router)

    def device(self) -> Device:
        """A computer with nothing on it, and no address."""
        return Device(self, next(self._numbers))

    def router(self) -> Router:
        """A router with a part of the network, for cameras to be put there."""
        return Router(self, next(self._numbers))

    def camlock(self, *words: Any, status: int = 0) -> Any:
        """A command with --json; its document."""
        return self.said(*words, status=status)[0]

    def said(self, *words: Any, status: int = 0) -> tuple[Any, str]:
        """A command with --json; its document, and what it said beside it."""
        home = self.folder / "home"
        common = ["--data", home / "data", "--passphrase-file", self._passphrase, "--json"]
        done = run(self.nas.command(program("camlock"), *words, *common), home, seconds=120)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout else None, done.stderr

    def user(self) -> list[str]:
        """The options with which every camera here lets somebody in."""
        return ["--user", "admin", "--password-file", str(self.password)]

    def secure(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        """`camlock secure`, as that user."""
        outcomes: list[dict[str, Any]] = self.camlock("secure", *words, *self.user(), status=status)
        return outcomes

    @contextmanager
    def captured(self) -> Iterator[Capture]:
        """What the computer sends and receives while the block runs."""
        here, there = socket.socketpair()
        with here, there:
            self.nas.call(sys.executable, "-c", LISTEN, there.fileno(), pass_fds=[there.fileno()])
            _, [wire], _, _ = socket.recv_fds(here, 1, 1)
        with captured(socket.socket(fileno=wire)) as capture:
            yield capture


def needs_namespaces() -> None:
    """Skips where this system lets nobody make a network."""
    make = "ip link add one type veth peer name other && ip link add bridge0 type bridge"
    possible = subprocess.run(["unshare", "-rnm", "sh", "-c", make], capture_output=True, text=True, check=False)
    if possible.returncode != 0:
        pytest.skip(f"this system lets nobody make a network of its own: {possible.stderr.strip()}")


@contextmanager
def new_lan(folder: Path) -> Iterator[Lan]:
    """A network for the length of a `with`."""
    needs_namespaces()
    with ExitStack() as stack:
        yield Lan(folder, stack)
