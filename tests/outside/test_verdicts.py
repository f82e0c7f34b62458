"""What `camlock check` predicts is what Chromium and Firefox show: the same servers for all three.

A line of `PAIRS` is what the browsers made of two faults at once; `search_verdicts.py` looks for lines that are missing.
"""

from pathlib import Path

from tls_servers import Servers
from verdict_faults import FAULTS
from verdicts import Faults, disagreements, report_of, start

# Where two faults compete, and for what a search found.
PAIRS = """
    demands-client expired
    demands-client wrong-address
    demands-client-tls-1.2 expired
    demands-client-tls-1.2 wrong-address
    wrong-address expired
    wrong-address client-only
    wrong-address untrusted
    wrong-address leaf-is-ca
    wrong-address issuer-expired
    wrong-address rsa-1000
    wrong-address root-permits-other-ip
    wrong-address expired client-only
    expired untrusted
    expired self-signed
    expired client-only
    expired any-purpose
    expired leaf-is-ca
    expired rsa-1000
    expired sha1
    expired forged
    expired key-encipherment-only
    expired unknown-critical
    expired empty-subject-not-critical
    expired root-expired
    expired root-permits-other-ip
    expired issuer-not-ca
    expired namesake
    not-yet root-without-constraints
    sha1 untrusted
    sha1 forged
    sha1 wrong-address
    sha1 client-only
    sha1 root-expired
    md5 forged
    md5 untrusted
    md5 root-permits-other-ip
    md5 root-rsa-1000
    rsa-1000 unknown-critical
    rsa-1000 issuer-forged
    rsa-1000 issuer-expired
    rsa-1000 key-encipherment-only
    no-names untrusted
    no-names issuer-version-1
    no-names leaf-is-ca
    version-1 issuer-not-ca
    version-1 usage-cert-sign-only
    forged leaf-is-ca
    forged root-not-ca
    forged issuer-not-yet
    empty-subject-not-critical untrusted
    empty-subject-not-critical namesake
    empty-subject-not-critical no-names
    key-encipherment-only issuer-no-cert-sign
    usage-cert-sign-only issuer-missing
    unknown-critical root-no-cert-sign
    self-signed unknown-critical
    self-signed issuer-unknown-critical
    issuer-expired issuer-no-cert-sign
    issuer-expired issuer-sha1
    issuer-expired root-expired
    issuer-expired root-rsa-1000
    issuer-not-yet root-expired
    issuer-not-ca issuer-forged
    issuer-not-ca issuer-no-cert-sign
    issuer-not-ca root-rsa-1000
    issuer-client-only root-not-ca
    issuer-sha1 namesake
    issuer-sha1 issuer-unknown-critical
    issuer-version-1 root-unknown-critical
    issuer-no-cert-sign issuer-permits-other-ip
    issuer-forged root-no-cert-sign
    issuer-missing namesake
    root-expired root-not-ca
    root-expired namesake
    root-no-cert-sign root-client-only
    root-no-cert-sign root-unknown-critical
    root-permits-other-ip root-path-length-exceeded
    root-permits-other-ip root-rsa-1000
    namesake root-rsa-1000
    trusted-itself forged
    trusted-itself expired
    trusted-itself wrong-address
    trusted-itself empty-subject-not-critical
    untrusted-root-sent root-without-constraints root-excludes-all-ip
    untrusted-root-sent root-permits-other-ip
    untrusted-root-sent md5
    rsa-key-exchange key-agreement-only sha1
    rsa-key-exchange key-agreement-only expired
    tls-1.2 key-encipherment-only expired
    tls-1.3 key-encipherment-only expired
    root-permits-dns-only wildcard-second
    root-permits-dns-only wildcard-of-one-label
    root-permits-dns-only address-as-dns
    mail-name-only cross-signed-ended unknown-critical
    cross-signed root-path-length-exceeded
    cross-signed issuer-unknown-critical
    root-permits-dirname empty-subject
    two-namesakes root-version-1
    key-agreement-only expired
    key-agreement-only client-only
    key-agreement-only untrusted
    key-agreement-only wrong-address
"""

CASES: list[Faults] = [(fault,) for fault in FAULTS] + [tuple(line.split()) for line in PAIRS.split("\n") if line.strip()]


def test_camlock_predicts_what_browsers_show(tmp_path: Path) -> None:
    """All of them, at one go: each browser is one process."""
    assert len(CASES) > 250 and len(set(CASES)) == len(CASES)
    different = disagreements(CASES, tmp_path)
    assert not different, f"{len(different)} of {len(CASES)}\n" + "\n".join(different)


# What a finding is called, for what no browser minds and for what is easily taken for something else.
FINDINGS = {
    "ten-years": "too-long-for-apple",
    "expires-soon": "expiring",
    "no-purposes": "no-purpose-for-apple",
    "rsa-1024": "weak-key",
    "root-rsa-1024": "weak-issuer-key",
    "cn-outside-constraints": "common-name-outside",
    "no-key-identifiers": "against-standard",
    "critical-names": "against-standard",
    "rsa-key-exchange": "old-cipher",
    "ecdhe-cbc": "old-cipher",
    "issuer-missing-elsewhere": "missing-intermediate",
    "untrusted-root-sent": "unknown-issuer",
    "namesake": "invalid-certificate",
    "issuer-client-only": "issuer-not-for-servers",
    "root-not-yet": "computer-clock",
    "ecdhe-cbc-sha256": "no-common-cipher",
    "tls-1.1": "tls-too-old",
    "speaks-ssh": "not-tls",
    "resets": "handshake-failed",
}


def test_each_reason_has_its_finding(tmp_path: Path) -> None:
    """Warnings beside a page that opens, and errors told apart."""
    with Servers(tmp_path) as servers:
        for number, (fault, code) in enumerate(FINDINGS.items()):
            faults = (fault, "not-yet") if code == "computer-clock" else (fault,)
            report = report_of(start(servers, tmp_path, number, faults), tmp_path)
            assert code in [finding["code"] for finding in report["findings"]], f"{fault}: {report}"
            # Every sentence has its arguments: what the catalogue lacks is shown as it is.
            texts = [finding["text"] + (finding["fix"] or "") for finding in report["findings"]]
            assert not any("{" in text for text in texts), texts
