"""The table of limits is what the code says."""

from __future__ import annotations

from scripts import limits


def test_the_page_has_the_limits_of_the_code() -> None:
    text = limits.PAGE.read_text(encoding="utf-8")
    assert text.count(limits.BEGIN) == text.count(limits.END) == 1
    assert limits.written(text) == text, "python -m scripts.limits"


def test_a_limit_that_has_changed_is_seen() -> None:
    text = limits.PAGE.read_text(encoding="utf-8")
    assert limits.written(text.replace("25,000 names", "26,000 names")) == text
