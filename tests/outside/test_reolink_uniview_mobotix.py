"""The makers' drivers: the real programs, judged by OpenSSL, by Python's TLS and by a client of Reolink's API."""

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from conftest import Site, StartCamera
from processes import program, run
from reolink_aio.api import Host
from reolink_aio.exceptions import LoginError

# Which address the driver wants, and how the key goes there.
MODELS = [("reolink", "https", "pinned-tls"), ("uniview", "http", "throw-away-tls"), ("mobotix", "https", "pinned-tls")]


def port(url: str) -> int:
    """The port of an address."""
    found = urlsplit(url).port
    assert found
    return found


def secure(site: Site, camera: dict[str, Any], scheme: str, *options: str, status: int = 0) -> Any:
    """`camlock secure` over the address of that scheme; its one outcome."""
    (outcome,) = site.secure({**camera, "http": camera[scheme]}, *options, status=status)
    return outcome


def codes(outcome: dict[str, Any]) -> set[str]:
    """What was found."""
    return {finding["code"] for finding in outcome["findings"]}


@pytest.mark.parametrize(("model", "scheme", "transport"), MODELS)
def test_a_maker_s_camera_is_secured_and_renewed(
    site: Site, start_camera: StartCamera, model: str, scheme: str, transport: str
) -> None:
    camera = start_camera(model)
    serials = set()
    for expected in (transport, "pinned-tls"):
        outcome = secure(site, camera, scheme, "--yes")
        assert (outcome["driver"], outcome["verdict"]) == (model, "secure")
        assert outcome["key_transport"] == expected
        assert "driver-unproven" in codes(outcome)
        serials.add(outcome["serial"])

        context = ssl.create_default_context(cafile=str(site.root))
        with (
            socket.create_connection(("127.0.0.1", port(camera["https"])), 10) as tcp,
            context.wrap_socket(tcp, server_hostname="127.0.0.1") as tls,
        ):
            served = tls.getpeercert()
        assert served and int(served["serialNumber"], 16) == int(outcome["serial"], 16)
        judged = run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port(camera['https'])}", "-CAfile", site.root]
            + ["-verify_ip", "127.0.0.1", "-verify_return_error", "-brief"],
            site.home,
            stdin=b"",
        )
        assert judged.returncode == 0, judged.stderr
        site.age(20)
    assert len(serials) == 2


@pytest.mark.parametrize("model", ["reolink", "mobotix"])
def test_plain_http_is_refused_with_the_way_out(site: Site, start_camera: StartCamera, model: str) -> None:
    camera = start_camera(model)
    outcome = secure(site, camera, "http", "--yes", status=1)
    assert outcome["error"]["code"] == "password-in-clear"
    assert "https://127.0.0.1" in outcome["error"]["fix"]


def test_a_restart_is_told_before_it_happens(site: Site, start_camera: StartCamera) -> None:
    camera = start_camera("mobotix")
    before = ssl.get_server_certificate(("127.0.0.1", port(camera["https"])))
    outcome = secure(site, camera, "https", status=1)
    assert outcome["error"]["code"] == "would-overwrite"
    assert {"restarts", "one-slot"} <= codes(outcome)
    assert ssl.get_server_certificate(("127.0.0.1", port(camera["https"]))) == before


def test_a_fault_that_a_model_cannot_have_is_refused(tmp_path: Any) -> None:
    refused = run([program("camera-sim"), "reolink", "--fault", "short-nonces"], tmp_path)
    assert refused.returncode != 0
    assert "short-nonces" in refused.stderr


def with_client(camera: dict[str, Any], context: ssl.SSLContext, password: str, act: Callable[[Host], Any]) -> Any:
    """What comes of `act` with a client of Reolink's API, which verifies the camera by `context`."""

    async def inside() -> Any:
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            host = Host(
                "127.0.0.1",
                camera["user"],
                password,
                port=port(camera["https"]),
                use_https=True,
                aiohttp_get_session_callback=lambda: session,
            )
            return await act(host)

    return asyncio.run(asyncio.wait_for(inside(), 60))


def test_a_client_of_its_api_knows_the_simulated_reolink(site: Site, start_camera: StartCamera) -> None:
    camera = start_camera("reolink")
    secure(site, camera, "https", "--yes")
    context = ssl.create_default_context(cafile=str(site.root))

    async def look(host: Host) -> tuple[str, str | None]:
        await host.login()
        for command in ("GetDevInfo", "GetNetPort"):
            await host.get_state(command)
        seen = (host.model, host.sw_version)
        # Goes back to the device whole, as the driver does it; the sessions end.
        await host.set_net_port(enable_rtsp=True)
        await host.logout()
        return seen

    model, version = with_client(camera, context, camera["password"], look)
    assert model == "Simulated RLC"
    assert version and version.startswith("v3.")

    async def fail(host: Host) -> None:
        with pytest.raises(LoginError):
            await host.login()

    with_client(camera, context, "open barley", fail)


def test_what_needs_a_login_is_refused_without(start_camera: StartCamera) -> None:
    camera = start_camera("reolink")
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection("127.0.0.1", port(camera["https"]), timeout=10, context=context)
    body = json.dumps([{"cmd": "CertificateClear", "action": 0, "param": {}}])
    connection.request("POST", "/cgi-bin/api.cgi?cmd=CertificateClear&token=0", body)
    (reply,) = json.loads(connection.getresponse().read())
    connection.close()
    assert (reply["code"], reply["error"]["rspCode"]) == (1, -6)
