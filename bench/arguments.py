"""What the measurements that stand alone are told on their command lines, and by the environment."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from local.options import LocalError, read_topology
from local.topology import Topology


def rate_and_seconds(module: str, description: str | None, rate: float, seconds: float) -> tuple[float, float]:
    """The two, as given or by default."""
    options = argument_parser(module, description)
    add_rate(options, rate)
    add_seconds(options, seconds)
    given = options.parse_args()
    return given.rate, given.seconds


def argument_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(f"python -m {module}", description=description)


def add_rate(parser: argparse.ArgumentParser, rate: float) -> None:
    parser.add_argument("rate", nargs="?", type=_positive, default=rate, help="a second (default: %(default)g)")


def add_seconds(parser: argparse.ArgumentParser, seconds: float) -> None:
    parser.add_argument("seconds", nargs="?", type=_positive, default=seconds, help="(default: %(default)g)")


def add_count(parser: argparse.ArgumentParser, name: str, least: int, otherwise: int) -> None:
    """A number that need not be given; a `name` with dashes is an option."""
    add = partial(parser.add_argument, name, type=_from(least), default=otherwise, help="(default: %(default)d)")
    if name.startswith("-"):
        add()
    else:
        add(nargs="?")


def count(module: str, description: str | None, what: str, least: int, otherwise: int) -> int:
    """One number, as given or by default."""
    options = argument_parser(module, description)
    add_count(options, what, least, otherwise)
    return int(getattr(options.parse_args(), what))


def topology(workers: int = 2) -> Topology:
    """As WORKERS and TIMER say; without them, as on the platform: several that serve, the timer apart."""
    try:
        return read_topology(workers=workers)
    except LocalError as error:
        sys.exit(str(error))


def _from(least: int) -> Callable[[str], int]:
    def parsed(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a number from {least} on, not {text!r}")
        return int(text)

    return parsed


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text!r}")
    return number
