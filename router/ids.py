"""The only maker of new ids and randomness; tests and simulations seed it."""

from __future__ import annotations

import hashlib
import random
import uuid


class Ids:
    """Makes ids. An offer id carries a check of its worker, so that an id that was once an offer of
    this worker can be told from one that never was, long after the offer is gone (409 against 404)."""

    def __init__(self, source: random.Random | None = None) -> None:
        self._random = source or random.SystemRandom()

    def guid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def etag(self) -> str:
        """A fresh opaque ETag value (without quotes)."""
        return f"{self._random.getrandbits(96):024x}"

    def offer_id(self, worker_id: str) -> str:
        head = self._random.getrandbits(80).to_bytes(10, "big")
        return str(uuid.UUID(bytes=head + _offer_check(worker_id, head)))

    def fraction(self) -> float:
        """A number in [0, 1), for jitter."""
        return self._random.random()


def was_offered(worker_id: str, offer_id: str) -> bool:
    """Whether `offer_id` was made for this worker."""
    try:
        raw = uuid.UUID(offer_id).bytes
    except ValueError:
        return False
    return raw[10:] == _offer_check(worker_id, raw[:10])


def _offer_check(worker_id: str, head: bytes) -> bytes:
    return hashlib.sha256(worker_id.encode("utf-8", "surrogatepass") + b"\0" + head).digest()[:6]
