"""The trust page in real browsers: not green before the root is installed, green after; and what it hands out."""

import hashlib
import json
import plistlib
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import Chromium
from conftest import Site
from firefox import Firefox
from processes import run
from test_serve import Service, service

GREEN = "getComputedStyle(document.querySelector('.proven')).display != 'none'"
NOT_YET = "getComputedStyle(document.querySelector('.not-yet')).display != 'none'"


@pytest.fixture
def short_home() -> Iterator[Path]:
    """A home for both browsers, which put sockets there: its path must be short."""
    with tempfile.TemporaryDirectory(prefix="browsers-", ignore_cleanup_errors=True) as home:
        yield Path(home)


@pytest.fixture
def served(site: Site) -> Iterator[Service]:
    """The service, locked."""
    with service(site, "service") as running:
        yield running


def in_chromium(browser: Chromium, url: str) -> bool:
    """Whether the page turned green; its own words and colours agree, and it asked nobody else."""
    tab = browser.tab()
    try:
        visit = tab.visit(url)
        # The one file of the test comes from the port of the trust page.
        assert {one.split("/trust/proof")[0] for one in visit.foreign_requests()} <= {url.replace("http:", "https:").rstrip("/")}, visit
        green = bool(tab.evaluate(GREEN))
        assert green != tab.evaluate(NOT_YET)
        blamed = [line for line in visit.console if "ERR_CERT_AUTHORITY_INVALID" not in line]
        assert (visit.error, blamed) == (None, []), visit
        return green
    finally:
        tab.close()


def in_firefox(browser: Firefox, url: str) -> bool:
    """The same in Firefox."""
    assert browser.visit(url) is None
    green = bool(browser.evaluate(GREEN))
    assert green != browser.evaluate(NOT_YET)
    return green


def download(served: Service, name: str, file: Path) -> Path:
    """A file of the trust page."""
    with urllib.request.urlopen(served.trust + name, timeout=10) as answer:
        file.write_bytes(answer.read())
    return file


def test_both_browsers_turn_green_by_the_script(site: Site, served: Service, short_home: Path) -> None:
    """Before, after `sh camlock-root.sh` in their home, and after its way back; each proof is counted once."""
    script = download(served, "root.sh", short_home / "camlock-root.sh")

    def browsers() -> tuple[bool, bool]:
        with Chromium(home=short_home) as chromium:
            green = in_chromium(chromium, served.trust)
        with Firefox(home=short_home) as firefox:
            return green, in_firefox(firefox, served.trust)

    assert browsers() == (False, False)
    assert site.camlock("authority", "show")["proven"] is None
    foreign = add_stranger(short_home)

    done = run(["sh", script], short_home)
    assert done.returncode == 0, done.stderr
    assert run(["sh", script], short_home).returncode == 0, "a second time does nothing more"
    assert browsers() == (True, True)
    assert site.camlock("authority", "show")["proven"]["computers"] == 1

    undone = run(["sh", script, "--remove"], short_home)
    assert undone.returncode == 0 and undone.stdout.count("removed from") == 2, undone
    assert browsers() == (False, False)
    for database in foreign:
        assert "stranger" in run(["certutil", "-d", f"sql:{database}", "-L"], short_home).stdout


@pytest.mark.parametrize("shell", ["sh", "bash", "busybox sh"])
def test_the_script_goes_on_after_a_profile_that_fails(served: Service, short_home: Path, shell: str) -> None:
    """One of three Firefox profiles has a primary password: it is told and left as it was, the others are served."""
    script = download(served, "root.sh", short_home / "camlock-root.sh")
    profiles = [short_home / ".mozilla/firefox" / name for name in ("aaa", "bbb", "ccc")]
    flatpak = short_home / ".var/app/org.chromium.Chromium"
    flatpak.mkdir(parents=True)
    secret = short_home / "secret"
    secret.write_text("a primary password\n")
    for profile in profiles:
        profile.mkdir(parents=True)
        locked = ["-f", secret] if profile.name == "bbb" else ["--empty-password"]
        assert run(["certutil", "-d", f"sql:{profile}", "-N", *locked], short_home).returncode == 0

    def held(database: Path) -> bool:
        listed = run(["certutil", "-d", f"sql:{database}", "-L"], short_home).stdout
        return "camlock-root" in listed

    words = [*shell.split(), script]
    done = run(words, short_home)
    assert done.returncode == 1 and "bbb" in done.stderr and "primary password" in done.stderr, done
    everywhere = [*profiles, flatpak / "data/pki/nssdb", short_home / ".local/share/pki/nssdb"]
    assert [held(database) for database in everywhere] == [True, False, True, True, True], done

    # The browser's old place appears, which it reads alone from then on; what is in the new one is removed all the same.
    old = short_home / ".pki/nssdb"
    old.mkdir(parents=True)
    assert run(["certutil", "-d", f"sql:{old}", "-N", "--empty-password"], short_home).returncode == 0
    undone = run([*words, "--remove"], short_home)
    assert undone.returncode == 0 and not any(map(held, everywhere)), undone
    again = run([*words, "--remove"], short_home)
    assert again.returncode == 0 and "in none of your browsers" in again.stdout, again

    by_sudo = run(["env", "SUDO_USER=somebody", *words], short_home)
    assert by_sudo.returncode == 1 and "without sudo" in by_sudo.stderr and not held(old), by_sudo


def add_stranger(home: Path) -> list[Path]:
    """Another root in each of the browsers' databases."""
    root, key = home / "stranger.pem", home / "stranger.key"
    made = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=stranger")
    assert run(["openssl", *made, "-keyout", key, "-out", root], home).returncode == 0
    databases = [home / ".local/share/pki/nssdb", home / ".mozilla/firefox/test.default"]
    for database in databases:
        add = ["certutil", "-d", f"sql:{database}", "-A", "-t", "C,,", "-n", "stranger", "-i", root]
        assert run(add, home).returncode == 0
    return databases


def test_both_browsers_turn_green_by_the_policies(served: Service, short_home: Path) -> None:
    """The policy files where the page says that they belong, in an /etc of the browsers' own."""
    etc = short_home / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore=shutil.ignore_patterns("shadow*", "gshadow*"))
    wrapper = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', etc)

    def browsers() -> tuple[bool, bool]:
        with Chromium(wrapper=wrapper) as chromium, Firefox(home=short_home, wrapper=wrapper) as firefox:
            return in_chromium(chromium, served.trust), in_firefox(firefox, served.trust)

    assert browsers() == (False, False)
    for folder in ("chromium/policies/managed", "firefox/policies"):
        (etc / folder).mkdir(parents=True, exist_ok=True)
    download(served, "chrome-policy.json", etc / "chromium/policies/managed/camlock.json")
    policies = download(served, "firefox-policies.json", etc / "firefox/policies/policies.json")
    (name,) = json.loads(policies.read_text())["policies"]["Certificates"]["Install"]
    certificates = short_home / ".mozilla/certificates"
    certificates.mkdir()
    download(served, name.removeprefix("camlock-"), certificates / name)
    assert browsers() == (True, True)


def test_the_certificate_of_the_test_is_its_own(site: Site, served: Service) -> None:
    """Whoever went on past the warning of the site's page has proven nothing; the test on that page works, too."""
    with Chromium([site.root]) as trusting:
        assert in_chromium_over_https(trusting, f"{served.page}trust") is True
        visit = trusting.visit(f"{served.page}trust/windows")
        assert (visit.state, visit.issues) == ("secure", []), visit
    with Firefox([site.root]) as firefox:
        assert in_firefox(firefox, f"{served.page}trust") is True
    with Chromium(options=["--ignore-certificate-errors-spki-list=" + page_key(site)]) as past_the_warning:
        assert in_chromium_over_https(past_the_warning, f"{served.page}trust") is False


def in_chromium_over_https(browser: Chromium, url: str) -> bool:
    tab = browser.tab()
    try:
        assert tab.visit(url).error is None
        return bool(tab.evaluate(GREEN))
    finally:
        tab.close()


def page_key(site: Site) -> str:
    """SHA-256 of the page's public key in base64, as Chromium takes it."""
    command = (
        f"openssl x509 -in {site.home}/data/page.pem -pubkey -noout | openssl pkey -pubin -outform der"
        " | openssl dgst -sha256 -binary | base64"
    )
    return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout.strip()


def test_a_rollover_is_proven_by_the_new_root_alone(site: Site, served: Service) -> None:
    """The service is locked all the time: the command brings the certificate for the test along."""
    with Chromium([site.root]) as old:
        assert in_chromium(old, served.trust) is True
        next_root = site.camlock("authority", "rollover", "--key", "p256")
        assert in_chromium(old, served.trust) is False
        assert site.camlock("authority", "show")["proven"] is None
        with urllib.request.urlopen(f"{served.trust}root-{next_root['sha256'][:16]}.pem", timeout=10) as answer:
            pem = site.home / "next.pem"
            pem.write_bytes(answer.read())
        with Chromium([site.root, pem]) as new:
            assert in_chromium(new, served.trust) is True
        assert site.camlock("authority", "show")["proven"]["computers"] == 1
        site.camlock("authority", "rollover", "--confirm")
        with Chromium([pem]) as moved:
            assert in_chromium(moved, served.trust) is True
        # What proved it is no device, and nothing depends on it.
        assert site.camlock("authority", "show")["old"] == []


def test_what_is_downloaded_is_the_root(site: Site, served: Service, tmp_path: Path) -> None:
    """Judged by OpenSSL, Python's plistlib and shellcheck."""
    der = download(served, "root.crt", tmp_path / "root.crt")
    pem = run(["openssl", "x509", "-inform", "der", "-in", der], tmp_path).stdout
    assert pem == site.root.read_text()
    sha256 = hashlib.sha256(der.read_bytes()).hexdigest()

    profile = plistlib.loads(download(served, "root.mobileconfig", tmp_path / "root.mobileconfig").read_bytes())
    (payload,) = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root" and payload["PayloadContent"] == der.read_bytes()
    subject = run(["openssl", "x509", "-inform", "der", "-in", der, "-noout", "-subject"], tmp_path).stdout
    assert profile["PayloadDisplayName"] in subject and "CN" in subject

    script = download(served, "root.sh", tmp_path / "root.sh")
    checked = run(["shellcheck", script], tmp_path)
    assert checked.returncode == 0, checked.stdout
    assert sha256 in script.read_text() and sha256 in download(served, "root.ps1", tmp_path / "ps1").read_text()
    # The command that the page shows reads the fingerprint out of the script.
    page = served.get(f"{served.trust}trust/linux")[1]
    (command,) = re.findall(r"<code>(sed -n .*sha256sum)</code>", page)
    command = command.replace("&#39;", "'").replace("~/Downloads/camlock-root.sh", str(script))
    assert run(["sh", "-c", command], tmp_path).stdout.split()[0] == sha256
    shown = re.search(r'<p class="print">(.*?)</p>', page, re.DOTALL)
    assert shown and re.sub(r"<[^>]+>|\s", "", shown[1]).lower() == sha256


def test_a_damaged_script_installs_nothing(served: Service, tmp_path: Path) -> None:
    """One letter of the certificate is another one."""
    script = download(served, "root.sh", tmp_path / "root.sh")
    text = script.read_text()
    begin = text.index("-----BEGIN CERTIFICATE-----") + 100
    script.write_text(text[:begin] + ("B" if text[begin] == "A" else "A") + text[begin + 1 :])
    done = run(["sh", script], tmp_path)
    assert done.returncode == 1 and "damaged" in done.stderr, done
    assert not (tmp_path / ".local").exists()


def test_the_system_part_of_the_script(served: Service, tmp_path: Path) -> None:
    """In a root of its own, with each system's folder; another certificate under the same name stays."""
    script = download(served, "root.sh", tmp_path / "root.sh").read_text()
    layouts = {
        "/etc/pki/ca-trust/source/anchors": ("pem", "update-ca-trust"),
        "/usr/local/share/ca-certificates": ("crt", "update-ca-certificates"),
        "/etc/ca-certificates/trust-source/anchors": ("crt", "trust"),
        "/usr/share/pki/trust/anchors": ("pem", "update-ca-certificates"),
    }
    for number, (folder, (ending, tool)) in enumerate(layouts.items()):
        root = tmp_path / str(number)
        (root / folder[1:]).mkdir(parents=True)
        tools = root / "bin"
        tools.mkdir()
        (tools / tool).write_text(f'#!/bin/sh\necho "$0" "$@" >>{root}/called\n')
        (tools / tool).chmod(0o755)
        moved = root / "root.sh"
        text = script
        for known in layouts:
            text = re.sub(rf"(?<![\w/]){re.escape(known)}", f"{root}{known}", text)
        moved.write_text(f"PATH={tools}:$PATH\n{text}")
        done = run(["sh", moved, "--system"], root)
        assert done.returncode == 0 and "mbedTLS" in done.stdout, done
        (file,) = (root / folder[1:]).iterdir()
        assert file.suffix == f".{ending}" and "BEGIN CERTIFICATE" in file.read_text()
        assert tool in (root / "called").read_text()
        assert run(["sh", moved, "--system", "--remove"], root).returncode == 0 and not file.exists()
        file.write_text("another certificate")
        refused = run(["sh", moved, "--system", "--remove"], root)
        assert refused.returncode == 1 and file.read_text() == "another certificate"
