"""What the command line does besides serving: the first administrator, the doctor, the audit log's check."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from signaling.errors import Unavailable
from signaling.ids import new_id
from visitserver.bootstrap import House
from visitserver.config import MediaSettings, Settings
from visitserver.domain.access import Role
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.audit_check import AuditReport
from visitserver.domain.errors import DomainError, Invalid
from visitserver.domain.people import Prison
from visitserver.keyring import KeyPaths, load_keys, load_media_keys
from visitserver.links import Links
from visitserver.media_doctor import buffer_advice, open_media_ports, packet_path_advice
from visitserver.store.migrate import current_revision, newest_revision


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor says of one part; `advice` is empty when it is good."""

    part: str
    good: bool
    advice: str = ""


async def add_first_administrator(
    settings: Settings, *, login: str, name: str, prison_name: str, zone: str, record_source: str | None = None
) -> str:
    """An administrator of the prison of that name; the password. Invalid, Conflict.

    A new prison is made in `zone`, and its record systems number as `record_source` says, by themselves by default.
    """
    code = "".join(letter for letter in prison_name.upper() if letter.isalpha())[:3]
    async with _wired(settings) as house:
        async with house.uow() as u:
            prison = await u.people.find_prison_by_code(code)
            if prison is None:
                prison = Prison(
                    new_id("prs"), prison_name, zone, code, code if record_source is None else record_source
                )
                try:
                    prison.zone  # noqa: B018  raises for a zone that does not exist
                except (KeyError, ValueError) as error:
                    raise Invalid(f"There is no time zone {zone}.", field="zone") from error
                u.people.add(prison)
                await u.commit()
            elif prison.name != prison_name:
                raise Invalid(f"The code {code} belongs to {prison.name}: choose another name.", field="prison")
        maker = Actor(ActorKind.SYSTEM, "command-line", prison.id)
        _, password = await house.services.accounts.create_staff(maker, name, login, frozenset({Role.ADMINISTRATOR}))
        return password


async def verify_audit_log(settings: Settings) -> AuditReport:
    """Whether the audit log is whole, against its chain, its seals and the anchored heads."""
    async with _wired(settings) as house:
        return await house.services.audit.verify()


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything the server needs, without starting it."""
    findings: list[Finding] = []

    def note(part: str, look: Callable[[], object]) -> bool:
        try:
            look()
        except (DomainError, OSError, ValueError) as error:
            findings.append(Finding(part, False, getattr(error, "detail", None) or str(error)))
            return False
        findings.append(Finding(part, True))
        return True

    role = settings.cluster.role
    if role in ("all", "media"):
        findings += _examine_media(settings.media)
    note("page port (TCP)", lambda: _bind(socket.SOCK_STREAM, settings.server.host, settings.server.port))
    note("recordings folder", lambda: settings.recorder.directory.mkdir(parents=True, exist_ok=True))
    if role == "media":
        # It has no database, and of the keys only those it needs.
        note("keys", lambda: load_media_keys(settings))
        return findings + await _examine_links(settings)
    if not note("keys", lambda: load_keys(KeyPaths.of(settings))):
        return findings
    findings += await _examine_links(settings)
    async with _wired(settings) as house:
        try:
            current = await current_revision(settings.database.url.get_secret_value()) == newest_revision()
            findings.append(Finding("database", current, "" if current else "run: visitserver migrate"))
        except (DomainError, OSError, ValueError) as error:
            findings.append(Finding("database", False, getattr(error, "detail", None) or str(error)))
        if role == "worker":
            return findings
        try:
            async with asyncio.timeout(90):
                await house.identity.start()
            findings.append(Finding("identity worker", True))
        except (OSError, TimeoutError, RuntimeError) as error:
            findings.append(Finding("identity worker", False, f"does not start: {error}"))
        finally:
            await house.identity.stop()
    return findings


async def _examine_links(settings: Settings) -> list[Finding]:
    """Redis, and who is there; nothing for a process that is alone."""
    if settings.cluster.role == "all":
        return []
    try:
        links = Links(settings)
    except (DomainError, ValueError) as error:
        return [Finding("Redis", False, getattr(error, "detail", None) or str(error))]
    try:
        await links.ping()
        nodes = await links.directory.nodes()
    except Unavailable:
        return [Finding("Redis", False, "does not answer: look at cluster.redis_url")]
    finally:
        await links.aclose()
    if nodes or settings.cluster.role == "media":
        return [Finding("Redis", True), Finding(f"media processes: {len(nodes)}", True)]
    return [Finding("Redis", True), Finding("media processes", False, "none is registered: start one of role media")]


def _examine_media(settings: MediaSettings) -> list[Finding]:
    part = f"media port ({' and '.join(settings.transports).upper()})"
    try:
        given = open_media_ports(settings)
    except OSError as error:
        return [Finding(part, False, str(error))]
    # Not a fault: a small prison never fills the small buffers, either.
    return [
        Finding(part, True),
        Finding("media buffers", True, buffer_advice(settings.buffer_bytes, given)),
        Finding("media packet path", True, packet_path_advice()),
    ]


@asynccontextmanager
async def _wired(settings: Settings) -> AsyncIterator[House]:
    """The house with nothing started but the database's connections, which are closed at the end."""
    house = House(settings, load_keys(KeyPaths.of(settings)))
    try:
        yield house
    finally:
        await house.close()


def _bind(kind: socket.SocketKind, host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
