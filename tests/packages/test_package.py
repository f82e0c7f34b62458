"""scripts/package itself: what it refuses, and that the same input gives the same bytes."""

import os
import subprocess
from pathlib import Path

import pytest

from conftest import command, dynamic, header
from processes import REPOSITORY

TOOL = REPOSITORY / "scripts/package"


@pytest.mark.parametrize("kind", ["spk", "deb", "oci"])
def test_the_same_input_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    """Whoever packs, wherever, and whenever: the time is the commit's."""
    program = header(tmp_path / "camlock", "aarch64")
    made = []
    for zone, umask in (("UTC", "022"), ("Asia/Tokyo", "077")):
        folder = tmp_path / umask
        words = ["sh", "-c", 'umask "$0" && exec "$@"', umask, TOOL, kind, program, "aarch64", folder]
        subprocess.run(words, env={**os.environ, "TZ": zone}, stdout=subprocess.DEVNULL, timeout=60, check=True)
        [path] = folder.iterdir()
        made.append((path.name, path.read_bytes()))
    assert made[0] == made[1]


def test_what_is_no_program_for_the_machine_is_refused(binary: Path, tmp_path: Path) -> None:
    """Each kind of package reads its binary in the same place."""
    out = tmp_path / "out"
    assert "not for aarch64" in command(TOOL, "spk", "--development", binary, "aarch64", out, fails=True)
    assert "not one of" in command(TOOL, "oci", binary, "riscv64", out, fails=True)
    assert "not a Linux program" in command(TOOL, "deb", TOOL, "x86_64", out, fails=True)
    if dynamic(binary):
        assert "shared libraries" in command(TOOL, "oci", binary, "x86_64", out, fails=True)
    assert not out.exists()


def test_each_store_has_its_names(tmp_path: Path) -> None:
    """Synology, Debian and OCI call the same machine by other names; all are known."""
    program = header(tmp_path / "camlock", "armv7")
    for name in ("armv7", "armhf", "arm"):
        made = command(TOOL, "spk", "--version", "1.2.3", program, name, tmp_path)
        assert made.strip().endswith("-armv7.spk")
    assert command(TOOL, "deb", "--version", "1.2.3", program, "armv7", tmp_path).strip().endswith("_1.2.3-1_armhf.deb")
