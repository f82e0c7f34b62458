"""The life of a package on a NAS, as Synology's developer guide tells it (pages "scripts", "FHS", "Script Environment
Variables"): which script runs when, as whom, and which folders stay. Not a Synology."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import types
from importlib import metadata
from pathlib import Path
from typing import Any

from conftest import Network
from processes import wait_for

UID = 64000 + os.getpid() % 1000


def parse(spk: Path) -> Any:
    """What the package server `spkrepo` reads in a package; its exception if it would not take it.

    Its module is loaded without the server around it, whose many packages are of no use here.
    """
    server = types.ModuleType("spkrepo")
    server.__path__ = [str(metadata.distribution("spkrepo").locate_file("spkrepo"))]
    database = types.ModuleType("spkrepo.ext")
    database.db = None  # type: ignore[attr-defined]
    models = types.ModuleType("spkrepo.models")
    for name in ("Architecture", "Firmware", "Language", "Role", "Service"):
        setattr(models, name, None)
    stubs = {"spkrepo": server, "spkrepo.ext": database, "spkrepo.models": models, "gnupg": types.ModuleType("gnupg")}
    sys.modules.update(stubs)
    from spkrepo.utils import SPK  # type: ignore[import-not-found]

    with spk.open("rb") as stream:
        return SPK(stream)


def info(spk: Path) -> dict[str, str]:
    """The fields of INFO."""
    with tarfile.open(spk, "r:") as archive:
        member = archive.extractfile("INFO")
        assert member
        lines = member.read().decode().splitlines()
    return {key: value.strip('"') for key, value in (line.split("=", 1) for line in lines)}


class Nas:
    """A volume with one package."""

    def __init__(self, root: Path, network: Network, shell: list[str]) -> None:
        self.root, self.network, self.shell = root, network, shell
        self.package = root / "var/packages/camlock"
        self.target = root / "volume1/@appstore/camlock"
        self.var = root / "volume1/@appdata/camlock"
        self.message = ""
        self.package.mkdir(parents=True)
        for link, folder in (("target", self.target), ("var", self.var)):
            folder.parent.mkdir(parents=True)
            (self.package / link).symlink_to(folder)

    def script(self, folder: Path, name: str, *words: str, status: str = "", **answers: str) -> int:
        """Runs a script as the package's user; `message` is what DSM would show."""
        shown = self.root / "message"
        shown.write_text("")
        os.chown(shown, UID, UID)
        values = {
            "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
            "SYNOPKG_PKGNAME": "camlock",
            "SYNOPKG_PKGDEST": str(self.package / "target"),
            "SYNOPKG_PKGVAR": str(self.package / "var"),
            "SYNOPKG_PKG_STATUS": status,
            "SYNOPKG_TEMP_LOGFILE": str(shown),
            "SYNOPKG_DSM_VERSION_MAJOR": "7",
            **answers,
        }
        user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs", "--"]
        # The service goes on after the script: nothing here ends what it started.
        done = subprocess.run(
            [*self.network.enter, *user, *self.shell, str(folder / "scripts" / name), *words],
            env=values,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert "syntax" not in done.stderr and "not found" not in done.stderr, done.stderr
        self.message = shown.read_text() + done.stdout + done.stderr
        shown.unlink()
        return done.returncode

    def _unpack(self, spk: Path) -> Path:
        new = self.root / "new"
        with tarfile.open(spk, "r:") as archive:
            # Python 3.11.2, as in Debian 12, knows no filters yet.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(new)
        privilege = json.loads((new / "conf/privilege").read_text())
        assert privilege["defaults"]["run-as"] == "package" and "ctrl-script" not in privilege
        return new

    def _place(self, new: Path) -> None:
        """package.tgz into target, which is replaced; var is made or left as it is."""
        shutil.rmtree(self.target, ignore_errors=True)
        with tarfile.open(new / "package.tgz", "r:gz") as archive:
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)
            archive.extractall(self.target)
        self.var.mkdir(exist_ok=True)
        for path in [self.target, *self.target.rglob("*"), self.var]:
            os.chown(path, UID, UID)

    def _keep(self, new: Path) -> None:
        for part in ("scripts", "conf"):
            shutil.rmtree(self.package / part, ignore_errors=True)
            shutil.move(new / part, self.package / part)
        shutil.rmtree(new)

    def install(self, spk: Path, spy: str = "", **answers: str) -> bool:
        """Whether the package is installed then; `message` is the last script's. `spy` is shell code that runs in
        place of the program, before it."""
        new = self._unpack(spk)
        if self.script(new, "preinst", status="INSTALL", **answers) != 0:
            shutil.rmtree(new)
            return False
        self._place(new)
        real = self.target / "bin/camlock"
        if spy:
            real.rename(real.with_name("real"))
            real.write_text(f'#!/bin/sh\n{spy}\nexec "$(dirname "$0")/real" "$@"\n')
            real.chmod(0o755)
        good = self.script(new, "postinst", status="INSTALL", **answers) == 0
        if spy:
            real.with_name("real").rename(real)
        self._keep(new)
        return good

    def upgrade(self, spk: Path) -> None:
        """In the guide's order; a service that ran runs again."""
        ran = self.service("status") == 0
        if ran:
            assert self.service("stop", "UPGRADE") == 0, self.message
        new = self._unpack(spk)
        assert self.script(new, "preupgrade", status="UPGRADE") == 0, self.message
        for name in ("preuninst", "postuninst"):
            assert self.script(self.package, name, status="UPGRADE") == 0 and self.message == "", self.message
        self._place(new)
        for name in ("preinst", "postinst", "postupgrade"):
            assert self.script(new, name, status="UPGRADE") == 0 and self.message == "", self.message
        self._keep(new)
        if ran:
            assert self.service("start", "UPGRADE") == 0, self.message

    def uninstall(self) -> None:
        """var stays: the guide's table of folders has no remove timing for it."""
        if self.service("status") == 0:
            assert self.service("stop", "UNINSTALL") == 0, self.message
        assert self.script(self.package, "preuninst", status="UNINSTALL") == 0, self.message
        assert self.script(self.package, "postuninst", status="UNINSTALL") == 0, self.message
        shutil.rmtree(self.target)
        for part in ("scripts", "conf"):
            shutil.rmtree(self.package / part)

    def service(self, action: str, status: str = "") -> int:
        """start-stop-status"""
        return self.script(self.package, "start-stop-status", action, status=status)

    def camlock(self, *words: str, passphrase: str | None = None) -> Any:
        """The program as its user; its JSON document."""
        secret = []
        if passphrase is not None:
            file = self.root / "passphrase"
            file.write_text(passphrase)
            os.chown(file, UID, UID)
            secret = ["--passphrase-file", str(file)]
        done = subprocess.run(
            [
                *self.network.enter,
                *("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--"),
                *(str(self.target / "bin/camlock"), "--data", str(self.var / "data"), *secret, "--json", *words),
            ],
            env={"PATH": "/bin"},
            cwd=self.var,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self) -> list[int]:
        """The package user's."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                # Not yet reaped is not alive.
                if folder.stat().st_uid == UID and "\nState:\tZ" not in (folder / "status").read_text():
                    found.append(int(folder.name))
            except FileNotFoundError:
                pass
        return found

    def end(self) -> None:
        """Whatever a failed test left."""
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        wait_for("the end of the package's processes", 10, lambda: not self.processes() or None)
