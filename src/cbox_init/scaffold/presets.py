"""The kinds of application that ``scaffold`` knows: one row for each."""

from __future__ import annotations

from typing import Final, NamedTuple

Variables = dict[str, "str | int | bool"]


class Preset(NamedTuple):
    """One kind of application.

    ``base`` is the Dockerfile, and ``nginx`` the nginx.conf, of the templates. Where ``behind_nginx`` the
    configuration always has a process nginx. ``workers`` is how many workers there are by default, None where
    there can be none. ``entry`` is the default of ``module`` or ``entry`` in the templates. ``values``
    are further variables, and ``uid`` is the user of the image.
    """

    name: str
    title: str
    base: str
    nginx: str
    uid: int
    workers: int | None = None
    behind_nginx: bool = False
    entry: str = ""
    app_port: int = 3000
    health_path: str = "/"
    values: Variables = {}  # noqa: RUF012  # never changed

    @property
    def serves(self) -> bool:
        """Whether it answers HTTP requests."""
        return self.name != "celery"


def _php(name: str, title: str, root: str, workers: int | None, **values: str | int | bool) -> Preset:
    return Preset(
        name,
        title,
        base="php",
        nginx="php",
        uid=33,
        workers=workers,
        behind_nginx=True,
        entry=f"/var/www/html{root}",
        values={
            "front_controller": name in ("laravel", "symfony"),
            "composer": name != "wordpress",
            **values,
        },
    )


_PYTHON: Final = 10001

PRESETS: Final = (
    _php("laravel", "Laravel", "/public", 2, migrate=True, mysql=True, redis=True,
         php_extensions="bcmath intl opcache pcntl pdo_mysql redis zip"),
    _php("symfony", "Symfony", "/public", 2, migrate=True, postgres=True, postgres_url=True,
         php_extensions="intl opcache pdo_pgsql zip"),
    _php("php", "PHP", "", 0, php_extensions="opcache pdo_mysql"),
    _php("wordpress", "WordPress", "", None, mariadb=True, php_extensions="exif gd intl mysqli opcache zip"),
    _php("magento", "Magento", "/pub", 1, migrate=True, mariadb=True, redis=True, opensearch=True,
         php_extensions="bcmath gd intl opcache pcntl pdo_mysql soap sockets xsl zip"),
    _php("drupal", "Drupal", "/web", None, migrate=True, mariadb=True,
         php_extensions="gd opcache pdo_mysql zip"),
    Preset("nextjs", "Next.js", "node", "proxy", 1000, 0, values={"node_build": True}),
    Preset("nuxt", "Nuxt", "node", "proxy", 1000, 0, values={"node_build": True, "read_only": True}),
    Preset("nodejs", "Node.js", "node", "proxy", 1000, 0, entry="server.js", values={"read_only": True}),
    Preset("django", "Django", "python", "proxy", _PYTHON, 0, entry="config.wsgi", app_port=8000,
           values={"migrate": True, "postgres": True, "postgres_url": True, "read_only": True,
                   "python_server": "gunicorn"}),
    Preset("fastapi", "FastAPI", "python", "proxy", _PYTHON, 0, entry="main:app", app_port=8000,
           values={"read_only": True, "python_server": '"uvicorn[standard]"'}),
    Preset("celery", "Celery", "python", "", _PYTHON, 2, entry="app",
           values={"redis": True, "read_only": True, "python_server": '"celery[redis]"'}),
    Preset("rails", "Ruby on Rails", "ruby", "proxy", _PYTHON, 1, health_path="/up",
           values={"migrate": True, "postgres": True, "postgres_url": True, "redis": True}),
    Preset("go", "Go", "go", "proxy", _PYTHON, 0, app_port=3000, values={"read_only": True}),
    Preset("static-nginx", "Static site", "nginx", "static", 101, None, behind_nginx=True,
           entry="/usr/share/nginx/html", values={"read_only": True}),
)  # fmt: skip

BY_NAME: Final = {preset.name: preset for preset in PRESETS}
