"""What a script is asked wrongly is told in one line, and nothing is done."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.options import ROOT
from router.storage.azure import TABLES
from scripts import backup, build_package, check_deployment, event_catalogue, state_diagram

NOBODY = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a"


def told(capsys: pytest.CaptureFixture[str], code: int | None) -> str:
    assert code == 1
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = written.err.splitlines()
    return line


@pytest.mark.parametrize("what", ["save", "restore"])
@pytest.mark.parametrize("connection_string", ["bogus", "AccountName=a", "AccountName"])
def test_a_connection_string_that_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, what: str, connection_string: str
) -> None:
    code = backup.main([what, str(tmp_path), "--connection-string", connection_string])
    assert told(capsys, code).startswith("error: --connection-string: ")


def test_an_endpoint_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        backup.main(["save", str(tmp_path), "--endpoint", "http://somewhere"])
    assert ended.value.code == 2
    assert "argument --endpoint: 'http://somewhere' is no https URL" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = backup.main(["save", str(tmp_path / "file"), "--connection-string", NOBODY])
    assert "file" in told(capsys, code)


def test_a_folder_without_a_backup(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = backup.main(["restore", str(tmp_path / "none"), "--connection-string", NOBODY])
    assert told(capsys, code) == f"error: {tmp_path / 'none'} holds no backup: there is no backup.json in it."


@pytest.mark.parametrize("content", ["", "{}", '{"rows": 3}', "[]"])
def test_a_list_of_contents_that_is_none(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str) -> None:
    (tmp_path / "backup.json").write_text(content)
    code = backup.main(["restore", str(tmp_path), "--connection-string", NOBODY])
    assert "backup.json cannot be read" in told(capsys, code)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[:-10],
        lambda content: content[:12] + b"\x00\xff" * 8 + content[28:],
        lambda content: b"no gzip",
        lambda content: gzip.compress(b"{\n"),
        lambda content: gzip.compress(b'{"A": {"$other": "1"}}\n'),
        None,
    ],
)
def test_a_file_that_is_damaged_or_missing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, spoil: Callable[[bytes], bytes] | None
) -> None:
    row = json.dumps({"PartitionKey": "a", "RowKey": "b", "Text": "long enough to be cut" * 3})
    (tmp_path / "backup.json").write_text(json.dumps({"rows": dict.fromkeys(TABLES, 1)}))
    for name in TABLES:
        (tmp_path / f"{name}.jsonl.gz").write_bytes(gzip.compress(f"{row}\n".encode()))
    path = tmp_path / "queues.jsonl.gz"
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    code = backup.main(["restore", str(tmp_path), "--connection-string", NOBODY])
    assert str(path) in told(capsys, code)


def test_a_package_that_cannot_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code = build_package.main(["--remote-build", "--output", str(tmp_path / "file" / "package.zip")])
    assert told(capsys, code).startswith("error: The package cannot be written: ")


@pytest.mark.parametrize("main", [state_diagram.main, event_catalogue.main, check_deployment.main])
def test_an_option_that_there_is_not(capsys: pytest.CaptureFixture[str], main: Callable[[list[str]], object]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--bogus"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --bogus" in capsys.readouterr().err


def test_a_project_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        check_deployment.main(["--root", str(tmp_path / "none")])
    assert ended.value.code == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PORT": "1"}, "No router answers "),
        ({"ROUTER_CONNECTION_STRING": "bogus"}, "ROUTER_CONNECTION_STRING must read "),
        ({"ROUTER_CONNECTION_STRING": "endpoint=http://localhost:x/;accesskey=YQ=="}, "No router answers "),
    ],
)
def test_the_quick_start_without_a_router(environment: dict[str, str], line: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ROUTER_")}
    ended = subprocess.run(
        [sys.executable, "examples/quickstart.py"],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(line)
    assert len(ended.stderr.splitlines()) == 1
