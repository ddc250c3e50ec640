"""What stands in code blocks of the README and the pages runs as it is printed, or says why it is not run.

A block that cannot run here has `<!-- not run: why -->` in the line before it: commands of `az`, `azd up` and `func` need
Azure, and some install into the reader's own application or ask the internet. Of these the syntax is checked (not that
of PowerShell), and that what they ask of a deployment is among its outputs. In all others no more than the address of
the router, that of a reader's webhook, the day and the connection strings of a move are put in the place of the printed
ones; what `azd` says of a deployment is said of the local router.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import pytest
from aiohttp import web
from azure.communication.jobrouter import JobRouterAdministrationClient, JobRouterClient
from azure.communication.jobrouter.models import LongestIdleMode, RouterChannel
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from jobrouter import launcher
from local.options import ROOT
from tests.acceptance.migrate_pair import connection_string
from tests.eventually import eventually
from tests.local_router import LocalRouter, clean_environment
from tests.unit.whatif.whatif_days import lines as day_lines
from tests.unit.whatif.whatif_days import profile

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


TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
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
    deployed = commands / "azd"
    deployed.write_text(
        '#!/bin/sh\n[ "$1 $2" = "env get-value" ] || exit 1\ncase "$3" in\n'
        f"ROUTER_ENDPOINT) echo '{router.endpoint}' ;;\n"
        f"ROUTER_CONNECTION_STRING_COMMAND) echo 'echo \"{connection_string(router)}\"' ;;\n*) exit 1 ;;\nesac\n"
    )
    deployed.chmod(0o755)
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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the commands name of the repository, into which they may write."""
    for name in ("router", "scripts", "jobrouter"):
        (tmp_path / name).symlink_to(ROOT / name)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    launcher.write(commands, Path(sys.executable))
    (commands / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (commands / "python").chmod(0o755)
    return tmp_path


def test_every_block_is_run_or_says_why_not() -> None:
    runs = {("README.md", "sh"), ("README.md", "python"), ("CONTRIBUTING.md", "sh"), ("docs/command.md", "sh")}
    runs |= {("docs/events.md", "python"), ("docs/powerfx.md", "python"), *ELSEWHERE}
    runs |= {(f"docs/{page}.md", "sh") for page in ("deployment", "migrating-from-acs", "operations", "whatif")}
    assert {(one.page, one.language) for one in RUN} == runs
    assert [one for one in BLOCKS if one.reason is not None and len(one.reason) < _REASON] == []
    for (name, _), test in ELSEWHERE.items():
        assert Path(name).name in test.read_text(encoding="utf-8")
    # No other fence hides a command.
    for page in PAGES:
        named = re.findall(r"^ *```([^\n]*)\n", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert set(named[::2]) <= {"sh", "powershell", "python", "json", "kusto", "mermaid", ""}, page
        # Nor does a block without a fence.
        assert (
            re.findall(
                r"^    (?:\S*/)?(?:jobrouter|make|python\d?|pip|az|azd|func|curl|npm) ", TEXTS[page], re.MULTILINE
            )
            == []
        )


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.reason], ids=lambda one: f"{one.page}-{one.language}")
def test_what_is_not_run_can_be_read(block: Block) -> None:
    if block.language == "sh":
        told = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, timeout=20)
        assert (told.returncode, told.stderr) == (0, "")
    elif block.language == "python":
        compile(block.text, block.page, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_asked_of_a_deployment_is_among_its_outputs(page: Path) -> None:
    outputs = re.findall(r"^output (\w+) ", (ROOT / "infra" / "main.bicep").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"azd env get-value (\w+)", TEXTS[page])) <= set(outputs)


def test_the_readmes_example_closes_a_job(router: LocalRouter, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = python_of("README.md")
    assert '"http://localhost:7071"' in example
    code = compile(example.replace("http://localhost:7071", router.endpoint), "README.md", "exec")
    for _ in range(2):  # a reader tries it again
        exec(code, {})
        assert capsys.readouterr().out == "closed\n"


def test_the_readmes_commands(environment: dict[str, str]) -> None:
    *lines, move = lines_of("README.md")
    assert "-m router.migrate" in move  # the next test
    told = {line: run(line, environment, ROOT) for line in lines}
    assert "-m local" in told.pop("make start")
    assert "closed" in told.pop(".venv/bin/python examples/quickstart.py")
    assert "already satisfied" in told.pop("pip install azure-communication-jobrouter")
    assert [line for line in told if not line.startswith("curl ")] == []


def test_the_commands_of_the_move(
    router: LocalRouter, environment: dict[str, str], checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Another local router stands where ACS is. Waiting jobs go over, and the two are the same."""
    source = LocalRouter(tmp_path_factory.mktemp("source"))
    try:
        Case(source).stir()
        ends = {"@acs.txt": connection_string(source), "@router.txt": connection_string(router)}
        for file, text in ends.items():
            (checkout / file.removeprefix("@")).write_text(text)
        (reads,) = [line for line in lines_of("README.md") if "router.migrate" in line]
        for name, text in zip(("ACS", "router"), ends.values(), strict=True):
            assert f'"<{name} connection string>"' in reads
            reads = reads.replace(f"<{name} connection string>", text)
        shows, copies, compares = lines_of("docs/migrating-from-acs.md")
        (command,) = [line for line in lines_of("docs/command.md") if line.startswith("jobrouter migrate")]
        for line in (reads, shows, command):
            assert "case-1" in (told := run(line, environment, checkout)) or re.search(r"\b1 job", told), told
        client = JobRouterClient(router.endpoint, AzureKeyCredential(router.key))
        with pytest.raises(ResourceNotFoundError):
            client.get_job("case-1")
        run(copies, environment, checkout)
        assert client.get_job("case-1").status == "queued"
        run(compares, environment, checkout)
    finally:
        source.end()
        run("jobrouter purge --all --yes", environment, checkout)


@pytest.mark.timeout(300)
def test_the_commands_of_the_what_if_page(router: LocalRouter, environment: dict[str, str], checkout: Path) -> None:
    """With made days; and the router tells of today."""
    made = profile(1)
    (checkout / "profile.json").write_text(json.dumps(made))
    (checkout / "change.json").write_text(json.dumps({"workers": {"remove": ["plain-1"]}}))
    (checkout / "day.ndjson").write_text("\n".join(day_lines(made)) + "\n")
    shown = [line for line in lines_of("docs/command.md") if " whatif " in line]
    *first, export, shadow = lines_of("docs/whatif.md")
    assert (len(shown), len(first)) == (2, 3)
    for line in (*shown, *first):
        assert "service level" in run(line, environment, checkout), line
    assert "<svg" in (checkout / "page.html").read_text(encoding="utf-8")

    Case(router).stir()
    today = datetime.now(UTC).date()
    span = "--from 2026-11-28 --to 2026-11-29"
    assert span in export
    export = export.replace(span, f"--from {today} --to {today + timedelta(days=1)}")

    def exported() -> bool:
        run(export, environment, checkout)
        return "case-1" in (checkout / "day.ndjson").read_text(encoding="utf-8")

    eventually(exported, "what has just happened is in the history", 30)
    # A day of a few busy minutes need not be one that can be played again: the made one is.
    (mode,) = made["distributionPolicies"].values()
    candidates = profile(
        1,
        queues={"q": {"distributionPolicyId": "d", "labels": {"shadowPolicyId": "other"}}},
        distributionPolicies={"d": mode, "other": {**mode, "mode": {"kind": "roundRobin"}}},
    )
    (checkout / "day.ndjson").write_text("\n".join(day_lines(candidates)) + "\n")
    assert "service level" in run(shadow, environment, checkout)
    assert "<svg" in (checkout / "shadow.html").read_text(encoding="utf-8")


def test_the_commands_to_a_deployed_router(router: LocalRouter, environment: dict[str, str], checkout: Path) -> None:
    connection, health, first = lines_of("docs/deployment.md")
    assert run(connection, environment, checkout).strip() == connection_string(router)
    assert '"ready"' in run(health, environment, checkout)
    told = run(first, environment, checkout)
    assert "ok    removed" in told
    assert "FAIL" not in told
    Case(router).stir()
    (explain,) = lines_of("docs/operations.md")
    assert "case-1 is queued" in run(explain, environment, checkout)


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
    elsewhere = re.compile(r"^jobrouter (whatif|migrate) ")
    lines = [line for line in lines_of("docs/command.md") if not elsewhere.match(line)]
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
        eventually(lambda: any("case-1" in event for event in seen), "the webhook is told of the job")

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
        ["bash", "-c", f"exec env {line}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=folder,
        env=environment,
        text=True,
        # As in a terminal: who runs in the background has inherited that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


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
