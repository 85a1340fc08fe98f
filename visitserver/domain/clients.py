"""Machine clients: a prison's own systems, which act by a token instead of a session."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from visitserver.domain.errors import Conflict, Invalid


@dataclass(eq=False)
class ApiClient:
    """A system that may do `actions` at one prison until `expires_at`.

    `token_hash` is the SHA-256 of the token, which only the system itself has. `actions` are names of domain/access.py
    whose lines are for clients. A client is never made longer-lived or wider: another one is issued.
    """

    id: str
    prison_id: str
    name: str
    token_hash: str
    actions: frozenset[str]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_by: str | None = None
    last_used_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether its token counts at `now`."""
        return self.revoked_at is None and now < self.expires_at

    def revoke(self, *, by: str, at: datetime) -> None:
        """Make the token worth nothing from `at` on. Conflict when it is that already."""
        if self.revoked_at is not None:
            raise Conflict("This client was revoked already.", code="client_state")
        self.revoked_at, self.revoked_by = at, by


def check_actions(actions: Iterable[str], allowed: Iterable[str]) -> frozenset[str]:
    """`actions` as a set; Invalid when there is none, or one that is not `allowed` to a client."""
    wanted, possible = frozenset(actions), frozenset(allowed)
    if not wanted:
        raise Invalid("Choose what the client may do.", code="actions_required", field="actions")
    if unknown := sorted(wanted - possible):
        raise Invalid(f"No client can do this: {', '.join(unknown)}.", code="action_unknown", field="actions")
    return wanted


@dataclass(eq=False)
class ImportRun:
    """One file (or upload) that was imported, or tried out. Counts are of lines; `faults` holds no personal data.

    `faults`: one mapping for each refused line, at most 1,000, with `line`, `column`, `code` and `message`.
    """

    id: str
    kind: str
    actor: str
    dry_run: bool
    started_at: datetime
    prison_id: str | None = None
    finished_at: datetime | None = None
    lines: int = 0
    created: int = 0
    changed: int = 0
    ended: int = 0
    unchanged: int = 0
    refused: int = 0
    faults: list[dict[str, object]] = field(default_factory=list)
