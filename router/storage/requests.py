"""Requests to Table Storage, and what its answers say (Azure documentation, "Table service REST API").

What the SDK's clients do takes much longer: they make each request from its specification, and an object of each
property of an answer. The router's columns are texts, numbers and booleans, which JSON has as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from router.storage.batches import Request, encode
from router.storage.port import Condition, Entity, Write

_KEYS: Final = frozenset({"PartitionKey", "RowKey", "Timestamp"})
_TYPE: Final = "@odata.type"
#: What each row of an answer has once. In a text its quotes are escaped.
ROW: Final = b'"RowKey":"'
_READ: Final[Mapping[str, Callable[[Any], Any]]] = {"Edm.Double": float, "Edm.Int64": int}


class Requests:
    """Of one table."""

    def __init__(self, address: str, table: str, version: str) -> None:
        """`address`: of the account, without a slash at its end. `version`: of the service's protocol."""
        self._address = address
        self._table = f"{address}/{table}"
        common = {"x-ms-version": version, "DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx"}
        self._headers = {**common, "Accept": "application/json;odata=minimalmetadata"}
        self._plain = {**common, "Accept": "application/json;odata=nometadata"}

    def get(self, partition: str, row: str) -> Request:
        return Request("GET", self._row(partition, row), self._headers)

    def insert(self, entity: Entity) -> Request:
        return self._write("POST", self._table, entity, {"Prefer": "return-no-content"})

    def put(self, entity: Entity, version: str | None = None) -> Request:
        """Writes the row, with `version` only if it still has that."""
        return self._write("PUT", self._row(entity.partition, entity.row), entity, _if(version))

    def delete(self, partition: str, row: str, version: str | None = None) -> Request:
        headers = {**self._plain, **_if(version or "*")}
        return Request("DELETE", self._row(partition, row), headers)

    def query(
        self,
        where: Sequence[Condition],
        limit: int,
        after: tuple[str, str] | None,
        columns: Sequence[str] | None,
        *,
        plain: bool = False,
    ) -> Request:
        """`plain`: the rows without their versions."""
        asked = {"$top": str(limit)}
        if where:
            asked["$filter"] = odata(where)
        if columns is not None:
            asked["$select"] = ",".join(["PartitionKey", "RowKey", *columns])
        if after is not None:
            asked |= {"NextPartitionKey": after[0], "NextRowKey": after[1]}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in asked.items())
        return Request("GET", f"{self._table}()?{query}", self._plain if plain else self._headers)

    def transaction(self, writes: Sequence[Write]) -> Request:
        """Raises ValueError unless they are of one partition, which not every storage looks at."""
        if len({write.entity.partition for write in writes}) != 1:
            raise ValueError("The writes of a transaction are of one partition.")
        boundary, content = encode([self._part(write) for write in writes])
        kind = f"multipart/mixed; boundary={boundary}"
        headers = {**self._plain, "Content-Type": kind, "Content-Length": str(len(content))}
        return Request("POST", f"{self._address}/$batch", headers, content)

    def _part(self, write: Write) -> Request:
        entity = write.entity
        match write.kind:
            case "insert":
                return self.insert(entity)
            case "upsert":
                return self.put(entity)
            case "replace":
                return self.put(entity, entity.version)
            case "delete":
                return self.delete(entity.partition, entity.row, entity.version)

    def _write(self, method: str, url: str, entity: Entity, more: Mapping[str, str]) -> Request:
        content = body_of(entity).encode()
        length = str(len(content))
        headers = {**self._plain, "Content-Type": "application/json", "Content-Length": length, **more}
        return Request(method, url, headers, content)

    def _row(self, partition: str, row: str) -> str:
        return f"{self._table}(PartitionKey='{_key(partition)}',RowKey='{_key(row)}')"


def _if(version: str | None) -> dict[str, str]:
    return {"If-Match": version} if version else {}


def _key(text: str) -> str:
    return quote(text.replace("'", "''"), safe="")


def odata(where: Sequence[Condition]) -> str:
    """The conditions as a filter of Table Storage."""
    return " and ".join(f"{column} {operator} {_literal(value)}" for column, operator, value in where)


def _literal(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}L" if _is_long(value) else str(value)
    if isinstance(value, float):
        return repr(value)
    return "'" + value.replace("'", "''") + "'"


def _is_long(value: int) -> bool:
    return not -(2**31) <= value < 2**31


def body_of(entity: Entity) -> str:
    """The row as JSON, in ASCII; what cannot be told from its JSON is said beside it: whether 1.0 is a whole number."""
    columns: dict[str, Any] = {"PartitionKey": entity.partition, "RowKey": entity.row}
    for name, value in entity.columns.items():
        if isinstance(value, float):
            columns[name + _TYPE] = "Edm.Double"
        elif isinstance(value, int) and _is_long(value):  # booleans are no long ones
            columns[name + _TYPE] = "Edm.Int64"
            value = str(value)
        columns[name] = value
    return json.dumps(columns, allow_nan=False)


def entity_of(found: Mapping[str, Any], version: str = "") -> Entity:
    """A row of an answer with the least of metadata."""
    columns = {name: value for name, value in found.items() if "odata." not in name and name not in _KEYS}
    for name, kind in found.items():
        if name.endswith(_TYPE) and kind in _READ:
            column = name.removesuffix(_TYPE)
            columns[column] = _READ[kind](found[column])
    return Entity(found["PartitionKey"], found["RowKey"], columns, version or found.get("odata.etag", ""))
