"""What is wrong with the command line is told in one line, before any router is asked."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from router.migrate.command import main

KEY = base64.b64encode(b"k" * 32).decode()
HERE, THERE = (f"endpoint=http://127.0.0.1:{port}/;accesskey={KEY}" for port in (1, 2))


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
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    assert "cannot be read" in told(capsys, source=f"@{tmp_path / 'bytes'}")


def test_a_state_file_that_is_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert told(capsys, "--state", str(tmp_path)).startswith(f"error: The state file {tmp_path} cannot be used: ")
