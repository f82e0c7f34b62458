"""A Debian of its own, with systemd: made once by mmdebstrap from the machine's own package source, kept in cargo's
target folder, and started in namespaces by systemd-nspawn, without a network but loopback."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import Network, command
from processes import REPOSITORY, environment, wait_for


def archive() -> Path:
    """The Debian in a tar; made if it is not there."""
    target = REPOSITORY / (os.environ.get("CARGO_TARGET_DIR") or "target")
    path = target / "tools/debian-bookworm.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new.tar")
        command(
            *("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,sudo", "bookworm", new), seconds=600
        )
        new.rename(path)
    return path


class Debian:
    """It runs."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self.network = Network(leader)
        self._enter = ["nsenter", f"--target={leader}", *"--mount --uts --ipc --net --pid --root --wd --".split()]

    def done(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of root's in it, whatever comes of it."""
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.run(
            [*self._enter, *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def run(self, *words: str) -> str:
        """A command of root's in it; what it says."""
        done = self.done(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def state(self, unit: str, field: str) -> str:
        """A field of a unit's."""
        return self.run("systemctl", "show", "--value", f"--property={field}", unit).strip()


def children(pid: int) -> list[int]:
    """The processes that it started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def booted(folder: Path) -> Iterator[Debian]:
    """A fresh Debian for the length of a `with`."""
    root = folder / "debian"
    root.mkdir()
    command("tar", "--extract", "--file", archive(), "--directory", root, "--numeric-owner")
    machine = f"camlock-{os.getpid()}"
    words = ["systemd-nspawn", "--quiet", f"--directory={root}", f"--machine={machine}", "--boot", "--private-network"]
    # No other program of the machine takes part.
    words += ["--register=no", "--keep-unit", "--console=pipe", "--resolv-conf=off", "--timezone=off"]
    talk = folder / "nspawn"
    with talk.open("wb") as out:
        nspawn = subprocess.Popen(
            words, env=environment(folder), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:

        def first() -> int | None:
            """The Debian's first process; before it is systemd, there are helpers of nspawn's."""
            assert nspawn.poll() is None, f"systemd-nspawn ended: {talk.read_text()}"
            for pid in children(nspawn.pid):
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return pid
            return None

        leader = wait_for("systemd", 20, first)
        debian = Debian(root, leader)

        def up() -> bool | None:
            said = debian.done("systemctl", "is-system-running").stdout.strip()
            return True if said in ("running", "degraded") else None

        wait_for("Debian", 60, up)
        yield debian
        # Power off, as systemd takes it.
        os.kill(leader, signal.SIGRTMIN + 4)
        nspawn.wait(30)
    finally:
        if nspawn.poll() is None:
            # Its processes end with the namespace's first.
            for pid in children(nspawn.pid):
                os.kill(pid, signal.SIGKILL)
            nspawn.kill()
            nspawn.wait(10)
        # It leaves an empty folder behind.
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{machine}", ignore_errors=True)
