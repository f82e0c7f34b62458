"""`camlock find` in a network of its own: simulated cameras, and programs that announce as others do."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lan import Space, needs_namespaces
from processes import REPOSITORY, Running, program, run, running

# The camera-sim cameras of this network, each at an address of its own.
ADDRESSES = [f"10.77.0.{host}" for host in range(1, 7)]
PASSWORD = "the password of the cameras"

# Two independent clients and announcers; they stop when they are told to.
WSD_CLIENT = """
import json
import os
from wsdiscovery.discovery import ThreadedWSDiscovery
client = ThreadedWSDiscovery()
client.start()
found = client.searchServices(timeout=3)
print(json.dumps([[s.getEPR(), [str(t) for t in s.getTypes()], s.getXAddrs()] for s in found]))
client.stop()
"""
WSD_SERVICE = """
import threading
from wsdiscovery import QName, Scope
from wsdiscovery.publishing import ThreadedWSPublishing
service = ThreadedWSPublishing()
service.start()
service.publishService(
    types=[QName("http://www.onvif.org/ver10/network/wsdl", "NetworkVideoTransmitter")],
    scopes=[Scope("onvif://www.onvif.org/name/Elsewhere%20made")],
    xAddrs=["http://10.77.0.1/onvif/device_service"],
)
print('"ready"', flush=True)
threading.Event().wait()
"""
MDNS_SERVICE = """
import socket, threading
from zeroconf import ServiceInfo, Zeroconf
zeroconf = Zeroconf(interfaces=["10.77.0.1"])
kind = "_http._tcp.local."
address = socket.inet_aton("10.77.0.1")
zeroconf.register_service(ServiceInfo(kind, "Yard camera." + kind, addresses=[address], port=8000, server="yard.local."))
print('"ready"', flush=True)
threading.Event().wait()
"""


class Network:
    """A network namespace with one interface, and what runs in it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._count = 0
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")
        space = Space(stack, folder / "space")
        self.command, self.call = space.command, space.call
        space.ip(
            "link add cams type veth peer name switch",
            *(f"address add {address}/24 dev cams" for address in ADDRESSES),
            "link set cams up",
            "link set switch up",
        )

    def start(self, *words: str | Path) -> Running:
        """Starts something in this network, ready when it has printed a JSON document."""
        self._count += 1
        started = self._stack.enter_context(running(self.command(*words), self._folder / str(self._count)))
        started.first_document(30)
        return started

    def camera(self, model: str, address: str, *options: str) -> None:
        """A simulated camera at this address, its page on the usual port."""
        self.start(
            program("camera-sim"), model, "--bind", address, "--http-port", "80", "--https-port", "443",
            "--password-file", self.password, *options,
        )  # fmt: skip

    def camlock(self, *words: str | Path, status: int = 0) -> tuple[Any, str]:
        """What the program prints as JSON, and what it says beside it."""
        home = self._folder / "home"
        done = run(self.command(program("camlock"), *words, "--json"), home, seconds=120)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return json.loads(done.stdout), done.stderr


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """A new one for each test."""
    needs_namespaces()
    with ExitStack() as stack:
        yield Network(tmp_path, stack)


def by_address(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The devices by what the operator would call them."""
    devices = {device["target"]: device for device in found}
    assert len(devices) == len(found), found
    return devices


def test_cameras_that_announce_are_found_and_secured(network: Network, tmp_path: Path) -> None:
    """From an empty ledger to padlocks: `find`, then `secure` for its range. No password before that."""
    network.camera("onvif-security", "10.77.0.2", "--discovery", "--name", "Shop front")
    network.camera("onvif-device", "10.77.0.3", "--discovery", "--name", "Gate", "--factory-certificate")
    # It names another host: the device is where the packet came from, and the other host is told.
    network.camera("onvif-device", "10.77.0.4", "--discovery", "--fault", "announces-elsewhere")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a passphrase of several words\n")
    network.camlock("init", "--site", "Shop", "--key", "p256", "--passphrase-file", passphrase)

    found, said = network.camlock("find")
    devices = by_address(found)
    assert set(devices) == {"10.77.0.2", "10.77.0.3", "10.77.0.4"}, found
    assert "multicast" not in said
    assert devices["10.77.0.2"]["driver"] == "onvif-security"
    assert (devices["10.77.0.3"]["name"], devices["10.77.0.3"]["driver"]) == ("Gate", "onvif-device")
    assert devices["10.77.0.3"]["chromium"] == "ERR_CERT_AUTHORITY_INVALID"
    assert devices["10.77.0.4"]["announces"] == "203.0.113.9"
    assert all("ws-discovery" in device["seen_by"] for device in found)

    options = ["--user", "admin", "--password-file", network.password, "--passphrase-file", passphrase]
    # What was only met is nobody's word.
    left, said = network.camlock("secure", "--all", *options)
    assert left == [] and all(f" {target}" in said for target in devices), said
    secured, _ = network.camlock("secure", "10.77.0.0/29", *options)
    assert {outcome["target"] for outcome in secured} == set(devices)
    assert all(outcome["verdict"] == "secure" for outcome in secured), secured
    after, _ = network.camlock("find")
    assert {device["verdict"] for device in after} == {"secure"}, after


def test_a_range_finds_what_is_silent(network: Network) -> None:
    """A camera that answers no multicast, one on the usual port, among 250 addresses with nobody."""
    network.camera("pem-page", "10.77.0.5")
    # Unicast probes find the name of one that multicast does not reach.
    network.camera("onvif-device", "10.77.0.6", "--discovery", "--name", "Back door")
    found, _ = network.camlock("find", "10.77.0.0/24")
    devices = by_address(found)
    assert set(devices) == {"10.77.0.5", "10.77.0.6"}, found
    assert devices["10.77.0.5"]["driver"] == "recipe:pem-page"
    assert devices["10.77.0.5"]["seen_by"] == ["port"]
    assert devices["10.77.0.6"]["name"] == "Back door"


def test_a_list_is_asked_line_by_line(network: Network, tmp_path: Path) -> None:
    """Whatever is named is shown, also what is not there."""
    network.camera("pem-page", "10.77.0.5")
    cameras = tmp_path / "cameras.csv"
    cameras.write_text("IP address;Name\r\n10.77.0.5;Yard\r\n10.77.0.6:8080;gone\r\n")
    found, _ = network.camlock("find", "--list", cameras)
    devices = by_address(found)
    assert devices["10.77.0.5"]["verdict"] == "not-secure"
    assert (devices["10.77.0.6:8080"]["verdict"], devices["10.77.0.6:8080"]["driver"]) == ("unreachable", None)
    cameras.write_text("10.77.0.5\nnot an address\n")
    home = tmp_path / "home"
    wrong = run(network.command(program("camlock"), "find", "--list", cameras), home)
    assert wrong.returncode == 2 and "Line 2" in wrong.stderr, wrong.stderr


def test_silence_is_told_from_an_empty_network(network: Network) -> None:
    """Nobody answers multicast: what to do is said."""
    found, said = network.camlock("find")
    assert found == [] and "camlock find 192.168.1.0/24" in said, (found, said)


def python(network: Network, script: str) -> Callable[[], Any]:
    """The script, in this network, with the packages of these tests."""
    return lambda: json.loads(network.call(sys.executable, "-c", script))


def test_an_independent_client_finds_the_simulator(network: Network) -> None:
    """PyPI's WSDiscovery: the simulator says what the standard wants."""
    network.camera("onvif-security", "10.77.0.2", "--discovery")
    ((identifier, types, addresses),) = python(network, WSD_CLIENT)()
    assert identifier.startswith("urn:uuid:")
    assert addresses == ["http://10.77.0.2:80/onvif/device_service"]
    assert any("NetworkVideoTransmitter" in kind for kind in types), types


def test_independent_announcers_are_found(network: Network) -> None:
    """PyPI's WSDiscovery and zeroconf announce in their own ways; the pages are those of simulated cameras."""
    network.camera("onvif-device", "10.77.0.1")
    network.start(sys.executable, "-c", WSD_SERVICE)
    network.start(sys.executable, "-c", MDNS_SERVICE)
    found, _ = network.camlock("find")
    (device,) = [device for device in found if "10.77.0.1" in device["addresses"]]
    assert device["name"] == "Elsewhere made" and device["driver"] == "onvif-device", device
    assert {"mdns", "ws-discovery"} <= set(device["seen_by"]), device


def test_a_device_by_another_hand_is_found_and_tells_its_user_who_it_is(network: Network, tmp_path: Path) -> None:
    """The crate onvif-server, an ONVIF device that shares nothing with the simulator: discovery and authentication."""
    home = REPOSITORY / "tests/outside/onvif-peer"
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "onvif-peer"
    build = ["cargo", "build", "--quiet", "--locked", "--manifest-path", home / "Cargo.toml", "--target-dir", target]
    assert subprocess.run(build, check=False).returncode == 0
    # It joins its group on the interface that has the route.
    network.call("ip", "route", "add", "239.0.0.0/8", "dev", "cams")
    network.start(target / "debug/onvif-peer", "10.77.0.1", "80", "admin", PASSWORD)
    # It says so before it listens.
    network.call("sh", "-c", "until grep -q ':0050 .* 0A ' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done")

    (device,), _ = network.camlock("find", "--user", "admin", "--password-file", network.password)
    assert (device["target"], device["driver"], device["sign_in"]) == ("10.77.0.1", "onvif-device", None), device
    assert "ws-discovery" in device["seen_by"] and abs(device["clock_offset"]) <= 1
    known = [device[field] for field in ("manufacturer", "model", "firmware", "serial_number")]
    assert known == ["Another Hand", "Peer-1", "1.2.3", "SN-0001"]
    wrong = tmp_path / "wrong"
    wrong.write_text("another password\n")
    (device,), _ = network.camlock("find", "10.77.0.1", "--user", "admin", "--password-file", wrong)
    assert device["sign_in"]["code"] == "wrong-password" and device["manufacturer"] is None
