"""What is wrong with the command line is told in one line, before any router is asked, or at least written to."""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from router.migrate import snapshot
from router.migrate.client import Client
from router.migrate.command import main
from router.migrate.kinds import KINDS, QUEUE, Kind
from router.migrate.snapshot import Snapshot

KEY = base64.b64encode(b"k" * 32).decode()
HERE, THERE = (f"endpoint=http://127.0.0.1:{port}/;accesskey={KEY}" for port in (1, 2))


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> dict[str, Snapshot]:
    """What the two routers hold, by their ports, in place of reading it; nothing may be written."""
    held: dict[str, Snapshot] = {str(port): {kind: {} for kind in KINDS} for port in (1, 2)}

    async def read(client: Client, seen: Callable[[Kind, int], None]) -> Snapshot:
        return held[client.endpoint.host.rpartition(":")[2]]

    async def upsert(*arguments: Any, **options: Any) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr(snapshot, "read", read)
    monkeypatch.setattr(Client, "upsert", upsert)
    return held


def told(capsys: pytest.CaptureFixture[str], *arguments: str, source: str = HERE) -> str:
    """The one line that a run with these arguments ends with."""
    try:
        code = main(["--from", source, "--to", THERE, *arguments])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    assert code == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert KEY not in written.err
    *usage, line = written.err.splitlines()
    assert all(part.startswith(("usage:", " ")) for part in usage)
    return line


@pytest.mark.parametrize("port", ["x", "99999", "-1", "80 "])
def test_a_port_that_is_none(capsys: pytest.CaptureFixture[str], port: str) -> None:
    source = f"endpoint=http://127.0.0.1:{port}/;accesskey={KEY}"
    assert told(capsys, source=source).startswith("error: The endpoint of a connection string has a port")


def test_an_address_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert "an address that is none" in told(capsys, source=f"endpoint=http://[::1/;accesskey={KEY}")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "trust.pem"
    if content is not None:
        file.write_text(content)
    assert told(capsys, "--trust", str(file)).startswith(f"error: The certificate file {file} cannot be read: ")


@pytest.mark.parametrize("count", ["x", "0", "101", "-1", "1.5"])
def test_a_concurrency_that_is_none(capsys: pytest.CaptureFixture[str], count: str) -> None:
    wanted = f"argument --concurrency: must be a number from 1 to 100, not '{count}'"
    assert told(capsys, f"--concurrency={count}").endswith(wanted)


def test_a_connection_string_that_cannot_be_read_from_its_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "cannot be read" in told(capsys, source=f"@{tmp_path / 'none'}")
    for content in (b"\xff\xfe", HERE.encode("utf-16"), bytes(range(256))):
        (tmp_path / "bytes").write_bytes(content)
        assert "cannot be read" in told(capsys, source=f"@{tmp_path / 'bytes'}")
    (tmp_path / "bytes").write_bytes(HERE.encode("utf-16-le"))
    assert "one of the two is missing" in told(capsys, source=f"@{tmp_path / 'bytes'}")


def test_files_may_begin_with_a_byte_order_mark(tmp_path: Path, sides: dict[str, Snapshot]) -> None:
    (tmp_path / "here").write_text(HERE, encoding="utf-8-sig")
    (tmp_path / "secrets").write_text("{}", encoding="utf-8-sig")
    files = ["--from", f"@{tmp_path / 'here'}", "--secrets", str(tmp_path / "secrets")]
    assert main([*files, "--to", THERE, "--state", str(tmp_path / "state"), "--dry-run"]) == 0


def test_a_state_file_that_is_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert told(capsys, "--state", str(tmp_path)).startswith(f"error: The state file {tmp_path} cannot be used: ")


def test_a_state_file_in_no_folder_ends_the_run_before_anything_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, sides: dict[str, Snapshot]
) -> None:
    sides["1"][QUEUE]["q"] = {"id": "q", "etag": "a", "distributionPolicyId": "d"}
    state = tmp_path / "none" / "state"
    assert main(["--from", HERE, "--to", THERE, "--state", str(state)]) == 2
    assert f"error: The state file {state} cannot be used: " in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["--check", "--dry-run", "--activate"])
def test_one_router_under_two_names_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, sides: dict[str, Snapshot], mode: str
) -> None:
    for side in sides.values():
        side[QUEUE]["q"] = {"id": "q", "etag": "a", "distributionPolicyId": "d"}
    assert main(["--from", HERE, "--to", THERE, "--state", str(tmp_path / "state"), mode]) == 2
    written = capsys.readouterr()
    assert "error: Source and target are one router under two names" in written.err
    assert written.out == ""


def test_an_id_that_the_terminal_cannot_show_is_spelt_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sides: dict[str, Snapshot]
) -> None:
    sides["1"][QUEUE]["列"] = {"id": "列", "etag": "a", "distributionPolicyId": "d"}
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="cp1252", write_through=True))
    assert main(["--from", HERE, "--to", THERE, "--state", str(tmp_path / "state"), "--check"]) == 1
    assert b"- missing queues: \\u5217" in out.getvalue()
