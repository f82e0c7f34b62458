"""Verifiers that share no code with Camlock: each says of a package, as a server would send it, what it holds of it."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from openssl import tls_server
from processes import run

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Verifier:
    """A verifier, and the words in which it refuses."""

    name: str
    # Root, package (key, leaf, issuers), names, the folder of `compile_verifiers`; for each name "ok" or why not.
    judge: Callable[[Path, Path, tuple[str, ...], Path], list[str]]
    wrong_name: str
    outside: str
    expired: str
    forged: str

    def __str__(self) -> str:
        return self.name


def compile_verifiers(home: Path) -> None:
    """Compiles those of Go and Java into a folder, without the network and without anything of this machine."""
    offline = ("env", "GO111MODULE=off", "GOPROXY=off", "CGO_ENABLED=0")
    go = [*offline, "go", "build", "-o", home / "verify", HERE / "verify.go"]
    java = ["javac", "-d", home, HERE / "Verify.java"]
    for compiler, command in (("go", go), ("javac", java)):
        _installed(compiler)
        done = run(command, home, seconds=300)
        assert done.returncode == 0, done.stderr


def _openssl(root: Path, package: Path, names: tuple[str, ...], home: Path) -> list[str]:
    strict = ("-x509_strict", "-check_ss_sig", "-purpose", "sslserver", "-no-CApath", "-no-CAstore")
    said = []
    for name in names:
        for_name = ("-verify_ip" if _is_address(name) else "-verify_hostname", name)
        command = ["openssl", "verify", *strict, *for_name, "-CAfile", root, "-untrusted", package, package]
        said.append(_said(command, home))
    return said


def _gnutls(root: Path, package: Path, names: tuple[str, ...], home: Path) -> list[str]:
    common = ("--verify", "--verify-purpose", "1.3.6.1.5.5.7.3.1", "--load-ca-certificate", root, "--infile", package)
    return [_said(["certtool", *common, "--verify-hostname", name], home) for name in names]


def _go(root: Path, package: Path, names: tuple[str, ...], home: Path) -> list[str]:
    return _lines([home / "verify", root, package, *names], home)


def _java(root: Path, package: Path, names: tuple[str, ...], home: Path) -> list[str]:
    with tls_server(package, home) as port:
        # Quick to start rather than quick for long.
        quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
        return _lines(["java", *quick, "-cp", home, "Verify", root, str(port), *names], home)


_NO_PATH = "unable to find valid certification path"

OPENSSL = Verifier(
    "OpenSSL",
    _openssl,
    wrong_name="mismatch",
    outside="permitted subtree violation",
    expired="certificate has expired",
    forged="certificate signature failure",
)
GNUTLS = Verifier(
    "GnuTLS",
    _gnutls,
    wrong_name="does not match",
    outside="constraint",
    expired="expired",
    forged="signature in the certificate is invalid",
)
GO = Verifier(
    "Go",
    _go,
    wrong_name="certificate is valid for",
    outside="is not permitted by any constraint",
    expired="has expired",
    forged="signed by unknown authority",
)
JAVA = Verifier(
    "Java",
    _java,
    wrong_name="No subject alternative",
    outside=_NO_PATH,
    # It builds the path with what is valid only, and says no more.
    expired=_NO_PATH,
    forged=_NO_PATH,
)
VERIFIERS = (OPENSSL, GNUTLS, GO, JAVA)


def openssl_revoked(root: Path, package: Path, crl: Path, home: Path) -> str:
    """What OpenSSL says of a package with a revocation list (PEM), whatever the name: "ok" or why not."""
    words = ("-crl_check", "-x509_strict", "-CRLfile", crl, "-CAfile", root, "-untrusted", package, package)
    return _said(["openssl", "verify", *words], home)


def gnutls_revoked(root: Path, package: Path, crl: Path, home: Path) -> str:
    """The same by GnuTLS."""
    words = ("--verify", "--load-ca-certificate", root, "--load-crl", crl, "--infile", package)
    return _said(["certtool", *words], home)


def _is_address(name: str) -> bool:
    try:
        return bool(ip_address(name))
    except ValueError:
        return False


def _said(command: list[str | Path], home: Path) -> str:
    _installed(str(command[0]))
    done = run(command, home)
    return "ok" if done.returncode == 0 else (done.stdout + done.stderr).strip() or "refused without a word"


def _lines(command: list[str | Path], home: Path) -> list[str]:
    done = run(command, home)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def _installed(program: str) -> None:
    assert shutil.which(program), f"{program} is not installed: scripts/setup"
