"""The audit log: looking into it, anchoring its head outside the database, verifying it."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from visitserver.domain.actors import Actor
from visitserver.domain.audit import AuditEntry
from visitserver.domain.audit_check import Anchor, AuditReport, Damage, check_rows
from visitserver.domain.clock import Clock
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.anchors import AnchorStore
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.uow import UnitOfWorkFactory


def anchor_bytes(anchor: Anchor) -> bytes:
    """What is signed: a line that says what it is, the row's number, its hash and the moment."""
    at = anchor.at.astimezone(UTC).isoformat(timespec="microseconds")
    return f"visitserver audit head\n{anchor.sequence}\n{anchor.sha256}\n{at}\n".encode()


class AuditService:
    """The log's use cases. `key` seals rows (see SqlUnitOfWorkFactory); `signing_key` signs heads."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        *,
        key: bytes,
        anchors: AnchorStore,
        signing_key: Ed25519PrivateKey,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._key = key
        self._anchors = anchors
        self._signing_key = signing_key
        self._anchored: int | None = None

    async def list(self, actor: Actor, wanted: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        """Rows of the actor's prison, newest first. Rows about no prison are the system's."""
        if actor.is_staff:
            own_prison(actor, actor.prison_id)
            wanted = replace(wanted, prison_id=actor.prison_id)
        else:
            own_prison(actor, None)
        async with self._uow(read_only=True) as u:
            return await u.audit.rows(wanted, page)

    async def anchor_head(self) -> Anchor | None:
        """The minute job: sign the head and keep it outside the database. None when nothing is new since the last."""
        async with self._uow(read_only=True) as u:
            head = await u.audit.head()
        if self._anchored is None:
            self._anchored = max((anchor.sequence for anchor in await self._anchors.read()), default=0)
        if head is None or head.sequence <= self._anchored:
            return None
        anchor = Anchor(head.sequence, head.sha256, self._clock())
        signature = base64.b64encode(self._signing_key.sign(anchor_bytes(anchor))).decode()
        anchor = replace(anchor, signature=signature)
        await self._anchors.append(anchor)
        self._anchored = anchor.sequence
        return anchor

    async def verify(self) -> AuditReport:
        """Read the whole log and say whether it is what was written; otherwise the first bad row and the damage."""
        anchors = await self._anchors.read()
        public = self._signing_key.public_key()
        for anchor in anchors:
            if not _signed(anchor, public):
                return AuditReport(False, 0, anchor.sequence, Damage.ANCHOR_FORGED, "an anchor's signature is wrong")
        async with self._uow(read_only=True) as u:
            return await check_rows(u.audit.walk(), anchors, self._key)


def _signed(anchor: Anchor, public: Ed25519PublicKey) -> bool:
    try:
        public.verify(base64.b64decode(anchor.signature, validate=True), anchor_bytes(anchor))
    except (InvalidSignature, ValueError):
        return False
    return True
