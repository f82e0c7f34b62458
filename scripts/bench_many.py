"""Many simulated cameras secured by one `camlock secure` call: how long, at what rate, and what it takes.

bench_many.py CAMLOCK CAMERA-SIM [COUNT]; standard library only, Linux. The cameras are on the same machine, whose
processors they share; an onvif-security camera also makes its own key on them, so what that step took is told apart.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KINDS = {
    "onvif-security": [("onvif-security", [], 1.0)],
    "onvif-device": [("onvif-device", [], 1.0)],
    "mixture, 5 % faulty": [
        ("onvif-security", [], 0.35),
        ("onvif-device", [], 0.35),
        ("pem-page", [], 0.25),
        ("onvif-security", ["hangs"], 0.02),
        ("onvif-device", ["https-refused"], 0.015),
        ("onvif-device", ["drops-upload"], 0.015),
    ],
}
# What many systems give a process.
FILES = 1024


@contextlib.contextmanager
def cameras(program: str, password: Path, count: int, kind: str) -> Iterator[list[tuple[str, bool]]]:
    """Plugs them in: the address of each, and whether it is a healthy one; of all kinds by turns."""
    processes, addresses = [], []
    try:
        for model, faults, share in KINDS[kind]:
            number = max(1, round(count * share))
            words = [program, model, "--count", str(number), "--password-file", str(password)]
            for fault in faults:
                words += ["--fault", fault]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            processes.append(process)
            assert process.stdout
            for index in range(number):
                address = json.loads(process.stdout.readline())["http"].removeprefix("http://")
                addresses.append((index / number, address, not faults))
        yield [(address, healthy) for _, address, healthy in sorted(addresses)]
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)


def peak(pid: int) -> tuple[int, int]:
    """The most memory it had so far, bytes, and its open files now."""
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024, len(os.listdir(f"/proc/{pid}/fd"))
    return 0, 0


def secure(program: str, home: Path, words: list[str]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """One call: its result, and what it took."""
    before, since = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    memory = files = 0
    with (home / "out").open("wb") as out, (home / "talk").open("wb") as talk:
        process = subprocess.Popen(
            [program, "--data", str(home / "data"), "--passphrase-file", str(home / "passphrase"), "--json", "secure",
             "--user", "admin", "--password-file", str(home / "password"), *words],
            stdout=out, stderr=talk, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES)))
        while process.poll() is None:
            now, open_files = peak(process.pid)
            memory, files = max(memory, now), max(files, open_files)
            time.sleep(0.02)
    seconds, after = time.monotonic() - since, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert process.returncode in (0, 1), (home / "talk").read_text()
    took = {"seconds": seconds, "cpu": cpu, "memory": memory, "files": files}
    return json.loads((home / "out").read_text()), took


def measure(program: str, simulator: str, kind: str, count: int) -> None:
    """One kind: the figures of the first call, and of a second one that finds them secure."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "passphrase").write_text("a passphrase of several words\n")
        (home / "password").write_text("camera password\n")
        subprocess.run([program, "--data", str(home / "data"), "--passphrase-file", str(home / "passphrase"),
                        "init", "--permit", "127.0.0.1"], check=True, capture_output=True)
        with cameras(simulator, home / "password", count, kind) as plugged_in:
            addresses = [address for address, _ in plugged_in]
            load = os.getloadavg()[0]
            outcomes, took = secure(program, home, addresses)
            assert [outcome["target"] for outcome in outcomes] == addresses
            bad = [o for o, (_, healthy) in zip(outcomes, plugged_in) if healthy and o["verdict"] != "secure"]
            assert not bad, bad[0]
            secured = sum(outcome["verdict"] == "secure" for outcome in outcomes)
            steps: dict[str, float] = {}
            for outcome in outcomes:
                for step in outcome["steps"]:
                    steps[step["step"]] = steps.get(step["step"], 0) + step["seconds"]
            again = secure(program, home, [a for a, healthy in plugged_in if healthy])[1]
    print(f"{kind}: {len(outcomes)} cameras, {took['seconds']:.1f} s (limit 60 s beside their key generation), "
          f"{len(outcomes) / took['seconds']:.1f}/s, {took['cpu']:.1f} s of CPU, {took['memory'] / 1e6:.0f} MB at most, "
          f"{took['files']:.0f} files of {FILES}, {len(outcomes) - secured} faulty ones failed; load before {load:.1f}")
    each = ", ".join(f"{step} {seconds / len(outcomes):.2f}" for step, seconds in steps.items())
    print(f"  seconds of each camera by step: {each}; a second call: {again['seconds']:.1f} s")


if __name__ == "__main__":
    for kind in KINDS:
        measure(sys.argv[1], sys.argv[2], kind, int(sys.argv[3]) if len(sys.argv) > 3 else 200)
