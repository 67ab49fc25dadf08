"""The files of the pages: how they are compressed, when again, and what they may weigh and contain."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cbox_init.web import site as web_site
from cbox_init.web.pack import PACKED, pack, sources, write
from cbox_init.web.site import load

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src/cbox_init/web/static"
MOST_BYTES = 150_000
MOST_BYTES_OF_DOCS = 30_000


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with two files, compressed after they were written."""
    static = tmp_path / "static"
    (static / "app").mkdir(parents=True)
    (static / "index.html").write_text('<script src="/assets/app/main.js"></script>')
    (static / "app/main.js").write_text("1")
    for path in (static / "index.html", static / "app/main.js"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    write(str(tmp_path))
    return tmp_path


def test_all_that_a_page_may_load_is_small() -> None:
    """The one of the processes with all its views; the one of the API shares its components."""
    sizes = {name: len(one.compressed) for name, one in load().files.items() if "LICENSE" not in name}
    parts = {"docs": 0, "processes": 0}
    for name, size in sizes.items():
        parts["docs" if name.startswith("docs") else "processes"] += size
    heaviest = sorted(sizes.items(), key=lambda one: -one[1])[:10]
    assert parts["processes"] < MOST_BYTES, heaviest
    assert parts["docs"] < MOST_BYTES_OF_DOCS, heaviest


def test_the_same_sources_give_the_same_bytes(package: Path) -> None:
    static = str(package / "static")
    assert pack(static) == pack(static) == (package / PACKED).read_bytes()


def test_the_digest_is_of_what_is_kept_for_ever(package: Path) -> None:
    first = load(package=str(package))
    html = first.files["index.html"].content().decode()
    assert html == f'<script src="/assets/{first.digest}/app/main.js"></script>'
    (package / "static/app/main.js").write_text("2")
    second = load(first, str(package))
    assert second.digest != first.digest
    assert second.files["app/main.js"].content() == b"2"
    assert second.files["index.html"].etag != first.files["index.html"].etag


def test_unchanged_files_are_read_once(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_site, "_parse", None)
    with pytest.raises(TypeError):
        load(package=str(package))
    monkeypatch.undo()
    first = load(package=str(package))
    monkeypatch.setattr(web_site, "_parse", None)
    assert load(first, str(package)) is first


def test_the_compressed_file_is_taken_where_it_is_as_new_as_the_sources(package: Path) -> None:
    os.utime(package / PACKED, (1_000_000_001, 1_000_000_001))
    changed = package / "static/app/main.js"
    changed.write_text("3")
    os.utime(changed, (1_000_000_000, 1_000_000_000))
    assert load(package=str(package)).files["app/main.js"].content() == b"1"
    os.utime(changed, (1_000_000_002, 1_000_000_002))
    assert load(package=str(package)).files["app/main.js"].content() == b"3"


@pytest.mark.parametrize("spoil", ["missing", "removed source", "added source", "cut off", "no index"])
def test_in_a_development_tree_the_sources_count(package: Path, spoil: str) -> None:
    packed = package / PACKED
    if spoil == "missing":
        packed.unlink()
    elif spoil == "removed source":
        (package / "static/app/main.js").unlink()
    elif spoil == "added source":
        added = package / "static/app/new.js"
        added.write_text("new")
        os.utime(added, (1_000_000_000, 1_000_000_000))
    elif spoil == "cut off":
        packed.write_bytes(packed.read_bytes()[:-1])
    else:
        packed.write_bytes(b"\n")
    assert load(package=str(package)).files.keys() == sources(str(package / "static")).keys()


def test_an_installed_package_has_no_sources(package: Path) -> None:
    (package / "static/index.html").unlink()
    site = load(package=str(package))
    assert site.files["app/main.js"].content() == b"1"
    assert load(site, str(package)) is site
    (package / PACKED).write_bytes((package / PACKED).read_bytes()[:-1])
    with pytest.raises(ValueError, match="not complete"):
        load(package=str(package))
    (package / PACKED).unlink()
    with pytest.raises(FileNotFoundError):
        load(package=str(package))


def test_a_file_that_cannot_be_written_leaves_the_former(package: Path) -> None:
    before = (package / PACKED).read_bytes()
    (package / "static/app/main.js").unlink()
    (package / "static/app/main.js").symlink_to("nowhere.js")
    assert "app/main.js" not in sources(str(package / "static"))
    (package / "static/index.html").chmod(0)
    if os.geteuid():
        with pytest.raises(PermissionError):
            write(str(package))
        assert (package / PACKED).read_bytes() == before
    assert sorted(path.name for path in package.iterdir()) == [PACKED, "static"]


def test_the_build_hook_needs_nothing_of_cbox_init() -> None:
    """It runs where only hatchling is installed."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import pack; pack.pack(sys.argv[2])"
    folder = STATIC.parent
    subprocess.run([sys.executable, "-I", "-S", "-c", code, folder, STATIC], check=True, timeout=60)


class Inline(HTMLParser):
    """Collects what a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.inside = tag
        if tag == "style" or any(name == "style" or name.startswith("on") for name in names):
            self.found.append(f"{tag} {names}")
        for name in ("src", "href"):
            if (names.get(name) or "/")[0] not in "/#" or (names.get(name) or "").startswith("//"):
                self.found.append(f"{tag} {name}={names[name]}")

    def handle_data(self, data: str) -> None:
        if self.inside == "script" and data.strip():
            self.found.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


@pytest.mark.parametrize("path", sorted(STATIC.rglob("*.html")), ids=lambda path: path.name)
def test_no_inline_script_or_style(path: Path) -> None:
    parser = Inline()
    parser.feed(path.read_text())
    assert not parser.found


def test_inline_is_found() -> None:
    parser = Inline()
    parser.feed('<p onclick="x"><script>1</script><style></style><b style="x"></b><a href="https://x"></a>')
    assert len(parser.found) == 5


_IMPORT = re.compile(
    r"""(?:^|[;}])\s*(?:import|export)\b[^;"'()=]*?["']([^"'\n]+)["']|\bimport\(\s*["']([^"'\n]+)"""
)


def test_modules_import_what_is_there() -> None:
    """By relative addresses, which stay below the digest."""
    found = 0
    for path in STATIC.rglob("*.js"):
        for names in _IMPORT.findall(path.read_text()):
            name = names[0] or names[1]
            assert name.startswith("."), f"{path}: {name}"
            assert (path.parent / name).is_file(), f"{path}: {name}"
            found += 1
    assert found > 5


def test_the_api_alone_imports_nothing_that_compresses() -> None:
    """A daemon whose pages are not opened stays as small as without them."""
    code = """
import sys
import cbox_init.api.app
before = set(sys.modules)
import cbox_init.api.pages
print(*set(sys.modules) - before, "gzip" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["False"]


def test_vendored_files_are_those_of_the_pinned_packages() -> None:
    pins = json.loads((ROOT / ".ci/vendor.json").read_text())
    for name, pin in pins.items():
        folder = ROOT / pin["to"]
        assert "LICENSE" in pin["files"], name
        assert {path.name for path in folder.iterdir()} == pin["files"].keys(), name
        for file, one in pin["files"].items():
            assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == one["sha256"], file
    there = {path.name for path in (STATIC / "vendor").iterdir()}
    assert there == {name for name, pin in pins.items() if "static/vendor" in pin["to"]}
