"""The development host and the local run, as processes: a sample app over the wire, and the life of the parts."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from aiohttp import ClientSession
from azure.data.tables import TableServiceClient

from local.network import choose_port
from local.options import ROOT
from tests.eventually import eventually
from tests.integration.local_run import SAMPLE, Run, http_is_up, runs
from tests.yardstick import slower

KEY = "system key"


class Host(NamedTuple):
    port: int
    process: subprocess.Popen[bytes]
    records: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def recorded(self, word: str) -> list[str]:
        return [line for line in self.records.read_text().splitlines() if word in line] if self.records.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    port = choose_port(None, ())
    records = tmp_path / "records"
    environment = {**os.environ, "SAMPLE_RECORDS": str(records), "LOCAL_HOST_SYSTEM_KEY": KEY}
    process = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--app-dir", str(SAMPLE), "--port", str(port)], cwd=ROOT, env=environment
    )
    try:
        eventually(lambda: http_is_up(port))
        yield Host(port, process, records)
    finally:
        process.kill()
        process.wait()


async def raw(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """A request byte for byte as given; the reply's status, headers and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    return int(head[0].split()[1]), headers, body


async def test_the_request_reaches_the_function_as_it_was_sent(host: Host) -> None:
    status, _, body = await raw(
        host.port,
        b"POST /things/a%3Ab%2Fc:cancel?x=%C3%A4&x=2&empty= HTTP/1.1\r\nHost: 127.0.0.1:7071:7071\r\n"
        b"X-Many: 1\r\nX-Many: 2\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    )
    seen = json.loads(body)
    assert status == 200
    assert seen["function"] == "CancelThing"
    assert seen["url"] == "http://127.0.0.1:7071:7071/things/a%3Ab%2Fc:cancel?x=%C3%A4&x=2&empty="
    assert seen["headers"]["host"] == "127.0.0.1:7071:7071"
    assert seen["headers"]["x-many"] == "1,2"
    assert seen["params"] == {"x": "ä,2"}
    assert seen["route"] == {"thingId": "a:b%2Fc"}
    assert seen["body"] == "{}"


@pytest.mark.parametrize("target", ["http://elsewhere:1/things/1?a=b", "/things/1?a=b", "/THINGS/1/?a=b"])
async def test_targets_in_every_form(host: Host, target: str) -> None:
    status, _, body = await raw(host.port, f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (status, json.loads(body)["function"]) == (200, "GetThing")


async def test_nothing_a_client_sends_stops_the_host(host: Host) -> None:
    for request in (
        b"GET //double HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /things/%FF%zz HTTP/1.1\r\nHost: [::1\r\n\r\n",
        b"GET /admin/host/status HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /runtime/webhooks/other HTTP/1.1\r\nHost: x\r\n\r\n",
        b"NONSENSE\r\n\r\n",
    ):
        status, _, _ = await raw(host.port, request)
        assert status < 500
    assert (await raw(host.port, b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"))[2] == b"pong"


async def test_responses(host: Host) -> None:
    async with ClientSession() as session:
        async with session.put(f"{host.url}/things/1") as response:
            assert response.status == 200
            assert response.headers.getall("x-twice") == ["two"]
            assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        async with session.get(f"{host.url}/plain") as response:
            assert (response.headers["Content-Type"], await response.text()) == ("text/plain; charset=utf-8", "ä")
        async with session.get(f"{host.url}/break") as response:
            assert (response.status, await response.text()) == (500, "")
        async with session.delete(f"{host.url}/things/1") as response:
            assert (response.status, (await response.json())["function"]) == (404, "ZFallback")
        async with session.post(f"{host.url}/things/1:cancel", data=b"x" * (4 * 1024 * 1024 + 1)) as response:
            assert response.status == 413
        async with session.post(f"{host.url}/things/1:cancel", data=b"x" * (4 * 1024 * 1024)) as response:
            assert response.status == 200
        gzip = {"Content-Encoding": "gzip"}
        async with session.post(f"{host.url}/things/1:cancel", data=b"not gzip", headers=gzip) as response:
            assert (await response.json())["body"] == "not gzip", "bodies are not unpacked"


async def test_a_client_that_goes_away_does_not_stop_its_function(host: Host) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n0.3")
    await asyncio.to_thread(eventually, lambda: host.recorded("slow began"))
    writer.close()
    await asyncio.to_thread(eventually, lambda: host.recorded("slow ended"))


async def test_at_the_end_what_is_under_way_is_finished(host: Host) -> None:
    async with ClientSession() as session:
        request = asyncio.create_task(session.post(f"{host.url}/slow", data=b"0.5"))
        await asyncio.to_thread(eventually, lambda: host.recorded("slow began"))
        host.process.send_signal(signal.SIGTERM)
        assert (await request).status == 200
    assert host.process.wait(60) == 0


async def test_an_invocation_that_takes_too_long_does_not_hold_up_the_end(host: Host) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n60")
    await asyncio.to_thread(eventually, lambda: host.recorded("slow began"))
    began = time.monotonic()
    host.process.send_signal(signal.SIGINT)
    assert host.process.wait(60) == 0
    assert time.monotonic() - began < 4.5 * slower()
    assert not host.recorded("slow ended")


def event(number: int, subject: str = "s") -> dict[str, object]:
    return {
        "id": f"e{number}",
        "topic": "t",
        "subject": subject,
        "eventType": "Test.Happened",
        "eventTime": "2024-01-01T00:00:00.1234567Z",
        "data": {"n": number},
        "dataVersion": "1.0",
    }


async def deliver(
    host: Host, body: object, kind: str | None = "Notification", key: str = KEY, function: str = "OnEvent"
) -> tuple[int, str]:
    headers = {"aeg-event-type": kind} if kind else {}
    params = {"functionName": function, "code": key}
    async with (
        ClientSession() as session,
        session.post(f"{host.url}/runtime/webhooks/EventGrid", json=body, headers=headers, params=params) as response,
    ):
        return response.status, await response.text()


async def test_each_event_of_a_delivery_is_an_invocation(host: Host) -> None:
    assert (await deliver(host, [event(1), event(2), event(3)]))[0] == 202
    assert sorted(host.recorded("event")) == [f"event e{n} Test.Happened {{'n': {n}}}" for n in (1, 2, 3)]


async def test_one_failure_fails_the_delivery(host: Host) -> None:
    status, text = await deliver(host, [event(1), event(2, "fail")])
    assert (status, text) == (500, "RuntimeError: no")
    assert host.recorded("event e1")


async def test_the_handshakes_of_event_grid(host: Host) -> None:
    question = [
        {"id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c"}}
    ]
    status, text = await deliver(host, question, "SubscriptionValidation")
    assert (status, json.loads(text)) == (200, {"validationResponse": "c"})
    async with (
        ClientSession() as session,
        session.options(
            f"{host.url}/runtime/webhooks/eventgrid",
            params={"functionName": "OnEvent", "code": KEY},
            headers={"WebHook-Request-Origin": "eventgrid.azure.net"},
        ) as response,
    ):
        assert (response.status, response.headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.azure.net")


async def test_what_the_webhook_refuses(host: Host) -> None:
    assert (await deliver(host, [event(1)], key="wrong"))[0] == 401
    assert (await deliver(host, [event(1)], function="Nobody"))[0] == 404
    assert (await deliver(host, [event(1)], function="Ping"))[0] == 404
    assert (await deliver(host, [event(1)], kind=None))[0] == 400
    assert (await deliver(host, "text"))[0] == 400
    async with ClientSession() as session:
        url = f"{host.url}/runtime/webhooks/eventgrid?functionName=OnEvent&code={KEY}"
        async with session.get(url) as response:
            assert response.status == 400
        async with session.post(url, data=b"{", headers={"aeg-event-type": "Notification"}) as response:
            assert (response.status, await response.text()) == (500, "")
        cloud = {"Content-Type": "application/cloudevents+json"}
        async with session.post(url, json=event(1), headers=cloud) as response:
            assert response.status == 400, "aeg-event-type is missing"
    assert not host.recorded("event")


async def test_data_arrives_as_the_extension_writes_it_and_the_subject_as_sent(host: Host) -> None:
    sent = {**event(1, "2026-11-26T05:12:01.0100Z"), "data": {"at": "2026-11-26T05:12:01.0100Z"}}
    assert (await deliver(host, [sent]))[0] == 202
    assert host.recorded("event") == ["event e1 Test.Happened {'at': '2026-11-26T05:12:01.01Z'}"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 20_000 + b"\r\n\r\n", 200),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(120)) + b"\r\n", 431),
        (b"GET /ping?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nX-A: \xff\r\n\r\n", 400),
        (b"GET /ping HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /ping?x=\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /admin/host/status HTTP/1.1\r\nHost: x\r\n\r\n", 401),
    ],
)
async def test_what_the_web_server_refuses(host: Host, request_bytes: bytes, status: int) -> None:
    answered, _, body = await raw(host.port, request_bytes)
    assert answered == status
    if status in (414, 431):
        assert body == b""


async def test_what_is_not_the_hosts_own_reaches_the_app(host: Host) -> None:
    for path in (b"/admin/x", b"/runtime/x"):
        status, _, body = await raw(host.port, b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (status, json.loads(body)["function"]) == (404, "ZFallback")


async def test_head_goes_to_no_function_that_has_only_get(host: Host) -> None:
    assert (await raw(host.port, b"OPTIONS /ping HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 404
    async with ClientSession() as session, session.head(f"{host.url}/ping") as response:
        assert response.status == 404, "the fallback's"


async def test_of_a_body_in_chunks_nothing_arrives(host: Host) -> None:
    request = b"POST /things/1:cancel HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    seen = json.loads((await raw(host.port, request))[2])
    assert (seen["body"], seen["headers"]["transfer-encoding"]) == ("", "chunked")


async def test_dots_in_a_path_are_taken_out_of_the_address_too(host: Host) -> None:
    seen = json.loads((await raw(host.port, b"GET /other/../things/a%2Fb HTTP/1.1\r\nHost: x\r\n\r\n"))[2])
    assert seen["url"] == "http://x/things/a%2Fb"


async def test_more_requests_than_host_json_allows_are_429(host: Host) -> None:
    """The sample app's host.json: two at a time, four outstanding."""
    slow = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n30"
    asked = [asyncio.create_task(raw(host.port, slow)) for _ in range(8)]
    answered, waiting = set[asyncio.Task[tuple[int, dict[str, str], bytes]]](), set(asked)
    while len(answered) < 4:
        done, waiting = await asyncio.wait(waiting, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert done, "four are refused"
        answered |= done
    assert {(task.result()[0], task.result()[2]) for task in answered} == {(429, b"")}
    assert "retry-after" not in next(iter(answered)).result()[1]
    await asyncio.to_thread(eventually, lambda: len(host.recorded("slow began")) == 2)
    for task in waiting:
        task.cancel()


async def test_the_timer_fires_each_second(host: Host) -> None:
    await asyncio.to_thread(eventually, lambda: len(host.recorded("tick")) >= 2)
    assert host.recorded("tick") == [f"tick {host.process.pid} False"] * len(host.recorded("tick"))


def test_an_app_in_which_a_function_is_hidden_is_not_served(tmp_path: Path) -> None:
    text = (SAMPLE / "function_app.py").read_text().replace("ZFallback", "Fallback")
    (tmp_path / "function_app.py").write_text(text)
    (tmp_path / "host.json").write_text((SAMPLE / "host.json").read_text())
    command = [sys.executable, "-m", "local.host", "--app-dir", str(tmp_path), "--port", str(choose_port(None, ()))]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert ended.returncode == 2
    assert "Fallback ({*path}) hides GetThing (things/{thingId}) for GET" in ended.stderr


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    yield from runs(tmp_path)


def tables(run: Run) -> TableServiceClient:
    parts = json.loads((run.data_dir / "parts.json").read_text())
    key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    return TableServiceClient.from_connection_string(
        f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={key};"
        f"TableEndpoint=http://127.0.0.1:{parts['azurite_port']}/devstoreaccount1;"
    )


def listeners(pids: set[int]) -> set[str]:
    return {
        connection.laddr.ip
        for pid in pids
        for connection in psutil.Process(pid).net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


async def test_a_run_from_start_to_end_and_again(run: Callable[..., Run]) -> None:
    first = run()
    pids = {first.pid(name) for name in ("azurite", "eventgrid", "app")}
    assert listeners(pids | {first.process.pid}) <= {"127.0.0.1", "::1"}
    greeting = first.output.read_text()
    assert f"endpoint=https://localhost:{first.https_port}/;accesskey=riaet" in greeting
    trust = re.search(r"SSL_CERT_FILE=(\S+)", greeting)
    assert trust
    context = ssl.create_default_context(cafile=str(ROOT / trust[1]))
    async with (
        ClientSession() as session,
        session.get(f"https://localhost:{first.https_port}/ping", ssl=context) as response,
    ):
        assert await response.text() == "pong"
    tables(first).create_table("kept").upsert_entity({"PartitionKey": "p", "RowKey": "r", "v": 1})

    first.end()
    assert first.process.returncode == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not list(first.data_dir.glob("*.pid"))

    began = time.monotonic()
    second = run()
    assert time.monotonic() - began < 10 * slower()
    assert tables(second).get_table_client("kept").get_entity("p", "r")["v"] == 1, "data survives a restart"
    second.end(signal.SIGTERM)


def test_the_app_alone_is_ended_and_started_again(run: Callable[..., Run]) -> None:
    whole = run()
    parts = whole.pid("azurite"), whole.pid("eventgrid")
    os.kill(whole.pid("app"), signal.SIGTERM)
    eventually(lambda: whole.said("start the app again with `make start-app`"))
    said = whole.output.read_text()
    app = whole.launch("--app-only")
    try:
        eventually(lambda: whole.said("Ctrl-C ends the app"))
        assert http_is_up(whole.port)
        assert (whole.pid("azurite"), whole.pid("eventgrid")) == parts, "the parts run on"
        second = whole.launch("--app-only")
        assert second.wait(60) == 1
        assert whole.said("still runs")
    finally:
        app.send_signal(signal.SIGINT)
        assert app.wait(60) == 0
    assert whole.process.poll() is None
    assert "The app ended with code 0" in said
    whole.end()


def test_messages_instead_of_a_start(run: Callable[..., Run], tmp_path: Path) -> None:
    whole = run()
    second = whole.launch()
    assert second.wait(60) == 1
    assert whole.said("runs already: http://localhost:")
    port, whole.data_dir = whole.port, tmp_path / "other"
    other = whole.launch()
    assert other.wait(60) == 1
    assert whole.said(f"Port {port} on 127.0.0.1 is in use by another program. Set PORT to a free one.")
    alone = whole.launch("--app-only")
    assert alone.wait(60) == 1
    assert whole.said("`make start` starts everything")


def test_a_second_start_while_the_first_is_starting(tmp_path: Path) -> None:
    """It may not tell to kill what is about to be a good router."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "function_app.py").write_text("import time\nwhile True:\n    time.sleep(0.05)\n")
    first = Run(tmp_path / "data", "--app-dir", str(tmp_path / "app"))
    eventually(lambda: (first.data_dir / "app.pid").is_file())
    second = first.launch()
    assert second.wait(20) == 1
    assert first.said("runs already, and does not answer yet: it is starting or ending")
    assert first.process.poll() is None
    first.end()
    assert not list(first.data_dir.glob("*.pid"))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_parts_do_not_outlive_a_starter_that_is_killed(run: Callable[..., Run]) -> None:
    whole = run()
    parts = [psutil.Process(whole.pid(name)) for name in ("azurite", "eventgrid", "app")]
    whole.process.kill()
    _, alive = psutil.wait_procs(parts, timeout=60)
    assert not alive
    again = run()
    again.end()


def test_an_app_that_cannot_be_loaded_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "function_app.py").write_text("raise RuntimeError('broken on purpose')")
    broken = Run(tmp_path / "data", "--app-dir", str(tmp_path / "app"))
    assert broken.process.wait(30) == 1
    assert broken.said("broken on purpose")
    assert broken.said("The app ended with code 1 before it was ready; its messages are above.")
    assert not broken.said("ExceptionGroup")
    assert not list(broken.data_dir.glob("*.pid"))


def test_a_wrong_setting_of_the_app_is_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTER_RATE_LIMIT", "many")
    refused = Run(tmp_path / "data")
    assert refused.process.wait(20) == 1
    assert re.fullmatch(r"Wrong settings: ROUTER_RATE_LIMIT .*\n", refused.output.read_text())
