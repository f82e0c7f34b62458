"""What Camlock predicts for chains by chance is what the browsers' own verifiers make of them."""

import os
import random
import subprocess

import pytest

from chains import build, compare, verifiers
from conftest import FULL
from processes import REPOSITORY


def test_chains_by_chance_are_judged_as_by_the_browsers_verifiers() -> None:
    """Every difference is one that was looked at in the real browser."""
    if why := build(verifiers()):
        pytest.skip(why)
    if FULL:
        # A million by programs that are not optimised take half an hour more.
        command = ["cargo", "build", "--quiet", "--release", "-p", "inspect", "-p", "fuzz", "--examples"]
        subprocess.run(command, cwd=REPOSITORY, check=True)
    seed = int(os.environ.get("CAMLOCK_SEED") or random.randrange(10**6))
    print(f"CAMLOCK_SEED={seed}")
    counts = compare(1_000_000 if FULL else 20_000, seed)
    print(counts.known)
    # Enough of them are good that a verdict too strict would be seen, too.
    assert all(valid > counts.chains / 10 for valid in counts.valid), counts.valid
    assert not counts.different, "\n".join(counts.different[:50])
