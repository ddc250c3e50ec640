"""Static types: what the checker knows of a value before there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, eq=False)
class Type:
    """A type. `fields` belongs to records and tables, `members` names an enumeration's type."""

    kind: str
    fields: Mapping[str, Type] | None = None
    enum: str = ""

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Type):
            return NotImplemented
        return self.kind == other.kind and self.enum == other.enum and self.fields == other.fields

    def __hash__(self) -> int:
        return hash((self.kind, self.enum))

    def __str__(self) -> str:
        if self.kind == "Enum":
            return f"Enum ({self.enum})"
        return self.kind

    @property
    def columns(self) -> Mapping[str, Type]:
        return self.fields or {}


DECIMAL: Final = Type("Decimal")
FLOAT: Final = Type("Number")
TEXT: Final = Type("Text")
BOOLEAN: Final = Type("Boolean")
DATE: Final = Type("Date")
DATETIME: Final = Type("DateTime")
TIME: Final = Type("Time")
GUID: Final = Type("Guid")
BLANK: Final = Type("Blank")  # of Blank() and Error(): fits everywhere
DYNAMIC: Final = Type("Dynamic")  # of ParseJSON()
ANY: Final = Type("Any")  # a label or another value of the context: known at run time only
ERROR_RECORD_FIELDS: Final = {"Kind": Type("Enum", None, "ErrorKind"), "Message": TEXT}
ERROR_RECORD: Final = Type("Record", ERROR_RECORD_FIELDS, "system")
ERROR_TABLE: Final = Type("Table", ERROR_RECORD_FIELDS, "system")

NUMERIC: Final = frozenset({"Decimal", "Number"})
TEMPORAL: Final = frozenset({"Date", "DateTime", "Time"})
UNTYPED: Final = frozenset({"Dynamic", "Any"})
AGGREGATE: Final = frozenset({"Record", "Table"})


def record(fields: Mapping[str, Type]) -> Type:
    return Type("Record", fields)


def table(fields: Mapping[str, Type]) -> Type:
    return Type("Table", fields)


def one_column(column: Type) -> Type:
    return Type("Table", {"Value": column})


def enum(name: str) -> Type:
    return Type("Enum", None, name)


def row_of(type: Type) -> Type:
    """The type of a table's rows."""
    return Type("Record", type.fields, type.enum) if type.kind == "Table" else type


def table_of(type: Type) -> Type:
    return Type("Table", type.fields, type.enum)
