"""The programs that `scripts/dist` built: static, small, and each secures its cameras on the processor it is for.

CAMLOCK_DIST names their folder; else it is `dist`, and without it there is nothing to test.
"""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import FULL, Site, StartCamera
from processes import REPOSITORY, program, run
from test_serve import service

FOLDER = (REPOSITORY / (os.environ.get("CAMLOCK_DIST") or "dist")).resolve()
PROGRAMS = sorted(
    path for path in FOLDER.glob("camlock-*") if re.search(r"-(linux|windows)-[a-z]+(\.exe)?$", path.name)
)
LINUX = [path for path in PROGRAMS if "-linux-" in path.name]
MUSL = [path for path in LINUX if "-musl" in path.name]
WINDOWS = [path for path in PROGRAMS if path.suffix == ".exe"]

# Where Debian has it; its launcher in the search path belongs to another package.
WINE = Path("/usr/lib/wine")

LARGEST = 16_000_000

# The Cortex-A9 is what the oldest NAS still cared for have; what newer ones can do must not be asked for.
EMULATORS = {
    "x86_64": (),
    "aarch64": ("qemu-aarch64-static", "-cpu", "cortex-a53"),
    "armv7": ("qemu-arm-static", "-cpu", "cortex-a9"),
}

# Linux 3.10 is the oldest kernel of a NAS still cared for. These calls came later, with the version they came in.
NEWER = {
    "sched_setattr": "3.14",
    "sched_getattr": "3.14",
    "renameat2": "3.15",
    "getrandom": "3.17",
    "memfd_create": "3.17",
    "seccomp": "3.17",
    "bpf": "3.18",
    "execveat": "3.19",
    "membarrier": "4.3",
    "userfaultfd": "4.3",
    "mlock2": "4.4",
    "copy_file_range": "4.5",
    "preadv2": "4.6",
    "pwritev2": "4.6",
    "pkey_alloc": "4.9",
    "pkey_mprotect": "4.9",
    "statx": "4.11",
    "io_pgetevents": "4.18",
    "rseq": "4.18",
    "io_uring_setup": "5.1",
    "io_uring_enter": "5.1",
    "io_uring_register": "5.1",
    "pidfd_send_signal": "5.1",
    "clone3": "5.3",
    "pidfd_open": "5.3",
    "openat2": "5.6",
    "pidfd_getfd": "5.6",
    "faccessat2": "5.8",
    "close_range": "5.9",
    "process_madvise": "5.10",
    "epoll_pwait2": "5.11",
    "landlock_create_ruleset": "5.13",
    "landlock_restrict_self": "5.13",
    "process_mrelease": "5.15",
    "futex_waitv": "5.16",
}


def name(path: Path) -> str:
    """The target, for the tests' names."""
    return re.sub(r"^camlock-[0-9.]+-|\.exe$", "", path.name)


def each(programs: list[Path]) -> Callable[..., Any]:
    """The test once for each of the programs."""
    return pytest.mark.parametrize("built", programs, ids=name)


def emulator(built: Path) -> tuple[str, ...]:
    """What this machine needs before the program on a command line."""
    return EMULATORS[name(built).split("-")[0]]


def readelf(option: str, built: Path) -> str:
    """What binutils says of the program."""
    return subprocess.run(["readelf", "--wide", option, built], capture_output=True, text=True, check=True).stdout


def assert_all_secure(status: int, output: str, talk: str) -> None:
    """`demo --once --json` has said that each camera is."""
    assert status == 0, f"status {status}\n{output}\n{talk[-4000:]}"
    verdicts = [camera["after"] for camera in json.loads(output)["cameras"]]
    assert verdicts == ["secure"] * 3, output


def peak(command: tuple[str | Path, ...], home: Path) -> tuple[float, float, subprocess.CompletedProcess[str]]:
    """The most memory that a command had resident in MiB, its seconds, and its end.

    By the small program `time`, since a child counts as its own what its parent had before the exec."""
    start = time.monotonic()
    done = run(["/usr/bin/time", "--format", "%M", "--output", home / "peak", *command], home, seconds=300)
    seconds = time.monotonic() - start
    return int((home / "peak").read_text().split()[-1]) / 1024, seconds, done


@each(PROGRAMS)
def test_is_small(built: Path) -> None:
    """A NAS has little room."""
    assert built.stat().st_size < LARGEST


@each(MUSL)
def test_is_static(built: Path) -> None:
    """It names no interpreter and needs no library, so it runs whatever the system has of either."""
    assert "INTERP" not in readelf("--program-headers", built)
    assert "NEEDED" not in readelf("--dynamic", built)


@each([path for path in LINUX if path not in MUSL])
def test_runs_on_old_glibc(built: Path) -> None:
    """Nothing newer than glibc 2.17 is asked of the system; the oldest NAS has 2.26."""
    versions = {tuple(map(int, v.split("."))) for v in re.findall(r"GLIBC_([0-9.]+)", readelf("--dyn-syms", built))}
    assert versions and max(versions) <= (2, 17), versions


@each(LINUX)
def test_demo_secures_all_cameras(built: Path, tmp_path: Path, record_property: Callable[..., None]) -> None:
    """The whole loop on the processor it was built for, in emulation where this machine has another."""
    emulated = emulator(built)
    alone, _, done = peak((*emulated, built, "--version"), tmp_path)
    assert done.returncode == 0, done.stderr
    mib, seconds, done = peak((*emulated, built, "demo", "--once", "--json"), tmp_path)
    assert_all_secure(done.returncode, done.stdout, done.stderr)
    how = " ".join(emulated) or "this machine"
    row = f"{name(built):32} {built.stat().st_size / 1e6:5.1f} {mib:8.1f} {alone:13.1f} {seconds:8.1f}  {how}"
    record_property("dist", row)


@each([path for path in LINUX if not emulator(path)])
def test_the_service_is_a_small_guest(built: Path, site: Site) -> None:
    """Under 15 MB while it idles, its page having been read; of the C library, which other programs use too, its share."""
    with service(site, "service", built=built) as served:
        assert served.get(served.page, site.root)[0] == 200
        maps = Path(f"/proc/{served.running.process.pid}/smaps_rollup").read_text()
        share = re.search(r"Pss:\s+(\d+) kB", maps)
        assert share and int(share[1]) * 1024 < 15_000_000, maps


def without(calls: str, home: Path, *words: str | Path) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    """Runs the program on a kernel that lacks these calls; which it missed, and its end.

    strace cannot do that to an emulator's guest; without a static program for this machine it is the one for tests."""
    built = next((path for path in MUSL if "-x86_64-" in path.name), None) or program("camlock")
    log = home / "strace"
    # Only these calls are stopped at (--seccomp-bpf); all else is hardly slower.
    strace = ("strace", "-f", "--seccomp-bpf", "-o", log, "-e", f"trace={calls}", "-e", f"inject={calls}:error=ENOSYS")
    done = run([*strace, built, *words], home, seconds=120)
    missed = re.findall(r"^\d+ +(?:<... )?(\w+)(?:\(| resumed>).*\(INJECTED\)$", log.read_text(), re.MULTILINE)
    return missed, done


@pytest.mark.parametrize("missing", [*(NEWER if FULL else ()), "all of them"])
def test_demo_on_an_old_kernel(missing: str, tmp_path: Path, record_property: Callable[..., None]) -> None:
    """A call that the kernel lacks fails with ENOSYS, and the program finds another way."""
    calls = ",".join(NEWER) if missing == "all of them" else missing
    missed, done = without(calls, tmp_path, "demo", "--once", "--json")
    assert_all_secure(done.returncode, done.stdout, done.stderr)
    if missing == "all of them":
        # Else these runs prove nothing.
        assert "getrandom" in missed
    which = " ".join(sorted(set(missed)))
    record_property("old-kernel", f"{missing:24} {NEWER.get(missing, ''):6} {len(missed):6}  {which}")


def test_files_on_an_old_kernel(tmp_path: Path) -> None:
    """Files that must not replace others are written with a call of 3.15 where there is one."""
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("outside tests of camlock\n")
    common = ("--data", tmp_path / "data", "--passphrase-file", passphrase)
    missed = []
    for words in (
        ("init", "--key", "p256", *common),
        ("issue", "--name", "Gate", "--ip", "192.168.1.65", "--key", "p256", "--out", tmp_path / "gate.pem", *common),
    ):
        more, done = without(",".join(NEWER), tmp_path, *words)
        assert done.returncode == 0, done.stderr
        missed += more
    assert "renameat2" in missed and (tmp_path / "gate.pem").read_text().startswith("-----BEGIN")


# Wine 8 lacks this library, which Rust's standard library asks for random numbers.
BCRYPTPRIMITIVES = """
int __stdcall SystemFunction036(void *, unsigned long);
__declspec(dllexport) int __stdcall ProcessPrng(unsigned char *buffer, unsigned long long length) {
    return SystemFunction036(buffer, (unsigned long)length);
}
"""


@pytest.fixture
def wine(tmp_path: Path) -> Iterator[Callable[[Path], tuple[str | Path, ...]]]:
    """The words before a program on a command line, and a Windows of its own that ends with the test."""

    def before(built: Path) -> tuple[str | Path, ...]:
        here = tmp_path / built.name
        here.write_bytes(built.read_bytes())
        (tmp_path / "prng.c").write_text(BCRYPTPRIMITIVES)
        compiler = ("x86_64-w64-mingw32-gcc", "-shared", "prng.c", "-o", "bcryptprimitives.dll", "-ladvapi32")
        subprocess.run(compiler, cwd=tmp_path, check=True)
        # The first run makes the Windows.
        words = ("env", "WINEDEBUG=-all", WINE / "wine64", here)
        done = run([*words, "--version"], tmp_path, seconds=120)
        assert done.returncode == 0, done.stderr
        return words

    yield before
    run([WINE / "wineserver64", "-k"], tmp_path)


@each(WINDOWS)
def test_windows_demo_secures_all_cameras(
    built: Path, wine: Callable[[Path], tuple[str, ...]], tmp_path: Path, record_property: Callable[..., None]
) -> None:
    """As far as Wine is Windows."""
    words = wine(built)
    alone, _, _ = peak((*words, "--version"), tmp_path)
    mib, seconds, done = peak((*words, "demo", "--once", "--json"), tmp_path)
    assert_all_secure(done.returncode, done.stdout, done.stderr)
    row = f"{name(built):32} {built.stat().st_size / 1e6:5.1f} {mib:8.1f} {alone:13.1f} {seconds:8.1f}  wine64"
    record_property("dist", row)


@each(WINDOWS)
def test_windows_checks_a_camera(
    built: Path, wine: Callable[[Path], tuple[str, ...]], start_camera: StartCamera, tmp_path: Path
) -> None:
    """What the installer's laptop is taken out for."""
    camera = start_camera("onvif-security")
    done = run([*wine(built), "check", camera["http"], "--json"], tmp_path)
    assert done.returncode == 1, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert [finding["code"] for finding in json.loads(done.stdout)[0]["findings"]] == ["plain-http"], done.stdout
