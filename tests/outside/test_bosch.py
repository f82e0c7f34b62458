"""A camera that speaks RCP+, secured by the real program and judged by OpenSSL, by Python and by its own words."""

import base64
import ssl
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from conftest import Site, StartCamera
from cryptography import x509
from openssl import openssl, served_certificate

HTTPS_USAGE = "0x0BF2&type=P_OCTET&direction=READ&num=1&payload=0x0008000000000000"
LIST = "0x0BEB&type=P_OCTET&direction=READ&num=1"


def rcp(camera: dict[str, Any], site: Site, command: str) -> bytes:
    """What an RCP+ command answers over the new HTTPS, whose certificate must be good."""
    request = urllib.request.Request(f"{camera['https']}/rcp.xml?command={command}")
    pair = base64.b64encode(f"{camera['user']}:{camera['password']}".encode()).decode()
    request.add_header("Authorization", f"Basic {pair}")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(site.root))),
    )
    with opener.open(request, timeout=10) as answer:
        text = answer.read().decode()
    return bytes.fromhex(text.split("<str>")[1].split("</str>")[0])


def test_its_page_is_good_for_others(site: Site, start_camera: StartCamera) -> None:
    camera = start_camera("bosch")
    port = urlsplit(camera["https"]).port
    assert port
    serials, names = set(), set()
    for _ in range(2):
        (outcome,) = site.secure({**camera, "http": camera["https"]}, "--yes")
        assert (outcome["verdict"], outcome["driver"]) == ("secure", "bosch")
        assert outcome["key_transport"] == "none"
        assert "driver-unproven" in {finding["code"] for finding in outcome["findings"]}
        certificate = x509.load_der_x509_certificate(served_certificate(port, site.root))
        # Its request names no address.
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert "127.0.0.1" in {str(address) for address in san.get_values_for_type(x509.IPAddress)}
        said = openssl(
            *("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", site.root),
            *("-verify_return_error", "-verify_ip", "127.0.0.1"),
        )
        assert "Verify return code: 0 (ok)" in said
        serials.add(certificate.serial_number)

        usage = rcp(camera, site, HTTPS_USAGE)
        assert usage[:12] == bytes.fromhex("0008000000000000") + len(usage[8:]).to_bytes(2, "big") + b"\0\1"
        name = usage[12:]
        assert name.startswith(b"camlock-")
        listed = rcp(camera, site, LIST)
        assert listed.count(b"camlock-") == 1 and name in listed and b"factory" in listed
        names.add(name)
        site.age(20)
    assert len(serials) == len(names) == 2


def test_plain_http_is_refused_with_the_way_out(site: Site, start_camera: StartCamera) -> None:
    camera = start_camera("bosch")
    (outcome,) = site.secure(camera, status=1)
    assert outcome["error"]["code"] == "password-in-clear"
    assert "https://127.0.0.1" in outcome["error"]["fix"]
