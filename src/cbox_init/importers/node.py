"""Has Node.js say what a module of JavaScript exports, within limits of time and size."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from cbox_init.errors import ImportFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 2**20

#: Writes the exports as JSON to the descriptor that it is given; what the module prints goes to /dev/null.
_PROGRAM: Final = """
const path = process.argv[1], out = Number(process.argv[2]);
const {writeSync} = require('fs');
(async () => {
  let found;
  try { found = require(path); }
  catch (error) {
    if (error.code !== 'ERR_REQUIRE_ESM' && error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
    found = await import(require('url').pathToFileURL(path).href);
  }
  found = found && found.default || found;
  if (typeof found === 'function') found = found();
  found = await found;
  const text = Buffer.from(JSON.stringify(found) || 'null');
  for (let at = 0; at < text.length;) at += writeSync(out, text, at);
  process.exit(0);
})().catch(error => {
  writeSync(2, String(error && error.message || error).split('\\n')[0]);
  process.exit(3);
});
"""


def exports_of(path: str, environ: Mapping[str, str]) -> str:
    """The exports of a module as JSON. It is run, with the rights of the caller. Raises ImportFailed."""
    node = shutil.which("node", path=environ.get("PATH"))
    if node is None:
        module = f"./{os.path.basename(path)}"
        hint = f"write it as JSON where node is: node -p 'JSON.stringify(require(\"{module}\"))'"
        raise ImportFailed(f"{path}: JavaScript needs node, which is not here; {hint}")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            [node, "-e", _PROGRAM, os.path.abspath(path), str(out.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(out.fileno(),),
            stderr=err,
            env=dict(environ),
            cwd=os.path.dirname(os.path.abspath(path)),
            start_new_session=True,
        )
        with suppress(OSError):
            resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (_MOST_BYTES * 4, _MOST_BYTES * 4))
        try:
            code = child.wait(_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ImportFailed(f"{path}: node did not end within {_TIMEOUT_S:.0f} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        out.seek(0)
        err.seek(0)
        text, reason = out.read(_MOST_BYTES + 1), err.read(400).decode(errors="replace").strip()
    if code != 0:
        first = reason.splitlines()[0] if reason else f"exit code {code}"
        hint = "; install its modules there, or write it as JSON" if "Cannot find module" in first else ""
        raise ImportFailed(f"{path}: node cannot read it: {first}{hint}")
    if len(text) > _MOST_BYTES:
        raise ImportFailed(f"{path}: what it exports is larger than {_MOST_BYTES >> 20} MiB")
    return text.decode(errors="replace")
