"""Why a rule yielded nothing that can be used; the reason goes into events and answers, so it holds no secret."""

from __future__ import annotations


class RuleFailure(Exception):
    """A rule failed. `code` is stable, `reason` is for people: neither has a credential, nor a URI's path or query."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class RuleCallError(RuleFailure):
    """The endpoint of a function or webhook rule could not be called, or did not answer as agreed."""


class RuleResultError(RuleFailure):
    """A rule yielded a value that does not fit the place where the rule is used."""
