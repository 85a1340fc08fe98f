"""What services need of the store about webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from visitserver.domain.webhooks import WebhookEndpoint


class Webhooks(Protocol):
    """Endpoints. `get` raises NotFound."""

    def add(self, endpoint: WebhookEndpoint) -> None: ...

    async def get(self, endpoint_id: str) -> WebhookEndpoint: ...

    async def endpoints(self, prison_id: str) -> Sequence[WebhookEndpoint]:
        """Those of a prison that are not removed, oldest first."""
        ...

    async def all_active(self) -> Sequence[WebhookEndpoint]:
        """Those of every prison that are told of events now."""
        ...
