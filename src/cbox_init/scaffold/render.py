"""Makes the files of a scaffold from the templates of this package.

A template is a file as it will be written, with ``@{name}`` for a value, and lines of their own for what is
there in some cases only: ``@if NAME``, ``@else``, ``@end``, and ``@include FILE``.
"""

from __future__ import annotations

import os
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, NamedTuple

from cbox_init.errors import ScaffoldError
from cbox_init.scaffold.detect import entry_of, site_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cbox_init.scaffold.presets import Preset, Variables

CONFIG_FILE: Final = "cbox-init.yaml"
MOST_WORKERS: Final = 100

_PROXY_PORT: Final = 8080
_PROBE_PORT: Final = 9181
_METRICS_PORT: Final = 9090
_FPM_PORT: Final = 9000
_VALUE: Final = re.compile(r"@\{([a-z_]+)\}")
_APP_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Choice(NamedTuple):
    """What was asked for: the preset, which files beside the configuration, and what is to be in them."""

    preset: Preset
    app_name: str
    workers: int
    dockerfile: bool = False
    compose: bool = False
    nginx: bool = False
    kubernetes: bool = False
    observability: bool = False


def app_name_of(path: str) -> str:
    """A name for the application in a directory, from the name of the directory."""
    base = os.path.basename(os.path.abspath(path)).lower()
    name = re.sub(r"[^a-z0-9]+", "-", base)[:63].strip("-")
    return name or "app"


def check_app_name(name: str) -> str:
    """``name``, when containers and services can have it. Raises ScaffoldError."""
    if not _APP_NAME.fullmatch(name):
        raise ScaffoldError(
            f"{name!r} is no name for images and services; "
            "use at most 63 small letters, digits and '-', such as my-app"
        )
    return name


def render(choice: Choice, directory: str) -> dict[str, str]:
    """The files by name, the configuration first. The application in ``directory`` says where it begins."""
    preset = choice.preset
    values = _values(choice, directory)
    found = {CONFIG_FILE: _fill("config/head.yaml", values) + _fill(f"config/{preset.name}.yaml", values)}
    if choice.dockerfile:
        found["Dockerfile"] = _fill(f"docker/{preset.base}", values)
        found[".dockerignore"] = _fill("docker/dockerignore", values)
        if preset.base == "php":
            found["php-fpm.conf"] = _fill("docker/php-fpm.conf", values)
    if choice.nginx:
        found["nginx.conf"] = _fill(f"nginx/{preset.nginx}.conf", values)
    if choice.compose:
        found["docker-compose.yml"] = _fill("compose.yaml", values)
    if choice.kubernetes:
        found["kubernetes.yaml"] = _fill("kubernetes.yaml", values)
    return found


def _values(choice: Choice, directory: str) -> Variables:
    preset = choice.preset
    proxied = choice.nginx or preset.behind_nginx
    port = _PROXY_PORT if proxied else preset.app_port
    entry = entry_of(preset.name, directory) or preset.entry
    database = any(preset.values.get(kind) for kind in ("mysql", "mariadb", "postgres"))
    services = database or bool(preset.values.get("redis") or preset.values.get("opensearch"))
    ports = [port] if preset.serves else []
    return {
        **preset.values,
        **dict.fromkeys(("nextjs", "nuxt", "nodejs", "django", "celery"), False),
        preset.name.replace("-", "_"): True,
        "preset": preset.name,
        "title": preset.title,
        "app_name": choice.app_name,
        "uid": preset.uid,
        "workers": choice.workers,
        "max_workers": max(20, choice.workers),
        "observability": choice.observability,
        "nginx": choice.nginx,
        "own_nginx_conf": choice.nginx,
        "nginx_needs": {"php": "php-fpm", "proxy": "web"}.get(preset.nginx, ""),
        "nginx_health": "/healthz",
        "nginx_mime": "/etc/nginx/mime.types",
        "nginx_fastcgi": "/etc/nginx/fastcgi_params",
        "bind": "127.0.0.1" if proxied else "0.0.0.0",
        "web": preset.serves,
        "publish": f"-p {port}:{port} " if preset.serves else "",
        "http_port": port,
        "app_port": preset.app_port,
        "next_port": preset.app_port + 1,
        "fpm_port": _FPM_PORT,
        "probe_port": _PROBE_PORT,
        "metrics_port": _METRICS_PORT,
        "ports": " ".join(map(str, [*ports, _PROBE_PORT])),
        "health_path": preset.health_path,
        "expected_status": "200-299" if preset.name == "rails" else "200-499",
        "entry": entry,
        "module": entry,
        "project": entry.partition(".")[0],
        "root": entry,
        "site_folder": site_folder(directory),
        "installs_nginx": proxied and preset.base != "nginx",
        "db": database,
        "services": services,
        "env": services,
    }


def _fill(name: str, values: Mapping[str, str | int | bool]) -> str:
    return _VALUE.sub(lambda found: str(values[found[1]]), "".join(_chosen(name, values)))


def _chosen(name: str, values: Mapping[str, str | int | bool]) -> Iterator[str]:
    """The lines of a template that are there with these values."""
    shown = [True]
    for line in _read(name):
        words = line.split()
        match words:
            case ["@if", key]:
                shown.append(bool(values.get(key)))
            case ["@else"]:
                shown.append(not shown.pop())
            case ["@end"]:
                shown.pop()
            case ["@include", other]:
                if all(shown):
                    yield from _chosen(os.path.join(os.path.dirname(name), other), values)
            case _:
                if all(shown):
                    yield line
    assert shown == [True], name


def _read(name: str) -> list[str]:
    text = files("cbox_init.scaffold").joinpath("templates", name).read_text(encoding="utf-8")
    return text.splitlines(keepends=True)
