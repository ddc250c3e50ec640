"""What the router relies on in Table Storage. The double and Azurite both pass, so what holds in the simulation is not
a property of the double."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from router.errors import TooLarge
from router.storage.azure import LARGEST_ANSWER, AzureTable
from router.storage.port import Condition, Entity, RowChanged, RowExists, StorageUnavailable, Table, Write
from tests.sim.memory_tables import MemoryTable, Refused, Rows

#: The double says Refused where storage answers 400 or 413: a fault of ours, whatever it is called.
NO = (Refused, StorageUnavailable, TooLarge)


def row(name: str, partition: str = "p", **columns: Any) -> Entity:
    return Entity(partition, name, columns)


async def names(table: Table, *where: Condition, **options: Any) -> list[str]:
    page = await table.query(where, **options)
    assert page.next is None
    return [entity.row for entity in page.entities]


# Rows and versions.


async def test_what_is_written_is_read(table: Table) -> None:
    columns = {"Text": "ä 'quoted' \U0001f600", "Empty": "", "Whole": 7, "Real": 2.5, "Flag": False}
    version = await table.insert(Entity("p", "r", columns))
    found = await table.get("p", "r")
    assert found is not None
    assert dict(found.columns) == columns
    assert {name: type(value) for name, value in found.columns.items()} == {
        name: type(value) for name, value in columns.items()
    }
    assert (found.partition, found.row, found.version) == ("p", "r", version)


async def test_a_column_without_value_is_not_there(table: Table) -> None:
    await table.upsert(Entity("p", "r", {"There": 1, "None": None}))
    found = await table.get("p", "r")
    assert found is not None
    assert dict(found.columns) == {"There": 1}


async def test_a_missing_row_is_none(table: Table) -> None:
    assert await table.get("p", "nobody") is None


async def test_an_insert_finds_the_row_there(table: Table) -> None:
    await table.insert(row("r", Text="first"))
    with pytest.raises(RowExists):
        await table.insert(row("r", Text="second"))
    found = await table.get("p", "r")
    assert found is not None
    assert found.columns["Text"] == "first"


async def test_each_write_makes_another_version(table: Table) -> None:
    versions = [await table.insert(row("r"))]
    versions.append(await table.replace(Entity("p", "r", {"Text": "x"}, versions[-1])))
    versions.append(await table.upsert(row("r", Text="x")))
    assert all(versions)
    assert len(set(versions)) == 3


async def test_a_replace_drops_the_columns_that_it_does_not_name(table: Table) -> None:
    version = await table.insert(row("r", Old=1, Kept=1))
    await table.replace(Entity("p", "r", {"Kept": 2}, version))
    found = await table.get("p", "r")
    assert found is not None
    assert dict(found.columns) == {"Kept": 2}


async def test_a_replace_under_an_old_version_changes_nothing(table: Table) -> None:
    old = await table.insert(row("r", Text="first"))
    await table.upsert(row("r", Text="second"))
    with pytest.raises(RowChanged):
        await table.replace(Entity("p", "r", {"Text": "third"}, old))
    found = await table.get("p", "r")
    assert found is not None
    assert found.columns["Text"] == "second"


async def test_a_replace_of_a_missing_row(table: Table) -> None:
    version = await table.insert(row("r"))
    await table.delete("p", "r")
    with pytest.raises(RowChanged):
        await table.replace(Entity("p", "r", {}, version))
    assert await table.get("p", "r") is None


async def test_a_row_that_was_deleted_and_made_again_has_another_version(table: Table) -> None:
    old = await table.insert(row("r"))
    await table.delete("p", "r")
    await table.insert(row("r"))
    with pytest.raises(RowChanged):
        await table.replace(Entity("p", "r", {}, old))


async def test_of_concurrent_replaces_one_wins(table: Table) -> None:
    version = await table.insert(row("r"))
    writes = [table.replace(Entity("p", "r", {"Who": who}, version)) for who in range(8)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    won = [who for who, outcome in enumerate(outcomes) if isinstance(outcome, str)]
    assert len(won) == 1
    assert sum(isinstance(outcome, RowChanged) for outcome in outcomes) == 7
    found = await table.get("p", "r")
    assert found is not None
    assert found.columns["Who"] == won[0]


async def test_deletes(table: Table) -> None:
    old = await table.insert(row("r"))
    new = await table.upsert(row("r"))
    with pytest.raises(RowChanged):
        await table.delete("p", "r", old)
    assert await table.get("p", "r") is not None
    await table.delete("p", "r", new)
    assert await table.get("p", "r") is None
    await table.delete("p", "r")
    await table.delete("p", "r", new)
    await table.insert(row("r"))
    await table.delete("p", "r")
    assert await table.get("p", "r") is None


# Transactions.


async def test_a_transaction_writes_all(table: Table) -> None:
    version = await table.insert(row("replaced", Text="old"))
    await table.insert(row("deleted"))
    old = await table.insert(row("deleted as it was"))
    await table.insert(row("there"))
    await table.transact(
        [
            Write("insert", row("inserted")),
            Write("upsert", row("there", Text="new")),
            Write("upsert", row("upserted")),
            Write("replace", Entity("p", "replaced", {"Text": "new"}, version)),
            Write("delete", row("deleted")),
            Write("delete", Entity("p", "deleted as it was", {}, old)),
        ]
    )
    assert await names(table) == ["inserted", "replaced", "there", "upserted"]
    found = await table.get("p", "replaced")
    assert found is not None
    assert found.columns["Text"] == "new"


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (Write("insert", row("there")), RowExists),
        (Write("replace", Entity("p", "there", {}, 'W/"1"')), RowChanged),
        (Write("replace", Entity("p", "missing", {}, 'W/"1"')), RowChanged),
        (Write("delete", row("missing")), RowChanged),
        (Write("delete", Entity("p", "there", {}, 'W/"1"')), RowChanged),
    ],
    ids=["insert", "replace under another version", "replace of nothing", "delete of nothing", "delete of another"],
)
async def test_a_transaction_that_fails_writes_nothing(table: Table, write: Write, error: type[Exception]) -> None:
    await table.upsert(row("there"))
    await table.upsert(row("there", Text="kept"))
    with pytest.raises(error):
        await table.transact([Write("upsert", row("first")), write, Write("upsert", row("last"))])
    assert await names(table) == ["there"]
    found = await table.get("p", "there")
    assert found is not None
    assert found.columns["Text"] == "kept"


async def test_a_transaction_has_a_hundred_writes(table: Table) -> None:
    await table.transact([Write("upsert", row(f"{number:03d}")) for number in range(100)])
    assert len(await names(table)) == 100


@pytest.mark.parametrize(
    "writes",
    [
        [Write("upsert", row("a")), Write("upsert", row("a"))],
        [Write("upsert", row("a")), Write("upsert", row("a", partition="other"))],
    ],
    ids=["one row twice", "two partitions"],
)
async def test_a_transaction_that_storage_does_not_take(table: Table, writes: list[Write]) -> None:
    with pytest.raises((*NO, RowExists, ValueError)):
        await table.transact(writes)
    assert await names(table) == []


# Queries.


async def test_rows_come_in_the_order_of_their_keys(table: Table) -> None:
    for partition, name in (("b", "1"), ("a", "2"), ("a", "10"), ("a", "1~"), ("a", "1"), ("A", "9"), ("a", "1-")):
        await table.insert(Entity(partition, name))
    page = await table.query([])
    assert [(entity.partition, entity.row) for entity in page.entities] == [
        ("A", "9"), ("a", "1"), ("a", "1-"), ("a", "10"), ("a", "1~"), ("a", "2"), ("b", "1"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (("RowKey", "lt", "b"), ["a"]),
        (("RowKey", "le", "b"), ["a", "b"]),
        (("RowKey", "gt", "b"), ["c", "d"]),
        (("RowKey", "ge", "b"), ["b", "c", "d"]),
        (("RowKey", "ne", "b"), ["a", "c", "d"]),
        (("Flag", "eq", True), ["a"]),
        (("Flag", "eq", False), ["b"]),
        (("Flag", "ne", True), ["b"]),
        (("Number", "eq", 5.0), ["a"]),
        (("Number", "ge", 5.0), ["a", "b"]),
        (("Number", "gt", 5.0), ["b"]),
        (("Number", "lt", 5.0), ["c"]),
        (("Number", "le", -1.5), ["c"]),
        (("Text", "eq", "it's"), ["a"]),
        (("Text", "eq", "IT'S"), []),
        (("Text", "ne", "it's"), ["b"]),
        (("Text", "eq", ""), []),
        (("Whole", "eq", 3), ["d"]),
        (("Whole", "gt", 2), ["d"]),
        (("Nowhere", "ne", "x"), []),
    ],
    ids=str,
)
async def test_conditions(table: Table, condition: Condition, found: list[str]) -> None:
    """A missing column never satisfies one, notEqual neither."""
    await table.insert(row("a", Flag=True, Number=5.0, Text="it's"))
    await table.insert(row("b", Flag=False, Number=7.25, Text="x"))
    await table.insert(row("c", Number=-1.5))
    await table.insert(row("d", Whole=3))
    assert await names(table, condition) == found


async def test_all_conditions_must_hold(table: Table) -> None:
    for name in "abcd":
        await table.insert(row(name, Flag=name in "ac"))
    await table.insert(row("a", partition="other", Flag=True))
    assert await names(table, ("PartitionKey", "eq", "p"), ("RowKey", "gt", "a"), ("Flag", "eq", True)) == ["c"]


async def test_values_of_another_kind_do_not_match(table: Table) -> None:
    await table.insert(row("a", Mixed="5"))
    await table.insert(row("b", Mixed=True))
    await table.insert(row("c", Mixed=5.0))
    assert await names(table, ("Mixed", "eq", 5.0)) == ["c"]
    assert await names(table, ("Mixed", "eq", "5")) == ["a"]
    assert await names(table, ("Mixed", "eq", True)) == ["b"]


async def test_only_the_columns_that_were_asked_for(table: Table) -> None:
    await table.insert(row("r", Wanted=1, Other=2))
    page = await table.query([], columns=["Wanted", "Missing"])
    entity = page.entities[0]
    assert (entity.partition, entity.row) == ("p", "r")
    assert {name: value for name, value in entity.columns.items() if value is not None} == {"Wanted": 1}


async def test_a_scan_tells_rows_as_they_are(table: Table) -> None:
    columns = {"Text": "ä 'quoted' \U0001f600", "Empty": "", "Whole": -7, "Flag": False}
    await table.insert(Entity("p", "r", columns))
    await table.insert(Entity("q", "s", {"Whole": 1}))
    (first, second) = (await table.scan([], columns=["Text", "Empty", "Whole", "Flag"])).rows
    assert dict(first) == {"PartitionKey": "p", "RowKey": "r", **columns}
    assert type(first["Whole"]) is int
    told = {name: value for name, value in second.items() if value is not None}
    assert told == {"PartitionKey": "q", "RowKey": "s", "Whole": 1}
    (only,) = (await table.scan([("Flag", "eq", False)])).rows
    assert {name: only[name] for name in columns} == columns


async def test_a_scan_goes_on_where_it_stopped(table: Table) -> None:
    wanted = [f"{number:04d}" for number in range(1100)]
    for start in range(0, 1100, 100):
        await table.transact([Write("upsert", row(name)) for name in wanted[start : start + 100]])
    first = await table.scan([("RowKey", "ge", "0")], columns=[])
    assert (len(first.rows), first.next is not None) == (1000, True)
    rest = await table.scan([("RowKey", "ge", "0")], columns=[], after=first.next)
    assert [one["RowKey"] for one in (*first.rows, *rest.rows)] == wanted
    assert rest.next is None


async def test_a_query_goes_on_where_it_stopped(table: Table) -> None:
    wanted = [f"{number:02d}" for number in range(25)]
    for name in wanted:
        await table.insert(row(name, Even=int(name) % 2 == 0))
    found: list[str] = []
    after = None
    for _ in range(100):
        page = await table.query([("Even", "eq", True)], limit=5, after=after)
        assert len(page.entities) <= 5
        found += [entity.row for entity in page.entities]
        after = page.next
        if after is None:
            break
    assert found == wanted[::2]


async def test_what_comes_and_goes_while_paging_disturbs_nothing(table: Table) -> None:
    for name in "bdfhj":
        await table.insert(row(name))
    first = await table.query([], limit=2)
    assert [entity.row for entity in first.entities] == ["b", "d"]
    assert first.next is not None
    await table.delete("p", "b")
    await table.delete("p", "f")  # where the next page would start
    await table.insert(row("a"))
    await table.insert(row("i"))
    rest = await table.query([], limit=10, after=first.next)
    assert [entity.row for entity in rest.entities] == ["h", "i", "j"]


async def test_a_page_has_a_thousand_rows_at_most(table: Table) -> None:
    for start in range(0, 1100, 100):
        await table.transact([Write("upsert", row(f"{number:04d}")) for number in range(start, start + 100)])
    page = await table.query([], limit=5000)
    assert len(page.entities) == 1000
    assert page.next is not None
    assert await names(table, after=page.next) == [f"{number:04d}" for number in range(1000, 1100)]


# Limits.


@pytest.mark.parametrize("name", ["a=20b", "a~b", "a-b_c.d", "1~2147483646~2030-01-01T000001.961296~job", "x" * 512])
async def test_keys_as_the_router_writes_them(table: Table, name: str) -> None:
    await table.insert(Entity(name, name))
    assert await table.get(name, name) is not None
    assert await names(table, ("PartitionKey", "eq", name), ("RowKey", "eq", name)) == [name]


async def test_the_longest_text_that_a_document_is_cut_into(table: Table) -> None:
    text = "\U0001f600" * 16_000  # 64,000 bytes of UTF-16: router/storage/documents.py
    columns = {f"Doc{number}": text for number in range(5)}
    await table.insert(Entity("p", "r", columns))
    found = await table.get("p", "r")
    assert found is not None
    assert dict(found.columns) == columns


@pytest.mark.parametrize(
    "entity",
    [
        Entity("p", "r", {"Text": "x" * 40_000}),
        Entity("p", "x" * 600),
    ],
    ids=["property", "key"],
)
async def test_what_is_too_large(table: Table, entity: Entity) -> None:
    with pytest.raises(NO):
        await table.insert(entity)
    assert await names(table) == []


async def test_limits_that_azurite_does_not_know() -> None:
    """Table Storage documents them: 1 MiB an entity, 252 properties, a hundred writes a transaction."""
    table = MemoryTable(Rows("jobs"))
    with pytest.raises(Refused):
        await table.insert(Entity("p", "r", {f"Text{number}": "x" * 32_000 for number in range(20)}))
    with pytest.raises(Refused):
        await table.insert(Entity("p", "r", {f"Column{number}": 1 for number in range(253)}))
    with pytest.raises(Refused):
        await table.insert(Entity("p", "a/b"))
    with pytest.raises(Refused):
        await table.transact([Write("upsert", row(f"{number:03d}")) for number in range(101)])
    assert await names(table) == []


# Large rows.


async def test_a_query_over_large_rows_gives_all_of_them_in_pages_that_are_bounded(table: Table) -> None:
    """A page of a thousand such rows would be 300 MB."""
    texts = {f"r{number:03}": {f"T{place}": chr(97 + place) * 30_000 for place in range(10)} for number in range(30)}
    for name, columns in texts.items():
        await table.upsert(row(name, **columns, Quoted='"RowKey":"'))
    sizes: list[int] = []
    found: dict[str, Any] = {}
    after: tuple[str, str] | None = None
    while True:
        page = await table.query([("PartitionKey", "eq", "p")], after=after)
        found |= {
            one.row: {name: text for name, text in one.columns.items() if name != "Quoted"} for one in page.entities
        }
        sizes.append(len(page.entities))
        after = page.next
        if after is None:
            break
    assert found == texts
    scanned: list[str] = []
    after = None
    while True:
        rows = await table.scan([("PartitionKey", "eq", "p")], after=after)
        scanned += [str(one["RowKey"]) for one in rows.rows]
        sizes.append(len(rows.rows))
        after = rows.next
        if after is None:
            break
    assert scanned == list(texts)
    if isinstance(table, AzureTable):
        assert max(sizes) * 300_000 <= LARGEST_ANSWER
        assert min(sizes) > 1, "as many rows are asked for as the bound has room for"
