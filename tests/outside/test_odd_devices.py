"""Cameras that answer oddly are found, signed in to and spoken to all the same, and no right password is called wrong."""

from pathlib import Path

import pytest

import odd_camera
from conftest import Site, keep
from odd_camera import JPEG, PASSWORD, USER, Camera, LocksTheUserOut, LoginForAll, TokenOnly, served

KINDS = [Camera, *Camera.__subclasses__(), *TokenOnly.__subclasses__()]


@pytest.fixture
def as_user(tmp_path: Path) -> list[str | Path]:
    """The options that name the user."""
    password = tmp_path / "password"
    keep(password, PASSWORD + "\n")
    return ["--user", USER, "--password-file", password]


@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_camera_is_a_camera(
    kind: type[Camera], site: Site, tmp_path: Path, as_user: list[str | Path]
) -> None:
    """Found with its model and its picture; `secure` comes as far as to the device's own refusal: it has no HTTPS."""
    camera = kind()
    pictures = tmp_path / "pictures"
    with served(camera) as port:
        target = f"127.0.0.1:{port}"
        found = site.camlock("find", target, *as_user, "--pictures", pictures)[0]
        outcome = site.camlock("secure", target, *as_user, "--yes", status=1)[0]
    told = (found["driver"], found["manufacturer"], found["model"], found["firmware"])
    assert told == ("onvif-device", "IPCAM", "C-1", "1.0"), found
    assert found["reason"] is None
    if not issubclass(kind, TokenOnly):
        assert [file.read_bytes() for file in pictures.iterdir()] == [JPEG], found["sign_in"]
    assert outcome["error"]["code"] == "refused", outcome["error"]
    assert "LoadCertificateWithPrivateKey" in outcome["error"]["text"], outcome["error"]
    assert camera.refused == 0


def test_every_kind_is_tried() -> None:
    """None is forgotten above."""
    all_kinds = [one for one in vars(odd_camera).values() if isinstance(one, type) and issubclass(one, Camera)]
    assert {*KINDS, LocksTheUserOut} == set(all_kinds)


def test_a_user_who_is_refused_on_the_way_back_is_not_tried_again(site: Site, as_user: list[str | Path]) -> None:
    """Not in that run, and not under another name of the same device."""
    camera = LocksTheUserOut()
    with served(camera) as port:
        targets = [f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/"]
        outcomes = site.camlock("secure", *targets, *as_user, "--yes", status=1)
    assert camera.known is not None and camera.refused == 1, outcomes
    assert outcomes[1]["error"]["code"] == "refused-before", outcomes[1]


def test_find_says_what_it_would_need(site: Site) -> None:
    """Without a user nothing is known of a camera that tells strangers nothing."""
    with served(LoginForAll()) as port:
        found = site.camlock("find", f"127.0.0.1:{port}")[0]
    assert found["driver"] is None
    assert found["reason"]["code"] == "tells-users-only"
    assert f"camlock find 127.0.0.1:{port} --user" in found["reason"]["fix"]
