"""Builds the bundle: cbox-init with its own Python and C library, in one folder that can stand anywhere.

    python packaging/bundle/build.py --python /usr/bin/python3 --wheel cbox_init-….whl DIRECTORY

    DIRECTORY/cbox-init      a static program that starts lib/program with the loader of lib (launcher.c)
    DIRECTORY/lib/program    Python, linked with the program that sets it up (program.c)
    DIRECTORY/lib/*.so*      the loader, the C library, and what the modules need of shared libraries
    DIRECTORY/lib/modules/   the standard library, cbox-init and the packages that it needs, as bytecode
    DIRECTORY/lib/rare.zip   packages that few daemons import
    DIRECTORY/lib/python3    a copy of the launcher: sys.executable
    DIRECTORY/bom.cdx.json   what it is made of, with versions (CycloneDX)
    DIRECTORY/licenses/      the licenses of all of these

The Python must have its static library and headers (Debian: libpython3-dev), the machine gcc and musl-gcc.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
from email import message_from_string
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_HERE: Final = Path(__file__).resolve().parent

#: What a daemon has no use for in the standard library. All that is not listed is kept: a module that is
#: imported in a rare case must be there.
_UNUSED: Final = (
    "__phello__",
    "*__pycache__",
    "__hello__.py",
    "_pyrepl",
    "_pyio.py",
    "aifc.py",
    "antigravity.py",
    "asynchat.py",
    "asyncore.py",
    "asyncio/proactor_events.py",
    "asyncio/windows_*",
    "bdb.py",
    "cgi.py",
    "cgitb.py",
    "chunk.py",
    "cmd.py",
    "code.py",
    "codeop.py",
    "colorsys.py",
    "compileall.py",
    "cProfile.py",
    "config-*",
    "crypt.py",
    "ctypes/test",
    "ctypes/macholib",
    "curses",
    "dbm",
    "dist-packages",
    "distutils",
    "doctest.py",
    "ensurepip",
    "filecmp.py",
    "fileinput.py",
    "ftplib.py",
    "idlelib",
    "imaplib.py",
    "imghdr.py",
    "imp.py",
    "importlib/_bootstrap*",
    "lib2to3",
    "mailbox.py",
    "mailcap.py",
    "modulefinder.py",
    "msilib",
    "multiprocessing",
    "nntplib.py",
    "pdb.py",
    "pickletools.py",
    "pipes.py",
    "plistlib.py",
    "poplib.py",
    "profile.py",
    "pstats.py",
    "pyclbr.py",
    "pydoc.py",
    "pydoc_data",
    "site-packages",
    "sitecustomize.py",
    "shelve.py",
    "smtpd.py",
    "smtplib.py",
    "sndhdr.py",
    "sqlite3",
    "sunau.py",
    "tabnanny.py",
    "tarfile.py",
    "telnetlib.py",
    "test",
    "this.py",
    "tkinter",
    "trace.py",
    "turtle.py",
    "turtledemo",
    "unittest",
    "uu.py",
    "venv",
    "wave.py",
    "xdrlib.py",
    "xml",
    "xmlrpc",
    "zipapp.py",
    "_aix_support.py",
    "_osx_support.py",
    "_pydecimal.py",
    "_sysconfigdata_*",
)

#: Extension modules of the standard library that go with those, or are tests.
_UNUSED_EXTENSIONS: Final = re.compile(
    r"_(bz2|bootsubprocess|codecs_\w+|crypt|ctypes_test|curses\w*|dbm|gdbm|lsprof|lzma|multibytecodec|multiprocessing|posixshmem|sqlite3|test\w+|tkinter|uuid"
    r"|xx\w+|elementtree)|audioop|nis|ossaudiodev|pyexpat|readline|spwd|xx\w+"
)

#: Encodings that remain: Unicode, those of names in DNS, and what a web server may say it answers in.
_ENCODINGS: Final = re.compile(
    r"__init__|aliases|ascii|charmap|cp437|cp1252|hex_codec|idna|iso8859_1|iso8859_15|latin_1|punycode"
    r"|raw_unicode_escape|undefined|unicode_escape|utf_\w+"
)

#: Parts of packages that nothing imports.
_UNUSED_OF_PACKAGES: Final = (
    "*/tests",
    "*/test",
    "*/__pyinstaller",
    "*.pyi",
    "*/py.typed",
    "*.c",
    "*.h",
    "*.pxd",
    "*.pyx",
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/WHEEL",
    "*.dist-info/direct_url.json",
    "*.dist-info/entry_points.txt",
    "*.dist-info/top_level.txt",
    "bin",
    "anyio/_backends/_trio.py",
    "anyio/pytest_plugin.py",
    "yaml/_yaml.pyi",
    "click/testing.py",
    "starlette/testclient.py",
)

#: Packages that are compressed, which makes their import slower.
_RARE: Final = (
    "h11",
    "h2",
    "hpack",
    "httpcore",
    "httpx",
    "httpx_sse",
    "hyperframe",
    "idna",
    "prometheus_client",
    "tzdata",
)

_QUESTIONS: Final = """
import json, platform, sysconfig
v = {name: value or "" for name, value in sysconfig.get_config_vars().items()}
print(json.dumps({
    "version": platform.python_version(),
    "stdlib": sysconfig.get_path("stdlib"),
    "include": sysconfig.get_path("include"),
    "library": f"{v['LIBPL']}/{v['LIBRARY']}",
    "variables": sysconfig._get_sysconfigdata_name(),
    "time_zones": v["TZPATH"],
    "libs": f"{v['MODLIBS']} {v['LIBS']} {v['SYSLIBS']}",
}))
"""


class Failed(Exception):
    """The bundle cannot be built; the text says why."""


def build(python: str, wheel: Path, directory: Path) -> None:
    """Build the bundle in a folder, which is emptied first."""
    target = _target(python)
    shutil.rmtree(directory, ignore_errors=True)
    library, modules = directory / "lib", directory / "lib" / "modules"
    modules.mkdir(parents=True)
    _copy_standard_library(Path(target["stdlib"]), modules)
    # All that zoneinfo asks for; the real one has 1,000 variables of the build.
    variables = {"TZPATH": target["time_zones"]}
    (modules / f"{target['variables']}.py").write_text(f"build_time_vars = {variables}\n")
    _install_packages(python, wheel, modules)
    licenses = directory / "licenses"
    licenses.mkdir()
    _move_licenses(modules, licenses)
    _compile(python, modules)
    _pack(python, library)
    _link_program(target, library / "program")
    debian = _packages_of((Path(target["library"]), *_copy_libraries(directory)))
    for package in debian:
        shutil.copy(f"/usr/share/doc/{package}/copyright", licenses / f"{package}.txt")
    _write_bill(modules, debian, directory / "bom.cdx.json")
    loader = next(path.name for path in library.iterdir() if path.name.startswith("ld-linux"))
    _run(
        *("musl-gcc", "-static", "-Os", "-s", "-Wall", "-Wextra", "-Werror", f'-DLOADER="{loader}"'),
        *("-o", directory / "cbox-init", _HERE / "launcher.c"),
    )
    shutil.copy(directory / "cbox-init", library / "python3")
    programs = (directory / "cbox-init", *(library / name for name in ("python3", "program", loader)))
    for path in directory.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path in programs else 0o644)


def _target(python: str) -> dict[str, str]:
    """What the interpreter says about itself."""
    target: dict[str, str] = json.loads(_run(python, "-I", "-c", _QUESTIONS))
    if tuple(map(int, target["version"].split("."))) < (3, 11):
        raise Failed(f"{python} is older than Python 3.11")
    for name in (target["library"], f"{target['include']}/Python.h"):
        if not Path(name).is_file():
            raise Failed(f"{name} is missing; on Debian install libpython3-dev")
    return target


def _copy_standard_library(source: Path, modules: Path) -> None:
    def unused(folder: str, names: list[str]) -> set[str]:
        below = Path(folder).relative_to(source)
        return {
            name
            for name in names
            if not _is_used(below / name)
            or not (name.endswith((".py", ".so")) or Path(folder, name).is_dir())
        }

    shutil.copytree(source, modules, ignore=unused, dirs_exist_ok=True)
    for extension in (modules / "lib-dynload").glob("*.so"):
        extension.rename(modules / extension.name)
    shutil.rmtree(modules / "lib-dynload", ignore_errors=True)


def _is_used(path: Path) -> bool:
    """Whether a file or folder of the standard library is kept."""
    if path.parent.name == "encodings":
        return _ENCODINGS.fullmatch(path.stem) is not None
    if path.suffix == ".so":
        return _UNUSED_EXTENSIONS.fullmatch(path.name.partition(".")[0]) is None
    return not any(fnmatch(path.as_posix(), one) for one in _UNUSED)


def _install_packages(python: str, wheel: Path, modules: Path) -> None:
    """Install cbox-init and what it needs beside the standard library, without scripts and bytecode."""
    _run(
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--python", python),
        *("install", "--quiet", "--no-compile", "--no-warn-script-location", "--root-user-action", "ignore"),
        *("--only-binary", ":all:", "--target", modules, wheel),
    )
    for pattern in _UNUSED_OF_PACKAGES:
        for path in modules.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for pattern in ("**/*.pyi", "**/py.typed", "**/__pycache__", "**/*.[ch]", "**/*.pyx", "**/*.pxd"):
        for path in modules.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _move_licenses(modules: Path, licenses: Path) -> None:
    """Keep the license of each package, and of its metadata only the name, version and license.

    Those of the libraries in the web pages are beside where these were.
    """
    vendored = modules / "cbox_init" / "web" / "static" / "vendor"
    for folder in vendored.iterdir():
        shutil.copytree(folder, licenses / folder.name)
    shutil.rmtree(vendored.parent)
    for metadata in modules.glob("*.dist-info"):
        for path in metadata.rglob("*"):
            if path.is_file() and re.match(r"(?i)licen[sc]e|copying|notice|authors", path.name):
                folder = licenses / metadata.name.removesuffix(".dist-info")
                folder.mkdir(exist_ok=True)
                shutil.copy(path, folder / path.name)
        head = (metadata / "METADATA").read_text().partition("\n\n")[0]
        kept = re.findall(
            r"^(?:Metadata-Version|Name|Version|License|License-Expression): .*$", head, re.MULTILINE
        )
        shutil.rmtree(metadata)
        metadata.mkdir()
        (metadata / "METADATA").write_text("\n".join(kept) + "\n")


def _compile(python: str, modules: Path) -> None:
    """Replace each module by its bytecode, which the interpreter then takes without looking for a source.

    Docstrings are kept where they are the help of commands and descriptions of the API and the configuration.
    """
    _run(
        *(python, "-I", _HERE / "compile.py", modules),
        *("cbox_init/cli", "cbox_init/api", "cbox_init/config", "cbox_init/metrics"),
    )


def _pack(python: str, library: Path) -> None:
    """Compress what few daemons import, and these in threads: time zones, heartbeats, gRPC, metrics."""
    rare = [library / "modules" / name for name in _RARE]
    _run(python, "-I", "-m", "zipfile", "-c", library / "rare.zip", *rare)
    for folder in rare:
        shutil.rmtree(folder)


def _link_program(target: dict[str, str], program: Path) -> None:
    """Link all of Python: extension modules call functions that the program itself does not."""
    _run(
        *("gcc", "-O2", "-s", "-Wall", "-Werror", "-no-pie", f"-I{target['include']}", "-o", program),
        *(_HERE / "program.c", "-Wl,--export-dynamic", "-Wl,-O1"),
        *("-Wl,--whole-archive", target["library"], "-Wl,--no-whole-archive"),
        *(word for word in target["libs"].split() if not word.startswith(("-L", "-Wl,-rpath"))),
        "-lm",
    )


def _copy_libraries(directory: Path) -> Iterable[Path]:
    """Copy the shared libraries that the program and all modules need, and strip them; gives the originals.

    libgcc_s is named by none: the C library loads it when a thread ends by pthread_exit, as threads of Python
    do that still run when the interpreter ends.
    """
    library = directory / "lib"
    needing = [library / "program", *(library / "modules").rglob("*.so*")]
    unwinder = "libgcc_s.so.1"
    found = {unwinder: Path(_run("gcc", f"-print-file-name={unwinder}").strip())}
    for file in needing:
        text = _run("ldd", file)
        if missing := re.findall(r"(\S+) => not found", text):
            raise Failed(f"{file.name} needs {', '.join(missing)}, which this machine does not have")
        for name, path in re.findall(r"(\S+) => (/\S+)", text):
            found[name] = Path(path)
        for path in re.findall(r"^\s+(/\S+/ld-\S+) \(", text, re.MULTILINE):
            found[Path(path).name] = Path(path)
    for name, path in found.items():
        shutil.copy(path, library / name)
    for file in (*needing, *(library / name for name in found if not name.startswith("ld-"))):
        file.chmod(0o755)
        _run("strip", "--strip-unneeded", file)
    return found.values()


def _packages_of(libraries: Iterable[Path]) -> dict[str, str]:
    """The Debian packages that these files are of, with their versions; nothing elsewhere than on Debian."""
    found = {}
    for library in libraries:
        real = library.resolve()
        # dpkg knows a file by the path in its package, which may be that of before /lib became a link.
        inside = real.relative_to("/usr") if real.is_relative_to("/usr") else real.relative_to("/")
        for name in dict.fromkeys((library, "/" / inside, "/usr" / inside)):
            asked = subprocess.run(("dpkg", "-S", name), capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                package = asked.stdout.split(": ")[0].split(",")[0]
                found[package.partition(":")[0]] = _run("dpkg-query", "-Wf", "${Version}", package)
                break
    return found


def _write_bill(modules: Path, debian: dict[str, str], bill: Path) -> None:
    """Write a bill of materials (CycloneDX): the packages of Python and npm, and the libraries of Debian."""
    python = (message_from_string(path.read_text()) for path in modules.glob("*.dist-info/METADATA"))
    pairs = sorted((one["Name"], one["Version"]) for one in python)
    components = [_component(name, version, f"pkg:pypi/{name.lower()}@{version}") for name, version in pairs]
    pins = json.loads((_HERE.parents[1] / ".ci" / "vendor.json").read_text())
    components += [
        _component(name, pin["version"], f"pkg:npm/{name}@{pin['version']}")
        for name, pin in sorted(pins.items())
        if pin["to"].startswith("src/")
    ]
    components += [
        _component(name, version, f"pkg:deb/debian/{name}@{version}?distro=debian")
        for name, version in sorted(debian.items())
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    bill.write_text(json.dumps(document, indent=1) + "\n")


def _component(name: str, version: str, purl: str) -> dict[str, str]:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=False)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command[:4]))} … ended with {done.returncode}")
    return done.stdout


def main() -> None:
    """Read the arguments, build, and print the size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="the Python of the bundle")
    parser.add_argument("--wheel", type=Path, required=True, help="cbox-init as a wheel")
    parser.add_argument("directory", type=Path)
    options = parser.parse_args()
    try:
        build(options.python, options.wheel, options.directory)
    except Failed as failed:
        sys.exit(f"bundle: {failed}")
    size = sum(path.stat().st_blocks * 512 for path in options.directory.rglob("*"))
    print(f"{options.directory}: {size / 1e6:.1f} MB for {platform.machine()}")


if __name__ == "__main__":
    main()
