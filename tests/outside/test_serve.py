"""`camlock serve` as its users meet it: the site's page, the trust page, locked and unlocked, and its end."""

import json
import re
import signal
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chromium import Chromium
from conftest import Site, StartCamera, keep
from processes import Running, program, run, running, wait_for


class Service:
    """A running `camlock serve` and where it says that it is."""

    def __init__(self, running: Running) -> None:
        self.running = running
        started = wait_for("the service", 20, self._started)
        self.page: str = started["page"]
        self.trust: str = started["trust"]
        self.code: str = started["code"]

    def log(self) -> list[dict[str, Any]]:
        """Every line of the log, each one JSON object."""
        return [json.loads(line) for line in self.running.talk.read_text().splitlines()]

    def _started(self) -> dict[str, Any] | None:
        assert self.running.process.poll() is None, self.running.said()
        lines = self.running.talk.read_text().splitlines(keepends=True)
        whole = [json.loads(line) for line in lines if line.endswith("\n")]
        return next((line for line in whole if line["code"].startswith("serving")), None)

    def get(self, url: str, root: Path | None = None) -> tuple[int, str]:
        """Status and body of one GET."""
        context = ssl.create_default_context(cafile=str(root)) if root else None
        try:
            with urllib.request.urlopen(url, timeout=10, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def words(site: Site, *more: str | Path, built: Path | None = None) -> list[str | Path]:
    """The command, with ports chosen by the system."""
    listen = ["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]
    return [built or program("camlock"), "--data", site.home / "data", "serve", *listen, *more]


@contextmanager
def service(site: Site, name: str, *more: str | Path, built: Path | None = None) -> Iterator[Service]:
    """The service for the length of a `with`."""
    with running(words(site, *more, built=built), site.home / name) as started:
        yield Service(started)


def test_locked_it_shows_all_and_issues_nothing(site: Site, start_camera: StartCamera) -> None:
    """The page as a browser that trusts the root sees it; what the ledger holds, live."""
    with service(site, "service") as served, Chromium([site.root]) as browser:
        assert served.code == "serving-locked"
        for url, root in ((served.page, site.root), (served.trust, None)):
            status, text = served.get(f"{url}health", root)
            assert (status, json.loads(text)) == (200, {"locked": True})

        empty = browser.visit(served.page)
        assert (empty.error, empty.state, empty.issues, empty.console) == (None, "secure", [], [])
        assert "No cameras yet" in served.get(served.page, site.root)[1]

        # A command beside the service, with the passphrase: the page shows what it did.
        camera = start_camera("onvif-security", "--name", "Kapu & <b>")
        (outcome,) = site.secure(camera)
        assert outcome["verdict"] == "secure"
        text = served.get(served.page, site.root)[1]
        assert "1 of 1 camera secure" in text and outcome["url"] in text and "is locked" in text
        assert "Last verified" in text
        visit = browser.visit(served.page)
        assert (visit.state, visit.console, visit.foreign_requests()) == ("secure", [], [])

        # Over plain HTTP the root alone: nothing of the cameras, and nothing else is there.
        status, text = served.get(served.trust)
        assert status == 200 and outcome["url"] not in text and "trust your cameras" in text
        for url, root in ((served.page, site.root), (served.trust, None)):
            assert served.get(f"{url}root.pem", root)[1] == site.root.read_text()
        assert served.get(f"{served.trust}cameras")[0] == 404


def test_a_rollover_shows_without_a_restart(site: Site) -> None:
    """Both roots, each with its file and its commands; readable on a phone, and without a script as all pages are."""
    with service(site, "service") as served, Chromium([site.root]) as browser:
        alone = served.get(served.trust)[1]
        site.camlock("authority", "rollover", "--key", "p256")
        status, text = served.get(served.trust)
        assert status == 200 and "moving to a new root" in text and "moving to a new root" not in alone
        both = served.get(f"{served.trust}roots.pem")[1]
        pems = {served.get(served.trust + name)[1] for name in set(re.findall(r'href="/(root-\w+\.pem)"', text))}
        assert len(pems) == 2 and all(pem in both for pem in pems) and site.root.read_text() in pems
        assert served.get(f"{served.trust}root.pem")[1] == site.root.read_text()

        for url, state in ((served.page, "secure"), (served.trust, None)):
            visit = browser.visit(url)
            # The trust page tests whether the new root is there, and it is not.
            test = [f"{url.replace('http:', 'https:')}trust/proof.css"] if url == served.trust else []
            refused = ["Failed to load resource: net::ERR_CERT_AUTHORITY_INVALID"] * len(test)
            assert (visit.error, visit.console, visit.foreign_requests()) == (None, refused, test), visit
            assert state in (None, visit.state)
            for width in (320, 390, 1280):
                tab = browser.tab()
                tab.show_as(width, 900, "light")
                tab.visit(url)
                # What does not fit scrolls inside its own box, not the page.
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, (url, width)
                tab.close()

        # Locked, the page stays under the root that it was made under, and says so once; the roots are as they are.
        site.camlock("authority", "rollover", "--confirm")
        assert served.get(f"{served.trust}root.pem")[1] in pems - {site.root.read_text()}
        assert served.get(served.page, site.root)[0] == 200
    with service(site, "unlocked", "--passphrase-file", site.home / "passphrase") as served:
        moved = site.home / "moved.pem"
        site.camlock("trust", "export", "--out", moved)
        assert served.get(served.page, moved)[0] == 200
        assert "page-certificate-issued" in [line["code"] for line in served.log()]
        # Nothing depends on the old root: only the new one is shown.
        assert served.get(served.trust)[1].count("<span>") == alone.count("<span>")


def test_a_second_one_and_a_taken_port_are_refused(site: Site, tmp_path: Path) -> None:
    """One data directory, one service; the sentence says what to do."""
    with service(site, "service") as served:
        second = run(words(site), site.home / "second")
        assert second.returncode == 1 and "Another camlock serve" in second.stderr, second.stderr
        port = served.page.rsplit(":", 1)[1].strip("/")
        other = Site(tmp_path / "other")
        command = [program("camlock"), "--data", other.home / "data", "serve", "--listen", f"127.0.0.1:{port}"]
        taken = run(command, other.home / "home")
        assert taken.returncode == 3 and "--listen" in taken.stderr, taken.stderr


def test_unlocked_it_keeps_its_own_certificate_right(site: Site) -> None:
    """A page without a certificate gets one as soon as the authority is open, and needs it to begin locked."""
    (site.home / "data/page.pem").unlink()
    locked = run(words(site), site.home / "locked")
    assert locked.returncode == 2 and "--passphrase-file" in locked.stderr, locked.stderr
    with service(site, "unlocked", "--passphrase-file", site.home / "passphrase") as served:
        assert served.code == "serving"
        assert [line["code"] for line in served.log()] == ["page-certificate-issued", "serving"]
        assert json.loads(served.get(f"{served.page}health", site.root)[1]) == {"locked": False}
    assert (site.home / "data/page.pem").stat().st_mode & 0o777 == 0o600
    with service(site, "again") as served:
        assert served.get(served.page, site.root)[0] == 200

    keep(site.home / "wrong", "not it\n")
    wrong = run(words(site, "--passphrase-file", site.home / "wrong"), site.home / "home")
    assert wrong.returncode == 3 and "passphrase is wrong" in wrong.stderr, wrong.stderr
    nothing = run([program("camlock"), "--data", site.home / "nothing", "serve"], site.home / "home")
    assert nothing.returncode == 3 and "camlock init" in nothing.stderr, nothing.stderr


ASK = """
import socket, sys
for where in sys.argv[2:]:
    host, port = where.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 10, (sys.argv[1], 0)) as asked:
        try:
            asked.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
            print(asked.recv(12).decode() or "closed")
        except ConnectionError:
            print("closed")
"""


@pytest.mark.parametrize("is_public", [False, True])
def test_it_answers_the_house_alone(site: Site, is_public: bool) -> None:
    """In a network of its own, where this machine has an address of the internet, too."""
    addresses = 'for a in 192.0.2.7 10.1.2.3 100.64.0.9; do ip addr add $a/24 dev lo; done; ip link set lo up; exec "$@"'
    net = ["unshare", "--net", "--", "sh", "-c", addresses, "sh"]
    listen = ["--listen", "0.0.0.0:8443", "--http-listen", "0.0.0.0:8080", *(["--public"] if is_public else [])]
    command = [*net, program("camlock"), "--data", site.home / "data", "serve", *listen]
    with running(command, site.home / "service") as started:
        served = Service(started)
        inside = ["nsenter", f"--net=/proc/{started.process.pid}/ns/net", "--", sys.executable, "-c", ASK]

        def asked(address: str, *ports: int) -> list[str]:
            where = [f"{address}:{port}" for port in ports]
            return run([*inside, address, *where], site.home / "home").stdout.splitlines()

        for address in ("127.0.0.1", "10.1.2.3", "100.64.0.9"):
            assert asked(address, 8080) == ["HTTP/1.1 200"], address
        assert asked("192.0.2.7", 8080) == (["HTTP/1.1 200"] if is_public else ["closed"])
        if not is_public:
            assert asked("192.0.2.7", 8443, 8080, 8080) == ["closed"] * 3
        refused = [line for line in served.log() if line["code"] == "client-refused"]
        assert [line["address"] for line in refused] == ([] if is_public else ["192.0.2.7"])


@pytest.mark.parametrize("is_closed", [False, True])
def test_a_folder_for_backups_that_cannot_be_written_is_told_at_once(site: Site, is_closed: bool) -> None:
    """As systemd closes a service in: all but the data directory is there to be read alone."""
    folder = site.home / "our backups"
    folder.mkdir()
    (site.home / "data/policy.toml").write_text(f'[backup]\nfolder = "{folder}"\n')
    # There is one already, so that none is due.
    with service(site, "first") as served:
        wait_for("the backup", 20, lambda: "backup-written" in [line["code"] for line in served.log()] or None)
    read_only = 'mount --bind "$0" "$0"; mount -o remount,bind,ro "$0"; exec "$@"' if is_closed else 'exec "$@"'
    mounts = ["unshare", "--mount", "--", "sh", "-c", read_only, folder]
    with running([*mounts, *words(site)], site.home / "closed") as started:
        served = Service(started)

        def told() -> list[dict[str, Any]] | None:
            return [line for line in served.log() if line["code"] == "backup-folder"] or None

        if is_closed:
            (line,) = wait_for("the warning", 20, told) or []
            assert f'ReadWritePaths="{folder}"' in line["fix"] and "Read-only" in line["text"], line
        else:
            assert served.get(served.page, site.root)[0] == 200 and told() is None
    assert [path.suffix for path in folder.iterdir()] == [".age"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked(site: Site, sign: signal.Signals) -> None:
    """At once, with 0, and its last line says so; the database needs no repair."""
    with service(site, "service") as served:
        served.running.process.send_signal(sign)
        assert served.running.process.wait(5) == 0
        log = served.log()
        assert log[-1]["code"] == "stopping" and all({"time", "level", "text"} <= line.keys() for line in log)
    assert not (site.home / "data/camlock.db-wal").exists()


def test_while_nothing_happens_it_writes_nothing(site: Site) -> None:
    """The disks of a NAS want to sleep: also a page that is read changes no file."""
    with service(site, "service") as served:
        def written() -> tuple[str, dict[str, int]]:
            io = Path(f"/proc/{served.running.process.pid}/io").read_text()
            files = {str(f): f.stat().st_mtime_ns for f in sorted((site.home / "data").rglob("*"))}
            return next(line for line in io.splitlines() if line.startswith("write_bytes")), files

        served.get(served.page, site.root)
        before = written()
        for _ in range(20):
            assert served.get(served.page, site.root)[0] == 200
        assert written() == before
