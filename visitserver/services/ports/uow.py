"""The unit of work: one transaction, seen as the repositories of every area.

Each area's owner adds one import and one line to `UnitOfWork` here, and one to SqlUnitOfWork in store/uow.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from visitserver.services.ports.accounts import Accounts
from visitserver.services.ports.allowance import Allowance
from visitserver.services.ports.audit import Audit
from visitserver.services.ports.calls import Calls
from visitserver.services.ports.clients import Clients
from visitserver.services.ports.facts import Facts
from visitserver.services.ports.flags import Flags
from visitserver.services.ports.identity import Identity
from visitserver.services.ports.merging import Merging
from visitserver.services.ports.offers import Offers
from visitserver.services.ports.outbox import Outbox
from visitserver.services.ports.people import People
from visitserver.services.ports.policies import Policies
from visitserver.services.ports.recordings import Recordings
from visitserver.services.ports.records import Records
from visitserver.services.ports.reports import Reports
from visitserver.services.ports.rights import Rights
from visitserver.services.ports.scheduling import Scheduling
from visitserver.services.ports.webhooks import Webhooks


class UnitOfWork(Protocol):
    """One transaction. Nothing lasts unless `commit` returned."""

    @property
    def accounts(self) -> Accounts: ...
    @property
    def people(self) -> People: ...
    @property
    def rights(self) -> Rights: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def scheduling(self) -> Scheduling: ...
    @property
    def offers(self) -> Offers: ...
    @property
    def allowance(self) -> Allowance: ...
    @property
    def calls(self) -> Calls: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def flags(self) -> Flags: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def recordings(self) -> Recordings: ...
    @property
    def records(self) -> Records: ...
    @property
    def merging(self) -> Merging: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def reports(self) -> Reports: ...

    async def commit(self) -> None:
        """Write everything, the audit rows last. Conflict when a constraint of the database says no."""
        ...

    async def flush(self) -> None:
        """Send what was added to the database now, within the transaction."""
        ...

    async def lock(self, *names: str, shared: Sequence[str] = ()) -> None:
        """Wait until nobody else holds one of these names, and hold them until the end of the transaction.

        Any number of transactions may hold a name as `shared`, while nobody holds it for themselves.

        Names are taken in sorted order, so two transactions that name all they need in one call cannot block each
        other. On SQLite there is one writer at a time anyway.
        """
        ...


class UnitOfWorkFactory(Protocol):
    """`async with uow() as u:` begins a transaction; leaving without `commit` rolls it back.

    `read_only` does not wait for writers and cannot commit. A write unit of work must not be opened within another
    one of the same task: RuntimeError. Errors of the database come out as Conflict or Unavailable.
    """

    def __call__(self, *, read_only: bool = False) -> AbstractAsyncContextManager[UnitOfWork]: ...
