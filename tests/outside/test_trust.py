"""`camlock trust`: install, padlock, uninstall, error again, in the real browsers and programs, with the real tools.

Each test has a computer of its own (own_computer.py), whose files are layers above this machine's. What needs no root
is done as the user 1000 of that computer, who can reach the databases of his own browsers and nothing else: so the
policies of root cannot be what the browser trusts.
"""

import hashlib
import json
import os
import re
import shutil
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chromium import Chromium
from conftest import Site
from firefox import Firefox
from openssl import TestAuthority, der, openssl, tls_server
from own_computer import on_a_computer_of_its_own
from processes import program, run

USER = 1000
# The home of another user, in which nothing was done.
ANOTHER = Path("/home/another")
UNTRUSTED = "net::ERR_CERT_AUTHORITY_INVALID"
UNKNOWN = "SEC_ERROR_UNKNOWN_ISSUER"
STORES = (
    "/etc/ca-certificates",
    "/etc/chromium",
    "/etc/firefox",
    "/etc/opt",
    "/etc/pki",
    "/etc/ssl",
    "/root/.local/share/pki",
    "/root/.mozilla",
    "/root/.pki",
    "/usr/lib/firefox-esr/distribution",
    "/usr/lib/jvm",
    "/usr/local/share/ca-certificates",
    "/usr/share/ca-certificates",
    "/var/lib/ca-certificates-java",
    "/var/lib/dpkg/triggers",
)


def stores(*folders: str | Path) -> dict[str, str]:
    """Every file in trust stores with its hash, every link with its aim, every folder."""
    found = {}
    for folder in folders or STORES:
        for path in sorted([Path(folder), *Path(folder).rglob("*")]):
            if path.is_symlink():
                found[str(path)] = f"-> {path.readlink()}"
            elif path.is_file():
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.is_dir():
                found[str(path)] = "folder"
    return found


@pytest.fixture(scope="module", autouse=True)
def nothing_of_the_machine_is_touched() -> Iterator[None]:
    """Before all tests, and after them."""
    before = stores()
    yield
    assert stores() == before


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An authority, and a certificate of it for this computer (`server.pem`)."""
    made = Site(tmp_path_factory.mktemp("trust") / "site")
    made.camlock("issue", "--name", "Test", "--ip", "127.0.0.1", "--out", made.home / "server.pem")
    return made


@contextmanager
def server(site: Site, home: Path) -> Iterator[str]:
    """A TLS server with the site's certificate; its address."""
    with tls_server(site.home / "server.pem", home / "server") as port:
        yield f"https://127.0.0.1:{port}/"


def as_user(home: Path, *words: str | Path, status: int) -> Any:
    """`camlock trust` as the user, in his home; its document."""
    return _trust(home, ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"), words, status)


def as_root(home: Path, *words: str | Path, status: int = 0) -> Any:
    """`camlock trust` as root, in a home of root's."""
    return _trust(home, (), words, status)


def _trust(home: Path, before: tuple[str, ...], words: tuple[str | Path, ...], status: int) -> Any:
    if before:
        give(home, USER)
    yes = () if words[0] == "status" else ("--yes",)
    done = run([*before, program("camlock"), "trust", *words, *yes, "--json"], home)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout)["roots"][0]["stores"] if done.stdout else done.stderr


def give(home: Path, owner: int) -> None:
    """A home with everything in it to a user."""
    for path in [home, *home.rglob("*")]:
        os.chown(path, owner, owner, follow_symlinks=False)


def home_with(site: Site) -> tuple[Path, Path]:
    """A home on the test's own computer, and the root's file."""
    home = Path("/home/user")
    home.mkdir()
    # Where every user can read it.
    root = Path("/usr/local/share/root.pem")
    shutil.copy(site.root, root)
    root.chmod(0o644)
    return home, root


def of(kind: str, shown: Any) -> Any:
    """The only store of a kind."""
    (store,) = [store for store in shown if store["kind"] == kind]
    return store


def chromium_says(home: Path, url: str) -> tuple[str | None, str]:
    with Chromium(home=home) as browser:
        visit = browser.visit(url)
        return visit.error, visit.state


def firefox_says(home: Path, *urls: str) -> list[str | None]:
    # Firefox of root refuses a home that is not root's.
    give(home, 0)
    with Firefox(home=home) as browser:
        return [browser.visit(url) for url in urls]


@pytest.mark.parametrize("old", [True, False], ids=["old-place", "new-place"])
@on_a_computer_of_its_own
def test_chromium_by_its_database(site: Site, tmp_path: Path, old: bool) -> None:
    home, root = home_with(site)
    place = home / (".pki/nssdb" if old else ".local/share/pki/nssdb")
    if old:
        place.mkdir(parents=True)
    with server(site, tmp_path) as url:
        assert chromium_says(home, url) == (UNTRUSTED, "insecure-broken")
        shown = as_user(home, "install", "--ca", root, status=1)
        assert of("nss", shown)["place"] == str(place) and of("nss", shown)["changed"]
        assert of("system", shown)["problem"]["code"] == "needs-root"
        assert chromium_says(home, url) == (None, "secure")
        assert of("nss", as_user(home, "status", "--ca", root, status=1))["trusted"]
        again = as_user(home, "install", "--ca", root, status=1)
        assert not of("nss", again)["changed"], "nothing is done twice"
        as_user(home, "uninstall", "--ca", root, status=0)
        assert chromium_says(home, url) == (UNTRUSTED, "insecure-broken")


@on_a_computer_of_its_own
def test_chromium_by_policy(site: Site, tmp_path: Path) -> None:
    home, root = home_with(site)
    before = stores("/etc/chromium")
    with server(site, tmp_path) as url:
        assert of("chromium-policy", as_root(home, "install", "--ca", root))["changed"]
        assert chromium_says(ANOTHER, url) == (None, "secure")
        as_root(home, "uninstall", "--ca", root)
        assert chromium_says(ANOTHER, url) == (UNTRUSTED, "insecure-broken")
    assert stores("/etc/chromium") == before


@on_a_computer_of_its_own
def test_firefox_by_its_profile(site: Site, tmp_path: Path) -> None:
    home, root = home_with(site)
    with server(site, tmp_path) as url:
        assert firefox_says(home, url) == [UNKNOWN]
        shown = as_user(home, "install", "--ca", root, status=1)
        profile = home / ".mozilla/firefox/test.default"
        (mine,) = [store for store in shown if store["place"] == str(profile)]
        assert mine["changed"] and mine["reader"] == "Firefox"
        assert of("firefox-policy", shown)["problem"]["code"] == "needs-root"
        assert firefox_says(home, url) == [None]
        as_user(home, "uninstall", "--ca", root, status=0)
        assert firefox_says(home, url) == [UNKNOWN]


@pytest.mark.parametrize("beside", [False, True], ids=["etc", "beside-the-program"])
@on_a_computer_of_its_own
def test_firefox_by_policy(site: Site, tmp_path: Path, beside: bool) -> None:
    home, root = home_with(site)
    policies = Path("/usr/lib/firefox-esr/distribution/policies.json")
    if beside:
        policies.parent.mkdir(parents=True, exist_ok=True)
        policies.write_text('{\n  "policies": {\n    "BlockAboutConfig": true\n  }\n}\n')
    else:
        assert not policies.exists(), "this machine has policies of its own"
        policies = Path("/etc/firefox/policies/policies.json")
    before = stores("/etc/firefox", "/usr/lib/firefox-esr/distribution/")

    def says(url: str) -> tuple[str | None, bool]:
        """What it says of the address, and whether the policy that was there before is still obeyed."""
        page, settings = firefox_says(ANOTHER, url, "about:config")
        return page, settings is not None

    ANOTHER.mkdir()
    with server(site, tmp_path) as url:
        assert says(url) == (UNKNOWN, beside)
        assert of("firefox-policy", as_root(home, "install", "--ca", root))["place"] == str(policies)
        assert says(url) == (None, beside)
        as_root(home, "uninstall", "--ca", root)
        # What a policy named is in the profile now, and stays until that user takes it out.
        assert says(url) == (None, beside)
        as_user(ANOTHER, "uninstall", "--ca", root, status=0)
        assert says(url) == (UNKNOWN, beside)
    assert stores("/etc/firefox", "/usr/lib/firefox-esr/distribution/") == before


def programs_say(url: str, home: Path) -> dict[str, str]:
    """Whether each program gets the page by what this computer trusts."""
    python = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).status)"
    commands: dict[str, list[str | Path]] = {
        "curl": ["curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out", "%{http_code}", url],
        "Python": ["/usr/bin/python3", "-c", python, url],
        "Java": ["/usr/bin/java", Path(__file__).with_name("Get.java"), url],
    }
    said = {}
    for name, command in commands.items():
        done = run(command, home, seconds=120)
        refused = re.search("(?i)unable to (get local issuer|find valid certification)", done.stdout + done.stderr)
        said[name] = "untrusted" if refused else done.stdout.strip() or done.stderr
    return said


@on_a_computer_of_its_own
def test_programs_by_the_system(site: Site, tmp_path: Path) -> None:
    """Debian's own update-ca-certificates, with its hook for Java."""
    home, root = home_with(site)
    everywhere = ("/usr/local/share/ca-certificates", "/etc/ssl/certs", "/etc/chromium", "/etc/firefox")

    def without_java() -> dict[str, str]:
        # Written anew by keytool, with the same certificates in it (below).
        return {path: hash for path, hash in stores(*everywhere).items() if not path.endswith("java/cacerts")}

    def aliases() -> list[str]:
        listed = run(["keytool", "-list", "-cacerts", "-storepass", "changeit"], home).stdout
        return sorted(re.findall(r"^(\S+), .*trustedCertEntry", listed, re.MULTILINE))

    # What else waits for it on this machine is done first.
    assert run(["update-ca-certificates", "--fresh"], home).returncode == 0
    before, in_java = without_java(), aliases()
    assert in_java
    with server(site, tmp_path) as url:
        untrusted = dict.fromkeys(("curl", "Python", "Java"), "untrusted")
        assert programs_say(url, home) == untrusted
        shown = as_root(home, "install", "--ca", root)
        assert all(store["trusted"] for store in shown), shown
        assert programs_say(url, home) == dict.fromkeys(untrusted, "200")
        assert [store["trusted"] for store in as_root(home, "status", "--ca", root)] == [True] * len(shown)
        as_root(home, "uninstall", "--ca", root)
        assert programs_say(url, home) == untrusted
    assert aliases() == in_java
    assert without_java() == before


def certutil(folder: Path, home: Path, *words: str | Path, stdin: bytes | None = None) -> str:
    done = run(["certutil", "-d", f"sql:{folder}", *words], home, stdin=stdin)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def database(folder: Path, home: Path, *password: str | Path) -> Path:
    folder.mkdir(parents=True)
    certutil(folder, home, "-N", *(password or ("--empty-password",)))
    return folder


@on_a_computer_of_its_own
def test_foreign_certificates_stay(site: Site, tmp_path: Path) -> None:
    """The same nickname, the same subject, the root itself under another's name; folders with odd names."""
    home, root = home_with(site)
    mark = "camlock-" + hashlib.sha256(der(root)).hexdigest()[:16]
    profiles = home / ".mozilla/firefox"
    other = TestAuthority(tmp_path).root.read_bytes()
    subject = openssl("x509", "-in", root, "-noout", "-subject", "-nameopt", "RFC2253").strip().removeprefix("subject=")
    same_subject = tmp_path / "same-subject.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"),
        *("-subj", f"/{subject}", "-keyout", tmp_path / "key", "-out", same_subject),
    )

    def put(name: str, nickname: str, certificate: bytes, trust: str = "C,,") -> Path:
        folder = database(profiles / name, home)
        certutil(folder, home, "-A", "-t", trust, "-n", nickname, "-a", stdin=certificate)
        return folder

    taken = put("nickname taken", mark, other)
    alike = put("same 'subject'", "older", same_subject.read_bytes())
    alike_and_taken = put("both", mark, same_subject.read_bytes())
    foreign = put("-n é 'x' $(touch pwned)", "a: by hand", root.read_bytes())
    distrusted = put("../../.pki/nssdb", "by hand", root.read_bytes(), ",,").resolve()
    folders = (taken, alike, alike_and_taken, foreign, distrusted)
    before = {folder: certutil(folder, home, "-L") for folder in folders}

    def problems(shown: Any) -> dict[str, str | None]:
        by_place = {store["place"]: store["problem"] for store in shown}
        return {folder.name: (by_place[str(folder)] or {}).get("code") for folder in folders}

    expected = {
        taken.name: "name-taken",
        alike.name: None,
        alike_and_taken.name: "name-taken",
        foreign.name: None,
        distrusted.name: "without-trust",
    }
    shown = as_user(home, "install", "--ca", root, status=1)
    assert problems(shown) == expected, [store["problem"] for store in shown]
    (by_hand,) = [store for store in shown if store["place"] == str(foreign)]
    assert by_hand["by_another_hand"] == "a: by hand" and not by_hand["changed"]
    assert certutil(alike, home, "-L", "-n", mark, "-a").count("BEGIN CERT") == 2, "of one subject, both"

    shown = as_user(home, "uninstall", "--ca", root, status=1)
    assert problems(shown) == {**expected, foreign.name: "put-by-another"}
    assert {folder: certutil(folder, home, "-L") for folder in folders} == before
    left = certutil(alike, home, "-L", "-n", "older", "-a")
    assert ssl.PEM_cert_to_DER_cert(left) == der(same_subject), "and the right one of the two"
    assert not list(home.rglob("pwned"))


@on_a_computer_of_its_own
def test_what_cannot_be_done_is_told_and_not_half_done(site: Site, tmp_path: Path) -> None:
    home, root = home_with(site)
    password = tmp_path / "password"
    password.write_text("of its own\n")
    locked = database(home / ".mozilla/firefox/locked", home, "-f", password)
    garbage = home / ".mozilla/firefox/garbage"
    garbage.mkdir()
    (garbage / "cert9.db").write_text("no database")
    before = certutil(locked, home, "-L")
    shown = as_user(home, "install", "--ca", root, status=1)
    problems = {Path(store["place"]).name: (store["problem"] or {}).get("code") for store in shown}
    assert problems["locked"] == problems["garbage"] == "tool-failed"
    assert certutil(locked, home, "-L") == before
    assert (garbage / "cert9.db").read_text() == "no database"
    # What can be done beside it was done.
    assert problems["nssdb"] is None

    # Root does not put files of root's into another user's home.
    shown = as_root(home, "install", "--ca", root, status=1)
    (mine,) = [store for store in shown if store["place"] == str(locked)]
    assert mine["problem"]["code"] in ("home-of-another", "tool-failed")
    assert all(path.stat().st_uid == USER for path in home.rglob("*.db"))


@on_a_computer_of_its_own
def test_java_of_ones_own(site: Site, tmp_path: Path) -> None:
    """A JAVA_HOME with a keystore that no tool of the system makes."""
    home, root = home_with(site)
    java = tmp_path / "a java"
    cacerts = java / "lib/security/cacerts"
    cacerts.parent.mkdir(parents=True)
    shutil.copy("/etc/ssl/certs/java/cacerts", cacerts)
    cacerts.chmod(0o664)

    def trust(action: str, status: int = 0) -> Any:
        words = ["env", f"JAVA_HOME={java}", program("camlock"), "trust", action, "--ca", root, "--yes", "--json"]
        done = run(words, home)
        assert done.returncode == status, f"{done.stdout}\n{done.stderr}"
        shown = json.loads(done.stdout)["roots"][0]["stores"]
        (mine,) = [store for store in shown if store["place"] == str(cacerts)]
        return mine

    def aliases() -> list[str]:
        listed = run(["keytool", "-list", "-keystore", cacerts, "-storepass", "changeit"], home).stdout
        return sorted(re.findall(r"^(\S+), .*trustedCertEntry", listed, re.MULTILINE))

    before = aliases()
    assert trust("install")["changed"]
    assert set(aliases()) - set(before) == {"camlock-" + hashlib.sha256(der(root)).hexdigest()[:16]}
    assert cacerts.stat().st_mode & 0o777 == 0o664
    after = cacerts.read_bytes()
    assert not trust("install")["changed"] and cacerts.read_bytes() == after
    assert trust("uninstall")["changed"] and aliases() == before
    assert [path.name for path in cacerts.parent.iterdir()] == ["cacerts"]
