"""The procedures that modules below them set going; handed to them as `parts.procedures`."""

from __future__ import annotations

from typing import Final

from router.service import distribution, revocation, work_search
from router.service.parts import Procedures

PROCEDURES: Final = Procedures(
    distribute=distribution.distribute,
    find_work=work_search.find_work,
    revoke_unqualified=revocation.revoke_unqualified,
)
