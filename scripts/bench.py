"""The measuring part of scripts/bench. Takes the program and the one for the door; standard library only."""

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
from typing import Any

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


def door(program: str) -> None:
    """Certificates through the one door, each durable before it is handed out, beside their cryptography alone and
    openssl; what each takes on the disk beside its own bytes; and whether it gets slower as they become many."""
    def said(*words: str) -> dict[str, Any]:
        return json.loads(subprocess.run([program, *words], check=True, capture_output=True).stdout)

    for key, known, counts in (("p256", "ecdsap256", (5_000, 100_000)), ("rsa-3072", "rsa3072", (1_000, 4_000))):
        bound = said("bound", key)["per_cpu_second"]
        speed = subprocess.run(["openssl", "speed", "-seconds", "2", known], capture_output=True, text=True)
        signs = float(speed.stdout.split()[-2])
        print(f"door, {key}: check and signature alone {bound:.0f} per CPU second; openssl signs {signs:.0f}/s")
        for at_once, count in zip(("1", "16"), counts):
            all_of = said("bench", key, at_once, str(count))
            rate, slower = all_of["all"]["per_cpu_second"], all_of["last"]["per_cpu_second"] / all_of["first"]["per_cpu_second"]
            # Three times the better of step-ca and cfssl with SQLite, P-256, 16 at once.
            aim = ", aim 3480" if (key, at_once) == ("p256", "16") else ""
            print(f"  {at_once:>2} at once: {rate:5.0f} per CPU second{aim}, {rate / bound:.2f} of that bound; "
                  f"{all_of['all']['per_second']:.0f}/s, where this disk makes {all_of['syncs']:.0f} pages durable; "
                  f"{all_of['beside']:.0f} bytes beside {all_of['der']:.0f} (limit 550); last to first {slower:.2f}")


def main(program: str, door_program: str) -> None:
    """All of them."""
    line("program", os.path.getsize(program) / MB, "MB", 16)
    with tempfile.TemporaryDirectory() as home:
        demo(program, Path(home))
        serve(program, Path(home))
    door(door_program)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
