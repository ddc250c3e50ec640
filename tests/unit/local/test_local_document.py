"""Who gets the OpenAPI document without a signature: the developer at this machine. Deployed, nobody."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer, make_mocked_request

from local import document
from local.options import ROOT
from router.api import functions


@pytest.fixture
def app() -> web.Application:
    async def of_the_app(_: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    document.mount(app, "")
    app.router.add_route("*", r"/{path:[\s\S]*}", of_the_app)
    return app


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("HEAD", {}, 200),
        ("POST", {}, 401),
        ("GET", {"Host": "10.0.0.5:7071"}, 401),
        ("GET", {"Origin": "https://page.example"}, 401),
        ("GET", {"Authorization": "Bearer x"}, 401),
    ],
)
async def test_the_others_find_the_app(app: web.Application, method: str, headers: dict[str, str], status: int) -> None:
    async with TestClient(TestServer(app)) as client, client.request(method, document.PATH, headers=headers) as answer:
        assert answer.status == status
        if (method, status) == ("GET", 200):
            assert (await answer.json())["openapi"] == "3.1.0"


async def test_it_is_not_made_on_the_event_loop(app: web.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """That takes 200 ms the first time."""
    threads: list[threading.Thread] = []

    def make() -> bytes:
        threads.append(threading.current_thread())
        return b"{}"

    monkeypatch.setattr(functions, "_openapi_bytes", make)
    async with TestClient(TestServer(app)) as client, client.get(document.PATH) as answer:
        assert await answer.read() == b"{}"
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize(
    ("address", "opened"), [("127.0.0.1", True), ("::1", True), ("172.17.0.1", False), ("", False)]
)
async def test_a_loopback_name_from_another_machine_is_not_enough(
    app: web.Application, address: str, opened: bool
) -> None:
    """In a container the ports listen beyond loopback, and a name is whatever the client writes."""
    request = make_mocked_request("GET", document.PATH, headers={"Host": "localhost:7071"}).clone(remote=address)
    found = await app.router.resolve(request)
    assert (found.handler is document._tell) is opened


def test_what_is_deployed_knows_nothing_of_it() -> None:
    """The function app loads nothing of `local`, and the package that is deployed leaves it out."""
    code = "import sys, function_app; print([name for name in sys.modules if name.split('.')[0] == 'local'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
    assert "local/" in (ROOT / ".funcignore").read_text(encoding="utf-8").split()
