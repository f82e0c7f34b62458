"""The measuring part of scripts/bench. Takes the program; standard library only."""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MB = 1e6
STARTS = 20


def line(what: str, value: float, unit: str, limit: float, note: str = "") -> None:
    """One figure, its limit, and the ratio of the two."""
    print(f"{what:42} {value:8.2f} {unit:3}  limit {limit:g} {unit}, {value / limit:.2f} of it{note}")


@contextlib.contextmanager
def started(command: list[str], home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """A program for the length of a `with`: the process, what it prints, what it says."""
    out, talk = home / "out", home / "talk"
    with out.open("wb") as o, talk.open("wb") as t:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=o, stderr=t, env={"TMPDIR": str(home)})
    try:
        yield process, out, talk
    finally:
        process.terminate()
        process.wait(20)


def memory(pid: int) -> float:
    """Resident memory, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


def demo(program: str, home: Path) -> None:
    """The main job: seconds for each camera, without the making of its key and request."""
    with started([program, "demo", "--json"], home) as (process, out, talk):
        while not out.read_text().rstrip().endswith("}"):
            assert process.poll() is None, talk.read_text()
            time.sleep(0.05)
        for camera in json.loads(out.read_text())["cameras"]:
            steps = dict(re.findall(rf"^{camera['name']}  . (\w+) .*\(([0-9.]+) s\)$", talk.read_text(), re.M))
            key = float(steps["request"])
            line(f"securing {camera['name']}", camera["seconds"] - key, "s", 1, f" (its key and request: {key:.2f} s)")


def first_answer(port: int, since: float) -> float:
    """Seconds until /health answers."""
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health")
            assert connection.getresponse().status == 200
            return time.monotonic() - since
        except ConnectionRefusedError:
            time.sleep(0.0005)
        finally:
            connection.close()


def serve(program: str, home: Path) -> None:
    """The service, locked as on a NAS: start to first answer, and memory once it has answered and idles."""
    data = str(home / "data")
    (home / "passphrase").write_text("a passphrase of several words\n")
    init = [program, "--data", data, "--passphrase-file", str(home / "passphrase"), "init", "--permit", "127.0.0.1"]
    subprocess.run(init, check=True, capture_output=True)
    seconds, resident = [], 0.0
    for run in range(STARTS):
        # Fixed, so that it can be asked before it says where it is; loopback ports of one run of this script.
        port = 20000 + (os.getpid() + run) % 10000
        listen = ["--listen", "127.0.0.1:0", "--http-listen", f"127.0.0.1:{port}"]
        since = time.monotonic()
        with started([program, "--data", data, "serve", *listen], home) as (process, _, _):
            seconds.append(first_answer(port, since))
            if run == STARTS - 1:
                time.sleep(2)
                resident = memory(process.pid)
    median = statistics.median(seconds) * 1000
    line("serve: start to first answer, median", median, "ms", 50, f" (of {STARTS}: {min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f} ms)")
    line("serve: memory while idle", resident / MB, "MB", 15)


def main(program: str) -> None:
    """All of them."""
    line("program", os.path.getsize(program) / MB, "MB", 16)
    with tempfile.TemporaryDirectory() as home:
        demo(program, Path(home))
        serve(program, Path(home))


if __name__ == "__main__":
    main(sys.argv[1])
