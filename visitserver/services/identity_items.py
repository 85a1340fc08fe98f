"""Pictures, readings and templates, kept sealed with the key of the person they are of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from visitserver.domain.clock import Clock
from visitserver.domain.errors import NotFound
from visitserver.domain.identity import PersonKey, PictureKind, SealedItem
from visitserver.services.ports.identity import Vault
from visitserver.services.ports.uow import UnitOfWork


class SealedItems:
    """Puts things under a person's key and takes them out again, within a unit of work."""

    def __init__(self, vault: Vault, clock: Clock, new_id: Callable[[str], str]) -> None:
        self._vault = vault
        self._clock = clock
        self._new_id = new_id

    async def replace(
        self,
        u: UnitOfWork,
        contact_id: str,
        owner_id: str,
        contents: Mapping[PictureKind, Sequence[bytes]],
        *,
        delete_after: datetime | None,
        model_version: str = "",
    ) -> list[str]:
        """Keep `contents` for an enrolment or a check instead of what it had of these kinds; empty ones are left out.

        A template is kept until revoked, whatever `delete_after`. Returns the SHA-256 (hex) of what was kept.
        """
        await u.lock(f"person-key:{contact_id}")
        wrapped = (await self._key(u, contact_id)).wrapped
        await u.identity.delete_items(owner_id, frozenset(contents))
        hashes = []
        for kind, plains in contents.items():
            for number, plain in enumerate(plains):
                if not plain:
                    continue
                digest = hashlib.sha256(plain).hexdigest()
                hashes.append(digest)
                u.identity.add(
                    SealedItem(
                        id=self._new_id("itm"),
                        contact_id=contact_id,
                        owner_id=owner_id,
                        kind=kind,
                        number=number,
                        sealed=self._vault.seal(
                            contact_id, wrapped, plain, _context(owner_id, kind, number, model_version)
                        ),
                        sha256=digest,
                        created_at=self._clock(),
                        delete_after=None if kind is PictureKind.TEMPLATE else delete_after,
                        model_version=model_version,
                    )
                )
        return hashes

    async def first(self, u: UnitOfWork, owner_id: str, kind: PictureKind) -> SealedItem | None:
        """The first item of the kind, sealed as it is."""
        found = await u.identity.items(owner_id, kind)
        return found[0] if found else None

    async def open(self, u: UnitOfWork, item: SealedItem) -> bytes:
        """The content. NotFound when the person's key has been deleted; ValueError when the item was tampered with."""
        key = await u.identity.find_key(item.contact_id)
        if key is None:
            raise NotFound("This has been deleted.")
        context = _context(item.owner_id, item.kind, item.number, item.model_version)
        return self._vault.open(item.contact_id, key.wrapped, item.sealed, context)

    async def rekey(self, u: UnitOfWork, contact_id: str, to: str) -> int:
        """Seal everything of one contact with the key of another, whose it is from now on; how many items.

        For two records of one person. What no longer opens is deleted.
        """
        key = await u.identity.find_key(contact_id)
        found = await u.identity.items_of(contact_id)
        if key is None or not found:
            return 0
        wrapped = (await self._key(u, to)).wrapped
        for item in found:
            context = _context(item.owner_id, item.kind, item.number, item.model_version)
            try:
                plain = self._vault.open(contact_id, key.wrapped, item.sealed, context)
            except ValueError:
                await u.identity.delete_items(item.owner_id, frozenset({item.kind}))
                continue
            item.sealed, item.contact_id = self._vault.seal(to, wrapped, plain, context), to
        await u.flush()
        return len(found)

    async def _key(self, u: UnitOfWork, contact_id: str) -> PersonKey:
        key = await u.identity.find_key(contact_id)
        if key is None:
            key = PersonKey(contact_id, self._vault.new_key(contact_id), self._clock())
            u.identity.add(key)
            await u.flush()
        return key


def _context(owner_id: str, kind: PictureKind, number: int, model_version: str) -> str:
    return f"{owner_id}/{kind.value}/{number}/{model_version}"
