"""A terminal of its own, at which a program runs and somebody sits."""

import os
import pty
import select
import termios
import time
from pathlib import Path

from processes import environment, program, wait_for

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
        os.write(self.terminal, f"{line}\n".encode())
        return before

    def secret(self, prompt: str, line: str) -> None:
        """Types a line that nobody should see. The prompt comes a moment before the echo is off; no person is that fast."""
        self.wait(prompt)
        wait_for("a terminal without echo", 10, lambda: not termios.tcgetattr(self.terminal)[3] & termios.ECHO or None)
        os.write(self.terminal, f"{line}\n".encode())

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
