"""What services need of the store about machine clients and imports."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from visitserver.domain.clients import ApiClient, ImportRun
from visitserver.domain.paging import Page, PageRequest


class Clients(Protocol):
    """Clients and import runs. `get_…` raises NotFound; `find_…` gives None."""

    def add(self, item: ApiClient | ImportRun) -> None: ...

    async def get_client(self, client_id: str, *, lock: bool = False) -> ApiClient:
        """`lock` keeps other transactions from changing it until this one ends."""
        ...

    async def find_client_by_token(self, token_hash: str) -> ApiClient | None: ...

    async def touch(self, client_id: str, at: datetime) -> None:
        """Note that its token was used; never turns the time back."""
        ...

    async def clients(self, prison_id: str, page: PageRequest) -> Page[ApiClient]:
        """All of one prison, the revoked too, newest first."""
        ...

    async def get_run(self, run_id: str) -> ImportRun: ...

    async def runs(self, prison_id: str, page: PageRequest) -> Page[ImportRun]:
        """Those at one prison, newest first."""
        ...
