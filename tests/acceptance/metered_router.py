"""A router of a test's own, started as a developer starts it, and a client that signs and remembers what was answered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession
from yarl import URL

from tests.yardstick import Deadline

ROOT = Path(__file__).parents[2]
KEY = base64.b64encode(hashlib.sha256(b"a key for the metrics tests").digest()).decode()
GA = "2023-11-01"
READY_SECONDS = 90.0

Series = tuple[str, str, str, str]
"""Operation, ApiVersion, StatusCode, StatusSubClass."""


@dataclass(frozen=True)
class MeteredRouter:
    port: int
    data_dir: Path
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def end(self) -> None:
        """What Ctrl-C does; returns when everything has ended."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
            await asyncio.wait_for(self.process.wait(), 30)


class EndedAtOnce(AssertionError):
    """The process ended before it answered; its own words are in the captured output."""


@asynccontextmanager
async def running_router(data_dir: Path, workers: int, **environment: str) -> AsyncIterator[MeteredRouter]:
    try:
        router = await start_router(data_dir, workers, environment)
    except EndedAtOnce:
        # Between our finding free ports and its listening on them another test may have taken one.
        router = await start_router(data_dir, workers, environment)
    try:
        yield router
    finally:
        await stopped(router)


async def start_router(data_dir: Path, workers: int, environment: dict[str, str]) -> MeteredRouter:
    port = free_port()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ROUTER_", "OTEL_", "APPLICATIONINSIGHTS_"))
    }
    settings = {
        "PORT": str(port),
        "HTTPS_PORT": str(free_port()),
        "DATA_DIR": str(data_dir),
        "WORKERS": str(workers),
        "TIMER": "",
        "ROUTER_ACCESS_KEYS": KEY,
        **environment,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "local", cwd=ROOT, env={**inherited, **settings}
    )
    router = MeteredRouter(port, data_dir, process)
    try:
        await answering(router)
    except BaseException:
        await stopped(router)
        raise
    return router


async def stopped(router: MeteredRouter) -> None:
    try:
        await router.end()
    except TimeoutError:
        router.process.kill()
        await router.process.wait()


async def answering(router: MeteredRouter) -> None:
    async with ClientSession() as session:
        deadline = Deadline(READY_SECONDS)
        while True:
            if router.process.returncode is not None:
                raise EndedAtOnce(f"it ended with code {router.process.returncode}")
            try:
                async with session.get(f"{router.url}/health") as answer:
                    if answer.status == 200:
                        return
            except ClientError:
                pass
            assert not deadline.is_over(), "the router was not ready in time"
            await asyncio.sleep(0.1)


@dataclass
class Client:
    """Sends requests and counts each under the series that it must be counted in."""

    session: ClientSession
    base: str
    sent: Counter[Series] = field(default_factory=Counter)

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        version: str | None = GA,
        signed: bool = True,
        content_type: str = "application/merge-patch+json",
        traceparent: str | None = None,
        expect: int | None = None,
    ) -> int:
        query = urlencode({"api-version": version}) if version is not None else ""
        target = f"/routing/{path}" + (f"?{query}" if query else "")
        url = URL(f"{self.base}{target}", encoded=True)
        headers = {"Content-Type": content_type} if method == "PATCH" or body else {}
        if traceparent is not None:
            headers["traceparent"] = traceparent
        if signed:
            headers |= signature(method, target, f"{url.host}:{url.port}", body)
        async with self.session.request(method, url, data=body or None, headers=headers) as answer:
            text = await answer.text()
        assert expect is None or answer.status == expect, f"{operation} {target}: {answer.status} {text}"
        named = "none" if not version else version if version in (GA, "2024-01-18-preview") else "unsupported"
        self.sent[operation, named, str(answer.status), f"{answer.status // 100}xx"] += 1
        return answer.status


def signature(method: str, target: str, host: str, body: bytes) -> dict[str, str]:
    date = formatdate(usegmt=True)
    content = base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{target}\n{date};{host};{content}"
    digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": content,
        "Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256"
        f"&Signature={base64.b64encode(digest).decode()}",
    }


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    deadline = Deadline(seconds)
    while not await condition():
        if deadline.is_over():
            return  # the assertion that follows tells what is missing
        await asyncio.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
