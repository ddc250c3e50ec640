"""What commits set going and what itself makes commits; handed to them as `parts.procedures`."""

from __future__ import annotations

from typing import Final

from router.commit import deadlines
from router.commit.parts import Procedures
from router.matching.revoke import revoke_unqualified
from router.matching.rounds import Rounds
from router.upkeep.job import drive_job, reconcile_job
from router.upkeep.worker import reconcile_worker

PROCEDURES: Final = Procedures(
    rounds=Rounds,
    drive_job=drive_job,
    reconcile_job=reconcile_job,
    reconcile_worker=reconcile_worker,
    job_rests=deadlines.armed,
    revoke_unqualified=revoke_unqualified,
)
