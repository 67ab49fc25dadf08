"""s6, from Debian: s6-svscan with one s6-supervise a child. It has no list."""

import shutil
import subprocess

from bench.errors import BenchError
from bench.peers.base import Launch, Work


class S6:
    name = "s6"

    def prepare(self) -> str:
        if shutil.which("s6-svscan") is None:
            raise BenchError("s6-svscan is not on PATH: install s6")
        query = ["dpkg-query", "--show", "--showformat=${Version}", "s6"]
        try:
            return subprocess.run(query, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            return "of an unknown version"  # its programs do not tell

    def launch(self, work: Work) -> Launch:
        services = work.directory / "services"
        for number in range(work.children):
            service = services / f"child-{number}"
            service.mkdir(parents=True)
            # Quicker than the usual script, which would be a shell first.
            (service / "run").symlink_to(work.program)
        return Launch(argv=["s6-svscan", "-c", str(work.children + 1), str(services)])
