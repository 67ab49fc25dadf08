"""Compresses the web pages into one file when cbox-init is built.

The build hook (hatch_build.py) runs this without any dependency of cbox-init, and the daemon when the file is
missing or older than the sources. Therefore it imports the standard library alone, and
most of that in the functions.
"""

from __future__ import annotations

import os
from typing import Final

#: The compressed pages, beside this file. The first line is an index in JSON, the rest the contents.
PACKED: Final = "pages.bin"

#: The prefix of the addresses of assets. In the pages the digest of all assets is added, so that browsers can
#: keep an asset for ever: ``/assets/DIGEST/app/main.js``. Modules import each other by relative addresses.
ASSETS: Final = "/assets/"

_MEDIA: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    "": "text/plain; charset=utf-8",
}


def sources(folder: str) -> dict[str, str]:
    """The files below ``folder`` by name, such as ``app/main.js``, in order."""
    found = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)
            if not name.startswith(".") and os.path.splitext(name)[1] in _MEDIA and os.path.isfile(path):
                found[os.path.relpath(path, folder).replace(os.sep, "/")] = path
    return dict(sorted(found.items()))


def pack(folder: str) -> bytes:
    """The files below ``folder``, compressed. The same files give the same bytes."""
    import gzip
    import hashlib
    import json

    contents = {}
    for name, path in sources(folder).items():
        with open(path, "rb") as file:
            contents[name] = file.read()
    together = hashlib.sha256()
    for name, content in contents.items():
        if not name.endswith(".html"):
            together.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    digest = together.hexdigest()[:16]
    index: dict[str, list[object]] = {}
    parts = []
    offset = 0
    for name, content in contents.items():
        if name.endswith(".html"):
            content = content.replace(b'"/assets/', b'"/assets/%s/' % digest.encode())
        part = gzip.compress(content, 9, mtime=0)
        media = _MEDIA[os.path.splitext(name)[1]]
        index[name] = [media, hashlib.sha256(content).hexdigest()[:20], offset, len(part)]
        parts.append(part)
        offset += len(part)
    head = json.dumps({"digest": digest, "files": index}, separators=(",", ":")).encode()
    return b"".join((head, b"\n", *parts))


def write(package: str) -> str:
    """Write the compressed pages of the package in the folder ``package``; gives the path of the file."""
    path = os.path.join(package, PACKED)
    temporary = f"{path}.{os.getpid()}"
    content = pack(os.path.join(package, "static"))
    try:
        with open(temporary, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return path
