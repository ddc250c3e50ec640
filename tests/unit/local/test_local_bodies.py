"""Bodies that do not come to their end, and those who leave in the middle of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request

from local.host.bodies import Bodies
from local.host.pace import Pace, Patience

HEAD = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n"


class Server:
    def __init__(self, port: int, bodies: Bodies) -> None:
        self.port = port
        self.bodies = bodies
        self.sizes: list[int] = []

    async def begin(self, size: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A request with a body of this size, of which so much has been sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(HEAD.format(size).encode() + sent)
        await writer.drain()
        return reader, writer

    async def status(self, reader: asyncio.StreamReader) -> int:
        return int((await asyncio.wait_for(reader.readline(), 10)).split()[1])


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    bodies: Bodies = request.param

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        body = await bodies.read(request)
        if isinstance(body, web.Response):
            return body
        made.sizes.append(len(body))
        return web.Response(status=204)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made = Server(runner.addresses[0][1], bodies)
    yield made
    await runner.cleanup()


@pytest.mark.parametrize("server", [Bodies(seconds=0.2)], indirect=True)
async def test_a_body_that_does_not_come_to_its_end_is_given_up(server: Server) -> None:
    reader, writer = await server.begin(1000, b"x" * 10)
    assert await server.status(reader) == 408
    assert server.bodies.reading == 0
    writer.close()


@pytest.mark.parametrize("server", [Bodies(most=100_000, largest=80_000)], indirect=True)
async def test_unfinished_bodies_hold_no_more_than_they_may_together(server: Server) -> None:
    held = [await server.begin(80_000, b"x" * 40_000) for _ in range(5)]
    statuses: list[int] = []
    for reader, _ in held:
        try:
            statuses.append(await asyncio.wait_for(server.status(reader), 0.5))
        except TimeoutError:
            continue
    assert statuses
    assert set(statuses) == {503}
    assert 0 < server.bodies.reading <= 100_000
    for _, writer in held:
        writer.close()


@pytest.mark.parametrize("server", [Bodies(largest=1000)], indirect=True)
async def test_one_that_is_too_large_is_not_read(server: Server) -> None:
    reader, writer = await server.begin(1001, b"")
    assert await server.status(reader) == 413
    writer.close()
    reader, writer = await server.begin(1000, b"x" * 1000)
    assert await server.status(reader) == 204
    assert server.sizes == [1000]
    writer.close()


class Standing(Pace):
    """Nobody's turn comes."""

    async def turn(self, place: float = 0.0) -> None:
        await asyncio.Event().wait()


async def test_a_body_that_has_no_turn_in_time_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long before the time that its client has to send it."""
    monkeypatch.setattr("local.host.bodies.Pace", Standing)
    bodies = Bodies(seconds=600)
    body = StreamReader(BaseProtocol(asyncio.get_running_loop()), 2**16)
    body.feed_data(b"x" * 10)
    request = make_mocked_request("POST", "/", headers={"Content-Length": "10"}, payload=body)
    answer = await asyncio.wait_for(bodies.read(request, Patience(0.05)), 60)
    assert isinstance(answer, web.Response)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert bodies.reading == 0


@pytest.mark.parametrize("server", [Bodies()], indirect=True)
async def test_who_leaves_in_the_middle_prints_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, writer = await server.begin(1000, b"x" * 10)
        await asyncio.sleep(0.05)
        writer.transport.abort()
        reader, writer = await server.begin(1, b"x")
        assert await server.status(reader) == 204
        await asyncio.sleep(0.05)
    assert caplog.records == []
    assert server.bodies.reading == 0
    writer.close()
