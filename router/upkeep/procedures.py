"""The procedures that modules below them set going; handed to them as `parts.procedures`."""

from __future__ import annotations

from typing import Final

from router.commit.parts import Procedures
from router.matching import distribution, revoke, work_search

PROCEDURES: Final = Procedures(
    distribute=distribution.distribute,
    find_work=work_search.find_work,
    revoke_unqualified=revoke.revoke_unqualified,
)
