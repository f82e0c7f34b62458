"""Cameras that speak their makers' own dialects, secured by the real program and judged by OpenSSL and Python."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request

import pytest
from cryptography import x509
from lxml import etree

from conftest import Site, StartCamera
from openssl import openssl, served_certificate

SOAP = "http://www.w3.org/2003/05/soap-envelope"
AWEB = "http://www.axis.com/vapix/ws/webserver"
ACERT = "http://www.axis.com/vapix/ws/cert"


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def ask(camera: dict[str, Any], site: Site, path: str, body: bytes | None = None) -> bytes:
    """A request over the new HTTPS, whose certificate must be good, with whatever the camera asks for."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, camera["https"], camera["user"], camera["password"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(site.root))),
        urllib.request.HTTPDigestAuthHandler(passwords),
        urllib.request.HTTPBasicAuthHandler(passwords),
    )
    with opener.open(Request(camera["https"] + path, data=body), timeout=10) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize(("model", "transport"), [("axis", "none"), ("hanwha", "throw-away-tls")])
def test_its_page_is_good_for_others(
    site: Site, start_camera: StartCamera, tmp_path: Path, model: str, transport: str
) -> None:
    camera = start_camera(model)
    port = port_of(camera["https"])
    serials = set()
    for round_ in range(2):
        (outcome,) = site.secure(camera, *(["--disable-http"] if round_ else []))
        assert (outcome["verdict"], outcome["driver"]) == ("secure", model)
        assert outcome["key_transport"] == (transport if round_ == 0 or transport == "none" else "pinned-tls")
        certificate = served_certificate(port, site.root)
        (tmp_path / "served.pem").write_text(ssl.DER_cert_to_PEM_cert(certificate))
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", site.root, tmp_path / "served.pem")
        said = openssl(
            *("s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", site.root),
            *("-verify_return_error", "-verify_ip", "127.0.0.1"),
        )
        assert "Verify return code: 0 (ok)" in said
        serials.add(x509.load_der_x509_certificate(certificate).serial_number)
        site.age(10)
    assert len(serials) == 2
    with pytest.raises(urllib.error.URLError):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(camera["http"], timeout=10)


def test_what_axis_says_of_itself(site: Site, start_camera: StartCamera) -> None:
    """One certificate is left on the camera, and the web server names it."""
    camera = start_camera("axis")
    site.secure(camera)
    found = json.loads(ask(camera, site, "/config/rest/cert/v1/certificates"))
    (entry,) = found["data"]
    assert ssl.PEM_cert_to_DER_cert(entry["certificate"]) == served_certificate(
        port_of(camera["https"]), site.root
    )

    envelope = etree.Element(f"{{{SOAP}}}Envelope")
    etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{AWEB}}}GetWebServerTlsConfiguration")
    answer = etree.fromstring(ask(camera, site, "/vapix/services", etree.tostring(envelope)))
    (configuration,) = answer.iterfind(f".//{{{AWEB}}}Configuration")
    assert configuration.findtext(f"{{{AWEB}}}Tls") == "true"
    assert configuration.findtext(f".//{{{AWEB}}}Admin") == "HttpAndHttps"
    assert [e.text for e in configuration.iterfind(f".//{{{ACERT}}}Id")] == [entry["alias"]]


def test_what_hanwha_says_of_itself(site: Site, start_camera: StartCamera) -> None:
    camera = start_camera("hanwha", "--factory-certificate")
    site.secure(camera)
    text = ask(camera, site, "/stw-cgi/security.cgi?msubmenu=ssl&action=view").decode()
    said = dict(line.split("=", 1) for line in text.splitlines())
    assert said["Policy"] == "HTTPandHTTPSPublic"
    assert said["CertificateInUse"] == said["PublicCertificateName"]
    assert said["CertificateInUse"].isalnum() and said["CertificateInUse"].startswith("camlock")
