"""Requests that no client library makes: every route with hostile methods, headers and targets, and false identities."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from typing import Final

from router.models.operations import OPERATIONS
from tests.hostile.ground import Ground, Tally
from tests.raw_wire import MOST_TRIES, sign

Header = tuple[bytes, bytes]
#: What takes longer is no answer: the host itself waits 20 s for what a client does not send.
_LONGEST_SECONDS: Final = 60.0
METHODS = (
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"FOO", b"get", b"\xff",
    b"A" * 300,
)  # fmt: skip
HEADERS: tuple[Header, ...] = (
    (b"authorization", b"Bearer \xff\xfe"), (b"authorization", b"Bearer a.b.c"), (b"authorization", b"HMAC-SHA256 \xe9"),
    (b"x-functions-key", b"\xff\xfe\xfd"), (b"x-ms-date", b"\xff"), (b"content-type", b"\xff\xfe/\xc3"),
    (b"traceparent", b"\xff\xff"), (b"x-ms-client-request-id", b"\xf0\x9f"), (b"if-match", b"\xff"),
    (b"if-modified-since", b"\xff"), (b"if-unmodified-since", b"\xff"), (b"content-encoding", b"\xff"),
    (b"host", b"\xff\xfe"), (b"host", b"a b"), (b"host", b"[::1"), (b"host", b":99999999"), (b"host", b""),
    (b"cookie", b"\xff=\x80; a=;;"), (b"range", b"bytes=\xff"), (b"accept", b"\xff" * 2_000), (b"origin", b"\xff"),
    (b"webhook-request-origin", b"\xff\xfe"), (b"aeg-event-type", b"\xff"), (b"expect", b"\xff"),
    (b"expect", b"100-continue"), (b"content-length", b"-1"), (b"x-forwarded-for", b"\xff"), (b"upgrade", b"websocket"),
)  # fmt: skip
TARGETS = (
    b"%00", b"%", b"%zz", b"%ff%fe", b"%C0%80", b"/../..", b"//", b"?\xff=\xfe", b"?a=%00", b"?%ff=%00&api-version=%ff",
    b"#x", b"%ed%a0%80", b"\xe4\xb8\xad", b":", b";:accept", b"?" + b"a=1&" * 2_000, b"%0d%0a", b"%252e%252e/",
    b"?from=0001-01-01T00:00:00Z&to=0001-01-01T00:00:00%2B14:00&tz=Pacific/Kiritimati",
    b"?to=9999-12-31T23:59:59-14:00&grain=1d&tz=America/Adak", b"?at=9999-12-31T23:59:59-14:00&tz=../../etc/passwd",
    b"?maxpagesize=1e9&continuationToken=%ff%fe", b"?api-version=2023-11-01&api-version=x",
)  # fmt: skip
OTHERS = (
    (b"GET", b"/"), (b"GET", b"/health"), (b"GET", b"/openapi.json"), (b"GET", b"/metrics-explorer"),
    (b"GET", b"/metrics-explorer/api/metrics"), (b"GET", b"/admin/host/status"), (b"GET", b"/runtime/x"),
    (b"POST", b"/runtime/webhooks/eventgrid?functionName=OnJobEvent&code=x"), (b"OPTIONS", b"/runtime/webhooks/eventgrid"),
)  # fmt: skip


def routes() -> list[tuple[bytes, bytes]]:
    found = [(one.method.encode(), b"/" + re.sub(r"\{[^}]*\}", "x", one.route).encode()) for one in OPERATIONS]
    return [*found, *OTHERS]


def hostile(signed: bool) -> Iterator[tuple[bytes, bytes, Header | None]]:
    """Each route with each method, header and target, one odd thing at a time."""
    for method, target in routes():
        yield from ((method, target, header) for header in HEADERS)
        if signed:
            for odd in TARGETS:
                yield method, target + odd, None
                yield method, target.replace(b"/x", b"/" + odd.replace(b"?", b"%3f") + b"x", 1), None
        yield from ((other, target, None) for other in METHODS)


async def exchange(port: int, method: bytes, target: bytes, headers: Sequence[Header]) -> bytes:
    """The status line's code, or what came instead. Who is asked to come again does so."""
    status = b"no answer"
    for _ in range(MOST_TRIES):
        try:
            answer = await asyncio.wait_for(_exchange(port, method, target, headers), _LONGEST_SECONDS)
        except TimeoutError:
            break
        answers = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
        status = answers[-1].split()[1] if answers else answer[:80]
        if status not in (b"429", b"503") or b"\r\nretry-after:" not in answer.lower():
            break
        await asyncio.sleep(1)
    return status


async def _exchange(port: int, method: bytes, target: bytes, headers: Sequence[Header]) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [method + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in headers)]
    try:
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]))
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()


async def attack(ground: Ground, tally: Tally) -> None:
    """Never a 5xx for what a client sent."""
    wire = ground.wire
    slots = asyncio.Semaphore(4)

    async def one(method: bytes, target: bytes, odd: Header | None, signed: bool) -> None:
        host = odd[1] if odd is not None and odd[0] == b"host" else wire.host.encode()
        headers = [(b"Host", host)]
        if signed:
            text = target.decode("utf-8", "surrogateescape")
            made = sign(wire.key, method.decode("latin-1").upper(), text, wire.host, b"") if text.isascii() else {}
            given = {name.lower().encode(): value.encode() for name, value in made.items() if name != "Host"}
            headers += [(name, value) for name, value in given.items() if odd is None or name != odd[0]]
        if odd is not None and odd[0] != b"host":
            headers.append(odd)
        async with slots:
            if not ground.goes_on():
                return
            try:
                status = await exchange(wire.port, method, target, headers)
            except ConnectionError:
                status = b""  # refused before it was read
        held = status in (b"", b"100") or (status.isdigit() and 200 <= int(status) < 500)
        tally.tried(held, f"{method!r} {target[:80]!r} {odd}: {status!r}")

    every = [(*odd, signed) for signed in (True, False) for odd in hostile(signed)]
    ground.chance.shuffle(every)
    await asyncio.gather(*(one(*odd) for odd in every))


async def identities(ground: Ground, tally: Tally) -> None:
    """What is not signed as the clients sign it is refused."""
    wire, chance = ground.wire, ground.chance
    target = "/routing/jobs?api-version=2023-11-01"
    while ground.goes_on():
        good = sign(wire.key, "GET", target, wire.host)
        credentials = good["Authorization"]
        date, hashed = good["x-ms-date"], good["x-ms-content-sha256"]
        last = credentials[-2]
        changes: list[tuple[str, list[tuple[str, str]]]] = [
            ("two headers, the good one last", [("Authorization", "HMAC-SHA256 x"), ("Authorization", credentials)]),
            ("two headers, the good one first", [("Authorization", credentials), ("Authorization", "Bearer x")]),
            ("twice the same", [("Authorization", credentials), ("Authorization", credentials)]),
            ("more parameters", [("Authorization", f"{credentials}&Signature={credentials.rpartition('=')[2]}")]),
            ("no signature", [("Authorization", credentials.partition("&")[0])]),
            ("another last letter", [("Authorization", f"{credentials[:-2]}{'A' if last != 'A' else 'B'}=")]),
            ("a date without a zone", [("Authorization", credentials), ("x-ms-date", date.replace(" GMT", ""))]),
            ("two dates", [("Authorization", credentials), ("x-ms-date", date)]),
            ("an empty date", [("Authorization", credentials), ("x-ms-date", "")]),
            ("two hashes", [("Authorization", credentials), ("x-ms-content-sha256", hashed)]),
        ]
        what, changed = chance.choice(changes)
        headers = [("Host", wire.host), *changed]
        names = {name for name, _ in changed}
        if what.startswith("two dates") or "x-ms-date" not in names:
            headers.append(("x-ms-date", date))
        if "x-ms-content-sha256" not in names or what == "two hashes":
            headers.append(("x-ms-content-sha256", hashed))
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        status = await exchange(wire.port, b"GET", target.encode(), encoded)
        tally.tried(status in (b"401", b"400"), f"{what}: {status!r}")


async def pages(ground: Ground, tally: Tally) -> None:
    """Local pages answer loopback names alone."""
    port = ground.wire.port
    foreign = (
        "evil.example",
        "localhost.evil.example",
        f"127.0.0.1.evil.example:{port}",
        "0.0.0.0",
        "[::]",
        "10.0.0.1",
    )
    while ground.goes_on():
        path = ground.chance.choice(
            (b"/metrics-explorer", b"/metrics-explorer/api/metrics", b"/metrics-explorer/page.js")
        )
        name = ground.chance.choice(foreign)
        host = name if ground.chance.random() < 0.5 else f"localhost:{port}"
        headers = [(b"Host", host.encode())]
        if host != name:
            headers.append((b"Origin", f"http://{name}".encode()))
        status = await exchange(port, b"GET", path, headers)
        tally.tried(status in (b"403", b"400"), f"{headers}: {status!r}")
