"""The command's parts that need no router: texts, plans, completion, where it connects."""

from __future__ import annotations

import base64
import re
import shlex
import shutil
import subprocess
from argparse import Namespace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobrouter import change, completion, events, files, output, plan
from jobrouter.command import main, make_parser, parse
from jobrouter.connect import endpoint
from jobrouter.failure import CommandError
from jobrouter.spelling import spelled
from local.options import DEVELOPMENT_KEY, ROOT, read_options
from local.parts import make_parts, save_parts
from router.migrate.kinds import CLASSIFICATION, DISTRIBUTION, EXCEPTION, QUEUE, WORKER, Document, Kind
from router.migrate.secrets import Secrets


def test_a_table_holds_what_clients_write() -> None:
    """An id that moves the cursor, or ends the line, stays in its place."""
    rows = [("a\x1b[2J\nb", None, True), ("ü", "", 1.5)]
    assert output.table(("ID", "B", "C"), rows).splitlines() == [
        "ID           B  C",
        "a\\x1b[2J\\nb  -  yes",
        "ü            -  1.5",
    ]


def test_a_document_is_an_outline() -> None:
    shown = output.document({"id": "a", "labels": {"x": 1}, "queues": [], "offers": [{"id": "o"}]})
    assert shown.splitlines() == ["id: a", "labels:", "  x: 1", "queues: none", "offers:", "  [0]:", "    id: o"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0s"), (42, "42s"), (185, "3m 5s"), (7800, "2h 10m"), (356400, "4d 3h")]
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert output.length_of(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800)])
def test_spans(text: str, seconds: float) -> None:
    assert change.span(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "nand", "infd", "1e300d", "1w"])
def test_spans_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        change.span(text)


def state(**queues: dict[str, Any]) -> files.Configuration:
    return {
        DISTRIBUTION: {"d": {"id": "d", "etag": '"1"', "mode": {"kind": "longestIdle"}}},
        EXCEPTION: {},
        QUEUE: {id: {"id": id, "etag": '"2"', "labels": {"Id": id}, **queue} for id, queue in queues.items()},
        CLASSIFICATION: {"c": {"id": "c", "etag": '"3"'}},
        WORKER: {"w": {"id": "w", "etag": '"4"', "queues": ["q"], "capacity": 1, "state": "active"}},
    }


def shown(configuration: files.Configuration) -> files.Configuration:
    return {kind: {id: files.shown(kind, one) for id, one in all.items()} for kind, all in configuration.items()}


def steps(made: plan.Plan) -> list[tuple[str, str, str]]:
    return [(str(one.action), one.kind.name, one.id) for one in made.steps]


class TestPlans:
    def test_what_is_so_needs_nothing(self) -> None:
        there = state(q={"distributionPolicyId": "d", "name": "Q"})
        made = plan.make(shown(there), there, Secrets())
        assert (made.steps, made.same, made.extra, made.touched_queues) == ([], 4, [], [])

    def test_a_change_removes_what_the_file_has_not(self) -> None:
        there = state(q={"distributionPolicyId": "d", "name": "Q"})
        wanted = shown(there)
        wanted[QUEUE]["q"] = {"distributionPolicyId": "d", "labels": {"a": 1}}
        (step,) = plan.make(wanted, there, Secrets()).steps
        assert (step.action, step.etag, step.differs) == ("update", '"2"', ("labels.a", "name"))
        assert step.body == {"name": None, "labels": {"a": 1}, "distributionPolicyId": "d"}

    def test_what_is_named_comes_first_and_goes_last(self) -> None:
        there = state(q={"distributionPolicyId": "d"})
        empty: files.Configuration = {kind: {} for kind in there}
        created = steps(plan.make(shown(there), empty, Secrets()))
        kinds = ["DistributionPolicy", "Queue", "ClassificationPolicy", "Worker"]
        assert created == [("create", kind, id) for kind, id in zip(kinds, "dqcw", strict=True)]
        deleted = steps(plan.make(empty, there, Secrets(), prune=True))
        assert deleted == [("delete", kind, id) for kind, id in zip(reversed(kinds), "wcqd", strict=True)]
        kept = plan.make(empty, there, Secrets())
        assert (kept.steps, len(kept.extra)) == ([], 4)

    def test_a_kind_without_a_file_is_left_alone(self) -> None:
        made = plan.make({QUEUE: {}}, state(), Secrets(), prune=True)
        assert (made.steps, made.extra) == ([], [])

    @pytest.mark.parametrize("what", ["etag", "file"])
    def test_its_fingerprint_is_that_of_state_and_files(self, what: str) -> None:
        there = state(q={"name": "Q"})
        wanted = shown(there)
        wanted[QUEUE]["q"]["name"] = "R"
        first = plan.make(wanted, there, Secrets()).fingerprint
        assert plan.make(wanted, there, Secrets()).fingerprint == first
        if what == "etag":
            there[QUEUE]["q"]["etag"] = '"9"'
        else:
            wanted[QUEUE]["q"]["name"] = "S"
        assert plan.make(wanted, there, Secrets()).fingerprint != first

    def test_queues_are_touched_by_their_policies_and_workers(self) -> None:
        there = state(q={"distributionPolicyId": "d"}, r={"distributionPolicyId": "other"}, s={})
        wanted = shown(there)
        wanted[DISTRIBUTION]["d"] = {"mode": {"kind": "roundRobin"}}
        assert plan.make(wanted, there, Secrets()).touched_queues == ["q"]
        wanted = shown(there)
        wanted[WORKER]["w"]["queues"] = ["r"]
        assert plan.make(wanted, there, Secrets()).touched_queues == ["q", "r"]


def test_files_may_spell_as_requests_may() -> None:
    """What the router takes in any case it answers in its own: compared as written, it would differ for ever."""
    written: files.Configuration = {
        DISTRIBUTION: {"d": {"Mode": {"kind": "longest-idle"}, "offerexpiresafterseconds": 60}},
        QUEUE: {"q": {"id": "q", "etag": "1", "DISTRIBUTIONPOLICYID": "d", "labels": {"Any": {"Name": 1}}}},
        WORKER: {"w": {"capacity": 1, "state": "active", "channels": [{"ChannelId": "c", "maxNumberOfJobs": None}]}},
    }
    assert spelled(written) == {
        DISTRIBUTION: {"d": {"mode": {"kind": "longestIdle"}, "offerExpiresAfterSeconds": 60}},
        QUEUE: {"q": {"distributionPolicyId": "d", "labels": {"Any": {"Name": 1}}}},
        WORKER: {"w": {"capacity": 1, "labels": {}, "channels": [{"channelId": "c"}]}},
    }


@pytest.mark.parametrize(
    ("kind", "document", "told"),
    [
        (QUEUE, {"nmae": "x"}, "queues.json: a has nmae, which no Queue has."),
        (DISTRIBUTION, {"mode": {"kind": "roundRobin", "maxOffers": 2}}, "a has mode.maxOffers, which"),
        (WORKER, {"channels": [{"channelId": "c"}, {"channel": "c"}]}, "a has channels[1].channel, which"),
    ],
)
def test_a_name_that_the_router_would_drop_is_told(kind: Kind, document: Document, told: str) -> None:
    with pytest.raises(CommandError) as refused:
        spelled({kind: {"a": document}})
    assert told in str(refused.value)


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    configuration = shown(state(**{"q/ü ": {"name": "Q"}}))
    files.write(tmp_path / "a", configuration)
    assert files.read(tmp_path / "a") == configuration
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(map(files.name_of, configuration))


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"": {}}', '{"a": {"x": 1, "x": 2}}'])
def test_files_that_are_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "queues.json").write_text(text)
    with pytest.raises(CommandError, match=r"queues\.json"):
        files.read(tmp_path)


class TestWhere:
    def test_the_local_start(self, tmp_path: Path) -> None:
        environment = {"DATA_DIR": str(tmp_path), "PORT": "8123"}
        save_parts(tmp_path, make_parts(read_options(environment), None))
        found = endpoint({"DATA_DIR": str(tmp_path)})
        assert (found.url, found.key) == ("http://localhost:8123", base64.b64decode(DEVELOPMENT_KEY))

    def test_the_local_start_with_keys_of_ones_own(self, tmp_path: Path) -> None:
        keys = {"DATA_DIR": str(tmp_path), "ROUTER_ACCESS_KEYS": "b25l, dHdv"}
        save_parts(tmp_path, make_parts(read_options(keys), None))
        assert endpoint({"DATA_DIR": str(tmp_path)}).key == b"one"

    def test_the_variable_goes_first(self, tmp_path: Path) -> None:
        text = "endpoint=https://router.example/;accesskey=b25l"
        assert endpoint({"DATA_DIR": str(tmp_path), "ROUTER_CONNECTION_STRING": text}).host == "router.example"

    def test_nowhere(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="jobrouter start"):
            endpoint({"DATA_DIR": str(tmp_path)})


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_knows_every_command(shell: str) -> None:
    text = completion.script(make_parser(), shell)
    for word in ("ls", "explain", "listen", "--forward-to", "exception-policies", "--older-than", "migrate"):
        assert word in text


def test_bash_completes(tmp_path: Path) -> None:
    if (bash := shutil.which("bash")) is None:
        pytest.fail("bash is needed")
    (tmp_path / "completion").write_text(completion.script(make_parser(), "bash"))
    script = f"""
        source {tmp_path}/completion
        try() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _jobrouter; echo "${{COMPREPLY[@]}}"; }}
        try jobrouter exp
        try jobrouter ls dist
        try jobrouter listen --f
    """
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.splitlines() == ["explain export", "distribution-policies", "--forward-to"]


PAGE = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
TYPED = re.findall(r"^jobrouter (.*?)(?:\s+#.*)?$", PAGE, re.MULTILINE)
#: On other pages, in blocks and in sentences: whole commands, which have more than a name or an ellipsis.
_COMMAND = re.compile(r"(?:^\s*|`)(?:\.venv/bin/)?jobrouter ([a-z]+ [^`#\n]*)", re.MULTILINE)
SAID = {
    line.strip()
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"))
    for line in _COMMAND.findall(page.read_text(encoding="utf-8"))
    if not re.search(r"[A-Z]{3,}|\.\.\.|[$|]", line)
}


@pytest.mark.parametrize(
    "line", sorted(line for line in {*TYPED, *SAID} if line.split()[0] not in ("start", "migrate"))
)
def test_what_the_pages_say_can_be_typed(line: str) -> None:
    options = parse(make_parser(), shlex.split(line))
    assert options.command == line.split()[0]
    if line.startswith("export history") and not line.split()[-2].startswith("--"):
        assert options.file == Path(line.split()[-1])


def test_the_page_has_every_command() -> None:
    names = {line.split()[0] for line in TYPED} | set(re.findall(r"jobrouter (completion)", PAGE))
    assert names == set(completion.words(make_parser()))


@pytest.mark.parametrize(
    "arguments",
    [
        ["ls"],
        ["ls", "things"],
        ["ls", "jobs", "--watch", "0"],
        ["purge", "--older-than", "soon"],
        ["listen"],
        ["export", "history", "--from", "2026-11-28", "one", "two"],
        ["export", "history", "one", "--from", "2026-11-28", "two"],
        ["export", "history", "--from", "2026-11-28", "--since", "x"],
        ["plan", "folder", "--check", "file"],
    ],
)
def test_what_is_typed_wrongly_is_told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: jobrouter" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "history", "--from", "2026-11-28", "--to", "2026-11-29", "day.ndjson"],
        ["export", "history", "day.ndjson", "--from", "2026-11-28", "--to", "2026-11-29"],
        ["export", "history", "--from", "2026-11-28", "day.ndjson", "--to", "2026-11-29"],
    ],
)
def test_the_file_of_a_history_stands_anywhere(arguments: list[str]) -> None:
    options = parse(make_parser(), arguments)
    assert (options.file, options.since, options.until) == (Path("day.ndjson"), "2026-11-28", "2026-11-29")


def test_without_a_command_it_tells_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "explain" in told.err


def test_draining_nobody_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drain"]) == 2
    assert capsys.readouterr().err == "error: Which workers? Name them, or their queue: --queue QUEUE.\n"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("RouterJobQueue", "Do you mean RouterJobQueued?"),
        ("Microsoft.Communication.RouterJobQueue", "There is no event"),
        ("xyz", "docs/events.md names them."),
    ],
)
def test_an_event_that_there_is_none_of_is_told(typed: str, told: str) -> None:
    with pytest.raises(CommandError, match=re.escape(told)):
        events._filters(Namespace(type=[typed], subject=None))


def test_events_by_name_in_any_case_with_or_without_prefix() -> None:
    asked = Namespace(type=["routerjobqueued", "Microsoft.Communication.RouterJobClosed"], subject=None)
    wanted = ["Microsoft.Communication.RouterJobQueued", "Microsoft.Communication.RouterJobClosed"]
    assert events._filters(asked) == {"includedEventTypes": wanted}
