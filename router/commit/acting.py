"""Who is at it, for the history: set where a call, a deadline or a rule begins, read where its change is committed.

What goes on in the background is the router's own, whoever has set it going (commit/background.py)."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from router.commit.locks import HELD
from router.models.history import ROUTER, Actor

_ACTOR: Final = contextvars.ContextVar("actor", default=ROUTER)
_DECIDED: Final[contextvars.ContextVar[str | None]] = contextvars.ContextVar("decided by", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Changes that are made meanwhile are the actor's."""
    before = _ACTOR.get(), _DECIDED.get()
    _ACTOR.set(actor)
    _DECIDED.set(None)
    try:
        yield
    finally:
        _ACTOR.set(before[0])
        _DECIDED.set(before[1])


@contextmanager
def deciding(what: str | None) -> Iterator[None]:
    """Changes that are made meanwhile have been decided by this rule or policy."""
    before = _DECIDED.get()
    _DECIDED.set(what)
    try:
        yield
    finally:
        _DECIDED.set(before)


def actor() -> Actor:
    return _ACTOR.get()


def decided_by() -> str | None:
    return _DECIDED.get()


def own_context() -> contextvars.Context:
    """A copy of the context in which the router itself acts, and holds no lock."""
    context = contextvars.copy_context()
    context.run(_ACTOR.set, ROUTER)
    context.run(_DECIDED.set, None)
    context.run(HELD.set, ())
    return context
