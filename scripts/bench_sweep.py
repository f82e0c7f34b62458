"""Many web pages looked at in one `camlock check`, beside what else does it: hosts per second, and CPU for each.

bench_sweep.py CAMLOCK SERVERS; standard library only, Linux. The servers run on the same processors, as a process whose
CPU is not counted; every one has an address and a certificate of its own. What is not installed is skipped: nmap is a
Debian package, sslyze comes by `pip install sslyze`.
"""

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HOSTS = 1000
RUNS = 3
# What many systems give a process.
FILES = 1024


@dataclass
class Run:
    """One run of a scanner: its standard output, and what it took."""

    out: str
    seconds: float
    cpu: float
    memory: int

    def told(self, hosts: int) -> str:
        """The two figures that are compared."""
        return f"{hosts / self.seconds:7.0f} hosts/s, {self.cpu / hosts * 1000:6.2f} ms of CPU each"


def run(words: list[str], home: Path, text: str = "") -> Run:
    """Runs it with this on its standard input."""
    (home / "in").write_text(text)
    since = time.monotonic()
    with (home / "in").open() as given, (home / "out").open("w") as out, (home / "talk").open("w") as talk:
        process = subprocess.Popen(words, stdin=given, stdout=out, stderr=talk, cwd=home,
                                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)))
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - since
    return Run((home / "out").read_text(), seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@contextlib.contextmanager
def servers(program: str, home: Path, count: int) -> Iterator[list[str]]:
    """That many servers; their targets. Their root is in the file `root`."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    process = subprocess.Popen([program, str(home / "root"), str(count)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
    assert process.stdin and process.stdout
    try:
        yield [process.stdout.readline().strip() for _ in range(count)]
    finally:
        process.stdin.close()
        process.wait(30)


@contextlib.contextmanager
def silence(count: int) -> Iterator[list[str]]:
    """That many addresses that answer nothing: behind all of them one port, whose queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        listener.close()
        listener = stack.enter_context(socket.socket())
        listener.bind(("0.0.0.0", port))
        listener.listen(0)
        with contextlib.suppress(TimeoutError):
            while True:
                stack.enter_context(socket.create_connection(("127.2.0.1", port), timeout=1))
        yield [f"127.2.{number // 250}.{number % 250 + 1}:{port}" for number in range(count)]


def camlock(program: str, home: Path, targets: list[str]) -> Run:
    """One call; every target that is served must be secure, and every other one unreachable."""
    ran = run([program, "--data", str(home / "none"), "check", "--json", "--ca", str(home / "root"), "--list", "-"],
              home, "\n".join(targets))
    reports = json.loads(ran.out)
    assert [report["target"] for report in reports] == targets
    expected = ["unreachable" if target.startswith("127.2.") else "secure" for target in targets]
    wrong = [report for report, verdict in zip(reports, expected) if report["verdict"] != verdict]
    assert not wrong, wrong[0]
    return ran


def compare(program: str, home: Path, targets: list[str]) -> None:
    """Each scanner alone, on the same servers."""
    listed = "\n".join(targets)
    hosts = "\n".join(target.split(":")[0] for target in targets)
    port = targets[0].split(":")[1]
    (home / "targets").write_text(listed)
    if shutil.which("go"):
        source = Path(__file__).with_name("sweep.go")
        subprocess.run(["go", "build", "-o", home / "sweep", source], check=True,
                       env={**os.environ, "GOCACHE": str(home / "cache"), "GOFLAGS": "-mod=mod"})
    openssl = f'xargs -P {2 * (os.cpu_count() or 1)} -I T sh -c "openssl s_client -CAfile root -connect T </dev/null 2>/dev/null"'
    scanners: list[tuple[str, str, list[str], str, Callable[[str], int]]] = [
        ("Go, crypto/tls, 100 at once", "go", ["./sweep", "root"], listed, int),
        ("nmap --script ssl-cert", "nmap", ["nmap", "-n", "-Pn", "-T5", "-p", port, "--script", "+ssl-cert", "-iL", "-"], hosts,
         lambda out: out.count("ssl-cert: Subject")),
        ("openssl s_client, by xargs", "openssl", ["sh", "-c", openssl], listed,
         lambda out: out.count("Verify return code: 0 (ok)")),
        ("sslyze --certinfo", "sslyze", ["sslyze", "--certinfo", "--targets_in", "targets"], "",
         lambda out: out.count("Certificates Information")),
    ]
    load = os.getloadavg()[0]
    ours = min((camlock(program, home, targets) for _ in range(RUNS)), key=lambda ran: ran.seconds)
    print(f"{'camlock check':30} {ours.told(HOSTS)} (aim 3000 and 0.35), {ours.memory / 1e6:.0f} MB; load before {load:.1f}")
    for name, needs, words, text, count in scanners:
        if not shutil.which(needs):
            print(f"{name:30} skipped: {needs} is not installed")
            continue
        # Of those that take a second, too, the best of several runs.
        ran = min((run(words, home, text) for _ in range(RUNS if needs == "go" else 1)), key=lambda ran: ran.seconds)
        found = count(ran.out)
        print(f"{name:30} {ran.told(HOSTS)}; camlock is {ran.seconds / ours.seconds:.1f} times as fast with "
              f"{ours.cpu / ran.cpu:.2f} of its CPU" + (f"; saw {found} of {HOSTS}" if found != HOSTS else ""))


def main(program: str, server: str) -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with servers(server, home, HOSTS) as targets, silence(50) as silent:
            compare(program, home, targets)
            mixed = [target for pair in zip(targets[::20], silent) for target in pair]
            mixed += [target for target in targets if target not in mixed]
            ran = camlock(program, home, mixed[:HOSTS])
            print(f"{'50 silent ones among 1000':30} {ran.seconds:.1f} s (a time-out is 5 s)")
        with servers(server, home, 5000) as targets, silence(5000) as silent:
            ran = camlock(program, home, [target for pair in zip(targets, silent) for target in pair])
            print(f"{'10000, half of them silent':30} {ran.seconds:.1f} s (limit 60), {ran.memory / 1e6:.0f} MB (limit 100), "
                  f"{ran.cpu:.1f} s of CPU, at most {FILES} files")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()), str(Path(sys.argv[2]).resolve()))
