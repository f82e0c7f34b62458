"""Screenshots of every page into the folder given: light and dark, desktop and phone.

    .venv/bin/python tests/outside/screenshot.py FOLDER
"""

import itertools
import sys
import tempfile
from pathlib import Path

from chromium import Chromium
from conftest import Site
from processes import program, running
from test_serve import service
from test_sweep import report

SIZES = {"desktop": 1280, "phone": 390}
SYSTEMS = ("windows", "mac", "iphone", "android", "linux", "firefox", "office")
MODELS = {"onvif-security": "Shop front", "onvif-device": "Gate", "pem-page": "Yard"}


def pictures(browser: Chromium, name: str, url: str, folder: Path) -> None:
    """One picture for each size and scheme."""
    for (size, width), scheme in itertools.product(SIZES.items(), ("light", "dark")):
        tab = browser.tab()
        tab.show_as(width, 900, scheme)
        tab.visit(url)
        tab.screenshot(folder / f"{name}-{size}-{scheme}.png")
        tab.close()


def demo(folder: Path, home: Path) -> None:
    """The page of the demonstration."""
    with running([program("camlock"), "demo", "--json"], home) as started:
        shown = started.first_document(120)
        with Chromium([Path(shown["root"])]) as browser:
            pictures(browser, "demo", shown["page"], folder)


def serve(folder: Path, home: Path) -> None:
    """A site's own page, empty and with cameras, and its trust page; both during a rollover."""
    site = Site(home / "site")
    with service(site, "service") as served, Chromium([site.root]) as browser:
        pictures(browser, "empty", served.page, folder)
        for system in SYSTEMS:
            pictures(browser, f"trust-{system}", f"{served.trust}trust/{system}", folder)
        for model, name in MODELS.items():
            with running([program("camera-sim"), model, "--name", name], home / model) as camera:
                site.secure(camera.first_document(20))
        pictures(browser, "site", served.page, folder)
        # From here on two roots are shown: the new one before everything moves to it, then with what depends on the old.
        site.camlock("authority", "rollover", "--key", "p256")
        pictures(browser, "moving", served.trust, folder)
        pictures(browser, "site-moving", served.page, folder)
        site.camlock("authority", "rollover", "--confirm")
        pictures(browser, "moved", served.trust, folder)


def sweep(folder: Path, home: Path) -> None:
    """The report of a check of many pages, on screens and on paper."""
    home.mkdir()
    url = report(home, 60, "127.0.4.0/25").as_uri()
    with Chromium() as browser:
        pictures(browser, "sweep", url, folder)
        tab = browser.tab()
        tab.visit(url)
        tab.print_to(folder / "sweep.pdf")
        tab.close()


def main(folder: Path) -> None:
    """All of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        demo(folder, Path(home) / "demo")
        serve(folder, Path(home))
        sweep(folder, Path(home) / "sweep")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
