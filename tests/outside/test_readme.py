"""README and the program agree: every command that README shows is one, and what it shows of the demo is true."""

import os
import re
import shlex
from pathlib import Path

import pytest

from processes import REPOSITORY, program, run

README = (REPOSITORY / "README.md").read_text()


def commands() -> list[str]:
    """The lines behind a prompt in README's console blocks, as camlock is called, without their comments."""
    lines = re.findall(r"^\$ (.*)$", "\n".join(re.findall(r"```console\n(.*?)```", README, re.DOTALL)), re.MULTILINE)
    called = [line.replace("cargo run --release --", "camlock") for line in lines]
    return [" ".join(shlex.split(line, comments=True)) for line in called]


def asked_for_help(command: str, home: Path) -> tuple[int, str]:
    """A command with --help added: nothing is done, but every word before it is read, and must be known."""
    words = command.split()
    assert words[0] == "camlock", command
    done = run([program("camlock"), *words[1:], "--help"], home)
    return done.returncode, done.stdout


def test_readme_shows_commands() -> None:
    """Else the next test would prove nothing."""
    assert len(commands()) >= 5, commands()


@pytest.mark.parametrize("command", ["camlock", *commands()])
def test_the_command_exists(command: str, tmp_path: Path) -> None:
    """Subcommand, options and values are known, and its help has an example."""
    status, text = asked_for_help(command, tmp_path)
    assert status == 0 and "Example:" in text, text


@pytest.mark.parametrize("command", ["camlock padlock", "camlock list --nope", "camlock init --key rsa-512"])
def test_an_unknown_command_is_noticed(command: str, tmp_path: Path) -> None:
    """The check above can fail."""
    assert asked_for_help(command, tmp_path)[0] == 2


def test_the_demo_looks_as_readme_shows_it(tmp_path: Path) -> None:
    """The same table, but for ports and seconds."""

    def normal(text: str) -> list[str]:
        table = re.search(r"┌.*?┘", text, re.DOTALL)
        assert table, text
        return re.sub(r":\d+/|\d+\.\d+", "N", re.sub(r"[ ═─]+", " ", table[0])).splitlines()

    done = run([program("camlock"), "demo", "--once"], tmp_path, seconds=120)
    assert done.returncode == 0, done.stderr
    assert normal(done.stdout) == normal(README)


def test_the_named_files_exist() -> None:
    """Documents and scripts that README sends its reader to."""
    named = set(re.findall(r"\b[A-Z]+\.md\b|\bscripts/\w+", README))
    assert "scripts/test" in named
    for name in named:
        assert (REPOSITORY / name).is_file(), name
    assert os.access(REPOSITORY / "scripts/test", os.X_OK)
