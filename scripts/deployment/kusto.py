"""A rule for queries: every name in one is a table, a column of the tables that it reads, a word of the Kusto query
language, or made by the query itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from scripts.deployment.tables import KUSTO_TABLES, KUSTO_WORDS

_COMMENT: Final = re.compile(r"//.*")
_TEXT: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
_FILLED_IN: Final = re.compile(r"\{\w+(?::\w+)?\}")
_DIMENSION: Final = re.compile(r"\bcustomDimensions\.\w+")
_NAME: Final = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_MADE: Final = re.compile(r"(?<![\w.])([A-Za-z_]\w*)\s*=(?![=~])")


def problems(query: str) -> Iterator[str]:
    bare = query
    for taken_out in (_COMMENT, _TEXT, _FILLED_IN):
        bare = taken_out.sub(" ", bare)
    names = set(_NAME.findall(_DIMENSION.sub("customDimensions", bare)))
    read = sorted(names & KUSTO_TABLES.keys())
    if not read:
        yield f"a query reads no known table: {query.splitlines()[0] if query else 'it is empty'}"
        return
    allowed = {*read, *KUSTO_WORDS, *_MADE.findall(bare)}.union(*(KUSTO_TABLES[table] for table in read))
    for name in sorted(names - allowed):
        yield f"{name} is no column of {' or '.join(read)}, and no word of a query"
