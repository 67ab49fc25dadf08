"""Finds daemons among the pods of a Kubernetes cluster.

In a pod, by its service account, which needs the right to list pods; elsewhere by a URL without
authentication, such as that of ``kubectl proxy``. The addresses of the pods must be reachable from here.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from cbox_init.config.small_file import SmallFileError, read_small_file
from cbox_init.errors import ClientError
from cbox_init.fleet.targets import MOST_TARGETS, DaemonTarget

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"
_PAGE: Final = 250
_LARGEST_PAGE: Final = 64 << 20
_LARGEST_FILE: Final = 1 << 20


class _Port(msgspec.Struct, rename="camel"):
    container_port: int
    name: str = ""


class _Container(msgspec.Struct):
    ports: list[_Port] = []


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    deletion_timestamp: str | None = None


class _Spec(msgspec.Struct, rename="camel"):
    containers: list[_Container] = []
    init_containers: list[_Container] = []


class _Status(msgspec.Struct, rename={"pod_ip": "podIP"}):
    phase: str = ""
    pod_ip: str = ""


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec
    status: _Status


class _ListMetadata(msgspec.Struct, frozen=True, rename={"go_on": "continue"}):
    go_on: str = ""


class _PodList(msgspec.Struct):
    items: list[_Pod]
    metadata: _ListMetadata = _ListMetadata()


class Pods(NamedTuple):
    """Which pods: ``selector`` of labels as kubectl takes it; ``port`` by its name or number."""

    namespace: str | None = None
    selector: str | None = None
    port: str = "cbox-init"
    scheme: str = "http"
    api: str | None = None


def targets_of(
    pods: Pods, timeout_s: float, environ: Mapping[str, str], account: str = ACCOUNT
) -> list[DaemonTarget]:
    """The pods that run, in the order of their names. Raises ClientError. Blocks."""
    import httpx

    namespace = pods.namespace or _namespace(account, in_pod=pods.api is None)
    parameters = {"limit": str(_PAGE), **({"labelSelector": pods.selector} if pods.selector else {})}
    found: list[_Pod] = []
    with _client(pods.api, timeout_s, environ, account) as client:
        while True:
            try:
                page = _page(client, f"/api/v1/namespaces/{namespace}/pods", parameters)
            except httpx.InvalidURL as error:
                raise ClientError(f"{pods.api}: {error}") from None
            except httpx.HTTPError as error:
                raise ClientError(f"the Kubernetes API cannot be asked: {_reason(error)}") from None
            found += page.items
            if not page.metadata.go_on or len(found) > MOST_TARGETS:
                break
            parameters["continue"] = page.metadata.go_on
    running = [pod for pod in found if pod.status.phase == "Running" and pod.status.pod_ip]
    running = [pod for pod in running if pod.metadata.deletion_timestamp is None]
    targets = [(pod, _port(pod, pods.port)) for pod in sorted(running, key=lambda pod: pod.metadata.name)]
    if running and not any(port for _, port in targets):
        raise ClientError(
            f"no pod of {namespace} has a container port named {pods.port!r}; give the port by --port"
        )
    return [
        DaemonTarget(pod.metadata.name, f"{pods.scheme}://{_host(pod.status.pod_ip)}:{port}")
        for pod, port in targets
        if port
    ]


def _page(client: httpx.Client, path: str, parameters: Mapping[str, str]) -> _PodList:
    with client.stream("GET", path, params=dict(parameters)) as response:
        body = b""
        for part in response.iter_bytes():
            body += part
            if len(body) > _LARGEST_PAGE:
                raise ClientError("the Kubernetes API answers with more than 64 MiB; use --selector")
    if response.status_code in (401, 403):
        right = "let the service account list pods (a Role with verbs [list] of resources [pods])"
        raise ClientError(f"the Kubernetes API refuses ({response.status_code}); {right}")
    if response.status_code != 200:
        raise ClientError(f"the Kubernetes API answers {response.status_code} to {path}")
    try:
        return msgspec.json.decode(body, type=_PodList)
    except msgspec.MsgspecError as error:
        raise ClientError(f"this is not the Kubernetes API: {error}") from None


def _client(api: str | None, timeout_s: float, environ: Mapping[str, str], account: str) -> httpx.Client:
    import httpx

    if api is not None:
        if not api.startswith(("http://", "https://")):
            raise ClientError(f"{api!r} is not a URL; write it like http://127.0.0.1:8001")
        return httpx.Client(base_url=api, timeout=timeout_s, trust_env=False)
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise ClientError("this is no pod of Kubernetes; run `kubectl proxy` and give its URL by --kube-api")
    token = _account_file(account, "token")
    try:
        context = ssl.create_default_context(cafile=f"{account}/ca.crt")
    except OSError as error:
        raise ClientError(f"{account}/ca.crt cannot be read: {error.strerror or error}") from None
    headers = {"Authorization": f"Bearer {token}"}
    url = f"https://{_host(host)}:{port}"
    return httpx.Client(base_url=url, headers=headers, verify=context, timeout=timeout_s, trust_env=False)


def _namespace(account: str, *, in_pod: bool) -> str:
    return _account_file(account, "namespace") if in_pod else "default"


def _account_file(account: str, name: str) -> str:
    try:
        data, _ = read_small_file(f"{account}/{name}", _LARGEST_FILE, "mount it", "mount another one")
        return data.decode().strip()
    except SmallFileError as error:
        raise ClientError(
            f"{error.message}; this pod has no service account, or --kube-api is missing"
        ) from None
    except UnicodeDecodeError:
        raise ClientError(f"{account}/{name} is not text") from None


def _port(pod: _Pod, wanted: str) -> int | None:
    if wanted.isascii() and wanted.isdigit():
        return int(wanted)
    containers = [*pod.spec.containers, *pod.spec.init_containers]
    ports = (port for container in containers for port in container.ports)
    return next((port.container_port for port in ports if port.name == wanted), None)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
