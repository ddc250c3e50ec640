"""What goes wrong in a local run is told with its reason and remedy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from local import __main__ as command
from local.processes import last_words
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
    ("text", "said"), [("one\ntwo\n\n", "two"), ("", "it said nothing."), (None, "it said nothing.")]
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
