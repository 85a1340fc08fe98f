"""How full the store may be: above 85 % people are told, above 95 % no new recording begins."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from recorder.blobs import BlobStore


class StorageState(StrEnum):
    """How the store stands."""

    OK = "ok"
    ALERT = "alert"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class DiskGuard:
    """Limits as fractions of the store, 0 < alert <= full <= 1."""

    alert: float = 0.85
    full: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.alert <= self.full <= 1:
            raise ValueError("the limits are fractions, the alert not above the stop")

    def state(self, store: BlobStore) -> StorageState:
        """How `store` stands now."""
        used = store.used()
        if used >= self.full:
            return StorageState.FULL
        return StorageState.ALERT if used >= self.alert else StorageState.OK
