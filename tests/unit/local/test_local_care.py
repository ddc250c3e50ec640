"""How the local start cares for its processes and its folder: pauses, questions, failures and a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from local.disk import could_not_save, forget_drafts, is_full, watch_disk
from local.host.failures import Failures
from local.host.worker import FunctionFailed
from local.processes import Pauses
from local.questions import Questions, answer_on


def test_pauses_grow_while_a_process_ends_soon_and_not_else() -> None:
    now = 0.0
    pauses = Pauses(lambda: now)
    found = []
    for _ in range(8):
        now += 1  # it lives for a second
        found.append(pauses.next())
        now += found[-1]
    assert found == [0, 0.5, 1, 2, 4, 8, 10, 10]
    now += 60
    assert pauses.next() == 0


async def test_who_answers_is_not_silent_and_who_stops_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.questions._ASKED_SECONDS", 0.02)
    questions = Questions()
    answer_on(os.dup(questions.theirs))
    silent = asyncio.create_task(questions.until_silent(3))
    await asyncio.sleep(0.3)
    assert not silent.done()
    asyncio.get_running_loop().remove_reader(_reader(questions))
    await asyncio.wait_for(silent, 5)
    questions.close()


def _reader(questions: Questions) -> int:
    """The process's end of it, which its loop reads."""
    loop = asyncio.get_running_loop()
    selector = loop._selector  # type: ignore[attr-defined]
    (found,) = [key.fd for key in selector.get_map().values() if key.data[0] and "answer_on" in repr(key.data[0])]
    assert found != questions.theirs
    return int(found)


async def test_who_has_not_answered_yet_is_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.questions._ASKED_SECONDS", 0.01)
    questions = Questions()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(questions.until_silent(3), 0.3)
    questions.close()


async def test_a_process_outlives_whoever_asked_it() -> None:
    questions = Questions()
    answer_on(os.dup(questions.theirs))
    questions.close()
    await asyncio.sleep(0.05)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "azurite").mkdir()
    (tmp_path / "azurite" / "__azurite_db_table__.json").write_text("{}")
    return tmp_path


def draft(data_dir: Path, age: float) -> Path:
    path = data_dir / "azurite" / "__azurite_db_table__.json~"
    path.write_text("{")
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def test_a_draft_that_stays_is_a_disk_that_is_full(data_dir: Path) -> None:
    assert not is_full(data_dir)
    assert could_not_save(data_dir) is None
    draft(data_dir, age=0)
    assert not is_full(data_dir), "it is being written"
    draft(data_dir, age=10)
    assert is_full(data_dir)
    told = could_not_save(data_dir)
    assert told is not None
    assert str(data_dir) in told
    forget_drafts(data_dir)
    assert not is_full(data_dir)
    assert could_not_save(data_dir) is None


def test_a_disk_with_hardly_any_room_is_full(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.disk._LEAST_FREE", 2**62)
    assert is_full(data_dir)


async def test_a_full_disk_is_told_once_and_so_is_room(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.disk._LOOK_SECONDS", 0.01)
    told: list[str] = []
    watching = asyncio.create_task(watch_disk(data_dir, told.append))
    path = draft(data_dir, age=10)
    await asyncio.sleep(0.2)
    path.unlink()
    await asyncio.sleep(0.2)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert len(told) == 2
    assert "is full" in told[0]
    assert "room again" in told[1]


def test_a_function_that_goes_on_failing_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    failures = Failures(lambda: now)
    for _ in range(100):
        failures.tell("OnJobEvent", FunctionFailed("LookupError: what", "Traceback"), "for event 1")
    failures.tell("OnJobEvent", FunctionFailed("ValueError: another"))
    now += 61
    failures.tell("OnJobEvent", FunctionFailed("LookupError: what"), "for event 2")
    assert len(caplog.records) == 3
    assert "Traceback" in caplog.records[0].getMessage()
    assert "99 times" in caplog.records[2].getMessage()


def test_an_outage_that_the_app_has_told_brings_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    Failures().tell("OnJobEvent", FunctionFailed("StorageUnavailable: no answer", "Traceback", passes=True))
    assert "Traceback" not in caplog.records[0].getMessage()
