"""Viewers who take next to nothing of the processor themselves: a socket that stays open each, requests as the console
makes them, answers of which no more is unpacked than the time they are from."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bench.stage import Stage
from tests.raw_wire import sign

#: As the console asks.
EVERY_SECONDS: Final = 2.0
#: The golden ratio. Multiples of it spread viewers over their rhythm in step with nothing that comes evenly: jobs that
#: come as often as looks would meet one each, or none of them any.
_SPREAD: Final = (5**0.5 - 1) / 2
_LIVE: Final = "/routing/live?api-version=2024-01-18-preview"
#: Answered from memory with 304: what clients and the host cost by themselves.
_CHEAP: Final = "/console/icon.svg"
_GZIP: Final = 31
_AT: Final = b'{"at":"'


@dataclass(frozen=True)
class Taken:
    """What an answer took, in milliseconds, and what came."""

    milliseconds: float
    status: int
    bytes: int


@dataclass
class Viewer:
    """One of them. `etag` and `at` are those of the last answer."""

    scene: Stage
    looks_at_picture: bool
    taken: list[Taken]
    every: float = EVERY_SECONDS
    etag: str = ""
    at: str = ""
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, init=False)

    async def look(self, offset: float, ended: asyncio.Event) -> None:
        """The rhythm is that of the questions, however long an answer takes."""
        loop = asyncio.get_running_loop()
        due = loop.time() + offset
        while not await _is_set_within(ended, due - loop.time()):
            due = max(due + self.every, loop.time())
            await self.ask()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def ask(self) -> None:
        started = time.perf_counter()
        status, headers, body = await self._exchange(self._request())
        self.taken.append(Taken((time.perf_counter() - started) * 1000, status, len(body)))
        assert status in (200, 304), (status, headers)
        if status == 200:
            self.etag = headers[b"etag"].decode()
            self.at = _time_of(body, headers) if self.looks_at_picture else ""

    def _request(self) -> bytes:
        host = self.scene.wire.host
        target, given = _CHEAP, {"Host": host}
        if self.looks_at_picture:
            target = _LIVE + (f"&since={self.at}" if self.at else "")
            given = sign(self.scene.wire.key, "GET", target, host)
        if self.etag:
            given["If-None-Match"] = self.etag
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"GET {target} HTTP/1.1\r\nAccept-Encoding: gzip\r\n{lines}\r\n".encode()

    async def _exchange(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.scene.wire.port, limit=2**20)
        reader, writer = self._streams
        writer.write(request)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(b":") for one in lines if one)}
        assert b"transfer-encoding" not in headers, headers
        body = await reader.readexactly(int(headers.get(b"content-length", 0)))
        return int(first.split(b" ")[1]), headers, body


def _time_of(body: bytes, headers: dict[bytes, bytes]) -> str:
    """When the picture was made, from its first bytes."""
    packed = headers.get(b"content-encoding") == b"gzip"
    head = zlib.decompressobj(_GZIP).decompress(body, 64) if packed else body[:64]
    assert head.startswith(_AT), head
    return head[len(_AT) :].partition(b'"')[0].decode()


class Audience:
    """So many viewers, spread over their rhythm. Between two times of looking they keep their sockets and what they
    know. `taken` is what their answers took."""

    def __init__(self, scene: Stage, viewers: int, *, looks_at_picture: bool, every: float = EVERY_SECONDS) -> None:
        self.taken: list[Taken] = []
        self._every = every
        self._viewers = [Viewer(scene, looks_at_picture, self.taken, every) for _ in range(viewers)]

    async def __aenter__(self) -> Audience:
        return self

    async def __aexit__(self, *error: object) -> None:
        for one in self._viewers:
            one.close()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Raises what one of them raises."""
        ended = asyncio.Event()
        async with asyncio.TaskGroup() as looking:
            for number, one in enumerate(self._viewers):
                looking.create_task(one.look(self._every * (number * _SPREAD % 1), ended))
            yield
            ended.set()


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), max(0.0, seconds))
    except TimeoutError:
        return False
    return True
