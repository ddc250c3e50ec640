"""What /health and the log say when the router is not ready, and that no fault is taken for another."""

from __future__ import annotations

import gc

import azure.functions as func
import pytest

from router.api.functions import unavailable
from router.app import RouterApp
from router.outages import Health
from router.settings import SettingsError
from router.storage.port import StorageUnavailable

SETTINGS = {
    "ROUTER_TABLES_CONNECTION_STRING": (
        "AccountName=account;AccountKey=a2V5IG9mIHRoZSBhY2NvdW50;TableEndpoint=http://127.0.0.1:1/account"
    ),
    "ROUTER_ACCESS_KEYS": "c2l4dGVlbiBieXRlcyBvciBtb3Jl",
    "ROUTER_EVENTGRID_ENDPOINT": "http://127.0.0.1:1/topic",
}


class Tables:
    """The tables of an app that starts, and what they fail with when they are asked whether they answer."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.closed = 0

    def table(self, name: str) -> None:
        return None

    async def ready(self) -> None:
        if self.fault is not None:
            raise self.fault

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> RouterApp:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return RouterApp()


def use(monkeypatch: pytest.MonkeyPatch, tables: Tables) -> None:
    monkeypatch.setattr("router.app._tables", lambda settings, around: tables)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "nonsense"),
        ("ROUTER_TABLES_CONNECTION_STRING", "AccountName=nonsense"),
        ("ROUTER_TABLES_ENDPOINT", "https://[nonsense"),
    ],
)
async def test_a_wrong_setting_is_named(
    app: RouterApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    found = await app.health()
    message = found.message
    assert not found.ready
    assert message.startswith(f"Wrong settings: {name} ")
    assert "nonsense" not in message
    assert message in caplog.text


async def test_storage_that_does_not_answer(app: RouterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, tables := Tables(StorageUnavailable("no connection to account")))
    assert await app.health() == Health(False, "Storage does not answer.")
    assert tables.closed == 1, "what a start that failed has opened is not left open"
    tables.fault = None
    assert await app.health() == Health(True, "ready")
    tables.fault = StorageUnavailable("no connection to account")
    assert await app.health() == Health(False, "Storage does not answer.")


async def test_any_other_fault_is_told_by_the_log(
    app: RouterApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use(monkeypatch, Tables(LookupError("what nobody thought of")))
    assert await app.health() == Health(False, "The router could not start; its log says why.")
    assert "Traceback" in caplog.text
    assert "what nobody thought of" in caplog.text


async def test_an_app_that_could_not_start_starts_when_it_can(app: RouterApp, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, tables := Tables(LookupError()))
    assert not (await app.health()).ready
    tables.fault = None
    gate = await app.gate()
    assert gate.parts is await app.parts()
    assert await app.gate() is gate


@pytest.mark.parametrize(
    ("fault", "traced"),
    [
        (SettingsError("Wrong settings: ROUTER_ACCESS_KEYS is missing."), False),
        (StorageUnavailable("no connection to account"), False),
        (LookupError("what nobody thought of"), True),
    ],
)
def test_a_refused_request_tells_the_log_and_not_the_caller(
    caplog: pytest.LogCaptureFixture, fault: Exception, traced: bool
) -> None:
    answer = unavailable(fault, func.HttpRequest("GET", "http://localhost/routing/jobs", body=b""))
    assert answer.status_code == 503
    assert str(fault) not in answer.get_body().decode()
    (record,) = caplog.records
    assert str(fault) in record.getMessage()
    assert (record.exc_info is not None) == traced


async def test_garbage_is_looked_for_seldom_once_the_app_has_started(
    app: RouterApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has been loaded by then is never walked over again, and the rest every so many thousand objects."""
    use(monkeypatch, Tables())
    await app.parts()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] >= 1_000
