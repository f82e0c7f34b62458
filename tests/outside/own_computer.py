"""A computer of a test's own: a process whose files are this machine's, and whose changes to them are nobody else's."""

import ctypes
import functools
import os
import pickle
import subprocess
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from processes import REPOSITORY

CLONE_NEWNS = 0x0002_0000


def _enter(place: Path) -> None:
    """This process's files become a layer above the machine's (overlay in memory); /tmp and the clone stay."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    upper, work, merged = (place / name for name in ("upper", "work", "merged"))
    mount = functools.partial(subprocess.run, check=True)
    mount(["mount", "--make-rprivate", "/"])
    mount(["mount", "-t", "tmpfs", "tmpfs", place])
    for folder in (upper, work, merged):
        folder.mkdir()
    mount(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", merged])
    for kept in (Path("/proc"), Path("/sys"), Path("/dev"), Path(tempfile.gettempdir()), REPOSITORY):
        mount(["mount", "--rbind", kept, merged / kept.relative_to("/")])
    os.chroot(merged)
    os.chdir("/")


def on_a_computer_of_its_own(test: Callable[..., None]) -> Callable[..., None]:
    """Runs a test in a process of its own, in which everything of the machine may be changed."""

    @functools.wraps(test)
    def outside(*args: object, **named: object) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may make a file system of its own")
        with tempfile.TemporaryDirectory(prefix="computer-") as place:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                failure = None
                try:
                    _enter(Path(place))
                    test(*args, **named)
                except BaseException:  # whatever it is, the other process tells of it
                    failure = traceback.format_exc()
                with os.fdopen(writing, "wb") as pipe:
                    pickle.dump(failure, pipe)
                os._exit(0)
            os.close(writing)
            with os.fdopen(reading, "rb") as pipe:
                said = pipe.read()
            os.waitpid(child, 0)
            assert said, "the test's process died"
            failure = pickle.loads(said)
            assert failure is None, failure

    return outside
