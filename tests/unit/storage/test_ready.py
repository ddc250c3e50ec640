"""Whether storage is ready: tables are made where that is allowed, and asked for where only the template makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from router.storage.azure import TABLES, AzureTables
from router.storage.port import StorageUnavailable


class Account:
    """A double of Azure Table Storage and of Cosmos DB for Table as far as `ready` goes."""

    def __init__(self) -> None:
        self.makes = True
        self.refuses_with = 403
        self.reads = True
        self.missing: set[str] = set()
        self.made: list[str] = []
        self.asked: list[tuple[str, str | None]] = []

    async def make(self, request: web.Request) -> web.Response:
        name = (await request.json())["TableName"]
        self.made.append(name)
        if not self.makes:
            return _refused(self.refuses_with, "Refused")
        return web.json_response({"TableName": name}, status=201)

    async def query(self, request: web.Request) -> web.Response:
        name = request.match_info["table"].partition("(")[0]
        self.asked.append((name, request.query.get("$top")))
        if not self.reads:
            return _refused(403, "AuthorizationPermissionMismatch")
        if name in self.missing:
            return _refused(404, "TableNotFound")
        return web.json_response({"value": []})


def _refused(status: int, code: str) -> web.Response:
    return web.json_response({"odata.error": {"code": code, "message": {"lang": "en", "value": code}}}, status=status)


@asynccontextmanager
async def tables(account: Account) -> AsyncIterator[AzureTables]:
    app = web.Application()
    app.router.add_post("/account/Tables", account.make)
    app.router.add_get("/account/{table}", account.query)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found = AzureTables.from_connection_string(
        f"AccountName=account;AccountKey=a2V5IG9mIHRoZSBhY2NvdW50;TableEndpoint=http://127.0.0.1:{port}/account", "one"
    )
    try:
        yield found
    finally:
        await found.close()
        await runner.cleanup()


ALL = [f"one{name}" for name in sorted(TABLES)]


async def test_tables_are_made_once_and_one_is_asked_after_that() -> None:
    account = Account()
    async with tables(account) as found:
        await found.ready()
        assert sorted(account.made) == ALL
        assert account.asked == []
        for _ in range(3):
            await found.ready()
    assert len(account.made) == len(ALL)
    assert account.asked == [("onejobs", "1")] * 3


async def test_where_the_template_makes_the_tables_they_are_asked_for_a_row() -> None:
    account = Account()
    account.makes = False
    async with tables(account) as found:
        await found.ready()
        assert sorted(account.asked) == [(name, "1") for name in ALL]
        await found.ready()
    assert len(account.made) == len(ALL)
    assert len(account.asked) == len(ALL) + 1


async def test_a_table_that_is_missing_and_may_not_be_made_is_named() -> None:
    account = Account()
    account.makes = False
    account.missing = {"onerounds"}
    async with tables(account) as found:
        with pytest.raises(StorageUnavailable, match="The table onerounds is missing"):
            await found.ready()
        account.missing.clear()
        await found.ready()


async def test_who_may_neither_make_nor_read_is_not_ready() -> None:
    account = Account()
    account.makes = account.reads = False
    async with tables(account) as found:
        with pytest.raises(StorageUnavailable, match="403"):
            await found.ready()


async def test_another_refusal_is_no_leave_to_do_without() -> None:
    account = Account()
    account.makes, account.refuses_with = False, 400
    async with tables(account) as found:
        with pytest.raises(StorageUnavailable, match="400"):
            await found.ready()
    assert account.asked == []


async def test_a_later_refusal_is_seen() -> None:
    account = Account()
    async with tables(account) as found:
        await found.ready()
        account.reads = False
        with pytest.raises(StorageUnavailable, match="403"):
            await found.ready()
