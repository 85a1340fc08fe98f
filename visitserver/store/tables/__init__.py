"""Every table, mapped: importing this package fills the metadata. Each area's owner adds one line (twice) here."""

from visitserver.store.base import metadata
from visitserver.store.tables import (
    accounts,
    allowance,
    audit,
    calls,
    clients,
    flags,
    identity,
    offers,
    outbox,
    people,
    policies,
    recordings,
    rights,
    scheduling,
    webhooks,
)

__all__ = [
    "accounts",
    "allowance",
    "audit",
    "calls",
    "clients",
    "flags",
    "identity",
    "metadata",
    "offers",
    "outbox",
    "people",
    "policies",
    "recordings",
    "rights",
    "scheduling",
    "webhooks",
]

# Foreign keys are checked at commit (both databases can): entities refer to each other by id, without ORM
# relationships, so the order of inserts within one flush is not ours to say. See docs/decisions/0041.
for _table in metadata.tables.values():
    for _constraint in _table.foreign_key_constraints:
        _constraint.deferrable = True
        _constraint.initially = "DEFERRED"
