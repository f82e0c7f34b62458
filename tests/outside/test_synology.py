"""A NAS with Synology DSM as a device: the real programs, judged by OpenSSL and by a client of DSM's Web API."""

import contextlib
import io
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from conftest import Site, StartCamera
from openssl import openssl, served_certificate
from processes import run, wait_for
from synology_api.base_api import BaseApi
from synology_api.core_certificate import Certificate
from synology_api.exceptions import SynoConnectionError

WithClient = Callable[[dict[str, Any], Path], Certificate]


def port(nas: dict[str, Any]) -> int:
    """The port of its own page over HTTPS."""
    found = urlsplit(nas["https"]).port
    assert found
    return found


def secure(site: Site, nas: dict[str, Any], *options: str, status: int = 0) -> Any:
    """`camlock secure` over HTTPS, by an operator who agrees to show the password; its one outcome."""
    (outcome,) = site.secure({**nas, "http": nas["https"]}, "--yes", *options, status=status)
    return outcome


@pytest.fixture
def log_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[WithClient]:
    """Logs a client in that believes in one certificate authority; it keeps one session for the whole process."""
    monkeypatch.setattr(BaseApi, "shared_session", None)

    def log_in(nas: dict[str, Any], root: Path) -> Certificate:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(root))
        return Certificate(
            "127.0.0.1", str(port(nas)), nas["user"], nas["password"], True, True, dsm_version=6, debug=False
        )

    yield log_in


def listed(client: Certificate) -> list[dict[str, Any]]:
    """What the NAS keeps."""
    told = client.list_cert()
    found: list[dict[str, Any]] = told["data"]["certificates"]  # type: ignore[index, assignment]
    return found


@pytest.mark.parametrize("tiers", [[], ["--two-tier"]])
def test_a_nas_is_secured_and_renewed(
    tmp_path: Path, start_camera: StartCamera, log_in: WithClient, tiers: list[str]
) -> None:
    site = Site(tmp_path / "house", "p256", *tiers)
    nas = start_camera("synology")
    serials = []
    for _ in range(2):
        outcome = secure(site, nas)
        assert (outcome["driver"], outcome["verdict"], outcome["key_transport"]) == ("synology", "secure", "pinned-tls")
        serials.append(outcome["serial"])
        judged = run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port(nas)}", "-CAfile", site.root]
            + ["-verify_ip", "127.0.0.1", "-verify_return_error", "-showcerts"],
            site.home,
            stdin=b"",
        )
        assert judged.returncode == 0, judged.stderr
        # The issuer below the root comes along, and the root does not.
        assert judged.stdout.count("BEGIN CERTIFICATE") == 1 + len(tiers)
        served = ssl.DER_cert_to_PEM_cert(served_certificate(port(nas), site.root))
        (serial,) = openssl("x509", "-noout", "-serial", stdin=served.encode()).split("=")[1:]
        assert int(serial, 16) == int(outcome["serial"], 16)
        site.age(20)
    assert len(set(serials)) == 2

    client = log_in(nas, site.root)
    factory, ours = listed(client)
    assert ours["is_default"] and not factory["is_default"]
    assert ours["desc"].startswith("camlock-")
    assert [service["display_name"] for service in ours["services"]] == ["DSM Desktop Service"]
    assert [service["display_name"] for service in factory["services"]] == ["FTPS"]


def test_what_the_operator_binds_stays_bound(site: Site, start_camera: StartCamera, log_in: WithClient) -> None:
    nas = start_camera("synology")
    secure(site, nas)
    client = log_in(nas, site.root)
    ours = listed(client)[1]["id"]
    with contextlib.redirect_stdout(io.StringIO()):
        client.set_certificate_for_service(ours, "FTPS")
    site.age(20)
    secure(site, nas)
    factory, renewed = listed(client)
    assert renewed["id"] == ours
    assert (len(factory["services"]), len(renewed["services"])) == (0, 2)


def test_another_client_puts_its_own_certificate_in(
    site: Site, start_camera: StartCamera, log_in: WithClient, tmp_path: Path
) -> None:
    """The simulated NAS is one to a program that was written for real ones; and what that program left there stays."""
    nas = start_camera("synology")
    secure(site, nas)
    client = log_in(nas, site.root)
    key, own = tmp_path / "own.key", tmp_path / "own.pem"
    openssl(*("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", own, "-subj", "/CN=own"))
    status, said = client.upload_cert(str(key), str(own), desc="own", set_as_default=True)
    assert (status, said["success"]) == (200, True)

    def is_shown() -> bool | None:
        # Its web server starts again after an import, at a moment of its own.
        with contextlib.suppress(SynoConnectionError, requests.ConnectionError, OSError):
            pem = ssl.get_server_certificate(("127.0.0.1", port(nas)))
            if "CN=own" in openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", stdin=pem.encode()):
                return True
            client.set_certificate_for_service(next(kept["id"] for kept in listed(client) if kept["desc"] == "own"))
        return None

    wait_for("the other certificate", 20, is_shown)
    # By its key it is another device now, until the operator says so.
    assert secure(site, nas, status=1)["error"]["code"] == "device-changed"
    # It is the default now, and no renewal of ours: it stays beside the new one, and the earlier one of ours goes.
    secure(site, nas, "--new-device")
    BaseApi.shared_session = None
    kept = listed(log_in(nas, site.root))
    assert [one["desc"] for one in kept][:2] == ["", "own"]
    assert len(kept) == 3 and kept[2]["is_default"]


def test_what_fails_is_as_it_was(site: Site, start_camera: StartCamera) -> None:
    nas = start_camera("synology", "--fault", "drops-upload")
    before = ssl.get_server_certificate(("127.0.0.1", port(nas)))
    outcome = secure(site, nas, status=1)
    assert outcome["error"]["code"] == "connection-lost"
    assert not [found for found in outcome["findings"] if found["code"] == "not-put-back"]
    assert ssl.get_server_certificate(("127.0.0.1", port(nas))) == before


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [("second-factor", "second-factor", "administrators"), ("no-administrator", "not-allowed", "administrator")],
)
def test_an_account_that_is_of_no_use_is_told_why(
    site: Site, start_camera: StartCamera, fault: str, code: str, words: str
) -> None:
    outcome = secure(site, start_camera("synology", "--fault", fault), status=1)
    assert outcome["error"]["code"] == code
    assert words in outcome["error"]["fix"]


def test_over_plain_http_nothing_is_said(site: Site, start_camera: StartCamera) -> None:
    (outcome,) = site.secure(start_camera("synology"), status=1)
    assert outcome["error"]["code"] == "password-in-clear"
