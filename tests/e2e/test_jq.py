"""Every record is JSON, also for another program that reads it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.e2e.conftest import Serve

#: Writes lines that are hard to put into JSON: bytes of every value, colours, NUL, characters cut in half,
#: lines beyond the limit of a record, separators that some readers take for the end of a line.
WRITER = r"""
import random, sys
choose = random.Random(int(sys.argv[1]))
pieces = [bytes([value]) for value in range(256) if value != 10]
texts = ["\x1b[1;31mred\x1b[0m", "ü✓", "\U0001f600", "\u2028\u2029\x85\x7f"]
pieces += [text.encode() for text in texts] + ["✓".encode()[:2]]
pieces += [b'"', b"\\", b"\\u0000", b"\0" * 8, b"\r", b"a" * 300, b"\xff" * 300]
out = sys.stdout.buffer
for number in range(3000):
    out.write(b"%d|" % number + b"".join(choose.choices(pieces, k=choose.randrange(12))) + b"\n")
    if number % 1000 == 500:
        out.write("ü".encode() * 90_000 + b"\n")
out.write(b"the end")
"""

STAGES = {
    "none": {},
    "all": {
        "redaction": {"enabled": True, "patterns": [{"pattern": "a{100}"}]},
        "multiline": {"enabled": True, "pattern": r"^\d+\|", "max_lines": 5},
        "json": {"enabled": True, "merge_fields": True},
        "level_detection": {"enabled": True},
    },
}


@pytest.mark.parametrize("stages", STAGES)
def test_jq_reads_every_record(serve: Serve, stages: str) -> None:
    seed = str(random.randrange(10**9))
    process = {"command": [sys.executable, "-c", WRITER, seed], "type": "oneshot", "logging": STAGES[stages]}
    daemon = serve(json.dumps({"global": {"api_socket": "SOCKET"}, "processes": {"odd": process}}))
    assert daemon.wait() == 0
    text = (daemon.folder / "out").read_bytes()
    read = subprocess.run(
        ["jq", "-c", 'select(.stream == "stdout") | .msg'], input=text, capture_output=True, check=True
    )
    messages = [json.loads(line) for line in read.stdout.splitlines()]
    assert messages == daemon.lines("odd"), f"seed {seed}"
    assert messages[-1].endswith("the end")
    begun = [message for message in messages if message.partition("|")[0].isdigit()]
    assert len(begun) == 3000, f"seed {seed}"
