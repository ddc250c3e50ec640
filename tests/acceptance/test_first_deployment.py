"""The questions to a router that has just been deployed, asked of the local one."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient

from scripts.first_deployment import Deployment, ask
from tests.acceptance.service import Service
from tests.local_router import LocalRouter

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def deployment(local_router: LocalRouter) -> Deployment:
    return Deployment(local_router.endpoint, local_router.key, 20)


@pytest.mark.ours
def test_a_router_that_works_is_right_in_everything_and_left_as_it_was(
    deployment: Deployment,
    administration: JobRouterAdministrationClient,
    client: JobRouterClient,
    local_router: LocalRouter,
    service: Service,
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.first_deployment", "--seconds", "20"],
        cwd=ROOT,
        env={"ROUTER_CONNECTION_STRING": f"endpoint={local_router.endpoint}/;accesskey={local_router.key}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    names = ["health", "signature", "wrong key", "unsigned", "made", "timer", "routed", "accepted", "removed"]
    assert [line.partition(":")[0] for line in lines] == [f"ok    {name}" for name in names], done.stdout + done.stderr
    assert done.returncode == 0
    assert not [queue.id for queue in administration.list_queues() if queue.id.startswith("first-deployment-")]
    assert not [one.id for one in administration.list_distribution_policies() if one.id.startswith("first-deployment-")]
    assert not [worker.id for worker in client.list_workers() if worker.id.startswith("first-deployment-")]
    assert not [job.id for job in client.list_jobs() if job.id.startswith("first-deployment-")]


@pytest.mark.ours
def test_a_wrong_key_ends_it_before_anything_is_made(local_router: LocalRouter) -> None:
    said: list[str] = []
    assert not ask(Deployment(local_router.endpoint, "bm90IHRoZSBrZXkgb2YgdGhpcyByb3V0ZXIh", 5), said.append)
    assert [line[:4] for line in said] == ["ok  ", "FAIL", "ok  ", "ok  "]
    assert said[1].startswith("FAIL  signature: ")


@pytest.mark.ours
def test_what_fails_is_told_and_the_rest_removed(
    deployment: Deployment, administration: JobRouterAdministrationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A timer that does not run, as far as the questions can see."""
    monkeypatch.setattr("scripts.first_deployment._AHEAD", timedelta(hours=1))
    until = Deployment._until
    monkeypatch.setattr(Deployment, "_until", lambda self, look, why_not, since=None: until(self, look, why_not))
    deployment.seconds = 1
    said: list[str] = []
    assert not ask(deployment, said.append)
    assert said[-2] == "FAIL  timer: the job is still scheduled: OnDeadlines does not run (waited 1 s)"
    assert said[-1].startswith("ok    removed")
    assert deployment.name not in [queue.id for queue in administration.list_queues()]


class Open(BaseHTTPRequestHandler):
    """A router that lets everybody in, and is not ready."""

    def do_GET(self) -> None:
        body = b"storage is closed" if self.path == "/health" else b'{"value": []}'
        self.send_response(503 if self.path == "/health" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def careless() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Open)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.ours
def test_a_router_that_lets_everybody_in_fails(careless: str) -> None:
    said: list[str] = []
    assert not ask(Deployment(careless, "a2V5", 0.2), said.append)
    assert said[0] == "FAIL  health: /health says storage is closed (waited 0 s)"
    assert said[2] == "FAIL  wrong key: a request signed with another key was taken"
    assert said[3] == "FAIL  unsigned: a request without a signature was answered 200, not 401"
    assert len(said) == 4


@pytest.mark.ours
@pytest.mark.parametrize("given", ["", "endpoint=nowhere;accesskey=x", "endpoint=https://x.example/"])
def test_a_connection_string_that_is_none(
    given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from scripts import first_deployment

    monkeypatch.setenv("ROUTER_CONNECTION_STRING", given)
    assert first_deployment.main([]) == 2
    assert capsys.readouterr().err.startswith("error: ROUTER_CONNECTION_STRING must read ")
