"""`camlock vault` and `restore` as a person at a terminal meets them: what is asked, and that no secret is echoed."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from conftest import Site
from processes import program, run
from terminal import Person


def at_terminal(home: Path, words: list[str | Path], *talk: tuple[str, str]) -> tuple[int, str]:
    """Runs camlock on a terminal of its own; answers each prompt when it comes. Exit code, and all that was shown."""
    person = Person(home, *words)
    for prompt, answer in talk:
        person.secret(prompt, answer)
    return person.end(), person.shown


def test_secrets_are_asked_for(site: Site) -> None:
    """The present one, and the new one twice; the new recovery key also as a picture; a restore asks for that key."""
    old = (site.home / "passphrase").read_text().strip()
    new = "four other plain words"
    vault = ["--data", site.home / "data", "vault"]
    present, again = ("Present passphrase", old), ("The same again", new)
    mistyped = [("New passphrase", new), ("again", "no")] * 3
    code, shown = at_terminal(site.home, [*vault, "passphrase"], present, *mistyped)
    assert code == 2 and "differ" in shown, shown
    code, shown = at_terminal(site.home, [*vault, "passphrase"], present, ("New passphrase", new), again)
    assert code == 0 and old not in shown and new not in shown, shown

    code, shown = at_terminal(site.home, [*vault, "recovery-key"], present)
    assert code == 3 and "is wrong" in shown and "New recovery key" not in shown, shown
    code, shown = at_terminal(site.home, [*vault, "recovery-key"], ("Present passphrase", new))
    assert code == 0 and "▀" in shown and "keep the old print" in shown, shown
    key = next(word for word in shown.split() if word.startswith("AGE-SECRET-KEY-1"))

    backup = site.home / "camlock.tar.age"
    (site.home / "passphrase").write_text(new + "\n")
    site.camlock("backup", backup)
    shutil.move(site.home / "data", site.home / "lost")
    words = ["--data", site.home / "data", "restore", backup]
    code, shown = at_terminal(site.home, words, ("Recovery key", key))
    assert code == 0 and key not in shown and "fingerprint" in shown, shown
    site.camlock("issue", "--name", "Gate", "--ip", "192.168.1.65", "--out", "gate.pem")


def test_the_key_of_the_age_tool_gets_nothing(site: Site) -> None:
    """Somebody names a recipient of his own in the ledger, as `age-keygen` makes it, and takes the escrowed key away."""
    keygen = shutil.which("age-keygen")
    assert keygen, "age is not installed: scripts/setup"
    (site.home / "thief").write_text(subprocess.run([keygen], capture_output=True, text=True, check=True).stdout)
    shown = subprocess.run([keygen, "-y", site.home / "thief"], capture_output=True, text=True, check=True)
    thief = shown.stdout.strip()
    (site.home / "recovery").write_text(site.recovery_key + "\n")
    own = subprocess.run([keygen, "-y", site.home / "recovery"], capture_output=True, text=True, check=True)
    # Whoever has the print has the short form, also without Camlock.
    assert own.stdout[4:24] == site.camlock("vault", "show")["recovery_short"].replace(" ", "")

    with closing(sqlite3.connect(site.home / "data/camlock.db")) as ledger, ledger:
        (stored,) = ledger.execute("SELECT vault FROM site").fetchone()
        vault = json.dumps({**json.loads(stored), "recovery_recipient": thief})
        ledger.execute("UPDATE site SET vault = ?", (vault,))
        ledger.execute("UPDATE authority_key SET for_recovery = NULL")
    issue = ("issue", "--name", "Gate", "--ip", "192.168.1.65", "--out", "gate.pem")
    for secret in ("outside tests of camlock", site.recovery_key):
        (site.home / "passphrase").write_text(secret + "\n")
        site.camlock(*issue, status=3)
    # Locked, too.
    backup = site.home / "camlock.tar.age"
    done = run([program("camlock"), "--data", site.home / "data", "backup", backup], site.home)
    assert done.returncode == 3 and not backup.exists(), done.stderr
    assert thief[4:8] in done.stderr, done.stderr
    with closing(sqlite3.connect(site.home / "data/camlock.db")) as ledger:
        assert ledger.execute("SELECT for_recovery FROM authority_key").fetchall() == [(None,)]
