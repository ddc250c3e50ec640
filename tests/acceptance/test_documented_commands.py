"""What stands in code blocks of the README and the pages runs as it is printed, or says why it is not run.

A block that cannot run here has `<!-- not run: why -->` in the line before it. In all others no more than the address
of the router, and that of a reader's webhook, is put in the place of the printed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from aiohttp import web
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import LongestIdleMode, RouterChannel
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError

from jobrouter import launcher
from local.options import ROOT
from tests.eventually import eventually
from tests.local_router import LocalRouter, clean_environment

pytestmark = pytest.mark.ours

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "testkit" / "README.md", *ROOT.glob("docs/*.md")])
_BLOCK = re.compile(
    r"(?:^ *<!-- not run: ([^\n]*) -->\n)?^ *```(sh|powershell|python)\n(.*?)^ *```", re.MULTILINE | re.DOTALL
)
#: The page's test runs in a pytest of its own.
ELSEWHERE = {("docs/testing-your-app.md", "python"): ROOT / "tests" / "acceptance" / "test_testkit.py"}
_REASON = 10


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str
    #: Why it is not run; None where it is.
    reason: str | None


def blocks_of(page: Path) -> list[Block]:
    name = str(page.relative_to(ROOT))
    return [Block(name, match[2], match[3], match[1]) for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
RUN = [one for one in BLOCKS if one.reason is None]


def lines_of(page: str) -> list[str]:
    """The command lines of a page that are run, without their remarks."""
    texts = [one.text for one in RUN if (one.page, one.language) == (page, "sh")]
    lines = [re.sub(r"(?:^|\s+)#.*", "", line) for text in texts for line in text.splitlines()]
    return [line.strip() for line in lines if line.strip()]


def python_of(page: str) -> list[str]:
    return [one.text for one in RUN if (one.page, one.language) == (page, "python")]


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRouter]:
    """One for all pages; the last command of a page empties it."""
    router = LocalRouter(tmp_path_factory.mktemp("router"))
    yield router
    router.end()


@pytest.fixture(scope="module")
def environment(router: LocalRouter, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A reader's who has started the router: `jobrouter` is on PATH. pip installs nothing, and `make` only says what
    it would do: this installation is the developer's own."""
    commands = tmp_path_factory.mktemp("bin")
    launcher.write(commands, Path(sys.executable))
    return {
        **{name: value for name, value in clean_environment().items() if not name.startswith("PIP_")},
        "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DATA_DIR": str(router.data_dir),
        "PORT": str(router.port),
        "ROUTER_ENDPOINT": router.endpoint,
        "PIP_NO_INDEX": "1",
        "PIP_DRY_RUN": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "MAKEFLAGS": "n",
    }


def test_every_block_is_run_or_says_why_not() -> None:
    runs = {("README.md", "sh"), ("README.md", "python"), ("CONTRIBUTING.md", "sh"), ("docs/command.md", "sh")}
    runs |= {("docs/events.md", "python"), ("docs/powerfx.md", "python"), *ELSEWHERE}
    assert {(one.page, one.language) for one in RUN} == runs
    assert [one for one in BLOCKS if one.reason is not None and len(one.reason) < _REASON] == []
    for (name, _), test in ELSEWHERE.items():
        assert Path(name).name in test.read_text(encoding="utf-8")
    # No other fence hides a command.
    for page in PAGES:
        named = re.findall(r"^ *```([^\n]*)\n", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named[::2]) <= {"sh", "powershell", "python", "json", "kusto", "mermaid", ""}, page


def test_the_readmes_example_closes_a_job(router: LocalRouter, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = python_of("README.md")
    assert '"http://localhost:7071"' in example
    code = compile(example.replace("http://localhost:7071", router.endpoint), "README.md", "exec")
    for _ in range(2):  # a reader tries it again
        exec(code, {})
        assert capsys.readouterr().out == "closed\n"


def test_the_readmes_commands(environment: dict[str, str]) -> None:
    told = {line: run(line, environment, ROOT) for line in lines_of("README.md")}
    assert "-m local" in told.pop("make start")
    assert "closed" in told.pop(".venv/bin/python examples/quickstart.py")
    assert "already satisfied" in told.pop("pip install azure-communication-jobrouter")
    assert [line for line in told if not line.startswith("curl ")] == []


def test_the_contributors_commands(environment: dict[str, str]) -> None:
    *made, aside, question = lines_of("CONTRIBUTING.md")
    assert aside.endswith(" &")
    assert all(run(line, environment, ROOT) for line in made)
    waits = start(aside.removesuffix(" &"), environment, ROOT)
    try:
        assert "waits in chats" in str(waits.stdout and waits.stdout.readline())
        assert "Waits in queue 'chats'" in run(question, environment, ROOT)
    finally:
        waits.kill()
        waits.wait()


@pytest.mark.timeout(300)  # twenty processes, one after the other
def test_the_commands_of_the_command(router: LocalRouter, environment: dict[str, str], tmp_path: Path) -> None:
    """In the order of the page. Those that never end run side by side until each has told of something."""
    case = Case(router)
    lines = lines_of("docs/command.md")
    endless = [line for line in lines if re.search(r"--watch|jobrouter tail|jobrouter listen", line)]
    assert len(endless) == 4
    with webhook(next(one for one in python_of("docs/events.md") if "router_events(" in one)) as (address, seen):
        listening = [start(line.replace("http://localhost:3000", address), environment, tmp_path) for line in endless]
        lines_told = [Lines(process.stdout) for process in listening]

        def told() -> bool:
            case.stir()
            return all(lines_told)

        eventually(told, "each has told of something", 60)
        for process in listening:
            process.send_signal(signal.SIGINT)
        assert {process.wait(30) for process in listening} <= {0, 130}
        eventually(lambda: any("case-1" in event for event in seen), "the webhook is told of the job", 1)

    case.stir()
    codes = {"jobrouter start": 1}  # it runs already, and it says where
    told_by = {line: run(line, environment, tmp_path, codes.get(line, 0)) for line in lines if line not in endless}
    assert f"runs already: http://localhost:{router.port}" in told_by["jobrouter start"]
    assert "case-1" in told_by["jobrouter ls jobs"]
    assert "ada" in told_by["jobrouter ls workers --queue support"]
    assert "queueId: support" in told_by["jobrouter show job case-1"]
    assert "ada" in told_by["jobrouter explain case-1"]
    assert "bob" in told_by["jobrouter drain ada bob"]
    assert re.search(
        r"Deleted \d+ jobs?, \d+ workers, \d+ queues?, .*\d+ distribution polic(y|ies)",
        told_by["jobrouter purge --all"],
    )
    assert "0 as in the files" in told_by["jobrouter plan config"]
    assert len(told_by) == len(lines) - len(endless)


def test_what_stands_on_the_pages_of_events_and_expressions() -> None:
    made: dict[str, Any] = {}
    for example in python_of("docs/events.md"):
        exec(compile(example, "events.md", "exec"), made)
    assert {"router_events", "router_cloud_events", "on_offer"} <= made.keys()
    (example,) = python_of("docs/powerfx.md")
    for line in example.splitlines():
        code, _, answer = line.partition("#")
        if answer and "Decimal(" in answer:
            assert repr(eval(code.strip(), made)) == answer.strip().replace('"', "'")
        else:
            exec(code.strip(), made)


class Case:
    """What the page's commands speak of: the queue support, its workers ada and bob, the job case-1."""

    def __init__(self, router: LocalRouter) -> None:
        key = AzureKeyCredential(router.key)
        administration = JobRouterAdministrationClient(router.endpoint, key)
        administration.upsert_distribution_policy("fair", mode=LongestIdleMode())
        administration.upsert_queue("support", distribution_policy_id="fair")
        self._client = JobRouterClient(router.endpoint, key)
        chat = RouterChannel(channel_id="chat", capacity_cost_per_job=1)
        for worker in ("ada", "bob"):
            self._client.upsert_worker(worker, capacity=1, queues=["support"], channels=[chat])

    def stir(self) -> None:
        """The job anew: something to tell of."""
        with contextlib.suppress(HttpResponseError):
            self._client.cancel_job("case-1")
            self._client.delete_job("case-1")
        self._client.upsert_job("case-1", channel_id="chat", queue_id="support")


class Lines:
    """Whether a process has told anything yet."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._first = ""
        assert stream is not None
        self._stream = stream
        threading.Thread(target=self._read, daemon=True).start()

    def __bool__(self) -> bool:
        return self._first != ""

    def _read(self) -> None:
        for line in self._stream:
            self._first = self._first or line


def run(line: str, environment: dict[str, str], folder: Path, code: int = 0) -> str:
    """One line in a shell, with somebody who answers yes; what it told."""
    with yes() as answer:
        done = subprocess.run(
            ["bash", "-c", line], stdin=answer, cwd=folder, env=environment, capture_output=True, text=True, timeout=110
        )
    assert done.returncode == code, f"{line}: {done.returncode} {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def start(line: str, environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", f"exec env {line}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=folder, env=environment, text=True
    )  # fmt: skip


@contextmanager
def yes() -> Iterator[int]:
    """A terminal on which yes is typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"y\n")
        yield theirs
    finally:
        os.close(theirs)
        os.close(ours)


@contextmanager
def webhook(example: str) -> Iterator[tuple[str, list[str]]]:
    """The page's webhook on a free port, and what it printed."""
    printed: list[str] = []
    made: dict[str, Any] = {"print": lambda *values: printed.append(" ".join(map(str, values)))}
    exec(compile(example, "events.md", "exec"), made)
    loop = asyncio.new_event_loop()

    async def serve() -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_post("/events", made["router_events"])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    runner, port = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://localhost:{port}", printed
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
