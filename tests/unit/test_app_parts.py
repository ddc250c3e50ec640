"""What the composition root builds of its settings, once, and the functions that the host finds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router import app as app_module
from router.app import RouterApp, create_app
from router.models.operations import OPERATIONS
from router.settings import Settings, load
from router.storage.azure import AzureTables
from tests.unit.test_app_health import SETTINGS, Tables

KEY = "a2V5IG9mIHRoZSBhY2NvdW50IG9mIDMyIGJ5dGVzISE="


def settings(**changed: str) -> Settings:
    return load({**SETTINGS, **changed})


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Tables:
    found = Tables()
    monkeypatch.setattr(app_module, "_tables", lambda settings: found)
    return found


async def test_everything_is_built_once_however_many_ask_at_first(tables: Tables) -> None:
    app = RouterApp(settings())
    first, *others = await asyncio.gather(*(app.gate() for _ in range(10)))
    assert all(gate is first for gate in others)
    assert (await app.parts(), (await app.deadlines())._parts) == (first.parts, first.parts)


async def test_the_gate_has_what_the_settings_say(tables: Tables) -> None:
    gate = await RouterApp(settings(ROUTER_SECRETS_KEY=KEY, ROUTER_RULES_ALLOW_HTTP_LOOPBACK="true")).gate()
    assert gate.secrets is not None
    assert gate.secrets.open(gate.secrets.seal("a", "c"), "c") == "a"
    assert gate.token_keys == (SETTINGS["ROUTER_ACCESS_KEYS"],)
    assert gate.http_on_loopback
    plain = await RouterApp(settings()).gate()
    assert (plain.secrets, plain.http_on_loopback) == (None, False)


async def test_tables_are_reached_by_a_key_or_as_somebody() -> None:
    by_key = app_module._tables(settings())
    assert isinstance(by_key, AzureTables)
    await by_key.close()
    without = {name: value for name, value in SETTINGS.items() if name != "ROUTER_TABLES_CONNECTION_STRING"}
    as_somebody = app_module._tables(
        load({**without, "ROUTER_TABLES_ENDPOINT": "https://account.table.core.windows.net"})
    )
    assert isinstance(as_somebody, AzureTables)
    await as_somebody.close()


def test_the_host_finds_every_function_once() -> None:
    functions: list[Any] = create_app(settings()).get_functions()
    names = [one.get_function_name() for one in functions]
    assert len(set(names)) == len(names)
    assert {operation.name for operation in OPERATIONS} < set(names)
    beside = {
        "Health",
        "OpenApi",
        "GetConsole",
        "ZUnknownRoute",
        "OnJobEvent",
        "OnWorkerEvent",
        "OnExceptionEvent",
        "OnDeadlines",
    }
    assert set(names) - {operation.name for operation in OPERATIONS} == beside
