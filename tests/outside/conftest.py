"""What the outside tests share. Nothing of the machine is touched: homes, folders and ports are all of their own."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from onvif_schema import OfficialSchema
from processes import program, running

StartCamera = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def official_schema() -> OfficialSchema:
    """Loaded once; it takes two seconds."""
    return OfficialSchema()


@pytest.fixture
def start_camera(tmp_path: Path) -> Iterator[StartCamera]:
    """Starts a simulated camera by its model and options; what it printed, and its `transcript` folder."""
    numbers = itertools.count(1)
    with ExitStack() as stack:

        def start(model: str, *options: str) -> dict[str, Any]:
            home = tmp_path / f"camera{next(numbers)}"
            transcript = home / "transcript"
            command = [program("camera-sim"), model, "--transcript", transcript, *options]
            camera = stack.enter_context(running(command, home)).first_document(20)
            return {**camera, "transcript": transcript}

        yield start
