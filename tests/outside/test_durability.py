"""Certificates and the disk: what was handed out is there after a power cut at any moment, and what could not be
stored was not handed out. A power cut is played from a trace: what was written and not synced is lost, or a part of it.
"""

import json
import os
import random
import re
import shutil
import sqlite3
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from conftest import FULL, Site
from openssl import openssl
from processes import program, run

# All by which a ledger gets onto a disk.
CALLS = "open,openat,write,pwrite64,ftruncate,fsync,fdatasync,unlink"
LEDGER = ("camlock.db", "camlock.db-wal")


@dataclass
class Call:
    """A call that succeeded."""

    name: str
    words: str
    result: int
    path: Path

    def data(self) -> bytes:
        """What it wrote; strace prints all of it in hexadecimal."""
        written = re.search(r'"((?:\\x[0-9a-f]{2})*)"(?!\.)', self.words)
        assert written, self.words[:200]
        return unescaped(written[1])[: self.result]

    def last_number(self) -> int:
        """An offset or a length."""
        return int(self.words.rsplit(", ", 1)[1])


def unescaped(text: str) -> bytes:
    """Strings and paths are printed in hexadecimal."""
    return bytes.fromhex(text.replace("\\x", ""))


def calls(trace: Path) -> Iterator[Call]:
    """Those of all threads, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in trace.read_text().splitlines():
        thread, rest = line.split(maxsplit=1)
        if rest.endswith(" <unfinished ...>"):
            begun[thread] = rest.removesuffix(" <unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
            rest = begun.pop(thread) + rest[resumed.end() :]
        call = re.fullmatch(r"(\w+)\((.*)\) += (\d+)(?:<(.*)>)?", rest)
        if call:
            opened = call[4] or (re.match(r"\d+<(.*?)>", call[2]) or re.match(r'"(.*?)"', call[2]) or " ")[1]
            yield Call(call[1], call[2], int(call[3]), Path(unescaped(opened.strip()).decode()))


@dataclass
class File:
    """What a power cut leaves of it, and what was written since it was last synced."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Call] = field(default_factory=list)


class Disk:
    """The ledger's files as a power cut would leave them."""

    def __init__(self, before: Path, folder: Path) -> None:
        self.folder = folder
        self.files = {path.name: File(bytearray(path.read_bytes())) for path in before.iterdir() if path.name in LEDGER}

    def apply(self, call: Call) -> None:
        """Takes part in a call."""
        name = call.path.name
        if call.path.parent != self.folder or name not in LEDGER:
            return
        if call.name.startswith("open"):
            # A file's first sync keeps its name as well, on any file system of today.
            self.files.setdefault(name, File())
        elif call.name == "unlink":
            del self.files[name]
        elif call.name in ("pwrite64", "ftruncate"):
            self.files[name].pending.append(call)
        elif call.name in ("fsync", "fdatasync"):
            file = self.files[name]
            for write in file.pending:
                perform(write, file.durable)
            file.pending.clear()
        else:
            raise AssertionError(f"{call.name} of {name}")

    def cut(self, home: Path, survives: float) -> dict[str, bytes | None]:
        """The certificates in the ledger after a power cut which each unsynced write survives with this chance."""
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        for name, file in self.files.items():
            left = bytearray(file.durable)
            for write in file.pending:
                if random.random() < survives:
                    perform(write, left)
            (home / name).write_bytes(left)
        return certificates(home)


def perform(write: Call, content: bytearray) -> None:
    """Writes, or cuts off."""
    at = write.last_number()
    if write.name == "ftruncate":
        del content[at:]
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at : at + write.result] = write.data()


def certificates(data: Path) -> dict[str, bytes | None]:
    """DER by serial number, None where there is an intent only, as Python's own SQLite reads them."""
    with closing(sqlite3.connect(data / "camlock.db")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(ledger.execute("SELECT serial, der FROM certificate"))


class Door:
    """A site that is as new for each run, and the programs that issue there."""

    def __init__(self, site: Site) -> None:
        self.site, self.home, self.data = site, site.home, site.home / "data"
        # With it the vault opens at once.
        self.secret = self.home / "passphrase"
        self.secret.write_text(site.recovery_key)
        self.founded = self.home / "founded"
        self.data.rename(self.founded)
        self.request, self.out = self.home / "request.pem", self.home / "gate.pem"
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.home / "key.pem")
        openssl("req", "-new", *key, "-subj", "/CN=Gate", "-out", self.request)
        self.fresh()

    def fresh(self) -> None:
        """Nothing is issued there yet."""
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.copytree(self.founded, self.data)
        self.out.unlink(missing_ok=True)

    def sign(self, *strace: str) -> subprocess.CompletedProcess[str]:
        """`camlock sign`, once."""
        common = ("--data", self.data, "--passphrase-file", self.secret, "--json")
        command = (program("camlock"), "sign", self.request, "--ip", "10.0.0.1", "--out", self.out, *common)
        return self._traced(command, strace)

    def issue(self, at_once: int, count: int, *strace: str) -> subprocess.CompletedProcess[str]:
        """One process that issues often; it prints what it was handed."""
        command = (program("examples/door"), "issue", self.data, self.secret, str(at_once), str(count))
        return self._traced(command, strace)

    def _traced(self, command: tuple[Any, ...], more: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        strace = ["strace", "-f", "-y", "-xx", "-s", "100000", "-o", self.home / "trace", "-e", f"trace={CALLS}"]
        done = run([*strace, *more, *command], self.home, seconds=300)
        assert "panicked" not in done.stderr, done.stderr
        return done

    def survives_power_cuts(self, moments: float = 1, elsewhere: float = 0) -> set[str]:
        """Plays the last trace: what was handed out. The power is cut, each time with these chances, when a certificate
        leaves the program, which must be on the disk; when one is stored, whose intent must be; and elsewhere."""
        stored = {serial: der for serial, der in certificates(self.data).items() if der}
        disk, cut = Disk(self.founded, self.data), self.home / "cut"
        out: set[str] = set()
        for call in calls(self.home / "trace"):
            if call.name in ("write", "pwrite64"):
                data = call.data()
                if call.path.name in LEDGER:
                    signed = {serial for serial, der in stored.items() if der in data}
                    if signed and random.random() < moments:
                        assert signed <= disk.cut(cut, survives=0).keys()
                elif handed := {s for s, der in stored.items() if s.encode() in data or pem(der) in data}:
                    assert set(re.findall(rb"\b[0-9a-f]{32}\b", data)) <= {s.encode() for s in handed}
                    out |= handed
                    if random.random() < moments:
                        left = disk.cut(cut, survives=0)
                        assert all(left[serial] == stored[serial] for serial in out)
            disk.apply(call)
            if random.random() < elsewhere:
                left = disk.cut(cut, survives=random.random())
                assert all(left[serial] == stored[serial] for serial in out)
        return out

    def ends_well(self, handed_out: set[str]) -> None:
        """The next run issues, and of all before only intents are left, of what nobody has."""
        self.out.unlink(missing_ok=True)
        assert self.sign().returncode == 0
        with closing(sqlite3.connect(self.data / "camlock.db")) as ledger, ledger:
            # So long ago that none can be under way.
            ledger.execute("UPDATE certificate SET intended_at = intended_at - 3600")
        intents = {serial for serial, der in certificates(self.data).items() if not der}
        assert not intents & handed_out
        # It always warns: there is no backup.
        report = self.site.camlock("doctor", status=1)
        reported = [f["text"] for f in report["findings"] if f["code"] == "intent-without-certificate"]
        assert len(reported) == len(intents) and all(serial in str(reported) for serial in intents), report
        codes = {f["code"] for f in report["findings"]}
        assert codes <= {"no-backup", "certificates-checked", "intent-without-certificate", "recovery-signed"}, report


def pem(der: bytes) -> bytes:
    """As in a file."""
    return ssl.DER_cert_to_PEM_cert(der).encode()


@pytest.fixture
def door(site: Site) -> Door:
    """A new site's."""
    seed = int(os.environ.get("CAMLOCK_SEED") or random.randrange(2**32))
    print(f"CAMLOCK_SEED={seed}")
    random.seed(seed)
    return Door(site)


def test_sync_before_signature_before_answer(door: Door) -> None:
    """One certificate: a cut at every moment."""
    done = door.sign()
    assert done.returncode == 0, done.stderr
    assert door.survives_power_cuts(elsewhere=1) == {json.loads(done.stdout)["serial"]}
    door.ends_well(set())


@pytest.mark.parametrize("at_once", [1, 16])
def test_power_cuts_while_it_issues(door: Door, at_once: int) -> None:
    """Many certificates from one process, so many that the write-ahead log begins anew."""
    count = 300 if at_once == 1 else 1000
    done = door.issue(at_once, count)
    assert (done.returncode, done.stderr) == (0, "")
    begun = [c for c in calls(door.home / "trace") if c.path.name.endswith("-wal") and c.words.endswith(", 32, 0")]
    assert len(begun) > 1
    out = door.survives_power_cuts(*(1, 0.2) if FULL else (0.1, 0.02))
    assert len(out) == count == len(set(done.stdout.split()[::2]))
    door.ends_well(out)


FAULTS = {"sync": ("fsync,fdatasync", "EIO", 9), "write": ("pwrite64", "EIO", 32), "full": ("pwrite64", "ENOSPC", 32)}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("lasts", ["for good", "once"])
def test_what_cannot_be_stored_is_refused(door: Door, fault: str, lasts: str) -> None:
    """A disk that fails from its n-th call on: no certificate that is not on it."""
    names, error, limit = FAULTS[fault]
    step = 1 if FULL or fault == "sync" else 3
    refused = 0
    for number in range(1, limit, step):
        door.fresh()
        plus = "+" if lasts == "for good" else ""
        done = door.sign("-e", f"inject={names}:error={error}:when={number}{plus}")
        out = door.survives_power_cuts()
        if done.returncode == 0:
            assert out == {json.loads(done.stdout)["serial"]}
        else:
            refused += 1
            assert (done.returncode, door.out.exists()) == (3, False) and json.loads(done.stdout)["error"], done
            assert done.stderr.strip(), done
            assert not out
        door.ends_well(out)
    # Else the disk has not failed.
    assert refused > 2


# Each thread counts its own calls, and a new connection is a new thread: a hundred certificates come to this call once.
ONCE = {(1, "sync"): 120, (16, "sync"): 8, (1, "write"): 500, (16, "write"): 70, (1, "full"): 500, (16, "full"): 70}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at_once", [1, 16])
def test_it_goes_on_when_the_disk_does(door: Door, fault: str, at_once: int) -> None:
    """A failure that passes refuses what was under way, and no more."""
    names, error, _ = FAULTS[fault]
    failures = 0
    for number in range(ONCE[at_once, fault], ONCE[at_once, fault] + (20 if FULL else 2)):
        door.fresh()
        done = door.issue(at_once, 100, "-e", f"inject={names}:error={error}:when={number}")
        errors = done.stderr.splitlines()
        assert all(json.loads(e)["code"] == "database" for e in errors), done.stderr
        # On a busy machine the groups are larger, and there may be no n-th call.
        has_failed = "(INJECTED)" in (door.home / "trace").read_text(errors="replace")
        failures += has_failed
        # Sixteen at once go into one or two groups, and the call may come twice.
        assert has_failed <= len(errors) <= (0 if not has_failed else 1 if at_once == 1 else 50), done.stderr
        out = door.survives_power_cuts(0.1)
        assert len(out) == len(done.stdout.splitlines()) == 100 - len(errors)
        door.ends_well(out)
    # Else the disk has not failed.
    assert failures > 1
