"""What real Chromium says: of the cameras before and after, and of Camlock's own page."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chromium import Chromium, Visit
from conftest import FULL, Site, StartCamera
from openssl import TestAuthority, openssl
from processes import program, running

NO_ROOT = "net::ERR_CERT_AUTHORITY_INVALID"


@pytest.fixture(scope="module")
def stranger() -> Iterator[Chromium]:
    """A browser that trusts no root of ours."""
    with Chromium() as browser:
        yield browser


def assert_secure(visit: Visit) -> None:
    """"Connection is secure", no error page, and nothing that the browser has to say against it."""
    assert (visit.error, visit.state, visit.issues) == (None, "secure", []), visit


PAGE = """<!doctype html><title>Test</title><script>console.error("said so")</script>
<img src="https://elsewhere.example/a.png"><script>nothing.there()</script>"""


@contextmanager
def web_server(certificate: Path, key: Path) -> Iterator[int]:
    """An https server of Python's on loopback with one bad page; its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((PAGE if self.path == "/bad" else "<!doctype html><title>Test</title>").encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_the_browser_tells_good_from_bad(stranger: Chromium, tmp_path: Path) -> None:
    """The judge works without Camlock: it says yes and no, and sees a page's errors and its foreign requests."""
    authority = TestAuthority(tmp_path)
    key, request, leaf = tmp_path / "leaf.key", tmp_path / "request.pem", tmp_path / "leaf.pem"
    openssl(
        *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x"),
        *("-keyout", key, "-out", request),
    )
    authority.sign(request, leaf)
    with web_server(leaf, key) as port, Chromium([authority.root]) as browser:
        good = browser.visit(f"https://127.0.0.1:{port}/")
        assert_secure(good)
        assert good.certificate["issuer"] == "Outside tests"
        assert (good.console, good.foreign_requests()) == ([], [])

        bad = browser.visit(f"https://127.0.0.1:{port}/bad")
        assert any("said so" in line for line in bad.console), bad.console
        assert any("Uncaught" in line for line in bad.console), bad.console
        assert bad.foreign_requests() == ["https://elsewhere.example/a.png"]

        # The certificate is for the address alone.
        other_name = browser.visit(f"https://localhost:{port}/")
        assert other_name.error == "net::ERR_CERT_COMMON_NAME_INVALID"
        assert other_name.state == "insecure-broken"
        assert stranger.visit(f"https://127.0.0.1:{port}/").error == NO_ROOT


def test_the_demo_ends_in_padlocks(stranger: Chromium, tmp_path: Path) -> None:
    """Each camera of `camlock demo`, and Camlock's own page: secure with the root, refused without it."""
    count = 30 if FULL else 3
    with running([program("camlock"), "demo", "--cameras", str(count), "--json"], tmp_path) as demo:
        shown = demo.first_document(120)
        assert len(shown["cameras"]) == count
        with Chromium([Path(shown["root"])]) as browser:
            for camera in shown["cameras"]:
                assert (camera["before"], camera["after"]) == ("not-secure", "secure"), camera
                assert_secure(browser.visit(camera["url"]))
                assert stranger.visit(camera["url"]).error == NO_ROOT
            page = browser.visit(shown["page"])
            assert_secure(page)
            assert (page.console, page.foreign_requests()) == ([], [])


@pytest.mark.parametrize("model", ["onvif-security", "onvif-device", "pem-page"])
def test_a_camera_given_by_address(
    stranger: Chromium, start_camera: StartCamera, site: Site, tmp_path: Path, model: str
) -> None:
    """Before: plain http, and nothing that the browser would call secure. After `camlock secure`: secure."""
    camera = start_camera(model)
    before = stranger.visit(camera["http"])
    assert (before.error, before.certificate) == (None, {})
    assert before.state != "secure"

    (outcome,) = site.secure(camera)
    assert outcome["verdict"] == "secure"
    assert [step["state"] for step in outcome["steps"]] == ["done"] * 8
    expected = "none" if model == "onvif-security" else "throw-away-tls"
    assert outcome["key_transport"] == expected
    with Chromium([site.root]) as browser:
        assert_secure(browser.visit(outcome["url"]))
    assert stranger.visit(outcome["url"]).error == NO_ROOT
