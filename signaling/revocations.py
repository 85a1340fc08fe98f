"""Whose tickets are good no more before they expire: a list that every verifier of a node asks."""

from __future__ import annotations

from datetime import datetime, timedelta

from signaling.errors import TicketError

KEPT = timedelta(hours=13)
"""Longer than any ticket of a person lives (tickets.MAX_LIFE)."""


class Revocations:
    """People by identifier (an officer's, a participant's), each with the moment from which on nothing older counts."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}

    def revoke(self, subject: str, at: datetime) -> bool:
        """Nothing that was issued to `subject` up to `at` is good any more; whether that was not known yet."""
        known = self._at.get(subject)
        if known is not None and known >= at:
            return False
        self._at[subject] = at
        self._at = {one: when for one, when in self._at.items() if at - when < KEPT}
        return True

    def check(self, subject: str, issued_at: datetime) -> None:
        """TicketError `revoked` for a ticket of that time. One that is issued later, after all, is good."""
        at = self._at.get(subject)
        if at is not None and issued_at <= at:
            raise TicketError("the right to this was withdrawn", code="revoked")
