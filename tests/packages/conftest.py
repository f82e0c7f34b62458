"""What the tests of the packages share. Nothing is installed on the machine: folders, ports (a network namespace), the
Debian and the users are all of their own. They have to be root for that; otherwise they are skipped."""

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "outside"))

from processes import REPOSITORY, environment, program, running  # noqa: E402

Package = Callable[..., Path]


def command(*words: str | Path, fails: bool = False, seconds: float = 120) -> str:
    """Runs a command; what it says. With `fails` it must fail, else it must not."""
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=seconds, check=False)
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode != 0) == fails, f"{' '.join(map(str, words))}: {done.returncode}\n{said}"
    return said


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program to pack: CAMLOCK_BINARY, or cargo's without what is only for debuggers."""
    named = os.environ.get("CAMLOCK_BINARY")
    if named:
        return Path(named).resolve()
    stripped = tmp_path_factory.mktemp("binary") / "camlock"
    command("strip", "-o", stripped, program("camlock"))
    return stripped


def header(path: Path, arch: str) -> Path:
    """A file that begins like a static program for a machine, and holds nothing else."""
    machine, wide = {"x86_64": (62, True), "aarch64": (183, True), "armv7": (40, False)}[arch]
    load = struct.pack("<I", 1) + bytes(52 if wide else 28)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    layout = "<HHIQQQIHHHHHH" if wide else "<HHIIIIIHHHHHH"
    size = 64 if wide else 52
    path.write_bytes(ident + struct.pack(layout, 2, machine, 1, 0, size, 0, 0, size, len(load), 1, 0, 0, 0) + load)
    return path


def dynamic(binary: Path) -> bool:
    """Whether it needs shared libraries."""
    return "interpreter" in command("readelf", "--program-headers", binary)


@pytest.fixture(scope="session")
def package(binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """Calls scripts/package with the program; the file that it made. Each one is made once."""
    made: dict[tuple[str, str, int], Path] = {}

    def pack(kind: str, version: str = "0.1.0", epoch: int = 1790000000) -> Path:
        key = (kind, version, epoch)
        if key not in made:
            home = tmp_path_factory.mktemp(kind)
            words = [REPOSITORY / "scripts/package", kind, "--development", "--version", version]
            words += [binary, "x86_64", home]
            done = subprocess.run(
                [str(word) for word in words],
                env={**environment(home), "SOURCE_DATE_EPOCH": str(epoch)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            made[key] = Path(done.stdout.strip())
        return made[key]

    return pack


def unprivileged() -> str | None:
    """Why namespaces and other users are not to be had, if they are not."""
    if os.geteuid() != 0:
        return "not root: other users, chroot and namespaces are needed"
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], check=False).returncode != 0:
        return "this root may not make namespaces"
    return None


@pytest.fixture
def privileged() -> None:
    """For tests that need root."""
    reason = unprivileged()
    if reason:
        pytest.skip(reason)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="camlock-package-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


class Network:
    """A network of its own, with nothing but loopback: ports 8443 and 8080 are free in it."""

    def __init__(self, pid: int) -> None:
        self.enter = ["nsenter", f"--net=/proc/{pid}/ns/net", "--"]

    def get(self, url: str) -> str | None:
        """The page at an address, or nothing. The certificate is judged elsewhere."""
        words = [*self.enter, "curl", "--silent", "--fail", "--insecure", "--max-time", "5", url]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
        return done.stdout if done.returncode == 0 else None


@pytest.fixture
def network(privileged: None, tmp_path: Path) -> Iterator[Network]:
    """Ends with the test."""
    held = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"]
    with running(held, tmp_path / "network") as namespace:
        namespace.wait_for_output("network", 10, lambda said: said or None)
        yield Network(namespace.process.pid)
