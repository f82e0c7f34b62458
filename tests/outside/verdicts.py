"""The same servers for two browsers and for Camlock: what each says of them."""

import json
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from certificate_maker import Plan
from chromium import Chromium
from firefox import Firefox
from processes import program, run
from tls_servers import Servers
from verdict_faults import FAULTS

Faults = tuple[str, ...]


@dataclass
class Trial:
    """One server, and where its certificate's roots are."""

    faults: Faults
    plan: Plan
    port: int
    roots: list[Path]

    @property
    def url(self) -> str:
        """What is typed into the address bar."""
        return f"https://{self.plan.host}:{self.port}/"

    @property
    def is_named(self) -> bool:
        """Whether there is a name in it and no address."""
        return self.plan.host not in ("127.0.0.1", "[::1]")


@dataclass
class Pages:
    """The error page of each browser, if it shows one."""

    chromium: str | None
    firefox: str | None


def start(servers: Servers, folder: Path, number: int, faults: Faults) -> Trial:
    """A server with these faults."""
    plan = Plan(str(number))
    for fault in faults:
        FAULTS[fault](plan)
    served = plan.serve()
    roots = [folder / f"root-{number}-{n}.der" for n in range(len(served.roots))]
    for file, der in zip(roots, served.roots, strict=True):
        file.write_bytes(der)
    return Trial(faults, plan, servers.start(plan, served), roots)


def with_chromium(trials: Sequence[Trial]) -> list[str | None]:
    """What Chromium shows."""
    with Chromium(roots_of(trials), names_of(trials)) as chromium:
        return chromium.errors([trial.url for trial in trials])


def with_firefox(trials: Sequence[Trial]) -> list[str | None]:
    """What Firefox shows."""
    with Firefox(roots_of(trials), names_of(trials)) as firefox:
        return [firefox.visit(trial.url) for trial in trials]


def roots_of(trials: Sequence[Trial]) -> list[Path]:
    """All that are trusted."""
    return [root for trial in trials for root in trial.roots]


def names_of(trials: Sequence[Trial]) -> list[str]:
    """The host names in the addresses."""
    return sorted({trial.plan.host for trial in trials if trial.is_named})


def report_of(trial: Trial, folder: Path) -> dict[str, Any]:
    """What `camlock check` says; its own words fit each other."""
    bundle = folder / "roots.pem"
    bundle.write_text("".join(ssl.DER_cert_to_PEM_cert(root.read_bytes()) for root in trial.roots))
    host = trial.plan.host
    target = f"https://{'127.0.0.1' if trial.is_named else host}:{trial.port}/"
    words = ["check", target, "--json", *(["--name", host] if trial.is_named else [])]
    if trial.roots:
        words += ["--ca", str(bundle)]
    done = run([program("camlock"), *words], folder)
    assert done.returncode in (0, 1), f"{trial.faults}: {done.stderr}"
    report: dict[str, Any] = json.loads(done.stdout)[0]
    is_secure = report["chromium"] is report["firefox"] is None
    assert (report["verdict"] == "secure") == is_secure == (done.returncode == 0), f"{trial.faults}: {report}"
    has_error = any(finding["severity"] == "error" for finding in report["findings"])
    assert is_secure != has_error, f"{trial.faults}: {report}"
    return report


def of_camlock(trial: Trial, folder: Path) -> Pages | str:
    """What `camlock check` predicts, or what is wrong with its answer."""
    try:
        report = report_of(trial, folder)
    except AssertionError as e:
        return str(e)
    return Pages(report["chromium"], report["firefox"])


def disagreements(cases: Iterable[Faults], folder: Path) -> list[str]:
    """Starts all servers, asks all three, and tells where they differ."""
    with Servers(folder) as servers:
        trials = [start(servers, folder, number, faults) for number, faults in enumerate(cases)]
        # Beside each other: the browsers wait more than they work.
        with ThreadPoolExecutor() as pool:
            chromium, firefox = pool.submit(with_chromium, trials), pool.submit(with_firefox, trials)
            predicted = [of_camlock(trial, folder) for trial in trials]
        shown = [Pages(*pages) for pages in zip(chromium.result(), firefox.result(), strict=True)]
    return [
        f"{' + '.join(trial.faults)}\n  browsers: {seen}\n  camlock:  {expected}"
        for trial, seen, expected in zip(trials, shown, predicted, strict=True)
        if seen != expected and not is_race(trial, seen, expected)
    ]


def is_race(trial: Trial, seen: Pages, expected: Pages) -> bool:
    """Whether Chromium, whom a TLS 1.3 server refuses after the handshake, met the end of the connection before the alert:
    on a busy machine it shows that page in place of the other."""
    late = Pages("ERR_SOCKET_NOT_CONNECTED", expected.firefox)
    return "demands-client" in trial.faults and expected.chromium == "ERR_BAD_SSL_CLIENT_AUTH_CERT" and seen == late
