"""All functions, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from router.rules.powerfx.compiler import FunctionCompiler
from router.rules.powerfx.functions import (
    aggregates,
    columns,
    conversions,
    dates,
    dynamics,
    groups,
    json,
    logic,
    markup,
    numbers,
    queries,
    regex,
    sorting,
    tables,
    text,
    trigonometry,
)

FUNCTIONS: Final[Mapping[str, FunctionCompiler]] = {
    **logic.FUNCTIONS,
    **conversions.FUNCTIONS,
    **numbers.FUNCTIONS,
    **aggregates.FUNCTIONS,
    **text.FUNCTIONS,
    **dates.FUNCTIONS,
    **tables.FUNCTIONS,
    **queries.FUNCTIONS,
    **sorting.FUNCTIONS,
    **columns.FUNCTIONS,
    **json.FUNCTIONS,
    **regex.FUNCTIONS,
    **trigonometry.FUNCTIONS,
    **markup.FUNCTIONS,
    **dynamics.FUNCTIONS,
    **groups.FUNCTIONS,
}
