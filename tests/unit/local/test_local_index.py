"""Indexing: what the platform's worker accepts of an app, and what it refuses. Both workers are asked: the thin one, and
the one of this Python, which is Microsoft's from 3.13 on."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from local.host.index import IndexingError
from local.host.thin import ThinWorker
from local.host.worker import FunctionFailed, HttpCall, Worker
from local.host.workers import open_worker
from local.options import ROOT

HEAD = """
from __future__ import annotations
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""
GOOD = """
@app.function_name("GetThing")
@app.route(route="things/{id}", methods=["GET"])
async def get_thing(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse()
"""
Open = Callable[[Path, str], Awaitable[Worker]]
_numbers = itertools.count()


async def thin(folder: Path, module: str) -> Worker:
    return ThinWorker(folder, module)


each_worker = pytest.mark.parametrize("opened", [thin, open_worker])


async def load(opened: Open, folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> Worker:
    # A name of its own for each module: they stay imported.
    name = f"indexed_{next(_numbers)}"
    (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return await opened(folder, name)


@each_worker
async def test_an_app_with_all_kinds_of_triggers(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = Path(__file__).with_name("sample_app").joinpath("function_app.py").read_text()
    worker = await load(opened, tmp_path, text, monkeypatch)
    functions = {function.name: function for function in worker.functions}
    assert functions["OnEvent"].trigger == "eventGridTrigger"
    assert functions["OnTick"].settings["schedule"] == "* * * * * *"
    assert functions["CancelThing"].settings["route"] == "things/{thingId}:cancel"
    assert functions["PutThing"].settings["methods"] == ["PUT", "PATCH"]
    headers = {"x-one": "1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    call = HttpCall("PUT", "http://h/things/1?a=b", headers, {"a": "b"}, {"thingId": "1"}, b"{}")
    answer = await worker.call_http(functions["PutThing"], call)
    seen = json.loads(answer.body)
    assert (answer.status, list(answer.cookies)) == (200, ["a=1", "b=2"])
    assert seen == {
        "function": "PutThing",
        "method": "PUT",
        "url": "http://h/things/1?a=b",
        "headers": headers,
        "params": {"a": "b"},
        "route": {"thingId": "1"},
        "body": "{}",
    }
    plain = await worker.call_http(functions["PlainText"], HttpCall("GET", "http://h/", {}, {}, {}, b""))
    assert (plain.status, plain.body) == (200, "ä".encode())
    with pytest.raises(FunctionFailed, match="RuntimeError: secret"):
        await worker.call_http(functions["Break"], HttpCall("GET", "http://h/", {}, {}, {}, b""))
    await worker.call_json(functions["OnTick"], '{"IsPastDue": false, "Schedule": {}, "ScheduleStatus": {}}')
    await worker.finish(1)


@each_worker
async def test_the_good_example_is_good(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await load(opened, tmp_path, HEAD + GOOD, monkeypatch)
    assert [function.name for function in worker.functions] == ["GetThing"]


@each_worker
async def test_what_is_no_answer_is_a_failure(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await load(opened, tmp_path, HEAD + GOOD.replace("func.HttpResponse()", "None"), monkeypatch)
    with pytest.raises(FunctionFailed, match="TypeError"):
        await worker.call_http(worker.functions[0], HttpCall("GET", "http://h/", {}, {}, {}, b""))


@each_worker
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "0 function apps|Could not find top level"),
        (HEAD + GOOD + "again = app\n", "2 function apps|More than one"),
        (HEAD, "registers no functions"),
        (HEAD + GOOD.replace("GetThing", "1Thing"), "name must match"),
        (HEAD + GOOD.replace("context: func.Context", "other: str"), "are not its bindings|declared in Python"),
        (
            HEAD + GOOD.replace("req: func.HttpRequest", "req: func.EventGridEvent"),
            "does not fit|do not match|does not match",
        ),
        (HEAD + GOOD.replace("-> func.HttpResponse", "-> dict"), "must return|does not match"),
        (HEAD + GOOD.replace("-> func.HttpResponse", "-> Unknown"), "'Unknown' is not defined"),
        (
            HEAD + GOOD.replace('@app.route(route="things/{id}", methods=["GET"])', '@app.warm_up_trigger("req")'),
            "does not serve a trigger|do not match",
        ),
        (HEAD + GOOD + GOOD, "unique"),
    ],
)
async def test_an_app_that_is_refused(
    opened: Open, tmp_path: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IndexingError, match=message):
        await load(opened, tmp_path, text, monkeypatch)


async def test_a_folder_without_an_app(tmp_path: Path) -> None:
    with pytest.raises(IndexingError, match=r"no function_app\.py"):
        await open_worker(tmp_path)


def test_the_router_runs_under_the_worker_of_this_python() -> None:
    """Microsoft's from 3.13 on. In a process of its own, as the host starts it."""
    code = (
        "import asyncio; from local.host.workers import open_worker; from pathlib import Path;"
        "worker = asyncio.run(open_worker(Path.cwd())); print(worker.name); print(len(worker.functions))"
    )
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    name, count = said.splitlines()[-2:]
    if sys.version_info >= (3, 13):
        assert name.startswith("azure-functions-runtime ")
    else:
        assert name.startswith("a thin loader for Python 3.1")
    assert int(count) > 40
