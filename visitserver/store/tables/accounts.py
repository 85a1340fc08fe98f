"""Tables of accounts, sessions, station devices and one-time codes."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, LargeBinary, String, Table

from visitserver.domain.access import Role
from visitserver.domain.accounts import (
    Account,
    AccountKind,
    AccountStatus,
    CodePurpose,
    OneTimeCode,
    Session,
    StationDevice,
)
from visitserver.store.base import Id, TextEnum, TextSet, UtcDateTime, mapper_registry, metadata

SHA256_HEX = 64

accounts = Table(
    "accounts",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("kind", TextEnum(AccountKind), nullable=False),
    Column("login", String(254), nullable=False),
    Column("secret_hash", String(255), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("roles", TextSet(Role), nullable=False),
    Column("status", TextEnum(AccountStatus), nullable=False),
    Column("contact_id", Id(), ForeignKey("contacts.id"), unique=True),
    Column("prisoner_id", Id(), ForeignKey("prisoners.id"), unique=True),
    Column("staff_id", Id(), ForeignKey("staff.id"), unique=True),
    Column("prison_id", Id(), ForeignKey("prisons.id"), index=True),
    Column("failed_attempts", Integer, nullable=False, default=0),
    Column("locked_at", UtcDateTime),
    Column("totp_sealed", LargeBinary(256)),
    Column("totp_step", Integer, nullable=False, default=0),
    Column("last_sign_in_at", UtcDateTime),
    Column("language", String(16)),
    CheckConstraint(
        "(contact_id IS NOT NULL AND kind = 'family' AND prisoner_id IS NULL AND staff_id IS NULL)"
        " OR (prisoner_id IS NOT NULL AND kind = 'prisoner' AND contact_id IS NULL AND staff_id IS NULL)"
        " OR (staff_id IS NOT NULL AND kind = 'staff' AND contact_id IS NULL AND prisoner_id IS NULL)",
        name="one_person",
    ),
    Index("uq_accounts_kind_login", "kind", "login", unique=True),
)

sessions = Table(
    "account_sessions",
    metadata,
    Column("token_hash", String(SHA256_HEX), primary_key=True),
    Column("audience", String(16), nullable=False),
    Column("account_id", Id(), ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
    Column("station_id", Id(), ForeignKey("stations.id"), index=True),
)

station_devices = Table(
    "station_devices",
    metadata,
    Column("id", Id(), primary_key=True),
    Column("token_hash", String(SHA256_HEX), nullable=False, unique=True),
    Column("station_id", Id(), ForeignKey("stations.id"), nullable=False),
    Column("prison_id", Id(), ForeignKey("prisons.id"), nullable=False, index=True),
    Column("enrolled_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)
_LIVE = station_devices.c.revoked_at.is_(None)
Index(
    "uq_station_devices_live",
    station_devices.c.station_id,
    unique=True,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)

one_time_codes = Table(
    "one_time_codes",
    metadata,
    Column("code_hash", String(SHA256_HEX), primary_key=True),
    Column("purpose", TextEnum(CodePurpose), nullable=False),
    Column("subject_id", Id(), nullable=False, index=True),
    Column("prison_id", Id()),
    Column("created_by", Id(), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)

mapper_registry.map_imperatively(Account, accounts)
mapper_registry.map_imperatively(Session, sessions)
mapper_registry.map_imperatively(StationDevice, station_devices)
mapper_registry.map_imperatively(OneTimeCode, one_time_codes)
