"""A check of the built site: it can be read from the disk, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]* src=[\"']?([^\"' >]+)|<link[^>]* href=[\"']?([^\"' >]+)"
)
_IN_STYLES = re.compile(r"(?:url\(|@import )[\"']?(https?:[^\"')]+)")


def on_post_build(config: Any, **_: Any) -> None:
    """Fail the build when a page or a style sheet names a file of another host, or has no search."""
    site = Path(config["site_dir"])
    found: set[str] = set()
    for page in site.rglob("*.html"):
        for link in _LOADED.findall(page.read_text()):
            found |= {f"{page.relative_to(site)}: {one}" for one in link if re.match(r"(?:https?:)?//", one)}
    for sheet in site.rglob("*.css"):
        found |= {f"{sheet.relative_to(site)}: {one}" for one in _IN_STYLES.findall(sheet.read_text())}
    if found:
        raise SystemExit("loaded from elsewhere: " + ", ".join(sorted(found)))
    if not (site / "search" / "search_index.js").exists():
        raise SystemExit("the site has no search that works from the disk")


# After the plugins, one of which makes the search for the disk.
on_post_build.mkdocs_priority = -200  # type: ignore[attr-defined]
