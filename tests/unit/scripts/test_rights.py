"""The table of rights in the docs is what the code says."""

from __future__ import annotations

from scripts import rights


def test_the_page_has_the_rights_of_the_code() -> None:
    text = rights.PAGE.read_text(encoding="utf-8")
    assert text.count(rights.BEGIN) == text.count(rights.END) == 1
    assert rights.written(text) == text, "python -m scripts.rights"
    assert all(name in text for name in ("`UpsertJob`", "`GetRights`"))
