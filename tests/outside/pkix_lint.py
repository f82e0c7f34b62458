"""pkilint's lints for RFC 5280, in this process: its own programs, without starting one for each certificate."""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint.bin import lint_crl, lint_pkix_cert, lint_pkix_signer_signee_cert_chain

# What pkilint finds and we do not change: code, the finding's message, and why.
WAIVED = [
    (
        # pkilint asks for a dot. RFC 1034, 3.5, which RFC 5280, 4.2.1.6, refers to, does not, and NAS and cameras are
        # called by one label in their networks; the constraints name `lan` and `local`.
        "pkix.invalid_domain_name_syntax",
        re.compile(r'Invalid domain name syntax: "[a-z0-9]([a-z0-9-]*[a-z0-9])?"'),
    ),
]


def certificate_findings(certificate: x509.Certificate, folder: Path) -> list[str]:
    """What is wrong with a certificate by itself, warnings included."""
    return _lint(lint_pkix_cert.main, [], [certificate], folder)


def pair_findings(issuer: x509.Certificate, subject: x509.Certificate, folder: Path) -> list[str]:
    """What does not fit between an issuer and what it signed."""
    return _lint(lint_pkix_signer_signee_cert_chain.main, [], [issuer, subject], folder)


def crl_findings(crl: x509.CertificateRevocationList, folder: Path) -> list[str]:
    """What is wrong with a revocation list."""
    return _lint(lint_crl.main, ["--type", "CRL", "--profile", "PKIX"], [crl], folder)


def _lint(
    main: Callable[[list[str]], int],
    options: list[str],
    documents: list[x509.Certificate] | list[x509.CertificateRevocationList],
    folder: Path,
) -> list[str]:
    files = []
    for number, document in enumerate(documents):
        files.append(folder / f"linted{number}.der")
        files[-1].write_bytes(document.public_bytes(Encoding.DER))
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(["lint", "--severity", "WARNING", "--format", "JSON", *options, *map(str, files)])
    try:
        results = json.loads(said.getvalue())["results"]
    except ValueError:
        raise AssertionError(f"pkilint did not read it ({status}): {said.getvalue()}") from None
    findings = [(r["node_path"], f) for r in results for f in r["finding_descriptions"]]
    assert (status != 0) == bool(findings), f"{status}: {results}"
    return [f"{node}: {f['code']}: {f.get('message')}" for node, f in findings if not _waived(f)]


def _waived(finding: dict[str, str]) -> bool:
    return any(finding["code"] == code and said.fullmatch(finding.get("message") or "") for code, said in WAIVED)
