"""As many cameras as a site has, each a computer of its own with the usual ports, that all answer at once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import FULL
from lan import Device, Lan, at, new_lan
from processes import program

COUNT = 200 if FULL else 100
RUNS = 3


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    """The network."""
    with new_lan(tmp_path) as lan:
        yield lan


def test_every_camera_is_heard(lan: Lan) -> None:
    """Nobody knows anybody's hardware address, and all answer the same question: each is found, in each run."""

    def camera(host: int) -> Device:
        device = lan.device()
        device.take(at(host))
        # Without it a group cannot be joined: there is no other route.
        device.space.ip("route add 224.0.0.0/4 dev eth0")
        device.start(
            program("camera-sim"), "onvif-device", "--bind", "0.0.0.0", "--http-port", "80", "--https-port", "443",
            "--password-file", lan.password, "--discovery", "--name", f"Camera {host}",
        )  # fmt: skip
        return device

    addresses = {at(host) for host in range(20, 20 + COUNT)}
    with ThreadPoolExecutor(8) as makers:
        devices = list(makers.map(camera, range(20, 20 + COUNT)))
    for number in range(RUNS):
        for device in devices:
            device.space.ip("neigh flush dev eth0")
        lan.nas.ip("neigh flush dev lan0")
        begin = time.monotonic()
        found, said = lan.said("find")
        print(f"run {number + 1}: {len(found)} of {COUNT} in {time.monotonic() - begin:.1f} s")
        assert {address for device in found for address in device["addresses"]} == addresses, said
        assert len(found) == COUNT
        assert all("ws-discovery" in device["seen_by"] for device in found)
        assert {device["driver"] for device in found} == {"onvif-device"}, found
