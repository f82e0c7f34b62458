"""What is asked on a terminal of one's own, as a person meets it: prompts, mistakes, and what comes of them."""

import os
import pty
import re
import select
import time
from pathlib import Path

from conftest import Site
from processes import environment, program

SECONDS = 60


class Person:
    """Somebody at a terminal, at whom a program runs."""

    def __init__(self, home: Path, *words: object) -> None:
        home.mkdir(parents=True, exist_ok=True)
        command = [str(program("camlock")), *map(str, words)]
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(home)
            os.execvpe(command[0], command, environment(home) | {"TERM": "xterm"})
        self.shown = ""
        self.read_until = 0

    def wait(self, prompt: str) -> str:
        """Reads until this is shown; what was shown before it."""
        deadline = time.monotonic() + SECONDS
        while (at := self.shown.find(prompt, self.read_until)) < 0:
            assert time.monotonic() < deadline, f"waited in vain for {prompt!r}:\n{self.shown}"
            assert self._read(), f"ended before {prompt!r}:\n{self.shown}"
        before, self.read_until = self.shown[self.read_until : at], at + len(prompt)
        return before

    def answer(self, prompt: str, line: str) -> str:
        """Types a line once this is asked."""
        before = self.wait(prompt)
        time.sleep(0.1)  # the echo is switched off after the question
        os.write(self.terminal, f"{line}\n".encode())
        return before

    def end(self) -> int:
        """Its exit code."""
        while self._read():
            pass
        _, status = os.waitpid(self.child, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status)

    def _read(self) -> bool:
        if not select.select([self.terminal], [], [], SECONDS)[0]:
            return False
        try:
            more = os.read(self.terminal, 65536)
        except OSError:  # the program's end is closed
            return False
        self.shown += more.decode(errors="replace")
        return bool(more)


def test_a_first_authority_with_every_mistake(tmp_path: Path) -> None:
    """Each is said and asked again; in the end there is what was typed."""
    person = Person(tmp_path, "init", "--site", "Shop", "--key", "p256", "--data", tmp_path / "data")
    person.answer("press Enter:", "not/a/name")
    person.answer("press Enter:", "nas fritz.box")
    person.answer("New passphrase of Camlock: ", "")
    person.answer("The same again: ", "")
    person.answer("New passphrase of Camlock: ", "some words that nobody guesses")
    person.answer("The same again: ", "some words that nobody gusses")
    person.answer("New passphrase of Camlock: ", "short")
    person.answer("The same again: ", "short")
    person.answer("Keep it all the same? [y/N] ", "y")
    key = re.search(r"AGE-SECRET-KEY-1[A-Z0-9]+", person.wait("(Enter: later): "))
    assert key is not None
    os.write(person.terminal, b"nope\n")
    person.answer("(Enter: later): ", key[0][-4:].lower())
    assert person.end() == 0, person.shown
    assert "fritz.box" in person.shown and "The two passphrases differ" in person.shown

    # A wrong passphrase is asked for again, too, and no camera's.
    words = ("issue", "--name", "NAS", "--dns", "nas", "--out", tmp_path / "nas.pem", "--data", tmp_path / "data")
    person = Person(tmp_path, *words)
    person.answer("Passphrase of Camlock: ", "shrot")
    person.answer("Passphrase of Camlock: ", "short")
    assert person.end() == 0 and (tmp_path / "nas.pem").is_file(), person.shown


def test_three_mistakes_end_it(tmp_path: Path) -> None:
    """And nothing is made."""
    person = Person(tmp_path, "init", "--data", tmp_path / "data")
    person.answer("press Enter:", "")
    for _ in range(3):
        person.answer("New passphrase of Camlock: ", "one thing that was typed")
        person.answer("The same again: ", "another thing that was typed")
    assert person.end() == 2, person.shown
    assert not (tmp_path / "data").exists()


def test_what_cannot_be_undone_is_asked(site: Site) -> None:
    """Whose certificate it is stands in the question, and Enter is no."""
    keep = ("--data", site.home / "data", "--passphrase-file", site.home / "passphrase")
    site.camlock("issue", "--name", "NAS", "--ip", "127.0.0.1", "--out", site.home / "nas.pem")
    serial = next(row["serial"] for row in site.camlock("list", "certificates") if row["name"] == "NAS")
    for answer, code in (("", 2), ("n", 2), ("y", 0)):
        person = Person(site.home, "revoke", serial[:8], *keep)
        assert "NAS" in person.answer("[y/N] ", answer)
        assert person.end() == code, person.shown

    site.camlock("authority", "rollover")
    person = Person(site.home, "authority", "rollover", "--confirm", *keep)
    person.answer("[y/N] ", "n")
    assert person.end() == 2 and site.camlock("authority", "show")["next"] is not None, person.shown
    person = Person(site.home, "authority", "rollover", "--confirm", *keep)
    person.answer("[y/N] ", "y")
    assert person.end() == 0 and site.camlock("authority", "show")["next"] is None, person.shown
