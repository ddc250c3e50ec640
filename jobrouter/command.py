"""The command line: what may be typed, and what that calls."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from jobrouter import change, completion, events, kinds, look
from jobrouter.connect import is_local
from jobrouter.failure import DONE, FAILED, NOT_SO, CommandError, NotSo
from router.migrate.failure import MigrationError, NoAnswer, Refused
from router.replay.errors import ReplayError

_INTERRUPTED: Final = 130  # as shells say it
_DESCRIPTION: Final = "The job router on this machine, and those elsewhere."
_EPILOG: Final = """\
The router: ROUTER_CONNECTION_STRING (endpoint=https://...;accesskey=...), or else the one that `jobrouter start`
has started here (DATA_DIR). Exit code: 0 done, 1 the answer is no (not there, refused, not confirmed), 2 the command
could not do its work. See docs/command.md."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command; the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Ids have letters that a terminal of another encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    if list(arguments[:1]) == ["migrate"]:  # these two have parsers of their own, and much to load
        from router.migrate.command import main as migrate

        return migrate(arguments[1:], program="jobrouter migrate")
    if list(arguments[:1]) == ["start"]:
        from local.__main__ import main as start_local

        return start_local(arguments[1:], program="jobrouter start")
    parser = make_parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return FAILED
    options = parse(parser, arguments)
    try:
        if options.command == "completion":
            sys.stdout.write(completion.script(parser, options.shell))
            return DONE
        return int(asyncio.run(options.run(options)))
    except NotSo as answer:
        print(answer, file=sys.stderr)
        return NOT_SO
    except Refused as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        return NOT_SO
    except NoAnswer as silence:
        remedy = "`jobrouter start` starts it" if is_local() else silence.reason
        print(f"error: {silence.host} does not answer: {remedy}.", file=sys.stderr)
        return FAILED
    except (CommandError, MigrationError, ReplayError) as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """What was typed. argparse takes a positional that may be missing for missing when an option comes before it:
    `export history --from 2026-11-01 FILE` would have no FILE."""
    options, left = parser.parse_known_args(arguments)
    if len(left) == 1 and not left[0].startswith("-") and getattr(options, "file", ...) is None:
        options.file, left = Path(left[0]), []
    if left:
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    return options


def _of_configuration(name: str) -> Callable[[argparse.Namespace], Awaitable[int]]:
    """Loaded when it is wanted: models and their validation take longer than all else together."""

    async def run(options: argparse.Namespace) -> int:
        from jobrouter import configuration

        return int(await getattr(configuration, name)(options))

    return run


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        "jobrouter",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="for scripts")
    common.add_argument("--trust", metavar="FILE", help="certificates (PEM) to trust instead of this machine's")

    commands.add_parser("start", add_help=False, help="start the router here, as `make start` does")
    _add_looks(commands, common)
    _add_events(commands)
    _add_changes(commands, common)
    _add_configuration(commands, common)
    _add_whatif(commands)
    commands.add_parser("migrate", add_help=False, help="copy one router to another")
    one = commands.add_parser("completion", help="print a completion script")
    one.add_argument("shell", choices=completion.SHELLS)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_looks(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    one = commands.add_parser("ls", parents=[common], help="list resources")
    one.add_argument("kind", choices=kinds.MANY)
    one.add_argument("--watch", nargs="?", type=_seconds, const=2.0, metavar="SECONDS", help="again and again")
    one.add_argument("--status", default="active", help="of jobs: active (default), all, queued, assigned, ...")
    one.add_argument("--state", default="all", help="of workers: all (default), active, draining, inactive")
    one.add_argument("--queue", metavar="ID", help="jobs and workers of this queue")
    one.add_argument("--channel", metavar="ID", help="jobs and workers of this channel")
    one.add_argument("--limit", type=_count, default=1000, metavar="N", help="at most so many (default 1000)")
    one.set_defaults(run=look.ls)
    one = commands.add_parser("show", parents=[common], help="show one resource")
    one.add_argument("kind", choices=kinds.ONE)
    one.add_argument("id")
    one.set_defaults(run=look.show)
    one = commands.add_parser("explain", parents=[common], help="why a job is where it is, and what happens next")
    one.add_argument("id", metavar="JOB")
    one.add_argument("--limit", type=_count, default=100, metavar="N", help="at most so many workers (default 100)")
    one.set_defaults(run=look.explain)


def _add_events(commands: _Commands[argparse.ArgumentParser]) -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON document a line")
    common.add_argument("--type", action="append", metavar="NAME", help="such as RouterJobQueued; may be repeated")
    common.add_argument("--job", metavar="ID", help="events of this job")
    common.add_argument("--worker", metavar="ID", help="events of this worker")
    common.add_argument("--subject", metavar="BEGINNING", help="events whose subject begins so")
    one = commands.add_parser("tail", parents=[common], help="print the events of the local router as they come")
    one.add_argument("--count", type=_count, metavar="N", help="end after so many")
    one.set_defaults(run=events.tail)
    one = commands.add_parser("listen", parents=[common], help="send the events of the local router to a webhook")
    one.add_argument("--forward-to", required=True, metavar="URL", help="such as http://localhost:3000/events")
    one.add_argument("--schema", choices=events.SCHEMAS, help="what is sent (default: what the topic takes)")
    one.add_argument("--no-handshake", action="store_true", help="for a webhook that does not answer one yet")
    one.set_defaults(run=events.listen)


def _add_whatif(commands: _Commands[argparse.ArgumentParser]) -> None:
    one = commands.add_parser("whatif", help="replay a day with another policy or team")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--history", type=Path, metavar="FILE", help="a day, as `jobrouter export history` writes it")
    source.add_argument("--generate", type=Path, metavar="FILE", help="days made of a profile")
    one.add_argument("--change", type=Path, action="append", default=[], metavar="FILE", help="may be repeated")
    one.add_argument("--search", choices=("team", "policy"), help="try a bounded set of changes")
    one.add_argument(
        "--shadow", action="store_true", help="the policies that queues name as candidates: label shadowPolicyId"
    )
    one.add_argument("--threshold", type=float, default=20.0, metavar="SECONDS", help="of the service level (20)")
    one.add_argument("--replications", type=int, default=10, metavar="N", help="so many (10); one gives no intervals")
    one.add_argument("--target", type=float, default=80.0, metavar="PERCENT", help="service level that is wanted (80)")
    one.add_argument("--cost-per-hour", type=float, default=30.0, metavar="COST", help="of a worker (30)")
    one.add_argument("--json", action="store_true", help="for scripts")
    one.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots there")
    one.set_defaults(run=_whatif)


async def _whatif(options: argparse.Namespace) -> int:
    from jobrouter.whatif.command import run  # much to load

    return await run(options)


def _add_changes(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    one = commands.add_parser("drain", parents=[common], help="no more offers for workers")
    one.add_argument("workers", nargs="*", metavar="WORKER")
    one.add_argument("--queue", metavar="ID", help="all workers of this queue")
    one.add_argument("--wait", action="store_true", help="until they have no offer and no job")
    one.set_defaults(run=change.drain)
    one = commands.add_parser("purge", parents=[common], help="delete jobs that have ended")
    one.add_argument("--older-than", type=change.span, metavar="SPAN", help="such as 15m, 6h, 7d")
    which = one.add_mutually_exclusive_group()
    which.add_argument("--queue", metavar="ID", help="jobs of this queue only")
    which.add_argument("--all", action="store_true", help="everything: jobs that run, workers, queues, policies")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.set_defaults(run=change.purge)


def _add_configuration(commands: _Commands[argparse.ArgumentParser], common: argparse.ArgumentParser) -> None:
    one = commands.add_parser("export", parents=[common], help="write the configuration, or the history, into files")
    one.add_argument("path", type=Path, metavar="PATH", help="a folder; or `history`, with --from")
    one.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="of the history; default history.ndjson or .csv"
    )
    one.add_argument("--workers", action="store_true", help="workers too")
    one.add_argument("--from", dest="since", metavar="TIME", help="the history from that day or time on")
    one.add_argument("--to", dest="until", metavar="TIME", help="the history before that day or time; default now")
    one.add_argument("--format", choices=("ndjson", "csv"), default="ndjson", help="of the history")
    one.set_defaults(run=_export)
    planned = argparse.ArgumentParser(add_help=False, parents=[common])
    planned.add_argument("path", type=Path, metavar="PATH", help="a folder that `export` has written")
    planned.add_argument("--prune", action="store_true", help="delete what is in no file of its kind")
    planned.add_argument("--secrets", metavar="FILE", help="JSON object of rules' secrets by places")
    one = commands.add_parser("plan", parents=[planned], help="what `apply` would change")
    one.add_argument("--out", type=Path, metavar="FILE", help="keep the plan for `apply --plan`")
    one.add_argument("--check", action="store_true", help="exit code 1 when something would change")
    one.set_defaults(run=_of_configuration("plan"))
    one = commands.add_parser("apply", parents=[planned], help="make the router as the files say")
    one.add_argument("--plan", type=Path, metavar="FILE", help="do what this plan says, or nothing")
    one.add_argument("--yes", action="store_true", help="do not ask")
    one.set_defaults(run=_of_configuration("apply"))


async def _export(options: argparse.Namespace) -> int:
    """`history` with a time is no folder."""
    if options.since is None:
        if options.until is not None or options.file is not None:
            raise CommandError("--to and FILE are of `export history --from TIME`.")
        return await _of_configuration("export")(options)
    if str(options.path) != "history":
        raise CommandError("--from is of `export history`.")
    from jobrouter import history

    return await history.export(options)


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= len(text) <= 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds
