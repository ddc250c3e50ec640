"""Events that were given up, in DIR/deadletter/<subscription>.jsonl, in the shape of Event Grid's dead-letter blobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.topic.schemas import Schema


class DeadLetters:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def count(self, subscription: str) -> int:
        try:
            with self._path(subscription).open("rb") as lines:
                return sum(1 for _ in lines)
        except FileNotFoundError:
            return 0

    def append(
        self,
        subscription: str,
        event: dict[str, Any],
        schema: Schema,
        *,
        reason: str,
        attempts: int,
        outcome: str | None,
        status: int | None,
        published: float,
        attempted: float | None,
    ) -> None:
        """One write of one line: a kill leaves the line there or not, and in that case the event is still pending."""
        facts: dict[str, Any] = {"deadLetterReason": reason, "deliveryAttempts": attempts}
        if outcome is not None:
            facts["lastDeliveryOutcome"] = outcome
        if status is not None:
            facts["lastHttpStatusCode"] = status
        facts["publishTime"] = _time(published)
        if attempted is not None:
            facts["lastDeliveryAttemptTime"] = _time(attempted)
        if schema is Schema.CLOUD_EVENTS:  # its attribute names are lower-case
            facts = {name.lower(): value for name, value in facts.items()}
        with self._path(subscription).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(event | facts) + "\n")

    def _path(self, subscription: str) -> Path:
        return self._folder / f"{subscription}.jsonl"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
