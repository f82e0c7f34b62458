"""A device is not an address: cameras that move, swap, are reset or impersonated, on a network with real ports and ARP."""

import base64
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lan import NETWORK, PASSWORD, Camera, Device, Lan, at, new_lan
from openssl import openssl
from wire import Capture

# Whatever tells a password, or proves one.
SECRET = re.compile(
    b"(?i:authorization:|usernametoken)|"
    + b"|".join(re.escape(text) for text in (PASSWORD.encode(), base64.b64encode(f"admin:{PASSWORD}".encode())))
)


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[Lan]:
    """A new network for each test."""
    with new_lan(tmp_path) as network:
        yield network


def plain_logins(capture: Capture) -> int:
    """In how many of the plain conversations somebody signed in."""
    return sum(SECRET.search(stream) is not None for stream in capture.to(80))


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


def have_padlocks(lan: Lan, cameras: dict[str, Camera], *, renewed: bool = True) -> list[dict[str, Any]]:
    """Each is one row with its name and its history, at its address only, with a certificate for that only. The other
    rows that there are."""
    after = rows(lan)
    assert set(after) >= set(cameras), after
    checked = lan.camlock("check", *(camera.address for camera in cameras.values()))
    for (name, camera), seen in zip(cameras.items(), checked, strict=True):
        assert seen["verdict"] == "secure", seen
        addresses = [san for san in seen["certificate"]["sans"] if san.startswith("IP:")]
        assert addresses == [f"IP:{camera.address}"], seen
        row = after[name]
        assert (row["addresses"], row["left_at"], row["verdict"]) == ([camera.address], None, "secure"), row
        assert row["serial"] == seen["certificate"]["serial"], row
        # A router's hardware address is no device's.
        assert row["mac"] == (None if camera.router else camera.mac), row
        assert certificates(lan, name) == 1 + renewed
    return [row for name, row in after.items() if name not in cameras]


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
    assert plain_logins(capture)
    assert not have_padlocks(lan, cameras, renewed=False)

    rotate(cameras)
    with lan.captured() as capture:
        if words == "all":
            outcomes = lan.secure("--all")
        else:
            outcomes = lan.secure(*(camera.address for camera in cameras.values()))
    assert all(outcome["verdict"] == "secure" for outcome in outcomes), outcomes
    assert plain_logins(capture) == 0
    assert not have_padlocks(lan, cameras)


def test_of_two_that_swapped_the_one_that_was_not_named_is_found_again(lan: Lan) -> None:
    """Its place is taken, and nobody says where it is; until it is seen."""
    cameras = {f"Camera {host}": lan.camera(host, "onvif-device") for host in (11, 12)}
    name_them(lan, cameras)
    rotate(cameras)
    lan.secure(at(11))
    row = rows(lan)["Camera 11"]
    assert row["left_at"] and row["addresses"] == [] and row["verdict"] == "unreachable", row
    # That is all that can be done for now.
    assert lan.secure("--all") == []
    found = {device["target"]: device["device"] for device in lan.camlock("find", f"{at(11)}-{at(12)}")}
    assert found == {at(11): "Camera 12", at(12): "Camera 11"}
    lan.secure("--all")
    assert not have_padlocks(lan, cameras)


@pytest.mark.parametrize("first", ["find", "secure"])
@pytest.mark.parametrize("model", ["onvif-device", "reolink", "mobotix", "bosch"])
def test_one_that_moved_is_told_from_the_stranger_at_its_old_place(lan: Lan, model: str, first: str) -> None:
    """The stranger is no first contact, and the device is known by its key wherever it is."""
    camera = lan.camera(11, model)
    name_them(lan, {"Gate": camera})
    camera.move(at(21))
    # As it comes from the factory: ONVIF without HTTPS, or another one of that maker.
    stranger = lan.camera(11, model)
    with lan.captured() as capture:
        (refused,) = lan.secure(stranger.address, status=1)
        assert refused["error"]["code"] == "device-changed", refused
        if first == "find":
            found = {device["target"]: device for device in lan.camlock("find", f"{at(8)}-{at(23)}")}
            assert set(found) == {camera.address, stranger.address}
            assert found[camera.address]["device"] == "Gate" and found[camera.address]["moved"], found
            outcomes, said = lan.said("secure", "--all", *lan.user())
            assert f"camlock secure {stranger.address}" in said
        else:
            outcomes = lan.secure(camera.address)
    (outcome,) = outcomes
    assert (outcome["target"], outcome["verdict"]) == (camera.address, "secure")
    assert any(finding["code"] == "moved" for finding in outcome["findings"]) == (first == "secure"), outcome
    assert plain_logins(capture) == 0
    strangers = have_padlocks(lan, {"Gate": camera})
    assert [row["addresses"] for row in strangers] == [[stranger.address]] * (first == "find"), strangers
    assert not any(row["accepted"] for row in strangers)


def test_one_camera_under_an_address_and_two_names_is_one_row(lan: Lan) -> None:
    """Each name that is secured comes to those before it; and they stay when the device moves."""
    camera = lan.camera(11, "onvif-device")
    names = ["gate.lan", "yard.home.arpa"]
    lan.names(dict.fromkeys(names, camera.address))
    name_them(lan, {"Gate": camera})
    for known in range(1, len(names) + 1):
        with lan.captured() as capture:
            (outcome,) = lan.secure(names[known - 1])
        assert outcome["verdict"] == "secure" and plain_logins(capture) == 0
        is_known_by = {camera.address, *names[:known]}
        assert set(rows(lan)["Gate"]["addresses"]) == is_known_by
        for seen in lan.camlock("check", *is_known_by):
            assert seen["verdict"] == "secure", seen
            assert {f"IP:{camera.address}", *(f"DNS:{name}" for name in names[:known])} <= set(seen["certificate"]["sans"])
    # Nothing is left to do under any of them.
    before = certificates(lan, "Gate")
    lan.secure(*is_known_by)
    assert certificates(lan, "Gate") == before

    camera.move(at(21))
    lan.names(dict.fromkeys(names, camera.address))
    lan.secure(names[0])
    assert set(rows(lan)["Gate"]["addresses"]) >= set(names)
    lan.secure(camera.address)
    assert set(rows(lan)["Gate"]["addresses"]) == {camera.address, *names}
    assert all(seen["verdict"] == "secure" for seen in lan.camlock("check", camera.address, *names))


@pytest.mark.parametrize("words", ["addresses", "all", "names, then all"])
def test_cameras_that_change_places_take_their_names_along(lan: Lan, words: str) -> None:
    """Names that follow the device, as a router gives them to whoever asks for an address."""
    cameras = {f"cam{host}.lan": lan.camera(host, "onvif-device") for host in (11, 12)}
    lan.names({name: camera.address for name, camera in cameras.items()})
    name_them(lan, cameras)
    lan.secure(*cameras)
    rotate(cameras)
    lan.names({name: camera.address for name, camera in cameras.items()})
    if words == "addresses":
        lan.secure(*(camera.address for camera in cameras.values()))
    else:
        if words != "all":
            # Those lead to the cameras as ever.
            lan.secure(*cameras)
        lan.secure("--all")
    after = rows(lan)
    for name, camera in cameras.items():
        assert set(after[name]["addresses"]) == {name, camera.address}, after
        for seen in lan.camlock("check", name, camera.address):
            assert seen["verdict"] == "secure", seen
            addresses = [san for san in seen["certificate"]["sans"] if san.startswith("IP:")]
            assert addresses == [f"IP:{camera.address}"], seen


@pytest.mark.parametrize("model", ["onvif-security", "onvif-device", "reolink"])
def test_one_that_was_reset_is_told_and_goes_on_in_its_row(lan: Lan, model: str) -> None:
    """By its serial number, or where it tells none, by its network card."""
    camera = lan.camera(11, model, "--serial", "SN0011")
    name_them(lan, {"Gate": camera})
    before = rows(lan)["Gate"]
    camera.power_off()
    camera.power_on()
    camera.take(at(11))
    with lan.captured() as capture:
        for words in [[camera.address], [camera.address, "--yes"], ["--all"]]:
            (refused,) = lan.secure(*words, status=1)
            assert refused["error"]["code"] == "device-changed", refused
    assert plain_logins(capture) == 0
    (outcome,) = lan.secure(camera.address, "--new-device", "--yes")
    assert outcome["verdict"] == "secure"
    assert not have_padlocks(lan, {"Gate": camera})
    assert rows(lan)["Gate"]["serial"] != before["serial"]


def test_a_new_one_in_its_place_is_a_row_of_its_own(lan: Lan) -> None:
    """And the old one is known again where it comes back."""
    old = lan.camera(11, "onvif-device")
    name_them(lan, {"Old": old})
    old.leave()
    new = lan.camera(11, "onvif-device")
    (refused,) = lan.secure(new.address, status=1)
    assert refused["error"]["code"] == "device-changed", refused
    lan.secure(new.address, "--new-device")
    (mine,) = (name for name in rows(lan) if name != "Old (before)")
    lan.camlock("device", "name", mine, "New")
    (left,) = have_padlocks(lan, {"New": new}, renewed=False)
    assert left["name"] == "Old (before)" and left["left_at"], left

    old.take(at(21))
    lan.secure(old.address)
    assert [row["name"] for row in have_padlocks(lan, {"Old": old})] == ["New"]
    assert [row["name"] for row in have_padlocks(lan, {"New": new}, renewed=False)] == ["Old"]


def test_ten_cameras_are_ten_rows(lan: Lan) -> None:
    """Also those with two ports, of which only one speaks; found first, then secured under the address."""
    models = [
        "onvif-security", "onvif-device", "pem-page", "axis", "hanwha", "bosch", "mobotix", "reolink", "uniview", "onvif-device",
    ]  # fmt: skip
    cameras = [lan.camera(host, model) for host, model in enumerate(models, 11)]
    addresses = {camera.address for camera in cameras}
    for _ in range(2):
        found = lan.camlock("find", f"{at(11)}-{at(20)}")
        assert {device["target"] for device in found} == addresses and len(found) == len(addresses), found
    assert {tuple(row["addresses"]) for row in lan.camlock("list")} == {(address,) for address in addresses}
    outcomes = lan.secure(*addresses, "--yes")
    assert all(outcome["verdict"] == "secure" for outcome in outcomes), outcomes
    found = lan.camlock("find", f"{at(11)}-{at(20)}")
    assert {device["target"] for device in found} == addresses and len(found) == len(addresses), found
    after = lan.camlock("list")
    assert sorted(row["addresses"] for row in after) == sorted([address] for address in addresses), after
    assert all(row["verdict"] == "secure" for row in after)
    assert all(seen["verdict"] == "secure" for seen in lan.camlock("check", "--all"))


def test_five_cameras_behind_one_hardware_address_are_five(lan: Lan) -> None:
    """A router that answers ARP for the whole network, so that all have its hardware address."""
    router = lan.router()
    cameras = {f"Camera {host}": lan.camera(host, "onvif-device", router=router) for host in range(11, 16)}
    found = lan.camlock("find", NETWORK + ".0/24")
    assert [device["target"] for device in found] == [camera.address for camera in cameras.values()], found
    assert {device["mac"] for device in found} == {router.mac}
    name_them(lan, cameras)
    assert not have_padlocks(lan, cameras, renewed=False)
    rotate(cameras)
    lan.secure("--all")
    assert not have_padlocks(lan, cameras)


# Hears everything that it is told, on each of these ports, and asks for the password as it is.
LISTENER = """
import http.server, ssl, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def hear(self):
        told = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open("heard", "ab") as heard:
            heard.write(self.requestline.encode() + str(self.headers).encode() + told)
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="camera"')
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST = do_PUT = hear
for port in sys.argv[1:]:
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(port)), Page)
    if port == "443":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain("certificate.pem", "key.pem")
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()
print('"ready"', flush=True)
"""


def listener(lan: Lan, *ports: int) -> Device:
    """An impostor that writes down what it is told; it has no address yet."""
    device = lan.device()
    folder = device.space.folder
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Camera"),
        *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
    )
    device.start(sys.executable, "-c", LISTENER, *ports)
    return device


def nothing_is_signed_in_to(lan: Lan, address: str, codes: set[str], *more: str) -> None:
    """Whatever the operator runs, but for `--new-device`, it fails so and sends nothing secret over plain HTTP."""
    with lan.captured() as capture:
        for word in [address, *more]:
            (refused,) = lan.secure(word, "--yes", status=1)
            assert refused["error"]["code"] in codes, (word, refused)
            assert not refused["url"] and refused["verdict"] != "secure"
        found = lan.camlock("find", address, *lan.user())
    assert plain_logins(capture) == 0
    assert [device["serial_number"] for device in found if device["driver"]] in ([], [None]), found
    if codes == {"device-changed"}:
        assert found[0]["changed"]["code"] == "device-changed", found


@pytest.mark.parametrize("model", ["onvif-device", "reolink"])
@pytest.mark.parametrize("impostor", ["its maker's, plain", "its maker's", "listening, plain", "listening"])
def test_an_impostor_at_the_address_of_a_camera_that_is_off_learns_nothing(
    lan: Lan, model: str, impostor: str
) -> None:
    """And the camera is as it was when it is back."""
    camera = lan.camera(11, model)
    name_them(lan, {"Gate": camera})
    address = camera.address
    camera.leave()
    other: Device
    match impostor:
        case "its maker's, plain":
            other = lan.camera(11, "onvif-device")
        case "its maker's":
            other = lan.camera(11, model, "--factory-certificate")
        case "listening, plain":
            other = listener(lan, 80)
        case _:
            other = listener(lan, 80, 443)
    if not other.address:
        other.take(address)
    nothing_is_signed_in_to(lan, address, {"device-changed"}, "--all", f"http://{address}", f"{address}:80")
    if impostor.startswith("listening"):
        heard = (other.space.folder / "heard").read_bytes()
        # It was asked who it is.
        assert b"GetSystemDateAndTime" in heard
        assert not SECRET.search(heard)
    assert set(rows(lan)) == {"Gate"}

    other.leave()
    camera.take(address)
    lan.secure(address)
    assert not have_padlocks(lan, {"Gate": camera}, renewed=False)


@pytest.mark.parametrize(
    ("model", "wall"),
    [("onvif-device", "rejects"), ("onvif-security", "rejects"), ("reolink", "rejects"), ("onvif-device", "drops")],
)
def test_a_firewall_before_https_brings_nobody_to_plain_http(lan: Lan, model: str, wall: str) -> None:
    """Port 443 is blocked and port 80 is not: that is no change, and no way in."""
    camera = lan.camera(11, model)
    name_them(lan, {"Gate": camera})
    # A rule of routing, which needs no further program.
    space, rule = {
        "drops": (camera.space, "ipproto tcp sport 443 blackhole"),
        "rejects": (lan.nas, "ipproto tcp dport 443 prohibit"),
    }[wall]
    space.ip(f"rule add {rule}")
    # Nobody answers and nobody refuses: that takes long each time.
    more = [] if wall == "drops" else ["--all", f"http://{camera.address}"]
    nothing_is_signed_in_to(lan, camera.address, {"timed-out", "no-connection"}, *more)
    space.ip(f"rule del {rule}")
    lan.secure(camera.address)
    assert not have_padlocks(lan, {"Gate": camera}, renewed=False)
