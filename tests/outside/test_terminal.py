"""What is asked on a terminal, as a person meets it: prompts, mistakes, and what comes of them."""

import os
import re
from pathlib import Path

from conftest import Site
from terminal import Person


def test_a_first_authority_with_every_mistake(tmp_path: Path) -> None:
    """Each is said and asked again; in the end there is what was typed."""
    person = Person(tmp_path, "init", "--site", "Shop", "--key", "p256", "--data", tmp_path / "data")
    person.answer("press Enter:", "not/a/name")
    person.answer("press Enter:", "nas fritz.box")
    person.secret("New passphrase of Camlock: ", "")
    person.secret("The same again: ", "")
    person.secret("New passphrase of Camlock: ", "some words that nobody guesses")
    person.secret("The same again: ", "some words that nobody gusses")
    person.secret("New passphrase of Camlock: ", "short")
    person.secret("The same again: ", "short")
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
    person.secret("Passphrase of Camlock: ", "shrot")
    person.secret("Passphrase of Camlock: ", "short")
    assert person.end() == 0 and (tmp_path / "nas.pem").is_file(), person.shown


def test_three_mistakes_end_it(tmp_path: Path) -> None:
    """And nothing is made."""
    person = Person(tmp_path, "init", "--data", tmp_path / "data")
    person.answer("press Enter:", "")
    for _ in range(3):
        person.secret("New passphrase of Camlock: ", "one thing that was typed")
        person.secret("The same again: ", "another thing that was typed")
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
