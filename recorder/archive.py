"""Everything that is asked of stored recordings, behind one door; nothing here blocks the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.access import read_manifest
from recorder.blobs import BlobStore
from recorder.derive import Deriver
from recorder.errors import NotSealed, RecordingDeleted, RecordingNotFound
from recorder.keys import KeyRing
from recorder.manifest import SealSummary, summary_of
from recorder.retention import Tombstone, delete_recording, place_hold, release_hold
from recorder.sealedfile import SealedFile
from recorder.verify import VerifyReport, verify


class Archive:
    """`cache` is where derived files are kept.

    RecorderErrors as the functions behind it raise them; OSError of the store.
    """

    def __init__(
        self,
        store: BlobStore,
        keys: KeyRing,
        signing_key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        cache: Path,
        *,
        workers: int = 1,
    ) -> None:
        self._store = store
        self._key = signing_key
        self._clock = clock
        self._deriver = Deriver(store, keys, signing_key.public_key(), cache, workers=workers)

    async def warm(self) -> None:
        """See Deriver.warm."""
        await self._deriver.warm()

    async def sealed(self, recording_id: str) -> SealSummary | None:
        """What a sealed recording amounts to; None if it is absent, open or deleted. RecordingDamaged."""
        try:
            body = await asyncio.to_thread(read_manifest, self._store, recording_id, self._key.public_key())
        except (RecordingNotFound, NotSealed, RecordingDeleted):
            return None
        return summary_of(body)

    async def verify(self, recording_id: str, expected_head: str | None = None) -> VerifyReport:
        """Check every byte. RecordingNotFound."""
        return await asyncio.to_thread(
            verify, self._store, recording_id, self._key.public_key(), expected_head=expected_head
        )

    async def timeline(self, recording_id: str) -> dict[str, Any]:
        """Make it playable, in another process, if it is not; its time line. See Deriver.derive."""
        return (await self._deriver.derive(recording_id)).timeline

    async def open_track(self, recording_id: str, number: int) -> SealedFile:
        """The derived WebM of track `number` (from 1), made again if the cache has lost it."""
        try:
            return await asyncio.to_thread(self._deriver.open_track, recording_id, number)
        except RecordingNotFound:
            await self._deriver.derive(recording_id)
            return await asyncio.to_thread(self._deriver.open_track, recording_id, number)

    async def place_hold(self, recording_id: str, actor: str, reason: str) -> None:
        """See retention.place_hold."""
        await asyncio.to_thread(
            place_hold, self._store, recording_id, self._key, self._clock, actor=actor, reason=reason
        )

    async def lift_hold(self, recording_id: str) -> None:
        """See retention.release_hold."""
        await asyncio.to_thread(release_hold, self._store, recording_id)

    async def delete(self, recording_id: str, actor: str, reason: str, policy_version: str) -> Tombstone:
        """See retention.delete_recording; what was derived goes too."""
        tombstone = await asyncio.to_thread(
            delete_recording,
            self._store,
            recording_id,
            self._key,
            self._clock,
            actor=actor,
            reason=reason,
            policy_version=policy_version,
        )
        await asyncio.to_thread(self._deriver.forget, recording_id)
        return tombstone

    def forget(self, recording_id: str) -> None:
        """Remove what was derived of a recording; it can be made again."""
        self._deriver.forget(recording_id)

    def close(self) -> None:
        """Stop the worker processes."""
        self._deriver.close()
