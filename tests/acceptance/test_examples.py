"""The examples run as they are, against the tests' router."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.network import choose_port
from local.options import ROOT
from tests.acceptance.desk import Desk
from tests.acceptance.service import Service
from tests.eventually import eventually
from tests.local_router import LocalRouter

pytestmark = pytest.mark.ours

EXAMPLES = ROOT / "examples"


def environment_of(service: Service, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    return {**kept, "ROUTER_ENDPOINT": service.endpoint, "ROUTER_ACCESS_KEY": service.key, **more}


def run(service: Service, name: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name],
        env=environment_of(service, **environment),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Running:
    """An example that goes on until it is ended; what it says goes into a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._log = log
        self._file = log.open("w")
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=self._file, stderr=self._file, text=True
        )

    def says(self, text: str) -> str:
        """All it has said, when the text is among it."""
        return eventually(lambda: (said := self._log.read_text()) if text in self._log.read_text() else None, text, 30)

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self._file.close()


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[Running]:
    one = Running(command, environment, log)
    try:
        yield one
    finally:
        one.end()


@pytest.fixture
def port() -> str:
    return str(choose_port(None, ()))


@contextlib.contextmanager
def listening(router: LocalRouter, url: str, log: Path, *options: str) -> Iterator[Running]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    command = [sys.executable, "-m", "jobrouter", "listen", "--forward-to", url, *options]
    with running(command, {**kept, "DATA_DIR": str(router.data_dir), "PYTHONPATH": str(ROOT)}, log) as one:
        one.says("200  handshake")
        yield one


def test_an_agent_that_is_told_of_offers(
    service: Service, local_router: LocalRouter, desk: Desk, tmp_path: Path, port: str
) -> None:
    agent, queue = desk.id("agent"), desk.id("queue")
    environment = environment_of(service, PORT=port, AGENT=agent, QUEUE=queue)
    command = [sys.executable, str(EXAMPLES / "event_driven_agent.py")]
    with running(command, environment, tmp_path / "agent") as one:
        one.says("waits for offers")
        with listening(local_router, f"http://localhost:{port}/events", tmp_path / "listen"):
            job = desk.job(queue, channel_id="chat")
            one.says(f"{agent} has done {job}")
    assert desk.client.get_job(job).status == "closed"


def post(url: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, dict[str, str], str]:
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, {}, ""


def test_a_webhook_receiver(local_router: LocalRouter, desk: Desk, tmp_path: Path, port: str) -> None:
    command = [sys.executable, str(EXAMPLES / "webhook_receiver.py")]
    url = f"http://localhost:{port}/events"
    with running(command, {**os.environ, "PORT": port}, tmp_path / "receiver") as one:
        one.says("events are heard")
        for schema in ("EventGrid", "CloudEvents"):
            options = ("--schema", schema, "--type", "RouterJobReceived")
            with listening(local_router, f"{url}?code=secret", tmp_path / schema, *options):
                job = desk.job(desk.queue())
                one.says(f"Microsoft.Communication.RouterJobReceived job/{job}/channel/voice")
        event = {"id": "7", "eventType": "T", "eventTime": "now", "subject": "twice", "data": {}}
        assert [post(f"{url}?code=secret", [event])[0] for _ in range(2)] == [200, 200]
        assert post(f"{url}?code=wrong", [event])[0] == post(url, [event])[0] == 401
        assert one.says("twice").count("twice") == 1


def test_an_escalation(service: Service) -> None:
    told = run(service, "chat_escalation.py", WAIT_SECONDS="1").splitlines()
    assert re.fullmatch(r"chat-\S+ waits in chats", told[0])
    assert told[1].endswith("is in seniors with priority 10")
    assert told[2].endswith("is closed")


def test_the_best_worker(service: Service) -> None:
    assert run(service, "best_worker.py").endswith("is offered to cleo\n")


def test_a_call_back(service: Service) -> None:
    told = run(service, "scheduled_call_back.py", CALL_IN_SECONDS="2")
    assert re.findall(r"is (\w+)$", told, re.MULTILINE) == ["scheduled", "waitingForActivation", "closed"]
    assert "calls +1 555 0100" in told


def test_a_desk_in_a_terminal(service: Service, desk: Desk, tmp_path: Path) -> None:
    worker, queue = desk.id("worker"), desk.id("queue")
    command = ["node", str(EXAMPLES / "desk.mjs"), worker, queue]
    with running(command, environment_of(service), tmp_path / "desk") as one:
        one.says("is at the desk")
        one.type("take")
        one.says("There is no offer.")
        job = desk.job(queue, channel_id="chat")
        one.says(f"An offer: {job}")
        for line, answer in (("take", f"You have {job}."), ("toString", "What?"), ("done", f"{job} is done.")):
            one.type(line)
            one.says(answer)
        one.type("quit")
        assert one.process.wait(20) == 0
    assert desk.client.get_job(job).status == "closed"
    assert desk.client.get_worker(worker).available_for_offers is False


def test_the_http_file_has_every_operation_and_all_succeed(service: Service) -> None:
    command: list[str | Path] = ["node", ROOT / "tests" / "javascript" / "http_file.mjs", EXAMPLES / "router.http"]
    done = subprocess.run([*command, service.endpoint, service.key], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one for one in told if one["status"] >= 300] == []
    operations = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))["paths"]
    sent = {(one["method"].lower(), one["path"]) for one in told}
    missing = [
        f"{method} {path}"
        for path, methods in operations.items()
        for method in methods.keys() & {"get", "patch", "post", "delete"}
        if not any(way == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/:]+", path), at) for way, at in sent)
    ]
    assert missing == []


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    if path.suffix in (".py", ".mjs"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80
