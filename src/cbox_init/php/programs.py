"""Which processes of a configuration run PHP-FPM or nginx, by the program of their command."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Distributions put the version into the name: php-fpm8.2, php-fpm83.
_PHP_FPM: Final = re.compile(r"php-fpm[0-9.]*")


def is_php_fpm(command: Sequence[str]) -> bool:
    """Whether a command runs PHP-FPM itself, not by way of a shell."""
    return bool(command) and _PHP_FPM.fullmatch(_name(command)) is not None


def is_nginx(command: Sequence[str]) -> bool:
    """Whether a command runs nginx itself, not by way of a shell."""
    return bool(command) and _name(command) == "nginx"


def _name(command: Sequence[str]) -> str:
    return command[0].rpartition("/")[2]
