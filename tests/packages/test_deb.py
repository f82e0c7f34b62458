"""The Debian package in a Debian with systemd: installed, started in its sandbox, upgraded, removed, purged."""

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Package, command, unprivileged
from debian import Debian, booted
from processes import wait_for

UNIT = "camlock.service"
DATA = "/var/lib/camlock"
AS_USER = ["sudo", "-u", "camlock", "camlock", "--data", DATA]
SECRET = ["--passphrase-file", "/run/passphrase"]


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Debian]:
    """One for the tests here, which go through a life in their order."""
    reason = unprivileged()
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("debian")
    folder.chmod(0o755)
    with booted(folder) as debian:
        # An address for the names of its page.
        command(*debian.network.enter, "ip", "address", "add", "192.168.77.5/32", "dev", "lo")
        yield debian
    shutil.rmtree(folder)


def install(debian: Debian, deb: Path) -> str:
    """dpkg, as in a Debian that has nothing more than that."""
    shutil.copy(deb, debian.root / "root" / deb.name)
    return debian.run("dpkg", "--install", f"/root/{deb.name}")


def answers(debian: Debian) -> bool | None:
    """Whether it serves."""
    return True if debian.network.get("https://127.0.0.1:8443/health") else None


def owned(debian: Debian, path: str = DATA) -> str:
    """Owner and mode."""
    return debian.run("stat", "--format=%U %G %a", path).strip()


def test_the_archive_is_a_package(package: Package, tmp_path: Path) -> None:
    """dpkg's own reader, and the sums of the files in it."""
    deb = package("deb")
    assert command("dpkg-deb", "--field", deb, "Package", "Version", "Architecture").splitlines() == [
        *("Package: camlock", "Version: 0.1.0-1", "Architecture: amd64")
    ]
    command("dpkg-deb", "--raw-extract", deb, tmp_path / "raw")
    sums = (tmp_path / "raw/DEBIAN/md5sums").read_text().splitlines()
    assert any(line.endswith("  usr/bin/camlock") for line in sums)
    listing = tmp_path / "sums"
    listing.write_text("".join(f"{s[:34]}{tmp_path}/raw/{s[34:]}\n" for s in sums))
    command("md5sum", "--check", "--quiet", listing)
    assert all(line.split()[1] == "0/0" for line in command("dpkg-deb", "--contents", deb).splitlines())


def test_installing_starts_nothing(debian: Debian, package: Package) -> None:
    """There is a user and an empty folder of its; the service waits for the authority."""
    install(debian, package("deb"))
    assert debian.run("getent", "passwd", "camlock").strip().endswith(f":{DATA}:/usr/sbin/nologin")
    assert owned(debian) == "camlock camlock 700"
    assert debian.done("systemctl", "is-enabled", UNIT).stdout.strip() == "disabled"
    # A condition that does not hold is no failure.
    debian.run("systemctl", "start", UNIT)
    assert debian.state(UNIT, "ConditionResult") == "no" and debian.state(UNIT, "ActiveState") == "inactive"


def test_the_unit_is_without_fault_and_closed(debian: Debian) -> None:
    """systemd's own judges: no line that it does not know, and an exposure of at most 1.5 of 10."""
    assert debian.run("systemd-analyze", "verify", UNIT) == ""
    debian.run("systemd-analyze", "security", "--offline=yes", "--threshold=15", f"/usr/lib/systemd/system/{UNIT}")


def test_an_open_unit_is_noticed(debian: Debian) -> None:
    """The check above can fail."""
    unit = "/root/open.service"
    debian.run("sh", "-c", f"printf '[Service]\\nExecStart=/bin/true\\n' >{unit}")
    assert debian.done("systemd-analyze", "security", "--offline=yes", "--threshold=15", unit).returncode != 0


def test_the_authority_is_made_as_the_readme_says(debian: Debian) -> None:
    """With sudo, as the service's user."""
    readme = (debian.root / "usr/share/doc/camlock/README.Debian").read_text()
    assert f"{' '.join(AS_USER)} init --site Shop" in readme and "systemctl enable --now camlock" in readme
    debian.run("sh", "-c", f"echo tests of the Debian package >{SECRET[1]} && chown camlock {SECRET[1]}")
    made = debian.run(*AS_USER, *SECRET, "--json", "init", "--site", "Shop")
    assert json.loads(made)["recovery_key"]
    assert owned(debian, f"{DATA}/page.pem") == "camlock camlock 600"


def test_the_service_runs_in_its_sandbox(debian: Debian) -> None:
    """Everything that the unit forbids is in force on the process that answers."""
    # An address that its page's certificate does not have yet: the log names it, so the sandbox lets it see addresses.
    command(*debian.network.enter, "ip", "address", "add", "192.168.77.6/32", "dev", "lo")
    debian.run("systemctl", "enable", "--now", "camlock")
    wait_for("the service", 30, lambda: answers(debian))
    health = json.loads(debian.network.get("https://127.0.0.1:8443/health") or "")
    assert health["locked"] is True
    assert "Shop" in (debian.network.get("http://127.0.0.1:8080/") or "")

    pid = debian.state(UNIT, "MainPID")
    status = debian.run("cat", f"/proc/{pid}/status")
    field = {key: value.strip() for key, value in re.findall(r"^(\w+):(.*)$", status, re.MULTILINE)}
    number = debian.run("id", "--user", "camlock").strip()
    assert set(field["Uid"].split()) == {number}
    assert field["NoNewPrivs"] == "1" and field["Seccomp"] == "2"
    assert all(int(field[name], 16) == 0 for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"))
    mounts = [line.split() for line in debian.run("cat", f"/proc/{pid}/mountinfo").splitlines()]
    writable = {m[4] for m in mounts if "rw" in m[5].split(",") and m[4].startswith(("/usr", "/etc", "/var", "/home"))}
    assert writable == {DATA, "/var/tmp"}, writable
    assert ("/", "ro") in {(m[4], m[5].split(",")[0]) for m in mounts}

    [log] = [line for line in journal(debian) if line.get("code") == "page-certificate-old"]
    assert {"192.168.77.5", "192.168.77.6"} <= {name.removeprefix("IP:") for name in log["names"]}


def journal(debian: Debian) -> list[dict[str, object]]:
    """The service's log, which is JSON."""
    lines = debian.run("journalctl", "--unit", UNIT, "--output=cat", "--no-pager", "_COMM=camlock").splitlines()
    return [json.loads(line) for line in lines]


def test_the_command_line_works_beside_it(debian: Debian) -> None:
    """On the same data, while the service runs."""
    order = ["--name", "Gate", "--ip", "192.168.1.9", "--out", f"{DATA}/gate.pem"]
    issued = debian.run(*AS_USER, *SECRET, "--json", "issue", *order)
    assert json.loads(issued)["serial"]
    second = debian.done(*AS_USER, "serve")
    assert second.returncode != 0 and "Another camlock serve runs" in second.stderr


def test_it_ends_when_told_to(debian: Debian) -> None:
    """At once and without a failure, and it comes back after a crash."""
    started = time.monotonic()
    debian.run("systemctl", "stop", UNIT)
    assert time.monotonic() - started < 5 and debian.state(UNIT, "Result") == "success"
    debian.run("systemctl", "start", UNIT)
    wait_for("the service", 20, lambda: answers(debian))
    debian.run("systemctl", "kill", "--signal=KILL", UNIT)
    wait_for("the service again", 30, lambda: (debian.state(UNIT, "NRestarts") == "1" and answers(debian)) or None)


def test_an_upgrade_restarts_it_on_the_same_data(debian: Debian, package: Package) -> None:
    """Another process, the same authority."""
    shown = debian.run(*AS_USER, "--json", "authority", "show")
    before = debian.state(UNIT, "MainPID")
    install(debian, package("deb", version="0.1.1"))
    wait_for("the service", 30, lambda: answers(debian))
    assert debian.state(UNIT, "MainPID") != before
    assert debian.run("dpkg-query", "--show", "--showformat=${Version}", "camlock") == "0.1.1-1"
    assert debian.run(*AS_USER, "--json", "authority", "show") == shown


def test_removing_keeps_the_authority(debian: Debian, package: Package) -> None:
    """The service is gone, its data is not, and a new installation takes it up."""
    debian.run("apt-get", "--yes", "remove", "camlock")
    assert answers(debian) is None and debian.done("systemctl", "cat", UNIT).returncode != 0
    assert not list((debian.root / "etc/systemd/system").rglob("camlock.service"))
    assert (debian.root / DATA.lstrip("/") / "camlock.db").is_file()
    install(debian, package("deb"))
    assert json.loads(debian.run(*AS_USER, "--json", "authority", "show"))["site"] == "Shop"
    debian.run("systemctl", "start", UNIT)
    wait_for("the service", 30, lambda: answers(debian))


def test_purging_leaves_nothing(debian: Debian) -> None:
    """Only this deletes the authority; no file of the package is left."""
    debian.run("apt-get", "--yes", "purge", "camlock")
    assert answers(debian) is None and debian.done("test", "-e", DATA).returncode == 1
    left = debian.run("find", "/etc", "/usr", "/var", "-name", "*camlock*", "-not", "-path", "/var/log/*")
    assert left.strip() == "", left
    assert debian.state(UNIT, "LoadState") == "not-found"
