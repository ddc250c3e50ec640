"""Who is at it, for the history: set where a call, a deadline or a rule begins, read where its change is committed.

What goes on in the background is the router's own, whoever has set it going (commit/background.py)."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final, TypeVar

from router.commit.locks import HELD
from router.models.history import ROUTER, Actor

T = TypeVar("T")
_ACTOR: Final = contextvars.ContextVar("actor", default=ROUTER)
_TOLD: Final[contextvars.ContextVar[bool | None]] = contextvars.ContextVar("told wait", default=None)
_DECIDED: Final[contextvars.ContextVar[str | None]] = contextvars.ContextVar("decided by", default=None)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Changes that are made meanwhile are the actor's."""
    with _meanwhile(_ACTOR, actor), _meanwhile(_DECIDED, None):
        yield


def deciding(what: str | None) -> AbstractContextManager[None]:
    """Changes that are made meanwhile have been decided by this rule or policy."""
    return _meanwhile(_DECIDED, what)


def judging(told_wait_held: bool | None) -> AbstractContextManager[None]:
    """An assignment that is made meanwhile has kept what the job was told of its wait, or has not; None: it was told
    nothing."""
    return _meanwhile(_TOLD, told_wait_held)


@contextmanager
def _meanwhile(what: contextvars.ContextVar[T], value: T) -> Iterator[None]:
    before = what.get()
    what.set(value)
    try:
        yield
    finally:
        what.set(before)


def actor() -> Actor:
    return _ACTOR.get()


def decided_by() -> str | None:
    return _DECIDED.get()


def told_wait_held() -> bool | None:
    return _TOLD.get()


def own_context() -> contextvars.Context:
    """A copy of the context in which the router itself acts, and holds no lock."""
    context = contextvars.copy_context()
    context.run(_ACTOR.set, ROUTER)
    context.run(_DECIDED.set, None)
    context.run(_TOLD.set, None)
    context.run(HELD.set, ())
    return context
