"""Looks for combinations of faults of which `camlock check` predicts something else than browsers show, and prints them.

    cargo build && .venv/bin/python tests/outside/search_verdicts.py --count 300 --seed 7
"""

import argparse
import random
import ssl
import sys
import tempfile
from pathlib import Path

from certificate_maker import Plan
from tls_servers import context
from verdict_faults import FAULTS
from verdicts import Faults, disagreements

# A server that breaks off shows no certificate, and a leaf that is a root would vouch for other combinations.
ALONE = ("alert-", "speaks-", "closes", "resets", "garbage", "tls-1.0", "tls-1.1", "trusted-itself")
COMBINED = [fault for fault in FAULTS if not fault.startswith(ALONE)]


def can_be_made(faults: Faults) -> bool:
    """Whether there is such a certificate at all: some changes exclude each other, as RSA's padding and a key on a curve."""
    plan = Plan("trial")
    for fault in faults:
        FAULTS[fault](plan)
    try:
        with tempfile.TemporaryDirectory() as folder:
            context(plan, plan.serve(), Path(folder))
    except (AssertionError, TypeError, ValueError, ssl.SSLError):
        return False
    return True


def main() -> int:
    """Exit code 1 if there were disagreements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many combinations")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="the same seed, the same ones")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    cases: dict[Faults, None] = {}
    while len(cases) < options.count:
        faults = tuple(chance.sample(COMBINED, chance.choice((2, 2, 3, 4))))
        if can_be_made(faults):
            cases[faults] = None
    with tempfile.TemporaryDirectory() as folder:
        found = disagreements(cases, Path(folder))
    print(f"seed {options.seed}: {len(found)} of {len(cases)} combinations differ", *found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
