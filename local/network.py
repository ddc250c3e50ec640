"""Ports on loopback: which are free, and who answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection

from aiohttp import ClientError, ClientSession, ClientTimeout


def port_is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                # Connections of an earlier run that linger in TIME_WAIT don't count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if family == socket.AF_INET6 and error.errno not in _IN_USE:
                continue  # no IPv6 on this machine
            return False
    return True


_IN_USE = frozenset({98, 48, 10048, 13})  # EADDRINUSE of Linux, macOS and Windows; EACCES


def choose_port(wish: int | None, taken: Collection[int]) -> int:
    """The wished port if it is free, or any free one that is not taken."""
    if wish is not None and wish not in taken and port_is_free(wish):
        return wish
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken and port_is_free(port):
            return port


async def answers(url: str, *, status: int | None = None) -> bool:
    """Whether a GET is answered at once: with the status, or with any."""
    try:
        async with ClientSession(timeout=ClientTimeout(total=2)) as session, session.get(url) as response:
            return status is None or response.status == status
    except (ClientError, TimeoutError, OSError):
        return False


async def answer_text(url: str) -> str:
    """What a GET is answered with, for a message to the developer."""
    try:
        async with ClientSession(timeout=ClientTimeout(total=2)) as session, session.get(url) as response:
            return f"{response.status} {await response.text()}"
    except (ClientError, TimeoutError, OSError) as error:
        return f"nothing ({type(error).__name__})"


async def wait_until_it_answers(url: str, *, status: int | None = None, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while True:
                if await answers(url, status=status):
                    return True
                await asyncio.sleep(0.03)
    except TimeoutError:
        return False
