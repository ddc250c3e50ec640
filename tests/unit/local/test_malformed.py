"""What is no HTTP is told in a line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
from aiohttp import web

from local import malformed

MALFORMED = [
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nBad Header: a\r\n\r\n",
]


@pytest.fixture
def seconds() -> Iterator[list[float]]:
    logger, now = logging.getLogger("aiohttp.server"), [0.0]
    before = list(logger.filters)
    malformed.tell_briefly(lambda: now[0])
    yield now
    logger.filters = before


async def _send(*requests: bytes, handler: type[Exception] | None = None) -> None:
    async def answer(request: web.Request) -> web.Response:
        if handler is not None:
            raise handler("of the application")
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        for sent in requests:
            reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
            writer.write(sent)
            await reader.read(100)
            writer.close()
    finally:
        await runner.cleanup()


def test_many_are_a_line_now_and_then(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_send(*MALFORMED))
    seconds[0] = 11.0
    asyncio.run(_send(MALFORMED[0]))
    told = [(record.levelname, record.getMessage(), record.exc_info) for record in caplog.records]
    assert [level for level, _, _ in told] == ["WARNING", "WARNING"]
    assert all(text.startswith("A request that is no HTTP was refused: ") and not trace for _, text, trace in told)
    assert told[1][1].endswith(" 2 others like it came since the last one was told.")
    assert "\n" not in told[0][1] + told[1][1]


def test_a_fault_of_a_handler_keeps_its_traceback(seconds: list[float], caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", handler=ZeroDivisionError))
    assert [record.exc_info is not None for record in caplog.records if record.name == "aiohttp.server"] == [True]
