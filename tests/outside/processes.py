"""Programs started and ended by the tests: each in a process group, a home and a deadline of its own."""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

Found = TypeVar("Found")

REPOSITORY = Path(__file__).resolve().parents[2]


def program(name: str) -> Path:
    """A program of the workspace, where cargo puts it."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    path = (REPOSITORY / target / "debug" / name).resolve()
    assert path.is_file(), f"{path} is not there: cargo build --workspace --bins --examples"
    return path


def environment(home: Path) -> dict[str, str]:
    """All that a program gets to know of this machine: where programs are, and an empty home."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(temporary), "LANG": "C.UTF-8"}


def wait_for(what: str, seconds: float, look: Callable[[], Found | None]) -> Found:
    """Looks again and again until there is something, or fails with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.02)
    return found


class Closing:
    """Something that is closed at the end of its `with` block."""

    def close(self) -> None:
        """Ends it, and removes what it made."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Running:
    """A program that goes on until it is stopped."""

    def __init__(self, command: Sequence[str | Path], home: Path) -> None:
        self.name = Path(command[0]).name
        home.mkdir(parents=True, exist_ok=True)
        self.talk = home / f"{self.name}.stderr"
        with self.talk.open("wb") as talk:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                env=environment(home),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=talk,
                # A group of its own, so that whatever it starts ends with it.
                start_new_session=True,
            )

    def said(self) -> str:
        """The end of what it wrote on standard error."""
        return self.talk.read_text(errors="replace")[-4000:]

    def wait_for_output(self, what: str, seconds: float, read: Callable[[str], Found | None]) -> Found:
        """Gives all it has printed so far to `read`, after each piece, until that finds something."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        output = b""
        while True:
            left = deadline - time.monotonic()
            assert left > 0, f"no {what} from {self.name} within {seconds:.0f} s: {output!r}; {self.said()}"
            if not select.select([self.process.stdout], [], [], left)[0]:
                continue
            piece = os.read(self.process.stdout.fileno(), 65536)
            assert piece, f"{self.name} ended without {what}: {output!r}; {self.said()}"
            output += piece
            found = read(output.decode(errors="replace"))
            if found is not None:
                return found

    def first_document(self, seconds: float) -> Any:
        """The JSON document it prints, on one line or many; it may print it long after its start."""

        def document(output: str) -> Any:
            try:
                return json.loads(output)
            except ValueError:
                return None

        return self.wait_for_output("JSON", seconds, document)

    def stop(self) -> None:
        """Ends the whole group: asked first, then made to."""
        assert self.process.stdout is not None
        try:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also after a clean end: a child may have outlived its parent.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait(10)
            self.process.stdout.close()


@contextmanager
def running(command: Sequence[str | Path], home: Path) -> Iterator[Running]:
    """A program for the length of a `with`."""
    started = Running(command, home)
    try:
        yield started
    finally:
        started.stop()


def run(
    command: Sequence[str | Path], home: Path, *, seconds: float = 60, stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end; whatever it started is ended too, also if it takes too long."""
    home.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [str(word) for word in command],
        env=environment(home),
        cwd=home,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        output, talk = process.communicate(stdin, seconds)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait(10)
    return subprocess.CompletedProcess(
        process.args, process.returncode, output.decode(errors="replace"), talk.decode(errors="replace")
    )
