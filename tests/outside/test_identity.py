"""A device is not an address: cameras that move, swap, are reset or impersonated, on a network with real ports and ARP."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lan import PASSWORD, Camera, Lan, new_lan
from wire import Capture

# Whatever tells a password, or proves one.
SECRETS = [
    b"Authorization:",
    b"UsernameToken",
    PASSWORD.encode(),
    base64.b64encode(f"admin:{PASSWORD}".encode()),
]


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    """A new network for each test."""
    with new_lan(tmp_path) as network:
        yield network


def secrets_in_clear(capture: Capture) -> int:
    """How many of the plain conversations hold a login."""
    return sum(any(secret in stream for secret in SECRETS) for stream in capture.to_and_from({80}))


def rows(lan: Lan) -> dict[str, dict[str, Any]]:
    """The devices of the ledger by name."""
    devices = lan.camlock("list")
    named = {device["name"]: device for device in devices}
    assert len(named) == len(devices), devices
    return named


def name_them(lan: Lan, cameras: dict[str, Camera]) -> None:
    """Secures the cameras, and gives each its name, by which its row is known from now on."""
    outcomes = lan.secure(*(camera.address for camera in cameras.values()), "--yes")
    assert all(outcome["verdict"] == "secure" for outcome in outcomes), outcomes
    for name, camera in cameras.items():
        lan.camlock("device", "name", camera.address, name)


def certificates(lan: Lan, name: str) -> int:
    """How many certificates the ledger has for the device."""
    return sum(certificate["device"] == name for certificate in lan.camlock("list", "certificates"))


def have_padlocks(lan: Lan, cameras: dict[str, Camera], *, renewed: bool = True) -> None:
    """Each is one row with its name and its history, at its address alone, with a certificate for that alone."""
    after = rows(lan)
    assert set(after) == set(cameras), after
    checked = lan.camlock("check", *(camera.address for camera in cameras.values()))
    for (name, camera), seen in zip(cameras.items(), checked, strict=True):
        assert seen["verdict"] == "secure", seen
        addresses = [san for san in seen["certificate"]["sans"] if san.startswith("IP:")]
        assert addresses == [f"IP:{camera.address}"], seen
        row = after[name]
        assert (row["addresses"], row["left_at"], row["verdict"]) == ([camera.address], None, "secure"), row
        assert row["serial"] == seen["certificate"]["serial"], row
        assert certificates(lan, name) == 1 + renewed


def rotate(cameras: dict[str, Camera]) -> None:
    """A power cut: each has the address of the next one."""
    addresses = [camera.address for camera in cameras.values()]
    for camera in cameras.values():
        camera.leave()
    for camera, address in zip(cameras.values(), addresses[1:] + addresses[:1], strict=True):
        camera.take(address)


@pytest.mark.parametrize("words", ["by address", "all"])
@pytest.mark.parametrize("models", [("onvif-device", "onvif-device"), ("onvif-security", "reolink", "onvif-device")])
def test_cameras_that_change_places_keep_their_rows(lan: Lan, words: str, models: tuple[str, ...]) -> None:
    """Two swap, three go round: after one run each has the padlock at its new address."""
    cameras = {f"Camera {host}": lan.camera(host, model) for host, model in enumerate(models, 11)}
    with lan.captured() as capture:
        name_them(lan, cameras)
    # Where they had no HTTPS yet: the capture sees what it is to see.
    assert secrets_in_clear(capture)
    have_padlocks(lan, cameras, renewed=False)

    rotate(cameras)
    with lan.captured() as capture:
        if words == "all":
            outcomes = lan.secure("--all")
        else:
            outcomes = lan.secure(*(camera.address for camera in cameras.values()))
    assert all(outcome["verdict"] == "secure" for outcome in outcomes), outcomes
    assert secrets_in_clear(capture) == 0
    have_padlocks(lan, cameras)
