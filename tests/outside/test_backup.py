"""A backup without Camlock: the `age` tool, `tar`, SQLite and OpenSSL get everything out of it, as README.txt says."""

import base64
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from conftest import Site
from openssl import openssl
from processes import program, run


def age(key: Path, file: Path, out: Path) -> None:
    """Decrypts with the real `age`."""
    tool = shutil.which("age")
    assert tool, "age is not installed: scripts/setup"
    words = [tool, "--decrypt", "-i", str(key), "-o", str(out), str(file)]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


def recovery_key(site: Site) -> Path:
    """A new recovery key, as a file that `age` takes."""
    key = site.home / "recovery-key"
    key.write_text(site.camlock("vault", "recovery-key")["recovery_key"] + "\n")
    return key


def test_the_age_tool_opens_a_backup(site: Site) -> None:
    """Every file of it, and what is in them."""
    key = recovery_key(site)
    (site.home / "data/policy.toml").write_text("[names]\ndeny = ['10.9.0.0/16']\n")
    issued = site.camlock("issue", "--name", "Gate", "--ip", "192.168.1.65", "--out", "gate.pem")
    backup = site.home / "camlock.tar.age"
    site.camlock("backup", backup)
    archive, out = site.home / "camlock.tar", site.home / "out"
    age(key, backup, archive)
    out.mkdir()
    words = ["tar", "--extract", "--verbose", "--file", str(archive), "--directory", str(out)]
    listed = subprocess.run(words, capture_output=True, text=True, check=True)
    assert listed.stderr == ""
    for name in ("README.txt", "root.pem", "page.pem", "policy.toml", "camlock.db"):
        assert name in listed.stdout.split()
        assert (out / name).stat().st_mode & 0o777 == 0o600

    assert "age --decrypt -i RECOVERY-KEY-FILE" in (out / "README.txt").read_text()
    assert (out / "root.pem").read_text() == site.root.read_text()
    assert (out / "policy.toml").read_text() == (site.home / "data/policy.toml").read_text()
    openssl("verify", "-CAfile", out / "root.pem", out / "page.pem")
    with closing(sqlite3.connect(f"file:{out / 'camlock.db'}?mode=ro", uri=True)) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        serials = [serial for (serial,) in ledger.execute("SELECT serial FROM certificate")]
        (stored,) = ledger.execute("SELECT vault FROM site").fetchone()
    assert issued["serial"] in serials

    # The master key itself, too: it opens what the ledger has sealed.
    (out / "master.age").write_text(json.loads(stored)["by_recovery_key"])
    age(key, out / "master.age", out / "master")
    assert len((out / "master").read_bytes()) == 32
    # And the authority's key, with its certificate beside it: OpenSSL goes on with what Camlock began.
    (escrowed,) = out.glob("keys/*.pem.age")
    certificate = escrowed.with_name(escrowed.name.removesuffix(".pem.age") + ".crt")
    assert certificate.read_text() == site.root.read_text()
    plain = out / "authority.pem"
    age(key, escrowed, plain)
    public = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    assert openssl("pkey", "-in", plain, "-pubout") == public
    request, leaf = out / "yard.csr", out / "yard.crt"
    openssl(
        *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Yard"),
        *("-addext", "subjectAltName=IP:192.168.1.66,DNS:yard.home.arpa"),
        *("-keyout", out / "yard.key", "-out", request),
    )
    openssl(
        *("x509", "-req", "-in", request, "-CA", certificate, "-CAkey", plain),
        *("-copy_extensions", "copy", "-days", "30", "-out", leaf),
    )
    openssl("verify", "-CAfile", site.root, leaf)


def test_what_another_tool_packed_is_judged_like_a_backup(site: Site, tmp_path: Path) -> None:
    """The same files, packed again by `tar` and `age`, are taken; with a path out of the folder they are not."""
    key = recovery_key(site)
    backup = site.home / "camlock.tar.age"
    site.camlock("backup", backup)
    archive, out = tmp_path / "camlock.tar", tmp_path / "out"
    age(key, backup, archive)
    out.mkdir()
    subprocess.run(["tar", "xf", archive, "-C", out], check=True)
    recipient = site.camlock("vault", "show")["recovery_recipient"]

    def restored(name: str, *words: str) -> int:
        packed, data = tmp_path / f"{name}.tar.age", tmp_path / name / "data"
        made = subprocess.run(["tar", "--create", "-C", out, *words], capture_output=True, check=True)
        subprocess.run(["age", "-r", recipient, "-o", packed], input=made.stdout, check=True)
        command = [program("camlock"), "--data", data, "restore", packed, "--recovery-key-file", key]
        done = run(command, tmp_path / name)
        assert (data / "camlock.db").exists() == (done.returncode == 0), done.stderr
        return done.returncode

    files = ["README.txt", "root.pem", "page.pem", "camlock.db"]
    assert restored("good", "--format=ustar", *files) == 0
    # Nor may what it brings do anything by itself.
    whole = (out / "camlock.db").read_bytes()
    for kind, made in {"trigger": "AFTER INSERT ON backup BEGIN SELECT 1; END", "view": "AS SELECT 1"}.items():
        with closing(sqlite3.connect(out / "camlock.db")) as ledger, ledger:
            ledger.execute(f"CREATE {kind} helper {made}")
        assert restored(kind, *files) == 3
        (out / "camlock.db").write_bytes(whole)
    assert restored("absolute", "--absolute-names", "--transform=s,^,/tmp/,", *files) == 2
    assert restored("above", "--absolute-names", "--transform=s,^,../,", *files) == 2
    (out / "page.pem").unlink()
    (out / "page.pem").symlink_to("/etc/passwd")
    assert restored("link", *files) == 2
    assert restored("half", "README.txt", "root.pem") == 2


def test_a_key_file_is_random(site: Site) -> None:
    """256 bits, and no two the same."""
    keys = set()
    for number in range(3):
        file = site.home / f"key{number}"
        site.camlock("vault", "key-file", file)
        (line,) = file.read_text().splitlines()
        keys.add(base64.urlsafe_b64decode(line.removeprefix("CAMLOCK-KEY-1") + "="))
    assert len(keys) == 3 and all(len(key) == 32 for key in keys)
