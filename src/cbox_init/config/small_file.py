"""Reads a small file that an administrator names: a certificate, a key, tokens."""

from __future__ import annotations

import os
import stat

from cbox_init.safe_paths import regular_only


class SmallFileError(ValueError):
    """A file that cannot be read, in a message, with a hint how to fix it; ``gone`` when there is none."""

    def __init__(self, message: str, hint: str, *, gone: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.gone = gone


def read_small_file(path: str, most_bytes: int, what: str, too_large: str) -> tuple[bytes, int]:
    """The content of the regular file at ``path``, and its mode. Links are followed. Blocks.

    ``what`` is the hint when it is something else, ``too_large`` when it has more than ``most_bytes``. Raises
    SmallFileError.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise SmallFileError(f"{path} is not a file", what)
        with open(path, "rb", opener=regular_only) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise SmallFileError(f"{path} does not exist", "mount it, or correct the path", gone=True) from None
    except SmallFileError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        hint = "let the daemon's user read it, or correct the path"
        raise SmallFileError(f"{path} cannot be read: {reason}", hint) from None
    if len(data) > most_bytes:
        size = f"{most_bytes >> 20} MiB" if most_bytes >> 20 else f"{most_bytes >> 10} KiB"
        raise SmallFileError(f"{path} is larger than {size}", too_large)
    return data, mode
