"""RFC 7396 merge patch, with one addition: another `kind` replaces the whole object."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from router.wire.names import ObjectShape, Shape, shape_of


def merge_patch(target: dict[str, Any], patch: dict[str, Any], model: type[BaseModel] | None = None) -> dict[str, Any]:
    """The target changed by the patch; neither is mutated. With a model, its unions by `kind` are known; the
    patch is expected under the wire's own names."""
    return _merge(target, patch, shape_of(model) if model is not None else None)


def _merge(target: dict[str, Any], patch: dict[str, Any], shape: Shape) -> dict[str, Any]:
    known = shape if isinstance(shape, ObjectShape) else None
    if known is not None and known.kinds and _other_kind(target, patch):
        target = {}
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            old = merged.get(key)
            inner = known.inner(key) if known is not None else None
            merged[key] = _merge(old if isinstance(old, dict) else {}, value, inner)
        else:
            merged[key] = value
    return merged


def _other_kind(target: dict[str, Any], patch: dict[str, Any]) -> bool:
    kind = patch.get("kind")
    return kind is not None and kind != target.get("kind")
