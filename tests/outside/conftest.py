"""What the outside tests share. Nothing of the machine is touched: homes, folders and ports are all of their own."""

import itertools
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from onvif_schema import OfficialSchema
from processes import program, run, running

# `scripts/test full`: larger counts.
FULL = os.environ.get("CAMLOCK_FULL") == "1"

StartCamera = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def official_schema() -> OfficialSchema:
    """Loaded once; it takes two seconds."""
    return OfficialSchema()


@pytest.fixture
def start_camera(tmp_path: Path) -> Iterator[StartCamera]:
    """Starts a simulated camera by its model and options; what it printed, and its `transcript` folder."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(model: str, *options: str) -> dict[str, Any]:
            home = tmp_path / f"camera{next(numbers)}"
            transcript = home / "transcript"
            command = [program("camera-sim"), model, "--transcript", transcript, *options]
            camera = stack.enter_context(running(command, home)).first_document(20)
            return {**camera, "transcript": transcript}

        yield start


def keep(file: Path, secret: str) -> None:
    """Writes a file with a secret, as careful people do."""
    file.touch(0o600)
    file.write_text(secret)


class Site:
    """An authority in a data directory of its own, made by `camlock init`."""

    def __init__(self, home: Path, key: str = "p256", *options: str) -> None:
        home.mkdir(parents=True)
        self.home = home
        keep(home / "passphrase", "outside tests of camlock\n")
        self.root = home / "root.pem"
        founded = self.camlock("init", "--site", "Outside", "--permit", "127.0.0.1", "--key", key, *options)
        self.recovery_key: str = founded["recovery_key"]
        self.camlock("trust", "export", "--out", self.root)

    def camlock(self, *words: Any, status: int = 0) -> Any:
        """A command with --json; its document."""
        common = ["--data", self.home / "data", "--passphrase-file", self.home / "passphrase", "--json"]
        done = run([program("camlock"), *words, *common], self.home)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout) if done.stdout else None

    def age(self, days: int) -> None:
        """Makes the ledger believe that every certificate ends in so many days, so that it is time to renew."""
        with closing(sqlite3.connect(self.home / "data/camlock.db")) as ledger, ledger:
            ledger.execute(
                "UPDATE certificate SET not_after = ?1, not_before = ?1 - 397 * 86400",
                (int(time.time()) + days * 86_400,),
            )

    def secure(self, camera: dict[str, Any], *options: str, status: int = 0) -> Any:
        """`camlock secure` for a simulated camera."""
        password = self.home / "password"
        keep(password, camera["password"] + "\n")
        words = ("secure", camera["http"], "--user", camera["user"], "--password-file", password, *options)
        return self.camlock(*words, status=status)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A new authority."""
    return Site(tmp_path / "site")


TABLES = {
    "dist": f"{'demo --once':32} {'MB':>5} {'peak MiB':>8} {'(--version)':>13} {'seconds':>8}  run by",
    "old-kernel": f"{'ENOSYS from':24} {'since':6} {'calls':>6}  which",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the tests of the built programs measured, as tables."""
    for table, heading in TABLES.items():
        rows = [
            value
            for outcome in ("passed", "failed")
            for report in terminalreporter.stats.get(outcome, [])
            for key, value in report.user_properties
            if key == table and report.when == "call"
        ]
        if rows:
            terminalreporter.write_line("\n".join(["", heading, *rows]))
