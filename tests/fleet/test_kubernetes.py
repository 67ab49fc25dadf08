"""Pods of Kubernetes, from a server that answers as its API does (API reference, core/v1 Pod)."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cbox_init.errors import ClientError
from cbox_init.fleet.kubernetes import Pods, targets_of
from cbox_init.fleet.targets import DaemonTarget
from tests.supervisor.health.certificates import make_certificate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pod(name: str, ip: str = "10.1.0.5", phase: str = "Running", **more: Any) -> dict[str, Any]:
    ports = more.pop("ports", [{"containerPort": 80}, {"name": "cbox-init", "containerPort": 9180}])
    return {
        "metadata": {"name": name, "labels": {"app": "web"}, **more},
        "spec": {"containers": [{"name": "app", "ports": ports}, {"name": "sidecar"}]},
        "status": {"phase": phase, **({"podIP": ip} if ip else {})},
    }


class Cluster:
    """The API of a cluster: what it answers, page by page, and what it was asked."""

    def __init__(self) -> None:
        self.pages: list[list[dict[str, Any]]] = [[]]
        self.status = 200
        self.body: bytes | None = None
        self.asked: list[tuple[str, dict[str, list[str]], str | None]] = []
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                query = parse_qs(url.query)
                cluster.asked.append((url.path, query, self.headers["Authorization"]))
                page = int(query.get("continue", ["0"])[0])
                more = {"continue": str(page + 1)} if page + 1 < len(cluster.pages) else {}
                found = {"kind": "PodList", "metadata": more, "items": cluster.pages[page]}
                body = cluster.body if cluster.body is not None else json.dumps(found).encode()
                self.send_response(cluster.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    yield cluster
    cluster.close()


def test_pods_that_run_with_that_port(cluster: Cluster) -> None:
    cluster.pages = [
        [
            pod("web-b", "10.1.0.7"),
            pod("web-a"),
            pod("pending", "", "Pending"),
            pod("done", phase="Succeeded"),
        ],
        [
            pod("six", "fd00::5"),
            pod("other", ports=[]),
            pod("leaving", deletionTimestamp="2026-01-01T00:00:00Z"),
        ],
    ]
    found = targets_of(Pods("shop", "app=web", api=cluster.url), 5, {})
    assert found == [
        DaemonTarget("six", "http://[fd00::5]:9180"),
        DaemonTarget("web-a", "http://10.1.0.5:9180"),
        DaemonTarget("web-b", "http://10.1.0.7:9180"),
    ]
    assert [path for path, _, _ in cluster.asked] == ["/api/v1/namespaces/shop/pods"] * 2
    assert cluster.asked[0][1]["labelSelector"] == ["app=web"]


def test_a_port_by_its_number(cluster: Cluster) -> None:
    cluster.pages = [[pod("a", ports=[])]]
    assert targets_of(Pods(port="9999", scheme="https", api=cluster.url), 5, {}) == [
        DaemonTarget("a", "https://10.1.0.5:9999")
    ]
    assert cluster.asked[0][0] == "/api/v1/namespaces/default/pods"


def test_in_a_pod_by_its_service_account(cluster: Cluster, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    cluster.server.socket = context.wrap_socket(cluster.server.socket, server_side=True)
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "namespace").write_text("shop")
    (tmp_path / "ca.crt").write_bytes(certificate.cert.read_bytes())
    cluster.pages = [[pod("a")]]
    environ = {"KUBERNETES_SERVICE_HOST": "localhost", "KUBERNETES_SERVICE_PORT": str(cluster.port)}
    assert targets_of(Pods(), 5, environ, str(tmp_path)) == [DaemonTarget("a", "http://10.1.0.5:9180")]
    ((path, _, authorization),) = cluster.asked
    assert (path, authorization) == ("/api/v1/namespaces/shop/pods", "Bearer secret")


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (403, b"{}", "the Kubernetes API refuses (403); let the service account list pods"),
        (404, b"{}", "the Kubernetes API answers 404 to /api/v1/namespaces/default/pods"),
        (200, b"<html>", "this is not the Kubernetes API: JSON is malformed"),
        (200, b"{}", "this is not the Kubernetes API: Object missing required field `items`"),
        (
            200,
            b'{"items":[{"metadata":{},"spec":{},"status":{"phase":5}}]}',
            "this is not the Kubernetes API",
        ),
    ],
)
def test_other_answers_are_one_line(cluster: Cluster, status: int, body: bytes, why: str) -> None:
    cluster.status, cluster.body = status, body
    with pytest.raises(ClientError) as raised:
        targets_of(Pods(api=cluster.url), 5, {})
    assert str(raised.value).startswith(why)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("port", ["api", "\N{SUPERSCRIPT TWO}"])
def test_no_port_of_that_name(cluster: Cluster, port: str) -> None:
    cluster.pages = [[pod("a")]]
    with pytest.raises(
        ClientError, match=f"no pod of default has a container port named '{port}'; give the port by"
    ):
        targets_of(Pods(port=port, api=cluster.url), 5, {})


def test_where_there_is_no_cluster(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="has no service account, or --kube-api is missing"):
        targets_of(Pods(), 5, {}, str(tmp_path))
    with pytest.raises(ClientError, match="this is no pod of Kubernetes; run `kubectl proxy`"):
        targets_of(Pods("shop"), 5, {}, str(tmp_path))
    with pytest.raises(ClientError, match="'localhost:8001' is not a URL"):
        targets_of(Pods(api="localhost:8001"), 5, {})
    with pytest.raises(ClientError, match="cannot be asked"):
        targets_of(Pods(api="http://127.0.0.1:1"), 5, {})
