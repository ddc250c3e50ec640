"""What the command line may say, parsed once and checked."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.topic.schemas import Schema

DEFAULT_TOPIC_ID = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.EventGrid/topics/router"
)
#: Access keys, with commas between: command lines are for all to read, the environment is not.
KEYS = "LOCAL_TOPIC_KEYS"
# Event Grid waits 10 s, 30 s, 1 min, 5 min, 10 min, 30 min, 1 h, 3 h, 6 h and then 12 h. Here the first steps are
# short, because somebody is watching, and the tail is long enough for 30 attempts to outlast a day's work.
DEFAULT_RETRY_SCHEDULE = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Options:
    port: int
    keys: tuple[str, ...]
    data_dir: Path
    subscriptions: Path
    schema: Schema = Schema.EVENT_GRID
    topic_id: str = DEFAULT_TOPIC_ID
    retry_schedule: tuple[float, ...] = DEFAULT_RETRY_SCHEDULE
    concurrency: int = 16
    delivery_timeout: float = 30.0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def parse_options(argv: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m local.topic", description="A local Event Grid custom topic.")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--key", action="append", help=f"access key; give it twice to rotate keys; or set {KEYS}")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder of the store and the dead-letter files")
    parser.add_argument("--subscriptions", type=Path, required=True, help="JSON file, read again when it changes")
    parser.add_argument("--schema", type=_schema, default="EventGrid", help="EventGrid (default) or CloudEvents")
    parser.add_argument("--topic-id", default=DEFAULT_TOPIC_ID, help="what stands in the events' `topic`")
    parser.add_argument(
        "--retry-schedule", type=_seconds, default=DEFAULT_RETRY_SCHEDULE, help="seconds, commas; the last one repeats"
    )
    parser.add_argument("--concurrency", type=int, default=16, help="parallel deliveries to one subscription")
    parser.add_argument("--delivery-timeout", type=float, default=30.0, help="seconds to wait for a subscriber")
    args = parser.parse_args(argv)
    keys = args.key or [key for key in os.environ.get(KEYS, "").split(",") if key]
    if not keys:
        parser.error(f"the access key is missing: set {KEYS}, or give --key")
    if not 1 <= args.port <= 65535:
        parser.error(f"--port {args.port} is not between 1 and 65535")
    if args.concurrency < 1 or args.delivery_timeout <= 0:
        parser.error("--concurrency and --delivery-timeout must be positive")
    return Options(
        port=args.port,
        keys=tuple(keys),
        data_dir=args.data_dir,
        subscriptions=args.subscriptions,
        schema=args.schema,
        topic_id=args.topic_id,
        retry_schedule=args.retry_schedule,
        concurrency=args.concurrency,
        delivery_timeout=args.delivery_timeout,
    )


def _schema(text: str) -> Schema:
    names = {"eventgrid": Schema.EVENT_GRID, "cloudevents": Schema.CLOUD_EVENTS}
    if text.lower() not in names:
        raise argparse.ArgumentTypeError(f"{text!r} is neither EventGrid nor CloudEvents")
    return names[text.lower()]


def _seconds(text: str) -> tuple[float, ...]:
    try:
        steps = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of seconds") from None
    if not steps or not all(0 < step < float("inf") for step in steps):
        raise argparse.ArgumentTypeError(f"{text!r} must be positive seconds, at least one")
    return steps
