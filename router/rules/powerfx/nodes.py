"""The syntax tree. Every node knows where it stands in the text and how deep it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Node:
    start: int
    depth: int = field(default=1, kw_only=True)
    size: int = field(default=1, kw_only=True)

    def children(self) -> Sequence[Node]:
        return ()


@dataclass(slots=True, eq=False)
class Number(Node):
    text: str


@dataclass(slots=True, eq=False)
class Text(Node):
    value: str


@dataclass(slots=True, eq=False)
class Boolean(Node):
    value: bool


@dataclass(slots=True, eq=False)
class Name(Node):
    name: str


@dataclass(slots=True, eq=False)
class Dot(Node):
    left: Node
    name: str

    def children(self) -> Sequence[Node]:
        return (self.left,)


@dataclass(slots=True, eq=False)
class Call(Node):
    name: str
    args: list[Node]

    def children(self) -> Sequence[Node]:
        return self.args


@dataclass(slots=True, eq=False)
class Unary(Node):
    operator: str
    operand: Node

    def children(self) -> Sequence[Node]:
        return (self.operand,)


@dataclass(slots=True, eq=False)
class Binary(Node):
    operator: str
    left: Node
    right: Node

    def children(self) -> Sequence[Node]:
        return (self.left, self.right)


@dataclass(slots=True, eq=False)
class Chain(Node):
    """A run of the same associative operator (`&`, `&&`, `||`), kept flat so that it stays shallow."""

    operator: str
    operands: list[Node]

    def children(self) -> Sequence[Node]:
        return self.operands


@dataclass(slots=True, eq=False)
class Record(Node):
    fields: list[tuple[str, Node]]

    def children(self) -> Sequence[Node]:
        return [value for _, value in self.fields]


@dataclass(slots=True, eq=False)
class Table(Node):
    items: list[Node]

    def children(self) -> Sequence[Node]:
        return self.items


@dataclass(slots=True, eq=False)
class Interpolated(Node):
    parts: list[Node]

    def children(self) -> Sequence[Node]:
        return self.parts


@dataclass(slots=True, eq=False)
class As(Node):
    operand: Node
    name: str

    def children(self) -> Sequence[Node]:
        return (self.operand,)
