"""Which preset fits the files of a directory."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cbox_init.scaffold.detect import detect, entry_of, site_folder

if TYPE_CHECKING:
    from pathlib import Path

NEXT = json.dumps({"dependencies": {"next": "15"}})
NUXT = json.dumps({"dependencies": {"nuxt": "3"}})
MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")'


def lay(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "preset", "reason"),
    [
        ({"artisan": "", "package.json": "{}", "composer.json": "{}"}, "laravel", "artisan"),
        ({"bin/console": "", "composer.json": "{}"}, "symfony", "bin/console"),
        ({"wp-config.php": "", "index.php": ""}, "wordpress", "wp-config.php"),
        ({"bin/magento": "", "composer.json": "{}"}, "magento", "bin/magento"),
        ({"composer.json": '{"require": {"drupal/core-recommended": "^11"}}'}, "drupal", "composer.json"),
        ({"web/core/lib/Drupal.php": ""}, "drupal", "web/core/lib/Drupal.php"),
        ({"index.php": ""}, "php", "index.php"),
        ({"composer.json": "{}"}, "php", "composer.json"),
        ({"package.json": NEXT}, "nextjs", "package.json"),
        ({"package.json": NUXT}, "nuxt", "package.json"),
        ({"package.json": "{}"}, "nodejs", "package.json"),
        ({"package.json": "not json"}, "nodejs", "package.json"),
        ({"manage.py": MANAGE, "package.json": "{}"}, "django", "manage.py"),
        ({"requirements.txt": "uvicorn\nfastapi>=0.110\n"}, "fastapi", "requirements.txt"),
        ({"pyproject.toml": 'dependencies = ["fastapi", "x"]'}, "fastapi", "pyproject.toml"),
        ({"requirements.txt": "celery[redis]==5.4\n"}, "celery", "requirements.txt"),
        ({"Gemfile": 'source "https://rubygems.org"\ngem "rails", "~> 8"\n'}, "rails", "Gemfile"),
        ({"go.mod": "module x\n"}, "go", "go.mod"),
        ({"index.html": ""}, "static-nginx", "index.html"),
        ({"dist/index.html": ""}, "static-nginx", "dist/index.html"),
    ],
)
def test_found(files: dict[str, str], preset: str, reason: str, tmp_path: Path) -> None:
    lay(tmp_path, files)
    assert detect(str(tmp_path)) == (preset, reason)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"README.md": ""},
        {"manage.py": "print('no Django')"},
        {"Gemfile": "# gem 'rails'"},
        {"requirements.txt": "fastapi-utils\ncelery-types\n"},
    ],
)
def test_nothing_found(files: dict[str, str], tmp_path: Path) -> None:
    lay(tmp_path, files)
    assert detect(str(tmp_path)) is None
    assert detect(str(tmp_path / "absent")) is None


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "package.json")
    (tmp_path / "requirements.txt").mkdir()
    (tmp_path / "pyproject.toml").write_bytes(b"\xff" * 100)
    (tmp_path / "Gemfile").symlink_to("Gemfile")
    found = detect(str(tmp_path))
    assert found is not None
    assert found.preset == "nodejs"  # the name alone


@pytest.mark.parametrize(
    ("preset", "files", "entry"),
    [
        ("django", {"manage.py": MANAGE}, "shop.wsgi"),
        ("django", {"manage.py": "DJANGO_SETTINGS_MODULE', 'a b; rm'"}, None),
        ("fastapi", {"main.py": "app = FastAPI()\n"}, "main:app"),
        ("fastapi", {"shop/api.py": "import x\nserver: FastAPI = FastAPI(title='x')\n"}, "shop.api:server"),
        ("fastapi", {"main.py": "x = 1"}, None),
        ("celery", {"shop/celery.py": "app = Celery('shop')\n"}, "shop.celery"),
        ("nodejs", {"package.json": '{"scripts": {"start": "node ./src/index.mjs"}}'}, "src/index.mjs"),
        ("nodejs", {"package.json": '{"main": "lib/main.js"}'}, "lib/main.js"),
        ("nodejs", {"package.json": '{"main": "../x.js"}', "index.js": ""}, "index.js"),
        ("nodejs", {"package.json": '{"main": "--eval=1"}'}, None),
        ("nodejs", {"package.json": '{"main": "a b]: x.js"}'}, None),
        ("php", {"public/index.php": ""}, "/var/www/html/public"),
        ("php", {"index.php": ""}, None),
        ("drupal", {"index.php": ""}, "/var/www/html"),
        ("go", {"go.mod": ""}, None),
    ],
)
def test_where_it_begins(preset: str, files: dict[str, str], entry: str | None, tmp_path: Path) -> None:
    lay(tmp_path, files)
    assert entry_of(preset, str(tmp_path)) == entry


def test_the_folder_of_a_site(tmp_path: Path) -> None:
    assert site_folder(str(tmp_path)) == "."
    lay(tmp_path, {"public/index.html": ""})
    assert site_folder(str(tmp_path)) == "public"
