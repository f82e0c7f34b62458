"""The image: read by skopeo and umoci, which share no code with scripts/package, unpacked, and run as a container would
run it: as its user, with a root that cannot be written, and its volume. No daemon."""

import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Network, Package, command, dynamic, header
from processes import REPOSITORY, environment, running, wait_for

PASSPHRASE = "tests of the image"


@pytest.fixture(scope="module")
def image(package: Package) -> Path:
    """An image of one architecture."""
    return package("oci")


def inspect(source: str, *options: str) -> Any:
    """What skopeo reads."""
    return json.loads(command("skopeo", *options, "inspect", source))


def config(source: str, *options: str) -> Any:
    """The image's own configuration, as skopeo reads it."""
    return json.loads(command("skopeo", *options, "inspect", "--config", source))


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_both_readers_find_the_image(image: Path, kind: str) -> None:
    """As an OCI layout, and as what `docker load` reads."""
    read = inspect(f"{kind}:{image}")
    assert (read["Architecture"], read["Os"]) == ("amd64", "linux")
    told = config(f"{kind}:{image}")["config"]
    assert told["User"] == "10001:10001" and set(told["ExposedPorts"]) == {"8443/tcp", "8080/tcp"}
    assert told["Entrypoint"] == ["/camlock", "--data", "/data"] and told["Cmd"] == ["serve"]
    assert set(told["Volumes"]) == {"/data"}


def test_it_survives_a_copy(image: Path, tmp_path: Path) -> None:
    """Copying checks every digest and size; Docker's form is copied back to an image that says the same."""
    command("skopeo", "--insecure-policy", "copy", f"oci-archive:{image}", f"dir:{tmp_path}/dir")
    command("skopeo", "--insecure-policy", "copy", f"docker-archive:{image}", f"oci:{tmp_path}/oci:copy")
    assert config(f"oci:{tmp_path}/oci:copy") == config(f"oci-archive:{image}")


def test_a_broken_image_is_noticed(image: Path, tmp_path: Path) -> None:
    """The check above can fail."""
    with tarfile.open(image) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "layout")
    layer = max((tmp_path / "layout/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    content = layer.read_bytes()
    layer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    source = f"oci:{tmp_path}/layout:0.1.0"
    command("skopeo", "--insecure-policy", "copy", source, f"dir:{tmp_path}/dir", fails=True)


def test_several_architectures_in_one(tmp_path: Path) -> None:
    """Each is found by its name."""
    words = [word for arch in ("x86_64", "aarch64", "armv7") for word in (header(tmp_path / arch, arch), arch)]
    path = command(REPOSITORY / "scripts/package", "oci", "--version", "1.2.3", *words, tmp_path).strip()
    for name, variant in (("amd64", None), ("arm64", "v8"), ("arm", "v7")):
        read = config(f"oci-archive:{path}", "--override-arch", name)
        assert (read["architecture"], read.get("variant")) == (name, variant)


class Container:
    """The unpacked image, as a container runtime would start it."""

    def __init__(self, folder: Path, image: Path, network: Network) -> None:
        layout, bundle = folder / "layout", folder / "bundle"
        with tarfile.open(image) as archive:
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(layout)
        command("umoci", "unpack", "--image", f"{layout}:0.1.0", bundle)
        self.folder, self.root, self.network = folder, bundle / "rootfs", network
        self.files = sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))
        self.config = json.loads((bundle / "config.json").read_text())
        # The volume: as Docker makes it, with the owner and mode of the folder in the image.
        self.volume = folder / "volume"
        shutil.copytree(self.root / "data", self.volume)
        owner = (self.root / "data").stat()
        os.chown(self.volume, owner.st_uid, owner.st_gid)
        if dynamic(self.root / "camlock"):
            # A program that is not for others: it gets this machine's libraries.
            for library in re.findall(r"(/\S+) \(0x", command("ldd", self.root / "camlock")):
                place = self.root / library.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, place)
        secret = self.root / "passphrase"
        secret.write_text(PASSPHRASE)
        secret.chmod(0o400)
        os.chown(secret, 10001, 10001)

    def start(self, *words: str) -> list[str]:
        """The command that runs the image's entry point with these words, or with its own."""
        process = self.config["process"]
        user = f"{process['user']['uid']}:{process['user']['gid']}"
        arguments = [*process["args"][:3], *words] if words else process["args"]
        mounts = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount --bind "$1" "$0/data" && shift && '
        return [
            *self.network.enter,
            *("unshare", "--mount", "setpriv", "--no-new-privs", "sh", "-c"),
            *(mounts + 'exec chroot --userspec="$@"', str(self.root), str(self.volume)),
            *(user, str(self.root), *arguments),
        ]


@pytest.fixture
def container(open_folder: Path, image: Path, network: Network) -> Iterator[Container]:
    """The image, unpacked."""
    yield Container(open_folder, image, network)


def test_the_image_holds_the_program_and_nothing_else(container: Container, binary: Path) -> None:
    """From scratch: no shell, no library."""
    assert container.files == ["LICENSE-APACHE", "LICENSE-MIT", "camlock", "data"]
    assert (container.root / "camlock").read_bytes() == binary.read_bytes()
    held = (container.root / "data").stat()
    assert (held.st_uid, held.st_gid, held.st_mode & 0o777) == (10001, 10001, 0o700)
    assert container.config["process"]["args"] == ["/camlock", "--data", "/data", "serve"]


def test_it_runs(container: Container, tmp_path: Path) -> None:
    """An authority is made in the volume; the service starts locked and stops when it is told to."""
    made = subprocess.run(
        container.start("--passphrase-file", "/passphrase", "--json", "init", "--site", "Shop"),
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0 and json.loads(made.stdout)["recovery_key"], made.stderr
    with running(container.start(), tmp_path) as service:
        get = container.network.get
        health = wait_for("the service", 20, lambda: get("https://127.0.0.1:8443/health"))
        assert json.loads(health)["locked"] is True
        assert "Shop" in (get("http://127.0.0.1:8080/") or "")
        status = Path(f"/proc/{service.process.pid}/status").read_text()
        assert re.search(r"^Uid:\t10001\t10001\t10001\t10001$", status, re.MULTILINE), status
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
        service.process.terminate()
        assert service.process.wait(10) == 0, service.said()
    assert {path.stat().st_uid for path in container.volume.rglob("*")} == {10001}


def test_the_compose_file_fits_the_image(image: Path) -> None:
    """It names what the image has, and takes from it what it does not need."""
    compose = yaml.safe_load((REPOSITORY / "packaging/oci/compose.yaml").read_text())
    [service] = compose["services"].values()
    with tarfile.open(image) as archive:
        docker = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert service["image"] in docker[0]["RepoTags"]
    assert service["network_mode"] == "host" and service["restart"] == "unless-stopped"
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    volume, place = service["volumes"][0].split(":")
    assert volume in compose["volumes"] and place == "/data"
