"""The command line: read both sides, plan, tell, write, tell what came of it."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from router.clock import SystemClock
from router.migrate import check, plan, report, snapshot
from router.migrate.client import Client, Endpoint, parse_connection_string
from router.migrate.failure import MigrationError, Refused
from router.migrate.journal import Journal
from router.migrate.kinds import Kind
from router.migrate.move import Move
from router.migrate.progress import Counter
from router.migrate.secrets import Secrets

_DONE, _INCOMPLETE, _FAILED = 0, 1, 2

_DESCRIPTION = """\
Copies distribution, exception and classification policies, queues, workers and waiting jobs from one router to
another through the official REST API. Reads only on the source. Run it as often as you like: what is there already
is not written again."""
_EPILOG = """\
A connection string may also be read from a file (--from @file), so that no key stands in your shell's history.
Exit code: 0 all moved (or equal), 1 something needs you, 2 the run could not go on. See docs/migrating-from-acs.md."""


def main(arguments: Sequence[str], program: str = "python -m router.migrate") -> int:
    """`program` is what its help calls it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Ids have letters that a terminal of another encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser(program).parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except (MigrationError, Refused) as error:
        print(f"error: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        print("\nStopped. Run again to go on.", file=sys.stderr)
        return _FAILED


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        program,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from", dest="source", required=True, metavar="STRING", help="connection string of the source"
    )
    parser.add_argument("--to", dest="target", required=True, metavar="STRING", help="connection string of the target")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    mode.add_argument("--check", action="store_true", help="compare both sides and write nothing")
    parser.add_argument("--activate", action="store_true", help="make workers available that are so on the source")
    parser.add_argument("--overwrite", action="store_true", help="write over policies, queues and workers that differ")
    parser.add_argument("--secrets", metavar="FILE", help="JSON object of rules' secrets by places: written each time")
    parser.add_argument("--no-input", action="store_true", help="never ask for secrets, only list them")
    parser.add_argument("--state", metavar="FILE", type=Path, help="state file (default: .migrate-<hash>.jsonl, here)")
    parser.add_argument("--concurrency", metavar="N", type=_count, default=16, help="writes at a time (default 16)")
    parser.add_argument("--trust", metavar="FILE", help="a certificate (PEM) to trust, for a router on this machine")
    return parser


async def _run(options: argparse.Namespace) -> int:
    source, target = _endpoint(options.source), _endpoint(options.target)
    if source.url == target.url:
        raise MigrationError("Source and target are the same router.")
    secrets = Secrets.read(options.secrets) if options.secrets else Secrets()
    journal = Journal(options.state or Journal.default_path(source.url, target.url), source.url, target.url)
    async with Client(source, trust=options.trust) as reader, Client(target, trust=options.trust) as writer:
        here, there = await asyncio.gather(_read(reader, "source"), _read(writer, "target"))
        if snapshot.is_one_router(here, there):
            raise MigrationError(
                "Source and target are one router under two names, or an unchanged copy of it: "
                "every resource has the same etag on both sides."
            )
        now = SystemClock().now()
        if options.check:
            verdict = check.compare(here, there, journal.done, now)
            _tell(report.verdict_lines(verdict))
            return _DONE if verdict.holds else _INCOMPLETE

        def planned() -> plan.Plan:
            return plan.make(here, there, secrets, journal.done, now, left=journal.left, overwrite=options.overwrite)

        wanted = planned()
        if wanted.missing_secrets and not options.no_input and not options.dry_run and sys.stdin.isatty():
            _ask(wanted.missing_secrets, secrets)
            wanted = planned()
        print(f"From {source.url} to {target.url}:")
        _tell(report.plan_lines(wanted))
        left = list(report.left_lines(wanted))
        if left:
            print("Not moved, or not as it is:")
            _tell(left)
        if options.dry_run:
            print("Nothing was written.")
            return _DONE
        journal.open()
        try:
            outcome = await Move(writer, wanted, journal, options.concurrency).run(activate=options.activate)
        finally:
            journal.close()
        _tell(report.outcome_lines(outcome, writer.requests))
    differing = any(wanted.count(kind, plan.Action.LEAVE) for kind in plan.ORDER)
    return _INCOMPLETE if outcome.refused or wanted.missing_secrets or differing else _DONE


async def _read(client: Client, label: str) -> snapshot.Snapshot:
    counter = Counter(f"{label} {client.endpoint.url}")

    def seen(kind: Kind, count: int) -> None:
        counter.seen(kind.plural, count)

    found = await snapshot.read(client, seen)
    counter.end()
    return found


def _ask(places: Sequence[str], secrets: Secrets) -> None:
    print("Secrets of rules cannot be read from the source. Enter them, or nothing to leave one out:")
    for place in places:
        secret = getpass.getpass(f"  {place}: ")
        if secret:
            secrets.add(place, secret)


def _endpoint(text: str) -> Endpoint:
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise MigrationError(f"The connection string cannot be read: {error}") from None
    return parse_connection_string(text)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 100, not {text!r}")
    return int(text)


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
