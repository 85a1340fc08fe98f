"""From an outbox message to the webhooks that want it: one delivery for each, each tried and seen by itself.

An event holds references and no names: the receiver asks the REST API for what it may know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visitserver.domain.errors import NotFound
from visitserver.domain.outbox import OutboxMessage
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.webhooks import EVENTS, TOPIC
from visitserver.services.ports.uow import UnitOfWork


async def fan_out(u: UnitOfWork, message: OutboxMessage) -> int:
    """Write a delivery for each endpoint that wants this message, within the caller's transaction; how many are new.

    Doing it twice writes nothing more: the key of a delivery names the message and the endpoint.
    """
    if message.topic not in EVENTS:
        return 0
    endpoints = [each for each in await u.webhooks.all_active() if each.wants(message.topic)]
    if not endpoints:
        return 0
    try:
        data, prisons = await _about(u, message, frozenset(each.prison_id for each in endpoints))
    except NotFound:  # gone since: nobody can be told what it was
        return 0
    wanted = {f"webhook:{message.id}:{each.id}": each for each in endpoints if each.prison_id in prisons}
    known = await u.outbox.known_keys(list(wanted))
    for key, endpoint in wanted.items():
        if key in known:
            continue
        body = {
            "type": message.topic,
            "timestamp": message.created_at.isoformat(),
            "event_id": message.id,
            "prison_id": endpoint.prison_id,
            "data": data,
        }
        u.outbox.add(
            TOPIC,
            {"endpoint_id": endpoint.id, "prison_id": endpoint.prison_id, "event_id": message.id, "body": body},
            dedupe_key=key,
            request_id=message.request_id,
        )
    return len(wanted) - len(known)


async def _about(
    u: UnitOfWork, message: OutboxMessage, prisons: frozenset[str]
) -> tuple[Mapping[str, Any], frozenset[str]]:
    """What the event says, and which of `prisons` it concerns."""
    payload = message.payload
    if "booking_id" in payload:
        booking = await u.scheduling.get_booking(payload["booking_id"])
        return {
            "booking_id": booking.id,
            "prisoner_id": booking.prisoner_id,
            "contact_ids": list(booking.contact_ids),
            "kind": booking.kind.value,
            "state": booking.state.value,
            "starts_at": booking.starts_at.isoformat(),
            "ends_at": booking.ends_at.isoformat(),
            "station_id": booking.station_id,
            "revision": booking.revision,
        }, prisons & {booking.prison_id}
    if "relationship_id" in payload:
        link = await u.rights.get_relationship(payload["relationship_id"])
        prisoner = await u.people.get_prisoner(link.prisoner_id)
        return {
            "relationship_id": link.id,
            "prisoner_id": link.prisoner_id,
            "contact_id": link.contact_id,
            "kind": link.kind.value,
            "state": link.state.value,
        }, prisons & {prisoner.prison_id or ""}
    return await _about_restriction(u, payload["restriction_id"], prisons)


async def _about_restriction(
    u: UnitOfWork, restriction_id: str, prisons: frozenset[str]
) -> tuple[Mapping[str, Any], frozenset[str]]:
    restriction = await u.rights.get_restriction(restriction_id)
    match restriction.scope:
        case RestrictionScope.PERSON:
            contact_id = restriction.contact_id or ""
            concerned = {each for each in prisons if await u.rights.known_at_prison(contact_id, each)}
        case RestrictionScope.RELATIONSHIP:
            link = await u.rights.get_relationship(restriction.relationship_id or "")
            concerned = {(await u.people.get_prisoner(link.prisoner_id)).prison_id or ""}
        case _:
            concerned = {(await u.people.get_prisoner(restriction.prisoner_id or "")).prison_id or ""}
    return {
        "restriction_id": restriction.id,
        "scope": restriction.scope.value,
        "prisoner_id": restriction.prisoner_id,
        "contact_id": restriction.contact_id,
        "relationship_id": restriction.relationship_id,
        "starts_on": restriction.starts_on.isoformat(),
        "ends_on": None if restriction.ends_on is None else restriction.ends_on.isoformat(),
        "lifted": restriction.lifted_at is not None,
    }, prisons & concerned
