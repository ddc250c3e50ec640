"""What goes wrong in a local run is told with its reason and remedy."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from local import __main__ as command
from local.disk import sole_starter
from local.network import choose_port
from local.processes import last_words
from local.stores import Store, Stores
from local.webhooks import Webhooks


def state(problem: str | None, validated: bool = False) -> dict[str, object]:
    return {"subscriber-1": {"endpoint": "http://h/e?code=key", "validated": validated, "problem": problem}}


def test_a_webhook_that_fails_is_told_once_for_each_reason_and_when_it_is_mended() -> None:
    told: list[str] = []
    webhooks = Webhooks(told.append)
    for problem in (None, "it answers the handshake with 404", "it answers the handshake with 404", "nobody answers"):
        webhooks.look(state(problem))
    webhooks.look(state(None, validated=True))
    webhooks.look(state(None, validated=True))
    assert [line.split(":")[0] for line in told] == ["No events go to http"] * 2 + ["Events go to http"]
    assert "with 404" in told[0]
    assert "key" not in "".join(told)


@pytest.mark.parametrize(
    ("text", "said"), [("one\ntwo\n\n", "It said last: two"), ("", "It said nothing."), (None, "It said nothing.")]
)
def test_the_last_words_of_a_part(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "log").write_text(text)
    assert last_words(tmp_path / "log") == said


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "The disk is full (/data/x). Make room"),
        (errno.EACCES, "cannot go on: Permission denied (/data/x)."),
    ],
)
def test_a_disk_that_refuses(
    number: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(number, os.strerror(number), "/data/x")

    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setattr(command, "make_data_dir", refuse)
    assert command.main([]) == 1
    assert said in capsys.readouterr().err


@pytest.fixture
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    port = choose_port(None, ())
    monkeypatch.setenv("PORT", str(port))
    monkeypatch.setenv("HTTPS_PORT", str(choose_port(None, {port})))


@pytest.mark.usefixtures("free_ports")
@pytest.mark.parametrize("exists", [False, True])
def test_a_start_on_a_full_disk_is_refused_and_leaves_nothing(
    exists: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    if exists:
        data_dir.mkdir()
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    monkeypatch.setattr("local.disk._LEAST_FREE", 2**62)
    assert command.main([]) == 1
    assert capsys.readouterr().err == (
        f"The disk of {data_dir} is full. Make room, or set DATA_DIR to a folder on another disk.\n"
    )
    assert data_dir.exists() is exists
    assert list(tmp_path.rglob("*")) == ([data_dir] if exists else [])


async def test_a_part_that_a_full_disk_ends_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no room to say so itself."""
    for folder in ("azurite", "logs"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr("local.disk._LEAST_FREE", 2**62)
    stores = Stores([Store("topic", [sys.executable, "-c", "exit(1)"], signal.SIGTERM, os.environ)], tmp_path, print)
    await stores.start()
    told = await stores.failed()
    await stores.end()
    assert told.startswith("topic ended with code 1; see ")
    assert told.endswith(f"The disk of {tmp_path} is full. Make room, or set DATA_DIR to a folder on another disk.")


@pytest.mark.usefixtures("free_ports")
def test_a_router_that_is_about_to_be_there_is_not_to_be_killed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    with sole_starter(tmp_path) as first, sole_starter(tmp_path) as second:
        assert (first, second) == (True, False)
        assert command.main([]) == 1
        told = capsys.readouterr().err
    assert "runs already, and does not answer yet: it is starting or ending" in told
    assert "kill" not in told
    with sole_starter(tmp_path) as again:
        assert again
