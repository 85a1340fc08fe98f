"""Checks an audit log against its own chain, its seals, and the heads that were anchored elsewhere."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from visitserver.domain.audit import GENESIS, AuditEntry, chain_hash, seal_of


class Damage(StrEnum):
    """What is wrong with the log. REWRITTEN: the rows agree with each other, but not with an anchored head."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    CUT_OFF = "cut_off"
    REWRITTEN = "rewritten"
    ANCHOR_FORGED = "anchor_forged"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head of the log as it was kept outside the database, with its Ed25519 signature (base64)."""

    sequence: int
    sha256: str
    at: datetime
    signature: str = ""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result: whether all is well, how many rows were read, and the first bad row with the kind of damage."""

    valid: bool
    rows: int
    sequence: int | None = None
    damage: Damage | None = None
    detail: str = ""


async def check_rows(rows: AsyncIterator[AuditEntry], anchors: Sequence[Anchor], key: bytes) -> AuditReport:
    """Walk the rows in order and name the first bad one.

    A row tells apart what happened to it: its own hash disagrees (edited, or moved up after a deletion), its number is
    missing (deleted), its seal was made without the key (inserted, or edited with a new hash). Anchors find what a
    chain alone cannot: rows cut off at the end, or a whole log written anew by somebody who has the key.
    """
    heads = {anchor.sequence: anchor for anchor in anchors}
    read = 0
    before = GENESIS
    matched = 0
    waiting: AuditEntry | None = None  # the row whose successor tells what happened to it
    async for row in rows:
        if waiting is not None:
            # The successor of an inserted row was written after the row before it.
            kind = Damage.INSERTED if row.previous == waiting.previous else Damage.EDITED
            return _bad(read, waiting.sequence, kind, "the seal was not made with the key")
        expected = read + 1
        if row.sequence != expected:
            return _bad(read, expected, Damage.DELETED, f"the next row is {row.sequence}")
        sealed = hmac.compare_digest(row.seal, seal_of(row.sha256, key))
        if not hmac.compare_digest(row.sha256, chain_hash(row)):
            if sealed and row.previous != before:
                return _bad(read, expected, Damage.DELETED, "a later row has moved to its number")
            if not sealed and row.previous != before:
                return _bad(read, expected, Damage.INSERTED, "neither chained nor sealed")
            return _bad(read, expected, Damage.EDITED, "its content is not what was hashed")
        if not sealed:
            waiting = row
            read += 1
            continue
        if row.previous != before:
            return _bad(read, expected, Damage.DELETED, "chained to another row than the one before")
        anchor = heads.get(row.sequence)
        if anchor is not None:
            if anchor.sha256 != row.sha256:
                return _bad(
                    read,
                    matched + 1,
                    Damage.REWRITTEN,
                    f"somewhere up to row {row.sequence}, which was anchored otherwise",
                )
            matched = row.sequence
        before = row.sha256
        read += 1
    if waiting is not None:
        return _bad(read, waiting.sequence, Damage.INSERTED, "the seal was not made with the key")
    last_anchored = max(heads, default=0)
    if last_anchored > read:
        return _bad(read, read + 1, Damage.CUT_OFF, f"row {last_anchored} was anchored")
    return AuditReport(valid=True, rows=read)


def _bad(read: int, sequence: int, damage: Damage, detail: str) -> AuditReport:
    return AuditReport(False, read, sequence, damage, detail)
