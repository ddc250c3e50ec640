"""Facts of a Bicep file: what it declares, what it refers to, and where it does not parse.

The grammar is tree-sitter's; types of resources are not known here, only names and structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

_LANGUAGE: Final = Language(tree_sitter_bicep.language())
_DECLARATIONS: Final = {
    "parameter_declaration",
    "variable_declaration",
    "resource_declaration",
    "module_declaration",
    "user_defined_function",
}
#: Functions that put objects or lists together.
_JOINS: Final = {"union", "concat", "shallowMerge", "flatten"}


@dataclass(frozen=True)
class Parameter:
    """A `param`: whether it is documented, marked secure, and can be left out."""

    name: str
    described: bool
    secure: bool
    optional: bool


@dataclass(frozen=True)
class Resource:
    """A `resource` with its type and API version; a nested one has the type's last part only and no version."""

    symbol: str
    type: str
    version: str
    existing: bool
    node: Node

    @property
    def qualified(self) -> str:
        """The whole type with its version; a nested resource takes what it lacks from the one around it."""
        kind, version = self.type, self.version
        around = self.node.parent
        while around is not None:
            if around.type == "resource_declaration":
                name, _, its = text(around.named_children[1]).strip("'").partition("@")
                kind, version = f"{name}/{kind}", version or its
            around = around.parent
        return f"{kind}@{version}"


@dataclass(frozen=True)
class Module:
    """A `module`: the file it points to and the parameters it passes."""

    symbol: str
    path: str
    passed: frozenset[str]


class BicepFile:
    """One parsed file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = path.read_bytes()
        self.root = Parser(_LANGUAGE).parse(self.source).root_node

    @property
    def errors(self) -> list[str]:
        """Where the grammar failed."""
        return [
            f"line {node.start_point.row + 1}: cannot parse {text(node)[:60]!r}"
            for node in walk(self.root)
            if node.is_error or node.is_missing
        ]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        for node, decorators in self._declared("parameter_declaration"):
            name = text(node.named_children[0])
            found[name] = Parameter(
                name,
                described="description" in decorators,
                secure="secure" in decorators,
                optional=any(child.type == "=" for child in node.children) or text(node).rstrip().endswith("?"),
            )
        return found

    @cached_property
    def variables(self) -> dict[str, Node]:
        """The value of each `var`."""
        return {
            text(node.named_children[0]): node.named_children[-1] for node, _ in self._declared("variable_declaration")
        }

    @cached_property
    def resources(self) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for node in walk(self.root):
            if node.type != "resource_declaration":
                continue
            symbol, kind = (text(child) for child in node.named_children[:2])
            name, _, version = kind.strip("'").partition("@")
            existing = any(child.type == "existing" for child in node.children)
            found[symbol] = Resource(symbol, name, version, existing, node)
        return found

    @cached_property
    def modules(self) -> dict[str, Module]:
        found: dict[str, Module] = {}
        for node, _ in self._declared("module_declaration"):
            symbol, path = (text(child) for child in node.named_children[:2])
            passed = frozenset(
                name for key, value in properties(node) if key == "params" for name, _ in properties(value)
            )
            found[symbol] = Module(symbol, path.strip("'"), passed)
        return found

    @cached_property
    def outputs(self) -> set[str]:
        return {text(node.named_children[0]) for node, _ in self._declared("output_declaration")}

    @property
    def module_outputs(self) -> Iterator[tuple[str, str]]:
        """Each `module.outputs.name` that is read, as (module, name)."""
        for node in walk(self.root):
            if node.type != "member_expression" or node.named_children[0].type != "member_expression":
                continue
            inner, name = node.named_children[:2]
            if text(inner.named_children[-1]) == "outputs":
                yield text(inner.named_children[0]).rstrip("!?"), text(name)

    @property
    def loaded_files(self) -> list[str]:
        """The files read by loadTextContent, loadJsonContent and loadYamlContent."""
        return [
            text(node.named_children[1].named_children[0]).strip("'")
            for node in walk(self.root)
            if node.type == "call_expression" and text(node.named_children[0]).startswith("load")
        ]

    @property
    def item_properties(self) -> Iterator[tuple[str, str]]:
        """What loops read of the items of a JSON file, as (file, property); a property read with `.?` may be absent."""
        for loop in walk(self.root):
            if loop.type != "for_statement":
                continue
            item, items = loop.named_children[:2]
            source = self.variables.get(text(items))
            if source is None or not text(source).startswith("loadJsonContent("):
                continue
            for node in walk(loop):
                read = node.type == "member_expression" and text(node.named_children[0]) == text(item)
                if read and ".?" not in text(node):
                    yield text(source).split("'")[1], text(node.named_children[1])

    def written(self, resource: Resource) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Every property that a resource is given, by its path and with its value. Items of a list have the path of the
        list; what stands in a variable, or in a choice between two, counts as if it stood in its place."""
        yield from self._written(resource.node.named_children[2], ())

    def literals(self, value: Node) -> Iterator[str]:
        """The texts without interpolation that an expression may come to."""
        for node in self._values(value):
            if node.type == "string" and all(child.type == "string_content" for child in node.named_children):
                yield text(node).strip("'")

    def _written(self, value: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
        for node in self._values(value):
            for child in node.named_children if node.type == "object" else ():
                if child.type == "object_property" and len(child.named_children) > 1:
                    key, below = child.named_children[:2]
                    here = (*path, text(key).strip("'"))
                    yield here, below
                    yield from self._written(below, here)

    def _values(self, node: Node) -> Iterator[Node]:
        """What an expression may come to: branches of a choice, items of lists, parts of a union."""
        if node.type == "ternary_expression":
            branches = node.named_children[1:]
        elif node.type in {"array", "parenthesized_expression", "array_type", "type"}:
            branches = node.named_children
        elif node.type in {"for_statement", "if_statement"}:
            branches = node.named_children[-1:]
        elif node.type == "call_expression" and text(node.named_children[0]) in _JOINS:
            branches = node.named_children[1].named_children
        elif node.type == "identifier" and text(node) in self.variables:
            branches = [self.variables[text(node)]]
        elif node.type == "identifier" and text(node) in self._parameter_types:
            branches = [self._parameter_types[text(node)]]
        else:
            yield node
            return
        for branch in branches:
            yield from self._values(branch)

    @cached_property
    def _parameter_types(self) -> dict[str, Node]:
        """The types of parameters whose items are spelt out in them."""
        return {
            text(node.named_children[0]): node.named_children[1]
            for node, _ in self._declared("parameter_declaration")
            if node.named_children[1].type == "type" and "{" in text(node.named_children[1])
        }

    @property
    def undeclared(self) -> set[str]:
        """Names that are used as values and declared nowhere in the file."""
        return self._used - self._local_names - set(self._declared_names) - {"az", "sys"}

    @property
    def unused(self) -> set[str]:
        """Parameters and variables that nothing reads."""
        return (set(self.parameters) | set(self.variables)) - self._used

    def _declared(self, kind: str) -> Iterator[tuple[Node, set[str]]]:
        """Top-level declarations of a kind, with the names of their decorators."""
        decorators: set[str] = set()
        for node in self.root.children:
            if node.type == "decorators":
                decorators = {text(call.named_children[0]) for call in walk(node) if call.type == "call_expression"}
                continue
            if node.type == "comment":
                continue
            if node.type == kind:
                yield node, decorators
            decorators = set()

    @property
    def _declared_names(self) -> Iterator[str]:
        for node in walk(self.root):
            if node.type in _DECLARATIONS:
                yield text(node.named_children[0])

    @property
    def _local_names(self) -> set[str]:
        names = {text(node) for node in walk(self.root) if node.type in {"loop_variable", "loop_enumerator"}}
        for node in walk(self.root):
            if node.type == "for_statement" and node.named_children[0].type == "identifier":
                names.add(text(node.named_children[0]))
            if node.type == "lambda_expression":
                names |= {text(child) for child in walk(node.named_children[0]) if child.type == "identifier"}
        return names

    @cached_property
    def _used(self) -> set[str]:
        return {text(node) for node in walk(self.root) if node.type == "identifier" and _is_value(node)}


def _is_value(node: Node) -> bool:
    """Whether an identifier stands for a value, not for a key, a declared name, a function or a type."""
    parent = node.parent
    if parent is None:
        return False
    first = parent.named_children[0] == node
    if first and parent.type in {*_DECLARATIONS, "output_declaration", "object_property", "call_expression"}:
        return False
    if parent.type == "resource_expression":
        return first
    ancestor: Node | None = parent
    while ancestor is not None:
        if ancestor.type == "type":
            return False
        ancestor = ancestor.parent
    return True


def walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Node) -> str:
    return (node.text or b"").decode()


def properties(node: Node) -> Iterator[tuple[str, Node]]:
    """The properties of the first object in or under a node, as (key, value)."""
    body = next((child for child in walk(node) if child.type == "object"), None)
    for child in body.named_children if body is not None else ():
        if child.type == "object_property" and len(child.named_children) > 1:
            yield text(child.named_children[0]).strip("'"), child.named_children[1]


def every_property(node: Node) -> Iterator[tuple[str, Node]]:
    """The properties of all objects in or under a node, such as the two that an expression chooses from."""
    for child in walk(node):
        if child.type == "object_property" and len(child.named_children) > 1:
            yield text(child.named_children[0]).strip("'"), child.named_children[1]
