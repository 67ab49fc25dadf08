"""The Debian package, installed into a root file system of its own."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def package(bundle: Path) -> Path:
    (found,) = bundle.parent.glob("*.deb")
    return found


def test_it_is_installed_and_removed(package: Path, bundle: Path, tmp_path: Path) -> None:
    database = tmp_path / "var/lib/dpkg"
    for name in ("info", "updates"):
        (database / name).mkdir(parents=True)
    (database / "status").touch()
    dpkg = ("dpkg", f"--root={tmp_path}", "--log=/dev/null")
    subprocess.run([*dpkg, "--install", package], check=True, capture_output=True)
    (tmp_path / "proc").mkdir()
    mounted = f"mount -t proc proc {tmp_path}/proc && exec chroot {tmp_path} /usr/bin/cbox-init version"
    said = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted], check=True, capture_output=True, text=True
    )
    assert (
        said.stdout
        == subprocess.run([bundle / "cbox-init", "version"], capture_output=True, text=True).stdout
    )
    subprocess.run([*dpkg, "--verify", "cbox-init"], check=True)
    subprocess.run([*dpkg, "--remove", "cbox-init"], check=True, capture_output=True)
    assert not (tmp_path / "usr/lib/cbox-init").exists()


def test_it_needs_nothing(package: Path) -> None:
    fields = subprocess.run(
        ["dpkg-deb", "--field", package], check=True, capture_output=True, text=True
    ).stdout
    assert "Depends" not in fields
