"""The services that handlers call, one attribute each. Bootstrap builds it; handlers see nothing behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visitserver.services.accounts import AccountService
    from visitserver.services.allowance import AllowanceService
    from visitserver.services.appointments import AppointmentService
    from visitserver.services.audit import AuditService
    from visitserver.services.blocks import BlockService
    from visitserver.services.board import BoardService
    from visitserver.services.booking import BookingService
    from visitserver.services.bookings import BookingReader
    from visitserver.services.bulk import BulkService
    from visitserver.services.calls import CallService
    from visitserver.services.clients import ClientService
    from visitserver.services.day_sheet import DaySheetService
    from visitserver.services.desk import DeskService
    from visitserver.services.desk_moves import DeskMoves
    from visitserver.services.desk_requests import DeskRequests
    from visitserver.services.desk_why import DeskWhy
    from visitserver.services.door import DoorService
    from visitserver.services.enrolment import EnrolmentService
    from visitserver.services.flags import FlagService
    from visitserver.services.imports import ImportService
    from visitserver.services.merging import MergingService
    from visitserver.services.non_associations import NonAssociationService
    from visitserver.services.outbox import OutboxService
    from visitserver.services.own_security import OwnSecurityService
    from visitserver.services.people import PeopleService
    from visitserver.services.pins import PinService
    from visitserver.services.policies import PolicyService
    from visitserver.services.policy_preview import PolicyPreview
    from visitserver.services.preferences import PreferenceService
    from visitserver.services.recordings import RecordingsService
    from visitserver.services.relationships import RelationshipService
    from visitserver.services.reports import ReportService
    from visitserver.services.restrictions import RestrictionService
    from visitserver.services.sessions import SessionService
    from visitserver.services.signin import SignInService
    from visitserver.services.slots import SlotService
    from visitserver.services.stations import StationService
    from visitserver.services.templates import TemplateService
    from visitserver.services.visits import VisitService
    from visitserver.services.waiting_room import WaitingRoomService
    from visitserver.services.waitlist import WaitlistService
    from visitserver.services.webhooks import WebhookService
    from visitserver.services.why import WhyService


@dataclass(slots=True, kw_only=True)
class Services:
    """What bootstrap hands to `create_app`."""

    # accounts (HTTP)
    accounts: AccountService
    signin: SignInService
    sessions: SessionService
    stations: StationService
    pins: PinService
    own_security: OwnSecurityService
    # contact rights and scheduling (RIGHTS)
    relationships: RelationshipService
    restrictions: RestrictionService
    non_associations: NonAssociationService
    flags: FlagService
    slots: SlotService
    booking: BookingService
    bookings: BookingReader
    allowance: AllowanceService
    templates: TemplateService
    blocks: BlockService
    appointments: AppointmentService
    waitlist: WaitlistService
    preferences: PreferenceService
    policies: PolicyService
    policy_preview: PolicyPreview
    why: WhyService
    audit: AuditService
    # one's own visits, for families and prisoners (WEB)
    visits: VisitService
    waiting_room: WaitingRoomService
    # the console's and the desk's own views (CONSOLE)
    desk: DeskService
    board: BoardService
    moves: DeskMoves
    desk_why: DeskWhy
    day_sheet: DaySheetService
    requests: DeskRequests
    bulk: BulkService
    # identity (IDENTITY)
    enrolment: EnrolmentService
    door: DoorService
    # calls (CONTROL)
    calls: CallService
    # people and rights from prisons' own systems (PEOPLE)
    imports: ImportService
    clients: ClientService
    merging: MergingService
    people: PeopleService
    # recordings (RECORDER)
    recordings: RecordingsService
    # what is told to people and programs
    outbox: OutboxService
    webhooks: WebhookService
    reports: ReportService
