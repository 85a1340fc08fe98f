"""Connectivity checks that have been here before."""

from __future__ import annotations

from signaling.media.path import Address

_MOST = 2048  # checks; at the usual one in 2.5 s, those of 85 minutes


class SeenChecks:
    """The transactions of one ICE generation's authenticated checks, and where each came from first.

    A check proves that its sender knows the password, not that it was sent from where it comes from: somebody on the
    way can send a copy of one from his own address, and a lite agent, which makes no checks of its own, would send the
    media there (RFC 8445 section 19.2.1). A client makes a new transaction for every check (RFC 8489 section 5) and
    repeats one from the same address only, so a known transaction from another address is a copy.
    """

    __slots__ = ("_first",)

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def is_copy(self, transaction_id: bytes, address: Address) -> bool:
        """Whether the check with this transaction came from another address before; if not, it is remembered."""
        key, source = int.from_bytes(transaction_id[:8], "big"), hash(address)
        first = self._first.setdefault(key, source)
        if len(self._first) > _MOST:
            del self._first[next(iter(self._first))]
        return first != source
