"""What cbox-init is made of, and whether something of it has a known vulnerability: `make audit`.

Writes a software bill of materials (CycloneDX, JSON) of cbox-init and all that is installed with it, and has
pip-audit look each package up. Exit codes: 0 nothing is known, 1 a vulnerability is, 2 not all was checked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parent.parent
OWN = "cbox-init"
CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 2


class Vulnerability(TypedDict):
    """One entry of what pip-audit knows."""

    id: str
    fix_versions: list[str]


class Dependency(TypedDict, total=False):
    """One package as pip-audit reports it; ``skip_reason`` says why it was not looked up."""

    name: str
    version: str
    vulns: list[Vulnerability]
    skip_reason: str


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/audit", help="folder for what is written")
    parser.add_argument("--tools", type=Path, default=Path(sys.executable).parent, help="folder of the tools")
    parser.add_argument("--python", type=Path, help="take this environment in place of a new one")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    python = options.python or install(options.out / "runtime")
    bill = options.out / "cbox-init.cdx.json"
    count = write_bill(options.tools, python, bill)
    print(f"{bill}: bill of materials of {OWN} and {count} packages (CycloneDX)")
    status, lines = judge(*look_up(options.tools, python))
    print(*lines, sep="\n")
    return status


def install(folder: Path) -> Path:
    """Make an environment with cbox-init as users install it, and nothing else; its Python."""
    venv.create(folder, with_pip=False, clear=True)
    python = folder / "bin/python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", ROOT], check=True)
    return python


def write_bill(tools: Path, python: Path, bill: Path) -> int:
    """Write the bill of materials of an environment; how many packages it lists."""
    subprocess.run(
        [
            *(tools / "cyclonedx-py", "environment", python),
            *("--pyproject", ROOT / "pyproject.toml", "--output-reproducible"),
            *("--output-format", "JSON", "--output-file", bill),
        ],
        check=True,
    )
    content = json.loads(bill.read_text())
    # pyproject.toml has no version of its own: it is that of the package.
    content["metadata"]["component"]["version"] = distribution(OWN).version
    bill.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return len(content.get("components", ()))


def look_up(tools: Path, python: Path) -> tuple[list[Dependency] | None, str]:
    """What pip-audit says of each package; None when it gives no answer, and then its last line."""
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    done = subprocess.run(
        [
            *(tools / "pip-audit", "--path", found.stdout.strip(), "--format", "json"),
            *("--progress-spinner", "off", "--desc", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        answer: list[Dependency] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return None, (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return [one for one in answer if one["name"].lower().replace("_", "-") != OWN], ""


def judge(packages: list[Dependency] | None, why: str) -> tuple[int, list[str]]:
    """The exit code, and what to print. A package that was not looked up never counts as clean."""
    if packages is None:
        return NOT_CHECKED, [
            f"NOT CHECKED: pip-audit has no access to its database of vulnerabilities: {why}"
        ]
    lines = []
    skipped = [one for one in packages if "skip_reason" in one]
    known = [one for one in packages if one.get("vulns")]
    for one in known:
        for fault in one["vulns"]:
            fixed = ", ".join(fault["fix_versions"]) or "no version yet"
            lines.append(f"{one['name']} {one['version']}: {fault['id']}, fixed in {fixed}")
    lines += [f"{one['name']}: not checked: {one['skip_reason']}" for one in skipped]
    checked = len(packages) - len(skipped)
    if known:
        return VULNERABLE, [*lines, f"VULNERABLE: {len(known)} of {checked} checked packages"]
    if skipped or not packages:
        some = f"{len(skipped)} of {len(packages)} packages"
        lines.append(f"NOT CHECKED: the database of vulnerabilities gave no answer for {some}")
        return NOT_CHECKED, lines
    return CLEAN, [f"No known vulnerability in {checked} packages"]


if __name__ == "__main__":
    sys.exit(main())
