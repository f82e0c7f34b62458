"""Screenshots of the demo's page into the folder given: light and dark, desktop and phone.

    .venv/bin/python tests/outside/screenshot.py FOLDER
"""

import sys
import tempfile
from pathlib import Path

from chromium import Chromium
from processes import program, running

SIZES = {"desktop": 1280, "phone": 390}


def main(folder: Path) -> None:
    """One picture for each size and scheme."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running([program("camlock"), "demo", "--json"], Path(home)) as demo:
        shown = demo.first_document(120)
        with Chromium([Path(shown["root"])]) as browser:
            for size, width in SIZES.items():
                for scheme in ("light", "dark"):
                    tab = browser.tab()
                    tab.show_as(width, 900, scheme)
                    tab.visit(shown["page"])
                    tab.screenshot(folder / f"{size}-{scheme}.png")
                    tab.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
