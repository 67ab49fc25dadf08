"""Every preset with every option: the configuration is valid, and so is each file beside it."""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema
import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from cbox_init.config.load import examine
from cbox_init.config.problems import Severity
from cbox_init.errors import ScaffoldError
from cbox_init.machine import check_machine
from cbox_init.reference.schema import EDITOR_LINE, schema
from cbox_init.scaffold.presets import BY_NAME, PRESETS
from cbox_init.scaffold.render import CONFIG_FILE, Choice, app_name_of, check_app_name, render

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cbox_init.scaffold.presets import Preset

NEWEST_KUBERNETES = "1.33"
PLANNED = {
    *("laravel", "symfony", "php", "wordpress", "magento", "drupal", "nextjs", "nuxt", "nodejs"),
    *("django", "fastapi", "celery", "rails", "go", "static-nginx"),
}


def choices(preset: Preset) -> Iterator[Choice]:
    """Each combination of options that the preset takes, with every file."""
    workers = (0,) if preset.workers is None else (0, 1, 100)
    for number, nginx, observed in itertools.product(workers, (False, True), (False, True)):
        if preset.nginx or not nginx:
            yield Choice(preset, "my-app", number, True, True, nginx, True, observed)


def everything(preset: Preset, folder: Path) -> dict[str, str]:
    workers = preset.workers and 2
    return render(
        Choice(preset, "my-app", workers or 0, True, True, bool(preset.nginx), True, True), str(folder)
    )


each_preset = pytest.mark.parametrize("preset", PRESETS, ids=[preset.name for preset in PRESETS])


def test_the_presets() -> None:
    assert set(BY_NAME) == PLANNED


@each_preset
def test_the_configuration_passes_the_strict_check(preset: Preset, tmp_path: Path) -> None:
    for choice in choices(preset):
        file = tmp_path / CONFIG_FILE
        file.write_text(render(choice, str(tmp_path))[CONFIG_FILE])
        found = examine(str(file), {}, strict=True, machine=check_machine)
        assert [str(problem) for problem in found.problems] == [], choice
        assert found.config is not None
        processes = found.config.processes
        settings = found.config.global_
        assert settings.metrics_enabled is choice.observability
        assert settings.tracing_enabled is choice.observability
        assert settings.readiness is not None
        assert settings.readiness.http_port
        scales = [process.scale for process in processes.values()]
        assert (choice.workers in scales) or not choice.workers
        assert ("nginx" in processes) is (choice.nginx or preset.behind_nginx)
        longest = max(process.shutdown.timeout or 0 for process in processes.values())
        assert longest + settings.shutdown_drain < settings.shutdown_timeout
        for name in {"nginx", "php-fpm"} & processes.keys():
            assert processes[name].shutdown.signal == "SIGQUIT"
        if preset.serves:
            assert any(process.health_check for process in processes.values())
            assert any(process.on_give_up == "shutdown" for process in processes.values())


@pytest.mark.parametrize("preset", [one for one in PRESETS if one.base == "php"], ids=lambda one: one.name)
def test_what_runs_beside_php_fpm_has_its_user(preset: Preset, tmp_path: Path) -> None:
    """What root has made, PHP-FPM cannot write to."""
    processes = yaml.safe_load(everything(preset, tmp_path)[CONFIG_FILE])["processes"]
    assert {one.get("user") for name, one in processes.items() if name not in ("php-fpm", "nginx")} <= {
        "www-data"
    }
    assert len(processes) > 2 or not preset.workers


def test_the_check_would_find_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / CONFIG_FILE
    text = render(next(choices(BY_NAME["laravel"])), str(tmp_path))[CONFIG_FILE]
    file.write_text(text.replace("max_restart_attempts", "max_restart_attemps"))
    found = examine(str(file), {}, strict=True, machine=check_machine)
    assert len(found.of(Severity.ERROR)) == 1


@each_preset
def test_no_template_is_left_over(preset: Preset, tmp_path: Path) -> None:
    for choice in choices(preset):
        for name, text in render(choice, str(tmp_path)).items():
            left = [line for line in text.splitlines() if line.startswith("@") or "@{" in line]
            assert left == [], name
            assert text.endswith("\n")
            assert "\n\n\n" not in text, name


@each_preset
def test_dockerfiles(preset: Preset, tmp_path: Path) -> None:
    written = everything(preset, tmp_path)
    parser = DockerfileParser(fileobj=io.BytesIO(written["Dockerfile"].encode()))
    steps = [(step["instruction"], step["value"]) for step in parser.structure]
    last = dict(steps)
    assert parser.is_multistage
    assert json.loads(last["ENTRYPOINT"]) == ["cbox-init"]
    assert 'CMD ["cbox-init", "health", "--ready"]' in last["HEALTHCHECK"]
    assert int(last["USER"]) == preset.uid  # a name would be of no use to runAsNonRoot
    known = {"COMMENT", "ARG", "FROM", "RUN", "COPY", "WORKDIR", "ENV", "USER", "EXPOSE", "STOPSIGNAL",
             "HEALTHCHECK", "ENTRYPOINT"}  # fmt: skip
    assert {name for name, _ in steps} <= known
    stages = {value.split()[-1] for name, value in steps if name == "FROM" and " AS " in value}
    for name, value in steps:
        if name != "COPY":
            continue
        words = [word for word in value.split() if not word.startswith("--chown")]
        stage = next((word for word in words if word.startswith("--from=")), None)
        if stage is not None:
            assert stage.removeprefix("--from=") in stages or ":" in stage
        for source in [word for word in words[:-1] if not word.startswith("--")]:
            if source in ("cbox-init.yaml", "nginx.conf", "php-fpm.conf"):
                assert source in written
    for step in [value for name, value in steps if name == "RUN"]:
        assert subprocess.run(["sh", "-n", "-c", step]).returncode == 0, step


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    paths = []
    for preset in PRESETS:
        for choice in choices(preset):
            if not choice.observability and choice.workers < 2:
                paths.append(tmp_path / f"{preset.name}-{choice.nginx}.Dockerfile")
                paths[-1].write_text(render(choice, str(tmp_path))["Dockerfile"])
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", *sorted(set(paths))], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


@cache
def compose_schema() -> jsonschema.Draft202012Validator:
    """The schema that the Compose project publishes."""
    text = files("check_jsonschema").joinpath("builtin_schemas/vendor/compose-spec.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


@each_preset
def test_compose_files(preset: Preset, tmp_path: Path) -> None:
    validator = compose_schema()
    document = yaml.safe_load(everything(preset, tmp_path)["docker-compose.yml"])
    assert [error.message for error in validator.iter_errors(document)] == []
    services = document["services"]
    for needed in services["app"].get("depends_on", {}):
        assert "healthcheck" in services[needed]
    used = {
        volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())
    }
    assert used == set(document.get("volumes", {}))
    wrong = {**document, "services": {"app": {**services["app"], "port": ["1"]}}}
    assert list(validator.iter_errors(wrong))


@each_preset
def test_kubernetes_manifests(preset: Preset, tmp_path: Path) -> None:
    written = everything(preset, tmp_path)
    documents = list(yaml.safe_load_all(written["kubernetes.yaml"]))
    if preset.name in ("laravel", "celery", "static-nginx"):  # each form of the template; 0.15 s a document
        for document in documents:
            kubernetes_validate.validate(document, NEWEST_KUBERNETES, strict=True)
    by_kind = {document["kind"]: document for document in documents}
    assert ("Service" in by_kind) is preset.serves
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    config = yaml.safe_load(written[CONFIG_FILE])
    settings = config["global"]
    assert ports["probes"] == settings["readiness"]["http_port"]
    assert ports["metrics"] == settings["metrics_port"]
    assert pod["terminationGracePeriodSeconds"] > int(settings["shutdown_timeout"].removesuffix("s"))
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe")} == {
        "/readyz"
    }
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "probes"}


def test_the_schema_of_kubernetes_finds_a_mistake(tmp_path: Path) -> None:
    documents = yaml.safe_load_all(everything(BY_NAME["go"], tmp_path)["kubernetes.yaml"])
    deployment = next(iter(documents))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, NEWEST_KUBERNETES, strict=True)


@pytest.mark.parametrize("name", ["laravel", "php", "nodejs", "static-nginx"])
def test_nginx_reads_its_configuration(name: str, tmp_path: Path) -> None:
    text = everything(BY_NAME[name], tmp_path)["nginx.conf"].replace("/tmp/", f"{tmp_path}/")
    (tmp_path / "nginx.conf").write_text(text)
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    done = subprocess.run(
        [nginx, "-t", "-q", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "emerg" not in done.stderr


def test_the_templates_are_in_the_package() -> None:
    """So that they are in the wheel: they are beside the modules and are no Python."""
    folder = Path(str(files("cbox_init.scaffold").joinpath("templates")))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {f"config/{name}.yaml" for name in BY_NAME} <= found
    assert folder.parent.joinpath("render.py").exists()


@pytest.mark.parametrize(
    ("path", "name"),
    [("/srv/My Shop", "my-shop"), ("/srv/a_b.c/", "a-b-c"), ("/", "app"), ("/srv/___", "app"),
     ("/srv/" + "x" * 90, "x" * 63)],
)  # fmt: skip
def test_the_name_of_a_directory(path: str, name: str) -> None:
    assert app_name_of(path) == name
    assert check_app_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a b", "a/b", "x" * 64, "a\nb", "ä"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ScaffoldError, match="such as my-app"):
        check_app_name(name)


def test_editors_find_nothing_to_mark(tmp_path: Path) -> None:
    validator = jsonschema.Draft202012Validator(schema())
    for preset in PRESETS:
        document = yaml.safe_load(everything(preset, tmp_path)[CONFIG_FILE])
        assert [error.message for error in validator.iter_errors(document)] == [], preset.name
    assert everything(BY_NAME["go"], tmp_path)[CONFIG_FILE].startswith(f"{EDITOR_LINE}\n")


def test_where_the_application_begins(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")')
    text = everything(BY_NAME["django"], tmp_path)[CONFIG_FILE]
    assert "- shop.wsgi\n" in text
    os.unlink(tmp_path / "manage.py")
    assert "- config.wsgi\n" in everything(BY_NAME["django"], tmp_path)[CONFIG_FILE]
