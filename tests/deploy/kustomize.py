"""What ``kubectl kustomize`` makes of deploy/kubernetes, as far as its files need it.

Debian's kubectl is too old for directories as resources. `make manifests` compares this with a newer one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path

Manifest = dict[str, Any]

_KNOWN = {"apiVersion", "kind", "resources", "configMapGenerator", "images", "namespace"}


def build(folder: Path) -> list[Manifest]:
    """The manifests of a kustomization. The name of a generated ConfigMap has no hash."""
    plan = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(plan) <= _KNOWN, plan.keys()
    assert plan["kind"] == "Kustomization"
    found: list[Manifest] = []
    for name in plan["resources"]:
        path = folder / name
        found += build(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in plan.get("configMapGenerator", ()):
        data = {name: (folder / name).read_text() for name in generator["files"]}
        found.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        )
    for manifest in found:
        if "namespace" in plan:
            manifest["metadata"]["namespace"] = plan["namespace"]
        for image in plan.get("images", ()):
            _rename(manifest, image)
    return found


def _rename(manifest: Manifest, image: dict[str, str]) -> None:
    pod = manifest.get("spec", {}).get("template", {}).get("spec", {})
    for container in pod.get("containers", ()):
        if container["image"].partition(":")[0] == image["name"]:
            container["image"] = f"{image['newName']}:{image['newTag']}"
