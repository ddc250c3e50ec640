"""Writes the table of limits in docs/security.md from the code: python -m scripts.limits"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from router.api.admission import MOST_PAGES
from router.api.auth.hmac import CLOCK_SKEW
from router.api.in_flight import MAX_HELD_BYTES, MAX_IN_FLIGHT_BYTES
from router.models.event_sizes import MAX_EVENT_BYTES
from router.models.jobs import MAX_DECLINES, MAX_NOTES
from router.models.policies import MAX_ATTACHMENTS
from router.models.selectors import MAX_ATTACHED, MAX_SELECTORS
from router.models.sizes import LARGEST_NOTED, LARGEST_PAGE, LARGEST_ROUTED, LARGEST_WRITTEN, MOST_OFFERS
from router.models.types import MAX_KEY_LENGTH, MAX_LABELS, MAX_TEXT_LENGTH
from router.models.workers import MAX_CHANNELS, MAX_QUEUES
from router.rules.check import MOST_EXPRESSIONS
from router.rules.http.client import RuleHttpLimits
from router.rules.powerfx.cache import MOST_CHARACTERS
from router.rules.powerfx.limits import DEFAULT_LIMITS
from router.rules.powerfx.patterns import MOST_MEMORY
from router.rules.purse import MOST_SECONDS, MOST_STEPS
from router.storage.azure import LARGEST_ANSWER
from router.storage.deadlines import LONGEST_BACKOFF_SECONDS, MOST_ATTEMPTS
from router.wire.bodies import MAX_VALUES
from router.wire.paging import MAX_PAGE_SIZE
from router.wire.parse import MAX_BODY_BYTES, MAX_DEPTH
from scripts.made_part import with_part

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "security.md"
BEGIN: Final = "<!-- limits: made by .venv/bin/python -m scripts.limits -->\n"
END: Final = "<!-- end of limits -->\n"


def rows() -> Iterator[tuple[str, str]]:
    calls = RuleHttpLimits()
    yield "body of a request", f"{MAX_BODY_BYTES:,} bytes, {MAX_VALUES:,} names and values; more is 413"
    yield "bodies that one process works on at once", f"{MAX_IN_FLIGHT_BYTES:,} bytes; more is 503"
    yield "bodies that wait in one process", f"{MAX_HELD_BYTES:,} bytes; more is 503"
    yield "JSON depth", f"{MAX_DEPTH}"
    yield "page size", f"{MAX_PAGE_SIZE:,}, or {LARGEST_PAGE:,} characters; what is beyond is on the next page"
    yield "pages of lists that one process makes at once", f"{MOST_PAGES}; others wait"
    yield "an answer of storage to a query", f"{LARGEST_ANSWER:,} bytes; of larger rows fewer are asked for"
    yield "id, key of a label", f"{MAX_KEY_LENGTH} characters"
    yield "labels, tags", f"{MAX_LABELS} each; a text of {MAX_TEXT_LENGTH:,} characters"
    yield "selectors of a list", f"{MAX_SELECTORS}"
    yield "selectors that a policy gives a job, or chooses a queue by", f"{MAX_ATTACHED}; more fail its classification"
    yield "attachments, exception rules, actions", f"{MAX_ATTACHMENTS} each"
    yield "queues, channels of a worker", f"{MAX_QUEUES}, {MAX_CHANNELS}"
    yield "notes, declines that a job remembers", f"{MAX_NOTES:,}, {MAX_DECLINES:,}"
    yield "live offers of a job", f"{MOST_OFFERS}"
    yield (
        "what a client writes of a job, worker, queue or policy",
        f"{LARGEST_WRITTEN:,} characters of JSON, as storage counts them (below); more is 413",
    )
    yield (
        "a job with what policies and rules add",
        f"{LARGEST_ROUTED:,}; what is beyond is left out, or classification fails",
    )
    yield (
        "a job with the notes of its actions",
        f"{LARGEST_NOTED:,}; a note beyond is 413, without it the action is done",
    )
    yield "an event", f"{MAX_EVENT_BYTES:,} bytes; what is too large is taken out and named in `truncated`"
    yield "an expression", f"{DEFAULT_LIMITS.expression_length:,} characters, {DEFAULT_LIMITS.steps:,} steps"
    yield "the expressions of a policy", f"{MOST_EXPRESSIONS:,} characters together"
    yield (
        "all expressions of one classification, or of one job's scoring",
        f"{MOST_STEPS:,} steps and {MOST_SECONDS:g} s of processor time together",
    )
    yield "compiled expressions that a process remembers", f"{MOST_CHARACTERS:,} characters"
    yield "regular expressions that a process remembers", f"{MOST_MEMORY:,} bytes that they may grow to"
    yield (
        "a call of a rule",
        f"{calls.attempt:g} s, {calls.retries} retries, {calls.total:g} s in all,"
        f" {calls.response_bytes:,} bytes of answer",
    )
    yield (
        "a deadline that fails",
        f"tried every {LONGEST_BACKOFF_SECONDS:g} s at last, given up after {MOST_ATTEMPTS} times",
    )
    yield "clock skew of a signature", f"{CLOCK_SKEW.seconds // 60} minutes"


def table() -> str:
    return "".join(["| limit | value |\n| --- | --- |\n", *(f"| {what} | {value} |\n" for what, value in rows())])


def written(text: str) -> str:
    """The page with the table as it is now."""
    return with_part(text, BEGIN, END, table())


def main() -> int:
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
