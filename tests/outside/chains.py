"""Chains by chance, judged by Camlock and by the browsers' own verifiers: where they differ, and which differences are known.

    .venv/bin/python tests/outside/chains.py --count 20000 --seed 7
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from processes import REPOSITORY, program

BUILD = Path(__file__).parent / "browser_verifiers/build"
# Chains that are on the disk at a time.
BATCH = 20_000

# What Chromium's TLS says before its verifier is asked.
HANDSHAKE = ("ERR_SSL_PROTOCOL_ERROR", "ERR_SSL_KEY_USAGE_INCOMPATIBLE", "ERR_SSL_VERSION_OR_CIPHER_MISMATCH")
NAME = "ERR_CERT_COMMON_NAME_INVALID"
# The page of each error of Chromium's verifier; of the others it is ERR_CERT_INVALID, if there is none of these.
PAGES = {
    "Unacceptable signature algorithm": "ERR_CERT_INVALID",
    "VerifySignedData failed": "ERR_CERT_AUTHORITY_INVALID",
    "No matching issuer found": "ERR_CERT_AUTHORITY_INVALID",
    "Unacceptable public key": "ERR_CERT_WEAK_KEY",
    "Time is before notBefore": "ERR_CERT_DATE_INVALID",
    "Time is after notAfter": "ERR_CERT_DATE_INVALID",
}
# Which comes first, if there are several.
ORDER = ["ERR_CERT_INVALID", "ERR_CERT_AUTHORITY_INVALID", NAME, "ERR_CERT_WEAK_KEY", "ERR_CERT_DATE_INVALID"]


@dataclass
class Judged:
    """One chain, and what each says of it."""

    # As the programs were asked: its number and its files.
    line: str
    # Chromium's verifier: valid, unreadable, or invalid and why.
    library: str
    # Firefox's, with what the browser does around it: a page, or `null`.
    firefox: str
    # Camlock: a page for each browser, or `null`.
    camlock: tuple[str, str]


@dataclass
class Known:
    """A difference between the browser and its verifier, as seen in the real browser."""

    name: str
    why: str


# Chromium: its TLS reads the certificate before the verifier does, and its name check is not in the library.
IN_HANDSHAKE = Known("handshake", "Chromium's TLS refuses the key, or the use of it, before it verifies anything")
NOT_SHOWN = Known("shown", "Chromium reads names as text, to show them, before it verifies anything")
SERIAL = Known("serial", "Firefox's trust store knows a certificate by issuer and serial number, and the root has the same")
TIME = Known("time", "Firefox tells of the wrong name where it cannot read the times, either")
# Firefox ESR 153 shows these for a leaf with such a key, whatever else is wrong with it.
KEYS = {
    "SSL_ERROR_NO_CYPHER_OVERLAP": Known("ed25519", "Firefox offers no Ed25519, so that no such certificate is sent"),
    "SSL_ERROR_WEAK_SERVER_CERT_KEY": Known("curve", "Firefox's TLS knows no other curves than P-256, P-384 and P-521"),
    "SSL_ERROR_EXTRACT_PUBLIC_KEY_FAILURE": Known("key", "Firefox's TLS cannot read the key"),
    "nssBadCert": Known("point", "Firefox's TLS finds the point not on its curve"),
}


def difference_of_chromium(judged: Judged) -> Known | str | None:
    """None if both agree; a known difference; or what differs."""
    page = judged.camlock[0]
    if page in HANDSHAKE:
        # Nothing that cannot be read or used is fine, so only a use that is forbidden may be a surprise.
        return IN_HANDSHAKE
    if page == "ERR_SSL_SERVER_CERT_BAD_FORMAT" and judged.library != "unreadable":
        return NOT_SHOWN
    if judged.library == "unreadable":
        expected = ["ERR_CERT_INVALID", "ERR_SSL_SERVER_CERT_BAD_FORMAT"]
    elif judged.library == "valid":
        expected = ["null", NAME]
    else:
        errors = judged.library.removeprefix("invalid [").removesuffix("]").split("] [")
        pages = {PAGES[error] for error in errors if error in PAGES} or {"ERR_CERT_INVALID"}
        first = next(one for one in ORDER if one in pages)
        expected = [first, NAME] if ORDER.index(first) > ORDER.index(NAME) else [first]
    return None if page in expected else f"{page} for {judged.library}"


def difference_of_firefox(judged: Judged) -> Known | str | None:
    """None if both agree; a known difference; or what differs."""
    page = judged.camlock[1]
    if page == judged.firefox:
        return None
    if (page, judged.firefox) == ("SSL_ERROR_BAD_CERT_DOMAIN", "SEC_ERROR_INVALID_TIME"):
        return TIME
    if page == "SEC_ERROR_REUSED_ISSUER_AND_SERIAL":
        return SERIAL
    if page in KEYS:
        return KEYS[page]
    return f"{page} for {judged.firefox}"


def build(target: Path) -> str | None:
    """Makes the browsers' verifiers, which takes two minutes the first time; or why they cannot be made."""
    if not shutil.which("apt-get") or not shutil.which("cargo"):
        return "the verifiers' sources come with apt-get and cargo"
    done = subprocess.run([BUILD, target], cwd=REPOSITORY, capture_output=True, text=True, timeout=1200, check=False)
    return None if done.returncode == 0 else f"the verifiers cannot be built: {done.stderr[-500:]}"


def verifiers() -> Path:
    """Where they are."""
    return program("examples/judge").parents[2] / "tools/browser_verifiers"


def example(name: str) -> Path:
    """A program of ours: optimised, if there is such a one that is not older."""
    usual = program(f"examples/{name}")
    fast = usual.parents[2] / "release/examples" / name
    return fast if fast.is_file() and fast.stat().st_mtime >= usual.stat().st_mtime else usual


def judge(folder: Path, count: int, seed: int) -> Iterator[Judged]:
    """So many chains, which are made in the folder."""
    made = subprocess.run(
        [example("chains"), folder, str(count), str(seed)], capture_output=True, text=True, check=True
    ).stdout

    def ask(asked: Path) -> list[str]:
        done = subprocess.run([asked], input=made, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    with ThreadPoolExecutor() as pool:
        asked = (verifiers() / "chromium", verifiers() / "firefox", example("judge"))
        chromium, firefox, camlock = pool.map(ask, asked)
    for line, library, page, pages in zip(made.splitlines(), chromium, firefox, camlock, strict=True):
        number, *both = pages.split()
        assert [one.split()[0] for one in (line, library, page)] == [number] * 3
        yield Judged(line, library.split(" ", 1)[1], page.split()[1], (both[0], both[1]))


@dataclass
class Counts:
    """How the comparison went."""

    chains: int = 0
    # Fine for Chromium's verifier, and for Firefox's.
    valid: tuple[int, int] = (0, 0)
    known: dict[str, int] | None = None
    different: list[str] | None = None


def compare(count: int, seed: int) -> Counts:
    """So many chains, in batches."""
    counts = Counts(known={}, different=[])
    assert counts.known is not None and counts.different is not None
    while counts.chains < count:
        size = min(BATCH, count - counts.chains)
        with tempfile.TemporaryDirectory() as folder:
            for one in judge(Path(folder), size, seed):
                chromium, firefox = counts.valid
                counts.valid = chromium + (one.library == "valid"), firefox + (one.firefox == "null")
                for found in (difference_of_chromium(one), difference_of_firefox(one)):
                    if isinstance(found, Known):
                        counts.known[found.name] = counts.known.get(found.name, 0) + 1
                    elif found:
                        counts.different.append(f"seed {seed}, chain {one.line.split()[0]}: {found}")
        counts.chains += size
        seed += 1
    return counts


def main() -> int:
    """Exit code 1 if there were differences that nobody knows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=BATCH, help="how many chains")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the same seed, the same ones")
    options = parser.parse_args()
    if why := build(verifiers()):
        print(why)
        return 2
    counts = compare(options.count, options.seed)
    assert counts.different is not None
    print(f"seed {options.seed}: {counts.chains} chains, {counts.valid} valid, known: {counts.known}")
    print(f"{len(counts.different)} differ", *counts.different[:2000], sep="\n")
    return 1 if counts.different else 0


if __name__ == "__main__":
    sys.exit(main())
