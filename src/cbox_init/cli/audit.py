"""``cbox-init audit``: checks the audit trail, without a daemon."""

from __future__ import annotations

import click

from cbox_init.cli.group import CommandGroup
from cbox_init.errors import CboxError


@click.group(cls=CommandGroup)
def audit() -> None:
    """Check the audit trail."""


@audit.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="HASH",
    help="Hash of a record that must be there, kept from an earlier check; may be repeated.",
)
@click.option("--log", "from_log", is_flag=True, help="The files are the daemon's log in JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what is wrong.")
def verify(files: tuple[str, ...], expected: tuple[str, ...], from_log: bool, quiet: bool) -> int:
    """Check that no record of the files was changed, removed, inserted or moved.

    Give all files of one trail, in any order: `cbox-init audit verify /var/log/audit/cbox.log*`.

    \b
    Exit code:
      0   the chain holds
      1   a file cannot be read, or the command line is wrong
      2   the chain is broken; the first broken record is named by file and line
      3   the last line is incomplete, as after a crash; all before it holds
    """
    from cbox_init.audit.verify import Verdict, verify_files
    from cbox_init.cli.console import stdout

    out = stdout()

    try:
        report = verify_files(files, anchors=expected, from_log=from_log)
    except EOFError:
        raise CboxError("a compressed file is not complete") from None
    if not quiet:
        for note in report.notes:
            out.text(f"note: {note}")
    if report.problem is not None:
        out.text(f"{report.place}: {report.problem}" if report.place else report.problem)
    if not quiet:
        held = f"{report.records} records" if report.records != 1 else "1 record"
        span = ""
        if report.first is not None and report.last is not None:
            span = f", {report.first.seq} to {report.last.seq}; last hash {report.last.hash}"
        word = {Verdict.INTACT: "intact", Verdict.BROKEN: "broken", Verdict.INCOMPLETE: "incomplete"}
        behind = "" if report.verdict is Verdict.INTACT else " before that"
        out.text(f"{word[report.verdict]}: {held}{behind}{span}")
    return int(report.verdict)
