"""Who may do what: one line per action. What has no line here, nobody may do.

A line says which roles may *try* the action. Whether this very object is theirs (own contact, own prisoner, own prison)
is asked by the service that holds the object, and answered with "not found" when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What somebody is here for. A staff account may have several roles; families and prisoners have exactly one."""

    FAMILY = "family"
    PRISONER = "prisoner"
    OFFICER = "officer"
    SUPERVISOR = "supervisor"
    SCHEDULER = "scheduler"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


STAFF_ROLES: Final = frozenset(Role) - {Role.FAMILY, Role.PRISONER}


@dataclass(frozen=True, slots=True)
class Grant:
    """A policy line: the roles that may do an action, or everyone, or whoever shows a valid signed ticket.

    `ticket` means that no session is looked at: the media node verifies a JoinTicket or a warrant by itself
    (signaling/tickets.py). It is never combined with `anyone`, so that a list of the public actions is short and exact.
    `client` means a machine client whose token names this action: no person and no role passes such a line.
    """

    roles: frozenset[Role] = frozenset()
    anyone: bool = False
    ticket: bool = False
    client: bool = False

    def allows(self, roles: Iterable[Role]) -> bool:
        """Whether a person with `roles` (none: not signed in) may pass this line."""
        return self.anyone or self.ticket or not self.roles.isdisjoint(roles)


def _to(*roles: Role) -> Grant:
    return Grant(roles=frozenset(roles))


_ANYONE: Final = Grant(anyone=True)
_TICKET: Final = Grant(ticket=True)
_CLIENT: Final = Grant(client=True)
_STAFF: Final = Grant(roles=STAFF_ROLES)
_FAMILY: Final = _to(Role.FAMILY)
_PRISONER: Final = _to(Role.PRISONER)
_WATCHERS: Final = _to(Role.OFFICER, Role.SUPERVISOR)
_DESK: Final = _to(Role.SCHEDULER, Role.SUPERVISOR)
_ADMIN: Final = _to(Role.ADMINISTRATOR)

POLICY: Final[Mapping[str, Grant]] = MappingProxyType(
    {
        # the system
        "system.health": _ANYONE,
        "system.ready": _ANYONE,
        "system.metrics": _ANYONE,  # the handler answers only the networks of server.metrics_networks
        "system.docs": _ANYONE,
        "system.openapi": _ANYONE,
        "static.read": _ANYONE,
        # signing up, in and out
        "page.landing": _ANYONE,
        "account.sign_up": _ANYONE,
        "account.confirm": _ANYONE,
        "session.sign_in": _ANYONE,
        "session.sign_out": _ANYONE,
        "station.enrol": _ANYONE,  # by a one-time code that an administrator issued
        # families
        "family.home": _FAMILY,
        "relationship.request": _FAMILY,
        "relationship.withdraw": _FAMILY,
        "identity.enrol": _FAMILY,
        "slot.list": _FAMILY,
        "booking.hold": _FAMILY,
        "booking.confirm": _FAMILY,
        "booking.cancel": _FAMILY,
        "booking.change": _FAMILY,
        "booking.guest": _FAMILY,
        "booking.decline": _FAMILY,
        "waitlist.join": _FAMILY,
        "waitlist.leave": _FAMILY,
        "waitlist.answer": _FAMILY,
        "preference.put": _FAMILY,
        "visit.list": _FAMILY,
        "visit.read": _FAMILY,
        "visit.prepare": _FAMILY,
        "visit.state": _FAMILY,
        "visit.door": _FAMILY,
        "visit.join": _FAMILY,
        "visit.feedback": _FAMILY,
        "privacy.read_own": _FAMILY,
        "privacy.delete_own": _FAMILY,
        # prisoners, at an enrolled station
        "terminal.home": _PRISONER,
        "terminal.people": _PRISONER,
        "terminal.relationship.answer": _PRISONER,
        "terminal.visit.read": _PRISONER,
        "terminal.visit.acknowledge": _PRISONER,
        "terminal.visit.cancel": _PRISONER,
        "terminal.visit.state": _PRISONER,
        "terminal.visit.join": _PRISONER,
        # officers: watching
        "staff.home": _STAFF,
        "call.wall": _WATCHERS,
        "call.read": _WATCHERS,
        "call.watch": _WATCHERS,
        "call.hold": _WATCHERS,
        "call.resume": _WATCHERS,
        "call.mute": _WATCHERS,
        "call.remove": _WATCHERS,
        "call.terminate": _WATCHERS,
        "call.bookmark": _WATCHERS,
        "call.say": _WATCHERS,
        "call.talk": _WATCHERS,
        # officers: deciding
        "review.list": _WATCHERS,
        "review.identity.read": _WATCHERS,
        "review.identity.decide": _WATCHERS,
        "review.relationship.read": _WATCHERS,
        "review.relationship.decide": _WATCHERS,
        "review.door.read": _WATCHERS,
        "review.door.decide": _WATCHERS,
        "review.booking.decide": _DESK,
        # recordings: an auditor sees that they exist and who opened them, not what is in them
        "recording.list": _to(Role.OFFICER, Role.SUPERVISOR, Role.AUDITOR),
        "recording.read": _to(Role.OFFICER, Role.SUPERVISOR, Role.AUDITOR),
        "recording.open": _WATCHERS,
        "recording.verify": _to(Role.OFFICER, Role.SUPERVISOR, Role.AUDITOR),
        "recording.legal_hold": _to(Role.SUPERVISOR),
        # the scheduling desk
        "schedule.read": _to(Role.OFFICER, Role.SUPERVISOR, Role.SCHEDULER),
        "schedule.book": _DESK,
        "schedule.cancel": _DESK,
        "schedule.move": _DESK,
        "schedule.bulk_cancel": _DESK,
        "schedule.block": _DESK,
        "schedule.waitlist": _DESK,
        "schedule.day_sheet": _to(Role.OFFICER, Role.SUPERVISOR, Role.SCHEDULER),
        "allowance.read": _to(Role.OFFICER, Role.SUPERVISOR, Role.SCHEDULER),
        "allowance.grant": _DESK,
        "allowance.take": _to(Role.SUPERVISOR),
        "schedule.overbook": _to(Role.SUPERVISOR),  # besides schedule.book: beyond a session's capacity
        "template.list": _DESK,
        "template.create": _DESK,
        "template.revise": _DESK,
        "template.end": _DESK,
        "flag.list": _DESK,
        "flag.decide": _DESK,
        # Whoever is told of a decision may look at what it went by. Setting it is the governor's, for whom supervisors
        # stand: not theirs whose bookings it decides about, nor theirs who keep the machines.
        "policy.read": _STAFF,
        "policy.set": _to(Role.SUPERVISOR),
        "decision.why": _to(Role.OFFICER, Role.SUPERVISOR, Role.SCHEDULER),
        # people: looking them up, and what staff decide about them
        "people.read": _to(Role.OFFICER, Role.SUPERVISOR, Role.SCHEDULER),
        "people.relationship.decide": _WATCHERS,
        "people.restriction.change": _to(Role.SUPERVISOR),
        "people.non_association.change": _to(Role.SUPERVISOR),
        "people.appointment.change": _DESK,
        "people.merge": _to(Role.SUPERVISOR),
        # administration
        "admin.home": _ADMIN,
        "admin.staff.list": _ADMIN,
        "admin.staff.create": _ADMIN,
        "admin.staff.suspend": _ADMIN,
        "admin.staff.roles": _ADMIN,
        "admin.station.list": _ADMIN,
        "admin.station.enrol": _ADMIN,
        "admin.station.revoke": _ADMIN,
        "admin.station.use": _ADMIN,
        "pin.list": _to(Role.OFFICER, Role.SUPERVISOR, Role.ADMINISTRATOR),
        "pin.set": _to(Role.OFFICER, Role.SUPERVISOR, Role.ADMINISTRATOR),
        "pin.unlock": _to(Role.OFFICER, Role.SUPERVISOR, Role.ADMINISTRATOR),
        "account.security": _STAFF,  # own password and second factor
        "report.read": _to(Role.SUPERVISOR, Role.SCHEDULER, Role.ADMINISTRATOR, Role.AUDITOR),
        "report.export": _to(Role.SUPERVISOR, Role.SCHEDULER, Role.ADMINISTRATOR, Role.AUDITOR),
        "outbox.read": _ADMIN,
        "outbox.retry": _ADMIN,
        "webhook.list": _ADMIN,
        "webhook.change": _ADMIN,
        "audit.read": _to(Role.AUDITOR, Role.ADMINISTRATOR),
        "audit.verify": _to(Role.AUDITOR, Role.ADMINISTRATOR),
        "admin.client.list": _ADMIN,
        "admin.client.issue": _ADMIN,
        "admin.client.revoke": _ADMIN,
        # a prison's own systems, by a token that names the action
        "api.prisoner.read": _CLIENT,
        "api.prisoner.write": _CLIENT,
        "api.contact.read": _CLIENT,
        "api.contact.write": _CLIENT,
        "api.relationship.read": _CLIENT,
        "api.relationship.write": _CLIENT,
        "api.restriction.read": _CLIENT,
        "api.restriction.write": _CLIENT,
        "api.alert.read": _CLIENT,
        "api.alert.write": _CLIENT,
        "api.non_association.read": _CLIENT,
        "api.non_association.write": _CLIENT,
        "api.appointment.read": _CLIENT,
        "api.appointment.write": _CLIENT,
        "api.block.read": _CLIENT,
        "api.block.write": _CLIENT,
        "api.booking.read": _CLIENT,
        "api.availability.read": _CLIENT,
        "api.import.read": _CLIENT,
        # media: by a signed ticket, never by a session
        "media.publish": _TICKET,
        "media.watch": _TICKET,
        "media.session": _TICKET,
        "media.channel": _TICKET,
        "media.options": _TICKET,  # says what the addresses above take, and nothing else
    }
)

CLIENT_ACTIONS: Final = frozenset(action for action, grant in POLICY.items() if grant.client)
"""What a machine client can be given."""


def allows(action: str, roles: Iterable[Role], policy: Mapping[str, Grant] = POLICY) -> bool:
    """Whether somebody with `roles` may try `action`. An action without a line is nobody's."""
    grant = policy.get(action)
    return grant is not None and grant.allows(roles)
