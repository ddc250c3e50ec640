"""Which active jobs name a queue or a classification policy: hints for "may it be deleted?".

Layout: PartitionKey = `q~key(queue)` or `c~key(policy)`, RowKey = key(job), column JobId."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

from router.storage.keys import key
from router.storage.port import Entity, Table

Owner = tuple[Literal["q", "c"], str]


class MemberStore:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, owner: Owner, job_id: str) -> None:
        await self._table.upsert(Entity(_partition(owner), key(job_id), {"JobId": job_id}))

    async def remove(self, owner: Owner, job_id: str) -> None:
        await self._table.delete(_partition(owner), key(job_id))

    async def of(self, owner: Owner) -> AsyncIterator[str]:
        """Ids of jobs that may be active and name the owner."""
        after: tuple[str, str] | None = None
        while True:
            page = await self._table.query([("PartitionKey", "eq", _partition(owner))], limit=20, after=after)
            for entity in page.entities:
                yield str(entity.columns["JobId"])
            after = page.next
            if after is None:
                return


def _partition(owner: Owner) -> str:
    return f"{owner[0]}~{key(owner[1])}"
