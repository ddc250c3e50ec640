"""What the timer says while it cannot run: the reason once a minute, and never an exception a second."""

from __future__ import annotations

import logging

import azure.functions as func
import pytest

from router.api.triggers import triggers
from router.commit.parts import Parts
from router.settings import SettingsError
from router.storage.port import StorageUnavailable
from router.upkeep.deadlines import DeadlineRunner


class App:
    """An app whose timer fails as told; its seconds are counted by hand."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.at_start = True
        self.ticks = 0
        self.seconds = 0.0

    async def parts(self) -> Parts:
        raise AssertionError

    async def deadlines(self) -> DeadlineRunner:
        if self.fault is not None and self.at_start:
            raise self.fault
        return self  # type: ignore[return-value]

    async def tick(self) -> None:
        self.ticks += 1
        if self.fault is not None:
            raise self.fault

    async def run(self, seconds: int) -> None:
        """One tick a second, as the platform does."""
        blueprint = triggers(self, lambda: self.seconds)
        app = func.FunctionApp()
        app.register_functions(blueprint)
        timer = next(f for f in app.get_functions() if f.get_function_name() == "OnDeadlines").get_user_function()
        for _ in range(seconds):
            await timer(None)
            self.seconds += 1
        self.timer = timer


def said(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What the timer has logged."""
    return [(one.levelno, one.getMessage()) for one in caplog.records if one.name == "router.api.triggers"]


@pytest.mark.parametrize("at_start", [True, False], ids=["starting", "running"])
@pytest.mark.parametrize("fault", [SettingsError("Wrong settings: X is missing"), StorageUnavailable("no answer")])
async def test_a_fault_that_lasts_is_said_once_a_minute(
    caplog: pytest.LogCaptureFixture, fault: Exception, at_start: bool
) -> None:
    app = App()
    app.fault, app.at_start = fault, at_start
    await app.run(180)
    assert said(caplog) == [(logging.ERROR, f"Deadlines wait, nothing due is lost: {fault}")] * 3
    caplog.clear()
    app.fault = None
    await app.timer(None)
    await app.timer(None)
    assert said(caplog) == [(logging.WARNING, "Deadlines are handled again.")]


async def test_another_fault_is_said_at_once(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.fault = SettingsError("Wrong settings: X is missing")
    await app.run(5)
    app.fault = StorageUnavailable("no answer")
    await app.timer(None)
    assert len(said(caplog)) == 2


async def test_what_nobody_has_foreseen_goes_on_to_the_host() -> None:
    app = App()
    app.fault = ValueError("a fault of ours")
    with pytest.raises(ValueError, match="a fault of ours"):
        await app.run(1)


async def test_a_timer_that_runs_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    await app.run(120)
    assert app.ticks == 120
    assert said(caplog) == []
