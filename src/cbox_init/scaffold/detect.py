"""Which preset fits the files of a directory. Only reads, and never more than a small part of a file."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: The most bytes of a file that are looked at.
_MOST: Final = 256 * 1024
#: The most folders in which the module of an application is searched for.
_MOST_FOLDERS: Final = 200

_MODULE: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_SCRIPT: Final = re.compile(r"[\w][\w./-]*\.[cm]?js")


class Detected(NamedTuple):
    """The name of a preset, and the file that made it the choice."""

    preset: str
    reason: str


class Directory:
    """The files of one directory, by their paths in it. A file that cannot be read is as good as absent."""

    def __init__(self, path: str) -> None:
        self.path = path

    def has(self, *names: str) -> str | None:
        """The first of ``names`` that is there."""
        return next((name for name in names if os.path.exists(os.path.join(self.path, name))), None)

    def text(self, name: str) -> str:
        """The beginning of a file; empty when there is none, or no file of that kind."""
        path = os.path.join(self.path, name)
        try:
            if not os.path.isfile(path):  # a FIFO would not return
                return ""
            with open(path, errors="replace") as file:
                return file.read(_MOST)
        except OSError:
            return ""

    def json(self, name: str) -> dict[str, object]:
        """A JSON object; empty when there is none."""
        try:
            found = json.loads(self.text(name))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def needs(self, manifest: str, package: str) -> str | None:
        """The name of a ``package.json`` or ``composer.json`` that lists ``package``."""
        document = self.json(manifest)
        for section in ("dependencies", "require"):
            wanted = document.get(section)
            if isinstance(wanted, dict) and package in wanted:
                return manifest
        return None

    def python_needs(self, package: str) -> str | None:
        """The file that lists a Python package as a requirement."""
        listed = re.compile(rf"(?im)^\s*[\"']?{re.escape(package)}(?![\w-])")
        for name in ("requirements.txt", "requirements/base.txt", "requirements/production.txt"):
            if listed.search(self.text(name)):
                return name
        inline = re.compile(rf"(?i)[\"'\s\[]{re.escape(package)}(?![\w-])")
        for name in ("pyproject.toml", "Pipfile"):
            if inline.search(self.text(name)):
                return name
        return None


def _rails(folder: Directory) -> str | None:
    return "Gemfile" if re.search(r"(?m)^\s*gem\s+[\"']rails[\"']", folder.text("Gemfile")) else None


def _django(folder: Directory) -> str | None:
    return "manage.py" if "DJANGO_SETTINGS_MODULE" in folder.text("manage.py") else None


#: In this order: what is most particular first. A Laravel application has a package.json, too.
_RULES: Final[tuple[tuple[str, Callable[[Directory], str | None]], ...]] = (
    ("laravel", lambda folder: folder.has("artisan")),
    ("magento", lambda folder: folder.has("bin/magento")),
    ("symfony", lambda folder: folder.has("symfony.lock", "bin/console")),
    ("wordpress", lambda folder: folder.has("wp-config.php", "wp-load.php", "wp-config-sample.php")),
    (
        "drupal",
        lambda folder: (
            folder.needs("composer.json", "drupal/core-recommended")
            or folder.needs("composer.json", "drupal/core")
            or folder.has("core/lib/Drupal.php", "web/core/lib/Drupal.php")
        ),
    ),
    ("rails", _rails),
    ("django", _django),
    ("nextjs", lambda folder: folder.needs("package.json", "next")),
    ("nuxt", lambda folder: folder.needs("package.json", "nuxt")),
    ("fastapi", lambda folder: folder.python_needs("fastapi")),
    ("celery", lambda folder: folder.python_needs("celery")),
    ("go", lambda folder: folder.has("go.mod")),
    ("php", lambda folder: folder.has("composer.json", "index.php", "public/index.php")),
    ("nodejs", lambda folder: folder.has("package.json", "server.js")),
    ("static-nginx", lambda folder: folder.has("index.html", "public/index.html", "dist/index.html")),
)


def detect(path: str) -> Detected | None:
    """The preset for the application in the directory ``path``; None when none fits."""
    folder = Directory(path)
    for preset, rule in _RULES:
        reason = rule(folder)
        if reason is not None:
            return Detected(preset, reason)
    return None


def entry_of(preset: str, path: str) -> str | None:
    """Where the application of this preset begins (a module, a script, a folder), if its files say so."""
    folder = Directory(path)
    match preset:
        case "django":
            settings = re.search(
                r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"']([\w.]+)[\"']", folder.text("manage.py")
            )
            project = settings[1].partition(".")[0] if settings else ""
            return f"{project}.wsgi" if _MODULE.fullmatch(project) else None
        case "fastapi":
            return _variable(folder, r"^(\w+)\s*(?::\s*\w+\s*)?=\s*FastAPI\(", with_name=True)
        case "celery":
            return _variable(folder, r"^(\w+)\s*(?::\s*\w+\s*)?=\s*Celery\(", with_name=False)
        case "nodejs":
            return _node_script(folder)
        case "php":
            return "/var/www/html/public" if folder.has("public/index.php") else None
        case "drupal":
            return None if folder.has("web/index.php") or not folder.has("index.php") else "/var/www/html"
    return None


def site_folder(path: str) -> str:
    """The folder of a static site: where its index.html is."""
    found = Directory(path).has("dist/index.html", "public/index.html", "build/index.html")
    return os.path.dirname(found) if found else "."


def _node_script(folder: Directory) -> str | None:
    document = folder.json("package.json")
    scripts = document.get("scripts")
    start = scripts.get("start") if isinstance(scripts, dict) else None
    words = start.split() if isinstance(start, str) else []
    for word in (words[1] if len(words) == 2 and words[0] == "node" else None, document.get("main")):
        if isinstance(word, str) and _SCRIPT.fullmatch(word.removeprefix("./")) and ".." not in word:
            return word.removeprefix("./")
    return folder.has("server.js", "index.js", "app.js")


def _variable(folder: Directory, pattern: str, *, with_name: bool) -> str | None:
    """The module, and with ``with_name`` the name in it, of the first assignment that ``pattern`` matches."""
    assigned = re.compile(pattern, re.MULTILINE)
    for module, text in _modules(folder):
        found = assigned.search(text)
        if found:
            return f"{module}:{found[1]}" if with_name else module
    return None


def _modules(folder: Directory) -> list[tuple[str, str]]:
    """Modules near the top of the directory, with their text: those of usual names alone."""
    found = []
    packages = [""]
    try:
        with os.scandir(folder.path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        packages += [name for name in names[:_MOST_FOLDERS] if _MODULE.fullmatch(name)]
    except OSError:
        pass
    for package in packages:
        for name in ("main", "app", "celery", "celery_app", "tasks", "worker", "asgi", "api"):
            text = folder.text(os.path.join(package, f"{name}.py"))
            if text:
                found.append((f"{package}.{name}" if package else name, text))
    return found
