"""What a body costs before anything is known of its meaning: parsing holds the event loop, a thread too."""

from __future__ import annotations

import re
from typing import Final

from router.errors import TooLarge

#: Names and values of one body. What can be stored (models/sizes.py) has fewer, whatever it is.
MAX_VALUES: Final = 25_000
#: A text that does not end is one to the end of the body: looked at again from each quote, it would take minutes.
_VALUE: Final = re.compile(rb'"(?:[^"\\]+|\\.)*+"?|[^\s,:\[\]{}"]+|\[\s*+\]|\{\s*+\}', re.DOTALL)


def check_values(body: bytes) -> None:
    """Raises TooLarge (413) for a body of more names and values than any resource has."""
    if body.count(b",") + body.count(b":") <= MAX_VALUES // 2:
        return  # nesting alone is refused by its depth
    count = 0
    for _ in _VALUE.finditer(body):
        count += 1
        if count > MAX_VALUES:
            break
    if count > MAX_VALUES:
        raise TooLarge(f"The body has more than {MAX_VALUES} names and values.")
