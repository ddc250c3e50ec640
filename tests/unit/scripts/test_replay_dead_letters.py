"""Dead letters are published again as they were, once each, and nothing that is none."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.topic.deadletter import DeadLetters
from local.topic.schemas import Schema
from scripts import replay_dead_letters


class Topic(ThreadingHTTPServer):
    """A topic that keeps what it takes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.requests: list[tuple[str, str, list[dict[str, Any]]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Topic

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.headers["Content-Type"], self.headers["aeg-sas-key"], body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> Iterator[Topic]:
    monkeypatch.setenv("ROUTER_EVENTGRID_KEY", "a2V5")
    server = Topic()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def event(number: int, hours_ago: float = 1) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(hours=hours_ago)
    return {
        "id": f"e{number}",
        "eventType": "Microsoft.Communication.RouterJobReceived",
        "subject": f"job/j{number}",
        "eventTime": at.isoformat().replace("+00:00", "Z"),
        "data": {"jobId": f"j{number}", "topic": "of the data", "deliveryAttempts": 3},
        "dataVersion": "1.0",
    }


def cloud(number: int) -> dict[str, Any]:
    old = event(number)
    return {
        "specversion": "1.0", "id": old["id"], "type": old["eventType"], "source": "router", "subject": old["subject"],
        "time": old["eventTime"], "data": old["data"],
    }  # fmt: skip


def blob(path: Path, events: list[dict[str, Any]]) -> None:
    """As Event Grid writes one: the events with why they were given up."""
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "topic": "/subscriptions/s/topics/t", "metadataVersion": "1", "deadLetterReason": "MaxDeliveryAttemptsExceeded",
        "deliveryAttempts": 30, "lastDeliveryOutcome": "Unauthorized", "publishTime": "2026-01-01T00:00:00Z",
        "lastDeliveryAttemptTime": "2026-01-01T01:00:00Z", "lastHttpStatusCode": 401,
    }  # fmt: skip
    path.write_text(json.dumps([one | facts for one in events]))


def run(folder: Path, topic: Topic, *more: str) -> int:
    return replay_dead_letters.main([str(folder), "--endpoint", f"http://127.0.0.1:{topic.server_port}", *more])


def test_each_is_published_once_and_as_it_was(tmp_path: Path, topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    blob(tmp_path / "t/router-job/2026/1/1/1/a.json", [event(2, 1), event(1, 2)])
    blob(tmp_path / "t/router-worker/2026/1/1/1/b.json", [event(2, 1)])
    assert run(tmp_path, topic) == 0
    ((kind, key, body),) = topic.requests
    assert kind.startswith("application/json")
    assert key == "a2V5"
    assert [one["id"] for one in body] == ["e1", "e2"]
    assert set(body[0]) == {"id", "eventType", "subject", "eventTime", "data", "dataVersion"}
    assert body[0]["data"] == {"jobId": "j1", "topic": "of the data", "deliveryAttempts": 3}
    assert capsys.readouterr().out == "2 events published again.\n"


def test_cloud_events_go_as_cloud_events(tmp_path: Path, topic: Topic) -> None:
    DeadLetters(tmp_path).append(
        "router-job", cloud(1), Schema.CLOUD_EVENTS,
        reason="Unauthorized", attempts=1, outcome="Unauthorized", status=401, published=1.0, attempted=2.0,
    )  # fmt: skip
    assert run(tmp_path, topic) == 0
    ((kind, _, body),) = topic.requests
    assert kind.startswith("application/cloudevents-batch+json")
    assert body == [cloud(1) | {"time": body[0]["time"]}]


def test_many_go_in_parts(tmp_path: Path, topic: Topic) -> None:
    blob(tmp_path / "a.json", [event(number) for number in range(120)])
    assert run(tmp_path, topic) == 0
    assert [len(body) for *_, body in topic.requests] == [50, 50, 20]


def test_old_ones_are_left_out(tmp_path: Path, topic: Topic) -> None:
    blob(tmp_path / "a.json", [event(1, 30), event(2, 1)])
    assert run(tmp_path, topic, "--newer-than", "24") == 0
    assert [one["id"] for _, _, body in topic.requests for one in body] == ["e2"]


def test_an_empty_folder_publishes_nothing(tmp_path: Path, topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, topic) == 0
    assert topic.requests == []
    assert capsys.readouterr().out == "0 events published again.\n"


@pytest.mark.parametrize("content", ["no JSON", "[1]", '[{"id": "e1"}]', '{"jobId": "j1"}'])
def test_what_is_no_dead_letter_is_refused_before_anything_is_sent(
    tmp_path: Path, topic: Topic, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    blob(tmp_path / "a.json", [event(1)])
    (tmp_path / "b.json").write_text(content)
    assert run(tmp_path, topic) == 1
    assert topic.requests == []
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'b.json'} ")


def test_a_topic_that_refuses_is_told(tmp_path: Path, topic: Topic, capsys: pytest.CaptureFixture[str]) -> None:
    topic.status = 401
    blob(tmp_path / "a.json", [event(1)])
    assert run(tmp_path, topic) == 1
    assert capsys.readouterr().err.startswith("error: ")
