"""Property names of requests match without regard to case; unknown and read-only ones are dropped.

Shapes are made of the pydantic models on first use. What stands inside labels, tags and a rule's `value` is data:
its keys are left alone."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel

from router.models.enums import by_folded, folded


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """An object with known properties: a model, or a union of models told apart by `kind`."""

    #: Exact and lower-case names to the wire's name and the shape of what stands there (None: data).
    fields: Mapping[str, tuple[str, Shape]]
    #: The `kind` values of a union; empty for a plain model.
    kinds: tuple[str, ...] = ()

    def inner(self, name: str) -> Shape:
        field = self.fields.get(name)
        return field[1] if field is not None else None


@dataclass(frozen=True, slots=True)
class ListShape:
    """An array of objects."""

    item: Shape


@dataclass(frozen=True, slots=True)
class EnumShape:
    """A text out of a list: today's texts by all that stand for them, folded."""

    texts: Mapping[str, str]


Shape: TypeAlias = ObjectShape | ListShape | EnumShape | None


@lru_cache(maxsize=64)
def shape_of(model: type[BaseModel]) -> ObjectShape:
    """The shape of a model, its nested models included."""
    return _model_shape(model)


def canonicalise(patch: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The patch under the wire's own names, with today's texts of enumerations. Of two spellings of one name the last
    wins. A null inside an array removes nothing from anywhere, it only says "not set", and is dropped."""
    return _object(patch, shape_of(model), in_array=False)


def _object(value: dict[str, Any], shape: ObjectShape, *, in_array: bool) -> dict[str, Any]:
    fields = shape.fields
    named: dict[str, Any] = {}
    for key, item in value.items():
        field = fields.get(key) or fields.get(key.lower())
        if field is None:
            continue
        name, inner = field
        if item is None and in_array:
            named.pop(name, None)
        else:
            named[name] = item if inner is None else _value(item, inner, in_array=in_array)
    return named


def _value(value: Any, shape: Shape, *, in_array: bool) -> Any:
    if isinstance(shape, ObjectShape) and isinstance(value, dict):
        return _object(value, shape, in_array=in_array)
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_value(item, shape.item, in_array=True) for item in value]
    if isinstance(shape, EnumShape) and isinstance(value, str):
        return shape.texts.get(folded(value), value)
    return value


def _model_shape(*models: type[BaseModel]) -> ObjectShape:
    """One shape for all models of a union: no two of them use a name for different things, and validation sorts
    out which belong to which `kind`."""
    fields: dict[str, tuple[str, Shape]] = {}
    kinds: list[str] = []
    for model in models:
        for name, field in model.model_fields.items():
            wire_name = field.alias or name
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("readOnly"):
                continue
            if wire_name == "kind":
                kinds += get_args(field.annotation)
            entry = (wire_name, _shape(field.annotation))
            fields[wire_name] = fields[wire_name.lower()] = entry
    if kinds:
        fields["kind"] = ("kind", EnumShape(by_folded(kinds)))
    return ObjectShape(fields, tuple(kinds) if len(models) > 1 else ())


def _shape(annotation: Any) -> Shape:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _shape(get_args(annotation)[0])
    if origin is list:
        item = _shape(get_args(annotation)[0])
        return ListShape(item) if item is not None else None
    if origin is Literal:
        return EnumShape(by_folded(get_args(annotation)))
    if origin is dict:
        return None
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return EnumShape(by_folded(annotation))
    models = _models(annotation)
    return _model_shape(*models) if models else None


def _models(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a type, a union or an annotated union consists of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _models(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return tuple(model for option in get_args(annotation) for model in _models(option))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return ()
