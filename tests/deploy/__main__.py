"""What the tests of deploy/ leave out: a newer kubectl, and the schema of the Prometheus operator.

``make manifests`` runs it. It needs kubectl 1.21 or later, and node with npm.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import Any

import yaml

from tests.deploy.kustomize import build
from tests.docs.markdown import ROOT

_OPERATOR = "@kubernetes-models/prometheus-operator@6"
_HASH = re.compile(r"(app-cbox-init)-[a-z0-9]{10}\b")
_VALIDATE = """
import { readFileSync } from "node:fs";
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
new PodMonitor(JSON.parse(readFileSync(0))).validate();
"""


def main() -> int:
    """0 when everything is as it should be, else 1 after a line for each difference."""
    missing = [name for name in ("kubectl", "node", "npm") if shutil.which(name) is None]
    if missing:
        print(f"missing: {', '.join(missing)}", file=sys.stderr)
        return 1
    problems = []
    for name in ("base", "overlays/production"):
        folder = ROOT / "deploy/kubernetes" / name
        printed = _run(["kubectl", "kustomize", str(folder)])
        theirs = _sorted(yaml.safe_load_all(_HASH.sub(r"\1", printed)))
        ours = _sorted(build(folder))
        if theirs != ours:
            problems.append(f"{name}: tests/deploy/kustomize.py differs from kubectl kustomize")
        print(f"{name}: {len(theirs)} manifests")
    monitors = [
        one for one in build(ROOT / "deploy/kubernetes/overlays/production") if one["kind"] == "PodMonitor"
    ]
    problems += [problem for monitor in monitors if (problem := _operator_refuses(monitor))]
    print(f"PodMonitor: {len(monitors)}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _operator_refuses(monitor: dict[str, Any]) -> str | None:
    folder = ROOT / "build/manifests"
    folder.mkdir(parents=True, exist_ok=True)
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), _OPERATOR])
    (folder / "validate.mjs").write_text(_VALIDATE)

    def check(manifest: dict[str, Any]) -> str | None:
        done = subprocess.run(
            ["node", "validate.mjs"], cwd=folder, input=json.dumps(manifest), capture_output=True, text=True
        )
        return None if done.returncode == 0 else f"PodMonitor: {done.stderr.strip()}"

    if check({**monitor, "spec": {"podMetricsEndpoints": 1}}) is None:
        return "PodMonitor: the schema accepts everything"
    return check(monitor)


def _run(words: list[str]) -> str:
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout


def _sorted(manifests: Any) -> list[dict[str, Any]]:
    return sorted(manifests, key=lambda manifest: (manifest["kind"], manifest["metadata"]["name"]))


if __name__ == "__main__":
    sys.exit(main())
