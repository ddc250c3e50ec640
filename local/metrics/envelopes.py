"""What the Azure Monitor exporter posts to `/v2.1/track`, turned into metric points."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_UNPACKED_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One exported point: `count` measurements with this sum, within one export interval."""

    time: float
    instance: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    total: float
    count: int
    minimum: float
    maximum: float


def decode(body: bytes, encoding: str | None) -> list[dict[str, Any]]:
    """The envelopes in a request body: a JSON array, one JSON object, or one object a line, gzipped or not.

    Raises ValueError for anything else.
    """
    if encoding == "gzip":
        body = _unpacked(body)
    text = body.decode("utf-8").strip()
    if text.startswith("["):
        found = json.loads(text)
    else:
        found = [json.loads(line) for line in text.splitlines() if line.strip()]
    if not all(isinstance(envelope, dict) for envelope in found):
        raise ValueError("an envelope must be a JSON object")
    return list(found)


def points(envelope: dict[str, Any]) -> list[MetricPoint]:
    """The metric points of one envelope; none when it carries a trace, a log or anything else."""
    data = envelope.get("data") or {}
    if data.get("baseType") != "MetricData":
        return []
    base = data["baseData"]
    tags = envelope.get("tags") or {}
    dimensions = tuple(sorted((str(key), str(value)) for key, value in (base.get("properties") or {}).items()))
    return [
        MetricPoint(
            time=datetime.fromisoformat(envelope["time"]).timestamp(),
            instance=str(tags.get("ai.cloud.roleInstance", "")),
            namespace=str(metric.get("ns") or ""),
            name=str(metric["name"]),
            dimensions=dimensions,
            total=float(metric["value"]),
            count=int(metric.get("count") or 1),
            minimum=float(metric["value"] if metric.get("min") is None else metric["min"]),
            maximum=float(metric["value"] if metric.get("max") is None else metric["max"]),
        )
        for metric in base["metrics"]
    ]


def _unpacked(body: bytes) -> bytes:
    try:
        unpacked = gzip.decompress(body)
    except (OSError, EOFError) as error:
        raise ValueError("the body is not gzip") from error
    if len(unpacked) > MAX_UNPACKED_BYTES:
        raise ValueError("the unpacked body is too large")
    return unpacked
