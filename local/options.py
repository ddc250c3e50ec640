"""What a developer may set for a local run, read from the environment in one place."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from local.topology import Topology

ROOT: Final = Path(__file__).resolve().parent.parent

# Everybody knows it, as everybody knows the emulators' keys: it protects nothing.
DEVELOPMENT_KEY: Final = base64.b64encode(hashlib.sha256(b"self-hosted-job-router development key").digest()).decode()


LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"


class LocalError(Exception):
    """Why a local run cannot start or go on, told to the developer in one message."""


@dataclass(frozen=True, slots=True)
class Options:
    port: int
    https_port: int
    data_dir: Path
    topology: Topology
    access_keys: str
    event_subscribers: tuple[str, ...]
    #: Tests of an application put the router's clock forward (local/clock.py).
    movable_clock: bool = False
    #: The address of the app's ports: loopback, or all of this machine (in a container).
    listen: str = LOOPBACK

    @property
    def first_key(self) -> str:
        return self.access_keys.split(",")[0].strip()


def read_options(environment: Mapping[str, str] = os.environ) -> Options:
    port = _port(environment, "PORT", 7071)
    if port == 65535 and not environment.get("HTTPS_PORT"):
        raise LocalError("PORT is 65535, and HTTPS_PORT would be the port after it: set HTTPS_PORT, or another PORT.")
    options = Options(
        port=port,
        https_port=_port(environment, "HTTPS_PORT", port + 1),
        data_dir=(ROOT / (environment.get("DATA_DIR") or ".data")).resolve(),
        topology=read_topology(environment),
        access_keys=environment.get("ROUTER_ACCESS_KEYS") or DEVELOPMENT_KEY,
        event_subscribers=tuple(_subscribers(environment.get("ROUTER_EVENT_SUBSCRIBERS", ""))),
        movable_clock=_movable_clock(environment),
        listen=_listen(environment),
    )
    if options.port == options.https_port:
        raise LocalError(f"PORT and HTTPS_PORT are both {port}; they must differ.")
    if options.movable_clock and len(options.topology.processes) > 1:
        raise LocalError("CLOCK=movable needs one process: each has a clock of its own. Leave WORKERS and TIMER alone.")
    return options


def _listen(environment: Mapping[str, str]) -> str:
    listen = environment.get("LISTEN") or LOOPBACK
    if listen not in (LOOPBACK, EVERYWHERE):
        raise LocalError(f"LISTEN must be {LOOPBACK} or {EVERYWHERE}, not {listen!r}.")
    keys = [key.strip() for key in (environment.get("ROUTER_ACCESS_KEYS") or DEVELOPMENT_KEY).split(",")]
    if listen == EVERYWHERE and DEVELOPMENT_KEY in keys:
        raise LocalError(
            f"LISTEN={EVERYWHERE} needs ROUTER_ACCESS_KEYS of your own: everybody knows the development key. "
            "`openssl rand -base64 32` makes one."
        )
    return listen


def _movable_clock(environment: Mapping[str, str]) -> bool:
    clock = environment.get("CLOCK", "")
    if clock not in ("", "movable"):
        raise LocalError(f"CLOCK must be movable or not there, not {clock!r}.")
    return clock == "movable"


def read_topology(environment: Mapping[str, str] = os.environ, *, workers: int = 1) -> Topology:
    """WORKERS and TIMER; `workers` are there where WORKERS does not say how many."""
    workers = _number(environment, "WORKERS", workers, 1, 64)
    timer = environment.get("TIMER", "")
    if timer not in ("", "together", "apart"):
        raise LocalError(f"TIMER must be together or apart, not {timer!r}.")
    if timer == "together" and workers > 1:
        raise LocalError(
            f"TIMER=together needs WORKERS=1, not {workers}: beside several processes the timer has one of its own."
        )
    return Topology(workers, timer_apart=timer == "apart" or workers > 1)


def make_data_dir(folder: Path) -> None:
    """DATA_DIR, if it is not there yet; it must be a folder that can be written to."""
    try:
        if folder.exists() and not folder.is_dir():
            raise LocalError(f"DATA_DIR {folder} is a file, not a folder.")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"DATA_DIR {folder} cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise LocalError(f"DATA_DIR {folder} cannot be written to.")


def _subscribers(text: str) -> list[str]:
    urls = [part.strip() for part in text.split(",") if part.strip()]
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LocalError(f"ROUTER_EVENT_SUBSCRIBERS: {url!r} is not an http or https URL.")
    return urls


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    return _number(environment, name, default, 1, 65535)


def _number(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = environment.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise LocalError(f"{name} must be a number from {low} to {high}, not {text!r}.")
    return int(text)
