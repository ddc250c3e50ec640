"""A topic, a subscriber, and a bare server to compare with."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.integration.topic.topic_process import Subscriber, TopicProcess, free_port, until


@pytest.fixture
async def subscriber() -> AsyncIterator[Subscriber]:
    one = Subscriber()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def topic(tmp_path: Path) -> AsyncIterator[TopicProcess]:
    one = TopicProcess(tmp_path)
    one.subscribe()
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        await asyncio.to_thread(one.process.wait)


BARE_SERVER = """
import sys
from aiohttp import web

async def answer(request):
    await request.json()
    return web.Response()

app = web.Application()
app.router.add_post("/hook", answer)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""


@pytest.fixture
async def bare_server() -> AsyncIterator[str]:
    """A webhook in a process of its own, since a subscriber is no part of its publisher either."""
    port = free_port()
    process = await asyncio.to_thread(subprocess.Popen, [sys.executable, "-c", BARE_SERVER, str(port)])
    url = f"http://127.0.0.1:{port}/hook"

    async def answers() -> bool:
        with suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.post(url, json=[]) as answer:
                return answer.status == 200
        return False

    await until(answers)
    yield url
    process.kill()
    await asyncio.to_thread(process.wait)
