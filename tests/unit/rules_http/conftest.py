"""An endpoint and a client. No test here dials anything but loopback, or logs a secret."""

from __future__ import annotations

import logging
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any

import pytest

from router.rules.http.client import RuleHttpClient
from tests.unit.rules_http.endpoints import SECRETS, Endpoint, make_client, serving


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with serving() as endpoint:
        yield endpoint


@pytest.fixture
async def client() -> AsyncIterator[RuleHttpClient]:
    async with make_client() as client:
        yield client


@pytest.fixture(autouse=True)
def no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Every test here runs with all logs on: none may hold a secret."""
    caplog.set_level(logging.DEBUG)
    yield
    told = caplog.text + repr([record.__dict__ for record in caplog.records if record.name != "aiohttp.access"])
    assert not [secret for secret in SECRETS[:2] if secret in told]


@pytest.fixture(autouse=True)
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that were dialled. None but loopback is really dialled, not even when a guard fails."""
    addresses: list[str] = []
    real = BaseSelectorEventLoop.sock_connect

    async def connect(loop: BaseSelectorEventLoop, sock: socket.socket, address: tuple[Any, ...]) -> None:
        addresses.append(address[0])
        if not ip_address(address[0]).is_loopback:
            raise ConnectionRefusedError("not loopback")
        await real(loop, sock, address)

    monkeypatch.setattr(BaseSelectorEventLoop, "sock_connect", connect)
    return addresses
