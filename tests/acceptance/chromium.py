"""A headless Chromium for tests, driven through its DevTools protocol: pages, keys, clicks and screenshots."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from tests.yardstick import Deadline

KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "Space": 32, "ArrowDown": 40, "ArrowUp": 38, "Home": 36, "End": 35}


#: What is done while one waits.
Meanwhile = Callable[[], Awaitable[object]]
_MEANWHILE_SECONDS = 0.12


@dataclass(frozen=True)
class Picture:
    """A screenshot's pixels."""

    width: int
    height: int
    pixels: list[bytes]
    channels: int

    def count(self, colour: tuple[int, int, int], box: tuple[float, float, float, float]) -> int:
        """How many pixels within x, y, width, height have exactly this colour."""
        return sum(1 for x, y in _inside(box) if self.at(x, y) == colour)

    def columns(self, colour: tuple[int, int, int], box: tuple[float, float, float, float]) -> set[int]:
        """The x of every pixel within the box that has the colour."""
        return {x for x, y in _inside(box) if self.at(x, y) == colour}

    def at(self, x: int, y: int) -> tuple[int, int, int]:
        start = x * self.channels
        red, green, blue = self.pixels[y][start : start + 3]
        return red, green, blue


class Page:
    """One tab."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._next = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """What the page wrote to its console as an error, and its uncaught exceptions."""
        self._heard: dict[str, list[Callable[[dict[str, Any]], None]]] = {}

    def on(self, event: str, hear: Callable[[dict[str, Any]], None]) -> None:
        """`hear` is given the parameters of each event of that name. Its domain must be enabled."""
        self._heard.setdefault(event, []).append(hear)

    async def listen(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if "id" in event:
                self._waiting.pop(event["id"]).set_result(event)
                continue
            for hear in self._heard.get(event["method"], ()):
                hear(event["params"])
            if event["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                self.complaints.append(str(event["params"]["entry"]))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._next += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._next] = answer
        await self._socket.send_json({"id": self._next, "method": method, "params": params})
        result = await asyncio.wait_for(answer, 60)
        if "error" in result:
            raise AssertionError(f"{method}: {result['error']}")
        return dict(result["result"])

    async def open(self, url: str) -> None:
        await self.send("Page.navigate", url=url)

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression, which may be a promise."""
        answer = await self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def now(self, expression: str) -> Any:
        """The value of a JavaScript expression; none where it fails."""
        return await self.run(f"(() => {{ try {{ return {expression}; }} catch {{ return null; }} }})()")

    async def until(self, expression: str, seconds: float = 15.0, meanwhile: Meanwhile | None = None) -> Any:
        """Wait until a JavaScript expression is true; its value. `meanwhile` is done again and again."""
        deadline = Deadline(seconds)
        done_at = time.monotonic()
        while not (value := await self.now(expression)):
            assert not deadline.is_over(), (
                f"never true: {expression}; the page: {await self.run('document.body.innerText')}"
            )
            if meanwhile is not None and time.monotonic() - done_at > _MEANWHILE_SECONDS:
                await meanwhile()
                done_at = time.monotonic()
            await asyncio.sleep(0.05 if meanwhile is None else 0.03)
        return value

    async def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        box = await self.box(selector)
        await self.click_at(box[0] + box[2] / 2, box[1] + box[3] / 2)

    async def click_at(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y)

    async def mouse(self, kind: str, x: float, y: float) -> None:
        """One half of a click: `mousePressed` or `mouseReleased`."""
        await self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def hover(self, x: float, y: float) -> None:
        await self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    async def type(self, text: str) -> None:
        """Into what has the focus."""
        await self.send("Input.insertText", text=text)

    async def size(self, width: int, height: int) -> None:
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def png(self) -> bytes:
        answer = await self.send("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])

    async def press(self, key: str, text: str = "") -> None:
        code = KEYS.get(key, ord(key[0].upper()))
        shown = {"Space": " "}.get(key, key)
        typed = text or {"Space": " ", "Enter": "\r"}.get(key, "")
        common = {"key": shown, "code": key, "windowsVirtualKeyCode": code}
        await self.send("Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", text=typed, **common)
        await self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    async def box(self, selector: str) -> tuple[float, float, float, float]:
        """x, y, width and height of an element that is scrolled into view."""
        found = await self.run(
            f"(() => {{ const element = document.querySelector({selector!r}); if (!element) return null;"
            " element.scrollIntoView({block: 'nearest'}); const box = element.getBoundingClientRect();"
            " return [box.x, box.y, box.width, box.height]; })()"
        )
        assert found, f"no element {selector}"
        return tuple(found)

    async def scheme(self, name: str) -> None:
        """`light` or `dark`."""
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def picture(self) -> Picture:
        return read_png(await self.png())


@cache
def browser_path() -> str:
    """Chromium's path; on a fresh machine the script installs it, or the tests fail with what it says."""
    script = Path(__file__).parents[2] / "scripts" / "ensure_chromium.sh"
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


class Browser:
    """A browser that runs."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}/json"

    @asynccontextmanager
    async def tab(self, width: int = 1200, height: int = 1000) -> AsyncIterator[Page]:
        """A tab of its own, which is closed in the end."""
        async with self._session.put(f"{self._url}/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        async with self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
            tab = Page(socket)
            listening = asyncio.create_task(tab.listen())
            try:
                for domain in ("Page", "Runtime", "Log"):
                    await tab.send(f"{domain}.enable")
                await tab.size(width, height)
                yield tab
            finally:
                listening.cancel()
                async with self._session.get(f"{self._url}/close/{target['id']}"):
                    pass

    async def close(self, address: str) -> None:
        """As its person does: the windows and tabs whose address begins so. Waits until there is one."""
        deadline = Deadline(15)
        while True:
            async with self._session.get(f"{self._url}/list") as answer:
                found = [one["id"] for one in await answer.json(content_type=None) if one["url"].startswith(address)]
            if found:
                break
            assert not deadline.is_over(), f"nothing at {address}"
            await asyncio.sleep(0.05)
        for id in found:
            async with self._session.get(f"{self._url}/close/{id}"):
                pass


@asynccontextmanager
async def page(width: int = 1200, height: int = 1000) -> AsyncIterator[Page]:
    """A fresh browser with one tab."""
    async with browser(width, height) as running, running.tab(width, height) as tab:
        yield tab


@asynccontextmanager
async def browser(width: int = 1200, height: int = 1000, *options: str) -> AsyncIterator[Browser]:
    """A fresh browser; `options` are of its command line."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            browser_path(),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--force-color-profile=srgb",
            "--remote-debugging-port=0",
            f"--window-size={width},{height}",
            f"--user-data-dir={profile}",
            *options,
            "about:blank",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with ClientSession() as session:
                yield Browser(session, port)
        finally:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _port(path: Path, process: asyncio.subprocess.Process) -> int:
    deadline = Deadline(30)
    while True:
        assert process.returncode is None, f"Chromium ended at once, with {process.returncode}"
        if (port := _written_port(path)) is not None:
            return port
        assert not deadline.is_over(), "Chromium did not open its port"
        await asyncio.sleep(0.05)


def _written_port(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    return int(lines[0]) if lines else None


def read_png(data: bytes) -> Picture:
    """Decode a PNG of 8-bit RGB or RGBA without interlacing, which is what Chromium writes."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, width, height, channels = 8, b"", 0, 0, 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
            assert body[8] == 8
            assert body[12] == 0
            channels = {2: 3, 6: 4}[body[9]]
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * channels
    rows: list[bytes] = []
    above = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        above = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), above, channels)
        rows.append(bytes(above))
    return Picture(width, height, rows, channels)


def _unfiltered(kind: int, line: bytearray, above: bytearray, channels: int) -> bytearray:
    for index in range(len(line)):
        left = line[index - channels] if index >= channels else 0
        up = above[index]
        corner = above[index - channels] if index >= channels else 0
        if kind == 1:
            line[index] = (line[index] + left) & 255
        elif kind == 2:
            line[index] = (line[index] + up) & 255
        elif kind == 3:
            line[index] = (line[index] + (left + up) // 2) & 255
        elif kind == 4:
            line[index] = (line[index] + _paeth(left, up, corner)) & 255
    return line


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    far = (abs(guess - left), abs(guess - up), abs(guess - corner))
    if far[0] <= far[1] and far[0] <= far[2]:
        return left
    return up if far[1] <= far[2] else corner


def _inside(box: tuple[float, float, float, float]) -> list[tuple[int, int]]:
    x, y, width, height = (round(value) for value in box)
    return [(column, row) for row in range(y, y + height) for column in range(x, x + width)]
