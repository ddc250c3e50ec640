"""What the measurements that stand alone are told on their command lines."""

from __future__ import annotations

import argparse


def rate_and_seconds(module: str, description: str | None, rate: float, seconds: float) -> tuple[float, float]:
    """The two, as given or by default."""
    parser = argparse.ArgumentParser(f"python -m {module}", description=description)
    parser.add_argument("rate", nargs="?", type=_positive, default=rate, help="a second (default: %(default)g)")
    parser.add_argument("seconds", nargs="?", type=_positive, default=seconds, help="(default: %(default)g)")
    options = parser.parse_args()
    return options.rate, options.seconds


def count(module: str, description: str | None, what: str, least: int, otherwise: int) -> int:
    """One number, as given or by default."""

    def parsed(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a number from {least} on, not {text!r}")
        return int(text)

    parser = argparse.ArgumentParser(f"python -m {module}", description=description)
    parser.add_argument(what, nargs="?", type=parsed, default=otherwise, help="(default: %(default)d)")
    return int(getattr(parser.parse_args(), what))


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text!r}")
    return number
