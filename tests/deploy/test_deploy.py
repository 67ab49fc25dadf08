"""deploy/: valid by the published schemas, at one with each other, and with the configuration in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cbox_init.config.load import examine
from cbox_init.machine import check_machine
from tests.deploy.kustomize import build
from tests.docs.markdown import ROOT, sections
from tests.e2e.daemon import COMMAND, DaemonProcess, as_user, wait_for
from tests.ports import free_ports

if TYPE_CHECKING:
    from tests.deploy.kustomize import Manifest

KUBERNETES = ROOT / "deploy/kubernetes"
CONFIG = KUBERNETES / "base/cbox-init.yaml"
COMPOSE = ROOT / "deploy/compose/docker-compose.yml"
NEWEST_KUBERNETES = "1.33"


def by_kind(folder: str) -> dict[str, Manifest]:
    manifests = build(KUBERNETES / folder)
    found = {manifest["kind"]: manifest for manifest in manifests}
    assert len(found) == len(manifests)
    return found


@pytest.fixture(scope="module")
def production() -> dict[str, Manifest]:
    return by_kind("overlays/production")


@pytest.fixture(scope="module")
def container(production: dict[str, Manifest]) -> dict[str, Any]:
    (found,) = production["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_manifests_are_valid_by_the_schemas_of_kubernetes(production: dict[str, Manifest]) -> None:
    assert set(production) == {
        *("Deployment", "Service", "ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget"),
        "PodMonitor",  # of the Prometheus operator; `make manifests` checks it with the operator's schema
    }
    for kind, manifest in production.items():
        if kind != "PodMonitor":
            kubernetes_validate.validate(manifest, NEWEST_KUBERNETES, strict=True)
    for manifest in by_kind("base").values():
        kubernetes_validate.validate(manifest, NEWEST_KUBERNETES, strict=True)


def test_every_file_is_used() -> None:
    for plan in KUBERNETES.rglob("kustomization.yaml"):
        document = yaml.safe_load(plan.read_text())
        used = {Path(name).name for name in document["resources"]}
        used |= {name for one in document.get("configMapGenerator", ()) for name in one["files"]}
        present = {path.name for path in plan.parent.iterdir() if path.is_file()} - {plan.name}
        assert present <= used


def test_names_labels_and_ports_fit(production: dict[str, Manifest], container: dict[str, Any]) -> None:
    deployment = production["Deployment"]
    name = deployment["metadata"]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert production["Service"]["spec"]["selector"] == labels
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        assert production[kind]["spec"]["selector"]["matchLabels"] == labels
    target = production["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", name)
    assert "replicas" not in deployment["spec"]  # a rollout would undo what the autoscaler has set
    assert {manifest["metadata"]["namespace"] for manifest in production.values()} == {"production"}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert production["Service"]["spec"]["ports"][0]["targetPort"] in ports
    (endpoint,) = production["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in ports
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    assert volumes["config"]["configMap"]["name"] == production["ConfigMap"]["metadata"]["name"]
    assert container["image"] == "registry.example.com/app:1.0.0"


def test_the_pod_gives_the_shutdown_its_time(
    production: dict[str, Manifest], container: dict[str, Any]
) -> None:
    grace = production["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    found = examine(str(CONFIG), {})
    assert found.config is not None
    settings = found.config.global_
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert before + settings.shutdown_timeout < grace
    longest = max(process.shutdown.timeout or 0 for process in found.config.processes.values())
    assert longest < settings.shutdown_timeout


def test_the_pod_has_few_rights(production: dict[str, Manifest], container: dict[str, Any]) -> None:
    pod = production["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_configuration_passes_the_strict_check(production: dict[str, Manifest], tmp_path: Path) -> None:
    file = tmp_path / "cbox-init.yaml"
    file.write_text(production["ConfigMap"]["data"]["cbox-init.yaml"])
    found = examine(str(file), {}, strict=True, machine=check_machine)
    assert [str(problem) for problem in found.problems] == []


def test_the_compose_file_is_valid() -> None:
    schema = json.loads(
        files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    )
    validator = jsonschema.Draft202012Validator(schema)
    document = yaml.safe_load(COMPOSE.read_text())
    assert [error.message for error in validator.iter_errors(document)] == []
    service = document["services"]["app"]
    assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    assert (COMPOSE.parent / document["configs"]["cbox-init"]["file"]).resolve() == CONFIG


def test_the_probes_are_answered(
    tmp_path: Path, production: dict[str, Manifest], container: dict[str, Any]
) -> None:
    """The configuration of the ConfigMap is started, and each probe asked as the kubelet does."""
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    first = free_ports(len(ports))
    chosen = {str(number): str(first + index) for index, number in enumerate(ports.values())}
    text = re.sub(
        rf"\b({'|'.join(chosen)})\b",
        lambda found: chosen[found[1]],
        production["ConfigMap"]["data"]["cbox-init.yaml"],
    )

    def get(port: str, path: str) -> int:
        try:
            url = f"http://127.0.0.1:{chosen[str(ports[port])]}{path}"
            with urllib.request.urlopen(url, timeout=10) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(shutil.which("python3") or sys.executable)
    daemon = DaemonProcess(
        tmp_path,
        text.replace("global:\n", "global:\n  api_socket: SOCKET\n", 1),
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
    )
    try:
        startup, live, ready = (
            container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
        )
        wait_for(lambda: get(live["port"], live["path"]) == 200, "alive")
        wait_for(lambda: get(startup["port"], startup["path"]) == 200, "started")
        assert get(ready["port"], ready["path"]) == 200
        (endpoint,) = production["PodMonitor"]["spec"]["podMetricsEndpoints"]
        assert get(endpoint["port"], endpoint["path"]) == 200
        assert get("http", "/") == 200
        check = yaml.safe_load(COMPOSE.read_text())["services"]["app"]["healthcheck"]["test"]
        assert check[:2] == ["CMD", "cbox-init"]
        done = subprocess.run(
            [*COMMAND, *check[2:], "--socket", str(daemon.socket)], capture_output=True, text=True, timeout=30
        )
        assert (done.returncode, done.stdout) == (0, "ready\n")
        assert daemon.stop() == 0
    finally:
        daemon.end()


@pytest.mark.mounts
def test_it_runs_with_the_rights_of_the_pod(production: dict[str, Manifest]) -> None:
    """As its user, on a read-only root with a small /tmp, with no capability but the one to find Python."""
    context = production["Deployment"]["spec"]["template"]["spec"]["securityContext"]
    folder = Path(tempfile.mkdtemp(prefix="deploy", dir="/var/tmp"))
    folder.chmod(0o755)
    (folder / "root").mkdir()
    script = folder / "enter.sh"
    # A checkout or an environment below /tmp would be hidden by the new one.
    hidden = {path for path in (sys.prefix, sys.base_prefix, str(ROOT)) if path.startswith("/tmp/")}
    visible = "\n".join(
        f"mkdir -p {folder}/root{path}; mount --bind {path} {folder}/root{path}" for path in hidden
    )
    script.write_text(
        f"""
        set -e
        mount --rbind / {folder}/root
        mount -o remount,bind,ro {folder}/root
        mount -t tmpfs -o mode=1777,size=64m tmpfs {folder}/root/tmp
        {visible}
        exec chroot {folder}/root "$@"
        """
    )
    port = free_ports(3)
    text = production["ConfigMap"]["data"]["cbox-init.yaml"]
    for index, number in enumerate(("8080", "9181", "9090")):
        text = text.replace(number, str(port + index))
    text = text.replace("[python,", f"[{sys.executable},").replace("- python\n", f"- {sys.executable}\n")
    user = as_user(context["runAsUser"], context["runAsGroup"])
    enter = ("unshare", "--mount", "sh", str(script))
    daemon = DaemonProcess(folder, text, command=(*enter, user[0], "--no-new-privs", *user[1:]))
    try:
        daemon.until_said("Container is ready")
        with open(f"/proc/{daemon.pid}/status") as file:
            status = dict(line.split(":", 1) for line in file.read().splitlines())
        assert status["Uid"].split()[1] == str(context["runAsUser"])
        assert status["NoNewPrivs"].strip() == "1"
        assert int(status["CapEff"], 16).bit_count() == 1
        (listening,) = [one for one in daemon.records() if one["msg"] == "Management API listening"]
        assert str(listening["address"]).endswith(":/tmp/cbox-init.sock")  # /run is not writable
        inside = ("nsenter", f"--target={daemon.pid}", "--mount", "--root")
        done = subprocess.run(
            [*inside, *COMMAND, "health", "--ready", "--socket", "/tmp/cbox-init.sock"],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.returncode, done.stdout) == (0, "ready\n"), done.stderr
        refused = subprocess.run([*inside, "touch", "/here"], capture_output=True)
        assert b"Read-only file system" in refused.stderr
        assert daemon.stop() == 0
    finally:
        daemon.end()
        shutil.rmtree(folder)


@pytest.mark.parametrize("page", ["docs/kubernetes.md", "docs/docker.md"])
def test_what_the_pages_show_is_in_the_files(page: str) -> None:
    """Each block is a piece of a file, wherever it stands in it."""
    texts = [re.sub(r"\s+", " ", path.read_text()) for path in (ROOT / "deploy").rglob("*.y*ml")]
    blocks = [b for section in sections(ROOT / page) for b in section.blocks if b.language == "yml"]
    assert blocks
    for block in blocks:
        wanted = re.sub(r"\s+", " ", block.text).strip()
        assert any(wanted in text for text in texts), block.text
