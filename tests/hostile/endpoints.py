"""Answers of rules: endpoints that send tiny pieces, what unpacks to a flood, answers before the answer, or nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from tests.eventually import eventually_async
from tests.hostile.ground import Ground, Tally

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_MANY: Final = 50_000


def _whole(content: bytes, *headers: bytes) -> bytes:
    lines = [*headers, b"Content-Length: %d" % len(content)]
    return _HEAD + b"\r\n".join([*lines, b"", content])


def _tiny_chunks() -> Iterator[bytes]:
    yield _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    yield b"1\r\n \r\n" * _MANY + b"1\r\n7\r\n0\r\n\r\n"


def _one_by_one() -> Iterator[bytes]:
    yield _HEAD + b"Content-Length: 2000\r\n\r\n"
    yield from (b" " for _ in range(1_999))
    yield b"7"


def _before_the_answer() -> Iterator[bytes]:
    yield b"HTTP/1.1 100 Continue\r\n\r\n" * _MANY
    yield _whole(b"7")


def _packed() -> Iterator[bytes]:
    yield _whole(gzip.compress(b" " * 50_000_000), b"Content-Encoding: gzip")


def _headers() -> Iterator[bytes]:
    yield _HEAD
    yield from (b"x-%d: " % number + b"y" * 4_000 + b"\r\n" for number in range(1_000))


def _values() -> Iterator[bytes]:
    yield _whole(b"[" + b"[]," * 300_000 + b"[]]")


def _deep() -> Iterator[bytes]:
    yield _whole(b"[" * 500_000)


def _digits() -> Iterator[bytes]:
    yield _whole(b"9" * 1_000_000)


def _too_much() -> Iterator[bytes]:
    yield _HEAD + b"\r\n"
    yield from (b"1" * 65_536 for _ in range(1_000))


def _nothing() -> Iterator[bytes]:
    yield from ()


_ANSWERS: Final[tuple[Callable[[], Iterator[bytes]], ...]] = (
    _tiny_chunks, _one_by_one, _before_the_answer, _packed, _headers, _values, _deep, _digits, _too_much, _nothing,
)  # fmt: skip
#: Beside each other: a tenant has more than one job.
_AT_ONCE: Final = 4


@asynccontextmanager
async def _endpoint(answer: Callable[[], Iterator[bytes]]) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            for piece in answer():
                writer.write(piece)
                await writer.drain()
            if answer is _nothing:
                await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/rule"
    finally:
        server.close()


async def attack(ground: Ground, tally: Tally) -> None:
    wire, chance = ground.wire, ground.chance
    queue = await wire.queue()
    while ground.goes_on():
        answer = chance.choice(_ANSWERS)
        async with _endpoint(answer) as uri:
            rule = {"kind": "function", "functionUri": uri}
            policy = await wire.make("ClassificationPolicy", {"fallbackQueueId": queue, "prioritizationRule": rule})
            body = {"channelId": "voice", "classificationPolicyId": policy.rpartition("/")[2]}
            jobs = [await wire.make("Job", body) for _ in range(_AT_ONCE)]
            for job in jobs:
                await _ends(ground, tally, job, answer.__name__)


async def _ends(ground: Ground, tally: Tally, job: str, what: str) -> None:
    async def classified() -> Any:
        return (await ground.wire.get(job)).expect(200)["status"] in ("queued", "classificationFailed")

    try:
        await eventually_async(classified, "the job is classified, or that has failed", seconds=30)
        (await ground.wire.post(f"{job}:cancel", {})).expect(200)
        tally.tried(True, what)
    except AssertionError as error:
        tally.tried(False, f"{what}: {str(error)[:200]}")
