"""Merge patch: RFC 7396 and `kind` (docs/behaviour.md, "Requests")."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.models.jobs import RouterJobInput
from router.models.policies import ClassificationPolicy, DistributionPolicy
from router.wire.merge import merge_patch

# RFC 7396 appendix A, the cases whose target and patch are objects.
RFC_CASES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]
# Section 3 of the same.
TITLE = (
    {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    },
    {"title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": None}, "tags": ["example"]},
    {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    },
)


@pytest.mark.parametrize(("target", "patch", "merged"), [*RFC_CASES, TITLE])
def test_rfc_7396(target: Any, patch: Any, merged: Any) -> None:
    assert merge_patch(target, patch) == merged


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
keys = st.sampled_from(["a", "b", "c", "kind", "mode", "labels"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(keys, values, max_size=5)


def _reference(target: Any, patch: Any) -> Any:
    """The RFC's pseudocode, word for word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = _reference(target.get(name), value)
    return target


def _has_null_member(value: Any) -> bool:
    if isinstance(value, dict):
        return any(item is None or _has_null_member(item) for item in value.values())
    return False


@given(objects, objects)
def test_as_the_rfcs_pseudocode(target: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == _reference(target, patch)
    assert (target, patch) == before


@given(objects, objects)
def test_the_same_patch_twice_changes_nothing_more(target: dict[str, Any], patch: dict[str, Any]) -> None:
    for model in (None, DistributionPolicy, RouterJobInput):
        once = merge_patch(target, patch, model)
        assert merge_patch(once, patch, model) == once


@given(objects)
def test_a_document_patched_with_itself_stays(target: dict[str, Any]) -> None:
    clean = merge_patch({}, target)
    assert not _has_null_member(clean)
    for model in (None, DistributionPolicy, RouterJobInput):
        assert merge_patch(clean, clean, model) == clean
        assert merge_patch(clean, {}, model) == clean


MODES = ["bestWorker", "longestIdle", "roundRobin"]


@given(st.sampled_from(MODES), st.sampled_from(MODES), objects, objects)
def test_another_kind_leaves_nothing_of_the_old(
    old: str, new: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    target = {"mode": {**merge_patch({}, before), "kind": old}, "name": "n"}
    patch = {"mode": {**after, "kind": new}}
    merged = merge_patch(target, patch, DistributionPolicy)
    fresh = merge_patch({}, patch)["mode"]
    expected = fresh if old != new else merge_patch(target, patch)["mode"]
    assert merged == {"mode": expected, "name": "n"}


def test_kinds_of_nested_unions() -> None:
    target = {
        "mode": {
            "kind": "bestWorker",
            "maxConcurrentOffers": 3,
            "scoringRule": {"kind": "function", "functionUri": "https://a", "credential": {"functionKey": "k"}},
        }
    }
    rule = {"mode": {"scoringRule": {"kind": "expression", "expression": "1"}}}
    assert merge_patch(target, rule, DistributionPolicy) == {
        "mode": {
            "kind": "bestWorker",
            "maxConcurrentOffers": 3,
            "scoringRule": {"kind": "expression", "expression": "1"},
        }
    }
    same = {"mode": {"kind": "bestWorker", "scoringRule": {"credential": {"functionKey": None, "appKey": "a"}}}}
    assert merge_patch(target, same, DistributionPolicy) == {
        "mode": {
            "kind": "bestWorker",
            "maxConcurrentOffers": 3,
            "scoringRule": {"kind": "function", "functionUri": "https://a", "credential": {"appKey": "a"}},
        }
    }


def test_labels_are_no_union() -> None:
    target = {"labels": {"kind": "a", "keep": 1}, "tags": {"x": 1, "y": 2}}
    patch = {"labels": {"kind": "b"}, "tags": {"x": None}}
    assert merge_patch(target, patch, RouterJobInput) == {"labels": {"kind": "b", "keep": 1}, "tags": {"y": 2}}


def test_objects_in_arrays_are_taken_as_they_are() -> None:
    patch = {"workerSelectorAttachments": [{"kind": "ruleEngine", "rule": {"kind": "static", "value": {"a": None}}}]}
    assert merge_patch({"workerSelectorAttachments": [{"kind": "x"}]}, patch, ClassificationPolicy) == patch
