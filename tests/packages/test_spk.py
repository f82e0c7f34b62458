"""The Synology package: what a package server's parser says of it, and its life as the developer guide tells it, as
another user, in the shells that a NAS may have. Not a Synology: no document may say that it was tried on one."""

import hashlib
import io
import json
import os
import re
import signal
import stat
import struct
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Network, Package, command
from nas import Nas, info, parse
from processes import REPOSITORY, running, wait_for

ANSWERS = {
    "wizard_site": "Shop",
    "wizard_permit": "cams.example.com, 203.0.113.0/24",
    "wizard_passphrase": "tests of the $HOME `id` package",
    "wizard_passphrase_again": "tests of the $HOME `id` package",
}
SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}


@pytest.fixture(scope="module")
def spk(package: Package) -> Path:
    """A package."""
    return package("spk")


@pytest.fixture
def nas(open_folder: Path, network: Network, request: pytest.FixtureRequest) -> Iterator[Nas]:
    """An empty NAS. A test may name its shell."""
    nas = Nas(open_folder, network, SHELLS[getattr(request, "param", "dash")])
    yield nas
    nas.end()


def content(spk: Path) -> tuple[dict[str, tarfile.TarInfo], dict[str, bytes]]:
    """Members and files of the outer archive."""
    with tarfile.open(spk, "r:") as archive:
        members = {member.name: member for member in archive.getmembers()}
        files = {name: archive.extractfile(name).read() for name, m in members.items() if m.isfile()}  # type: ignore
    return members, files


def test_a_package_server_takes_it(spk: Path) -> None:
    """spkrepo, which SynoCommunity's server runs."""
    read = parse(spk)
    assert read.info["package"] == "camlock" and read.info["ctl_stop"] is True
    assert read.wizards == {"install"} and set(read.icons) == {"72", "256"}
    assert json.loads(read.conf_privilege)["defaults"] == {"run-as": "package"}


def test_a_broken_package_is_noticed(spk: Path, tmp_path: Path) -> None:
    """The check above can fail."""
    broken = tmp_path / "broken.spk"
    broken.write_bytes(re.sub(rb'checksum="[^"]*"', b'checksum="%s"' % (b"0" * 32), spk.read_bytes(), count=1))
    with pytest.raises(Exception, match="Checksum mismatch"):
        parse(broken)


def test_info_is_what_dsm_7_wants(spk: Path) -> None:
    """The guide's necessary fields, and a version that DSM can compare."""
    fields = info(spk)
    for key in ("package", "version", "os_min_ver", "description", "arch", "maintainer"):
        assert fields[key], key
    assert fields["os_min_ver"] == "7.0-40000"
    number = re.fullmatch(r"0\.1\.0-([0-9]+)", fields["version"])
    assert number and int(number[1]) < 2**31
    assert (fields["adminprotocol"], fields["adminport"], fields["adminurl"]) == ("https", "8443", "/")


def test_the_archive_is_plain(spk: Path) -> None:
    """Everything root's, nothing compressed but package.tgz, scripts executable, INFO first."""
    members, files = content(spk)
    assert next(iter(members)) == "INFO"
    assert all((m.uid, m.gid) == (0, 0) for m in members.values())
    assert {name for name in members if "/" not in name} == {
        *("INFO", "package.tgz", "scripts", "conf", "WIZARD_UIFILES", "PACKAGE_ICON.PNG", "PACKAGE_ICON_256.PNG")
    }
    for name in "preinst postinst preuninst postuninst preupgrade postupgrade start-stop-status".split():
        assert members[f"scripts/{name}"].mode == 0o755 and files[f"scripts/{name}"].startswith(b"#!/bin/sh\n")
    assert hashlib.md5(files["package.tgz"]).hexdigest() == info(spk)["checksum"]


def test_the_menu_entry_and_the_ports_are_there(spk: Path, binary: Path) -> None:
    """What INFO and the resources name is in package.tgz, and the icons have the sizes in their names."""
    _, files = content(spk)
    with tarfile.open(fileobj=io.BytesIO(files["package.tgz"]), mode="r:gz") as archive:
        inner = {m.name: archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}  # type: ignore
        assert archive.getmember("bin/camlock").mode == 0o755
    assert inner["bin/camlock"] == binary.read_bytes()
    fields = info(spk)
    page = json.loads(inner[f"{fields['dsmuidir']}/config"])[".url"][fields["dsmappname"]]
    assert (page["protocol"], page["port"], page["url"]) == ("https", "8443", "/")

    resource = json.loads(files["conf/resource"])
    ports = inner[resource["port-config"]["protocol-file"]].decode()
    assert re.findall(r'^dst\.ports="(.*)"$', ports, re.MULTILINE) == ["8443/tcp", "8080/tcp"]
    assert all(path in inner for path in resource["usr-local-linker"]["bin"])

    icons = {size: inner[f"ui/{page['icon'].format(size)}"] for size in (16, 24, 32, 48, 64, 72, 256)}
    icons |= {64: files["PACKAGE_ICON.PNG"], 256: files["PACKAGE_ICON_256.PNG"]}
    for size, png in icons.items():
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (size, size)


def test_the_wizard_asks_for_what_the_scripts_read(spk: Path) -> None:
    """Every field has a reader and every reader a field; the passphrase's are password fields."""
    _, files = content(spk)
    items = [item for step in json.loads(files["WIZARD_UIFILES/install_uifile"]) for item in step["items"]]
    asked = {sub["key"]: (item["type"], sub) for item in items for sub in item.get("subitems", ())}
    read = set(re.findall(rb"\bwizard_\w+", files["scripts/preinst"] + files["scripts/postinst"]))
    assert set(asked) == {key.decode() for key in read} == set(ANSWERS)
    assert {key for key, (kind, _) in asked.items() if kind == "password"} == {
        *("wizard_passphrase", "wizard_passphrase_again")
    }
    pattern = re.compile(asked["wizard_permit"][1]["validator"]["regex"]["expr"].strip("/").replace("\\/", "/"))
    assert pattern.match(ANSWERS["wizard_permit"]) and pattern.match("") and not pattern.match("a;b")


@pytest.mark.parametrize("nas", SHELLS, indirect=True)
def test_a_life(nas: Nas, spk: Path, package: Package) -> None:
    """Installed, started, stopped, upgraded while it runs, uninstalled, installed again: one authority all along."""
    # Installed: the recovery key is shown, once, and nothing secret is left.
    assert nas.install(spk, **ANSWERS), nas.message
    key = re.search(r"^Recovery key: (AGE-SECRET-KEY-\S+)$", nas.message, re.MULTILINE)
    assert key and "stored nowhere" in nas.message
    secrets = [ANSWERS["wizard_passphrase"].encode(), key[1].encode()]
    for path in nas.root.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path
    assert stat.S_IMODE((nas.var / "data").stat().st_mode) == 0o700
    assert stat.S_IMODE((nas.var / "data/page.pem").stat().st_mode) == 0o600
    shown = nas.camlock("authority", "show")
    assert shown["site"] == "Shop"
    assert {"cams.example.com", "203.0.113.0/24"} <= set(shown["permitted"])
    assert nas.service("status") == 3 and nas.processes() == []

    # Started: locked, and its page has a certificate of the authority's.
    assert nas.service("start") == 0, nas.message
    assert nas.service("status") == 0
    assert json.loads(nas.network.get("https://127.0.0.1:8443/health") or "{}")["locked"] is True
    assert "Shop" in (nas.network.get("http://127.0.0.1:8080/") or "")
    root = nas.root / "root.pem"
    root.write_text(nas.camlock("trust", "export")["pem"])
    command("openssl", "verify", "-CAfile", root, nas.var / "data/page.pem")
    [service] = nas.processes()
    assert nas.service("start") == 0 and nas.processes() == [service]

    # Upgraded while it ran: another program, the same authority, running.
    newer = package("spk", epoch=1790000000 + 86400)
    assert int(info(newer)["version"].split("-")[1]) > int(info(spk)["version"].split("-")[1])
    nas.upgrade(newer)
    assert nas.service("status") == 0 and nas.processes() != [service]
    assert nas.network.get("https://127.0.0.1:8443/health")
    assert nas.camlock("authority", "show") == shown

    # Stopped cleanly.
    [service] = nas.processes()
    started = time.monotonic()
    assert nas.service("stop") == 0, nas.message
    assert time.monotonic() - started < 10
    assert nas.processes() == [] and nas.service("status") == 3 and nas.service("stop") == 0
    assert nas.network.get("http://127.0.0.1:8080/health") is None
    assert '"stopping"' in (nas.var / "camlock.log").read_text()

    # An upgrade does not start what did not run.
    nas.upgrade(spk)
    assert nas.service("status") == 3

    # Uninstalled while it runs: the authority stays, and where it is is said.
    assert nas.service("start") == 0, nas.message
    nas.uninstall()
    assert nas.processes() == [] and str(nas.var.resolve() / "data") in nas.message
    assert (nas.var / "data/camlock.db").is_file()

    # Installed again: taken up, with other answers ignored.
    assert nas.install(spk, **{**ANSWERS, "wizard_site": "Other"}), nas.message
    assert "Recovery key" not in nas.message and "kept" in nas.message
    assert nas.camlock("authority", "show") == shown
    assert nas.service("start") == 0, nas.message
    for secret in (ANSWERS["wizard_passphrase"], key[1]):
        nas.camlock("issue", "--name", "Gate", "--ip", "192.168.1.9", "--out", f"{len(secret)}.pem", passphrase=secret)


def test_the_passphrase_is_told_to_nobody(nas: Nas, spk: Path) -> None:
    """It is neither an argument of the program nor in its environment."""
    seen = nas.root / "seen"
    seen.touch()
    os.chmod(seen, 0o666)
    assert nas.install(spk, spy=f'{{ env; echo "$@"; }} >{seen}', **ANSWERS), nas.message
    said = seen.read_text()
    assert "wizard_site=Shop" in said and "--passphrase-file /dev/stdin" in said
    assert "passphrase=" not in said and "tests of the" not in said


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"wizard_passphrase_again": "tests of the other"}, "passphrases differ"),
        ({"wizard_passphrase": "", "wizard_passphrase_again": ""}, "needed"),
        ({"wizard_site": ""}, "needed"),
    ],
)
def test_wrong_answers_install_nothing(nas: Nas, spk: Path, wrong: dict[str, str], said: str) -> None:
    """DSM aborts when preinst says no."""
    assert not nas.install(spk, **{**ANSWERS, **wrong})
    assert said in nas.message and not nas.var.exists() and not nas.target.exists()


def test_a_range_that_is_none_is_said(nas: Nas, spk: Path) -> None:
    """Only the program knows; no half authority is left, so that the next attempt makes one."""
    assert not nas.install(spk, **{**ANSWERS, "wizard_permit": "203.0.113.0/99"})
    assert "203.0.113.0/99" in nas.message and "could not be made" in nas.message
    assert nas.service("start") == 1 and "no authority" in nas.message
    nas.uninstall()
    assert nas.install(spk, **ANSWERS) and "Recovery key" in nas.message


@pytest.mark.parametrize("site", ['$(touch x) "; exit 1; \' *', "--help", "Árvíztűrő üzem"])
def test_a_site_with_any_name(nas: Nas, spk: Path, site: str) -> None:
    """No shell reads what the operator typed."""
    assert nas.install(spk, **{**ANSWERS, "wizard_site": site, "wizard_permit": "*.txt"}) is False
    nas.uninstall()
    assert nas.install(spk, **{**ANSWERS, "wizard_site": site, "wizard_permit": ""}), nas.message
    assert nas.camlock("authority", "show")["site"] == site


def test_a_crash_is_seen_and_left_behind(nas: Nas, spk: Path) -> None:
    """Killed: dead with a pid file (1), also when another process has its number; started again, its log is kept."""
    assert nas.install(spk, **ANSWERS) and nas.service("start") == 0, nas.message
    [service] = nas.processes()
    os.kill(service, signal.SIGKILL)
    assert nas.service("status") == 1
    (nas.var / "camlock.pid").write_text(f"{os.getpid()}\n")
    assert nas.service("status") == 1
    assert nas.service("start") == 0 and nas.service("status") == 0, nas.message
    assert '"serving-locked"' in (nas.var / "camlock.log.1").read_text()


@pytest.mark.parametrize("port", ["8443", "8080"])
def test_a_taken_port_is_said(nas: Nas, spk: Path, port: str) -> None:
    """Start fails at once, with the reason, and nothing is left running, whoever answers for its health."""
    assert nas.install(spk, **ANSWERS), nas.message
    pages = nas.root / "other/pages"
    pages.mkdir(parents=True)
    (pages / "health").write_text("{}")
    other = [*nas.network.enter, "python3", "-m", "http.server", port, "--directory", pages]
    with running(other, nas.root / "other"):
        wait_for("the other service", 10, lambda: nas.network.get(f"http://127.0.0.1:{port}/health"))
        started = time.monotonic()
        assert nas.service("start") == 1
        assert time.monotonic() - started < 10 and port in nas.message
    assert nas.service("status") == 3 and nas.processes() == []


def test_shellcheck_has_nothing_to_say() -> None:
    """The scripts of both packages, as POSIX shell."""
    scripts = [*(REPOSITORY / "packaging/synology/scripts").iterdir()]
    scripts += [REPOSITORY / "packaging/debian" / name for name in ("postinst", "prerm", "postrm")]
    command("shellcheck", *scripts)
