"""The composition root: the only place that constructs adapters and wires services to them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from recorder.archive import Archive
from recorder.blobs import FolderStore
from recorder.disk import StorageState
from recorder.service import RecordingService
from signaling.cancelling import cancelled
from signaling.control import BusRoomControl
from signaling.http import media_routes
from signaling.ids import new_call_id, new_id
from signaling.node import SignalingNode
from signaling.tickets import TicketIssuer
from visitserver.config import Settings
from visitserver.domain.access import CLIENT_ACTIONS
from visitserver.domain.accounts import SessionLifetime
from visitserver.domain.actors import SYSTEM
from visitserver.domain.clock import Clock
from visitserver.domain.errors import DomainError
from visitserver.domain.identity import IdentityPolicy
from visitserver.domain.paging import PageRequest
from visitserver.http.app import create_app, default_web_directory
from visitserver.http.routes.system import ReadinessCheck
from visitserver.http.services import Services
from visitserver.http.templating import load_catalogues
from visitserver.identity.engine import WorkerIdentityEngine
from visitserver.identity.vault import PersonVault
from visitserver.jobs import Job, JobRunner
from visitserver.keyring import KeyPaths, Keys, load_keys, load_media_keys
from visitserver.links import Links
from visitserver.listening import tls_of, urls_of
from visitserver.media_process import MediaProcess
from visitserver.media_wiring import ice_servers_of, make_media_node
from visitserver.notify.folder import FolderMailer
from visitserver.notify.letters import Letters, Sender
from visitserver.notify.mail import Mailer
from visitserver.notify.smtp import SmtpMailer, SmtpServer
from visitserver.notify.webhooks import WebhookWorker
from visitserver.notify.worker import OutboxWorker
from visitserver.services.accounts import AccountRules, AccountService
from visitserver.services.allowance import AllowanceService
from visitserver.services.appointments import AppointmentService
from visitserver.services.asking import Asking
from visitserver.services.audit import AuditService
from visitserver.services.blocks import BlockService
from visitserver.services.board import BoardService
from visitserver.services.booking import BookingService
from visitserver.services.booking_check import BookingCheck
from visitserver.services.bookings import BookingReader
from visitserver.services.bulk import BulkService
from visitserver.services.call_events import CallEventConsumer
from visitserver.services.call_opening import CallOpener
from visitserver.services.calls import CallService
from visitserver.services.change_work import ChangeWorker
from visitserver.services.changes import Changes
from visitserver.services.clients import ClientService
from visitserver.services.day_sheet import DaySheetService
from visitserver.services.desk import DeskService
from visitserver.services.desk_moves import DeskMoves
from visitserver.services.desk_requests import DeskRequests
from visitserver.services.desk_why import DeskWhy
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService
from visitserver.services.facts import FactsReader
from visitserver.services.flag_scan import FlagScanner
from visitserver.services.flagging import Flagging
from visitserver.services.flags import FlagService
from visitserver.services.identity_items import SealedItems
from visitserver.services.identity_standing import identity_standings
from visitserver.services.imports import ImportService
from visitserver.services.live_rights import LiveRights
from visitserver.services.merging import MergingService
from visitserver.services.non_associations import NonAssociationService
from visitserver.services.outbox import OutboxService
from visitserver.services.own_security import OwnSecurityService
from visitserver.services.passwords import Passwords
from visitserver.services.people import PeopleService
from visitserver.services.pins import PinService
from visitserver.services.placing import Placing
from visitserver.services.policies import PolicyService
from visitserver.services.policy_preview import PolicyPreview
from visitserver.services.preferences import PreferenceService
from visitserver.services.recording_care import RecordingCare
from visitserver.services.recording_rescue import RecordingRescue
from visitserver.services.recordings import RecordingsService
from visitserver.services.relationships import RelationshipService
from visitserver.services.reminders import ReminderService
from visitserver.services.reports import ReportService
from visitserver.services.restrictions import RestrictionService
from visitserver.services.revoking import RevokingService
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.sessions import SessionService
from visitserver.services.signin import SignInService
from visitserver.services.slots import SlotService
from visitserver.services.stations import StationService
from visitserver.services.templates import TemplateService
from visitserver.services.visits import VisitService
from visitserver.services.waiting_room import WaitingRoomService
from visitserver.services.waitlist import WaitlistService
from visitserver.services.waitlist_offering import WaitlistOffering
from visitserver.services.webhooks import WebhookService
from visitserver.services.why import WhyService
from visitserver.serving import stop_signals, wait_or_hurry
from visitserver.store.anchors import FileAnchors
from visitserver.store.engine import create_engine
from visitserver.store.migrate import migrate
from visitserver.store.uow import SqlUnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0


def utc_now() -> datetime:
    """The system's clock, UTC-aware: the only place that reads it."""
    return datetime.now(UTC)


class House:
    """Every part of the server in one process. `async with House(settings, keys) as house` starts and stops them all.

    Inside the block the services work and media can arrive; pages are served by `serve_until_stopped`.
    """

    def __init__(self, settings: Settings, keys: Keys, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock
        self.registry = CollectorRegistry()
        self._stack = AsyncExitStack()
        self._keys = keys
        self._engine = create_engine(settings.database.url.get_secret_value(), pool_size=settings.database.pool_size)
        self.uow = SqlUnitOfWorkFactory(self._engine, clock=clock, audit_key=keys.audit)
        self._store = FolderStore(settings.recorder.directory)
        self.recorder = RecordingService(self._store, keys.recorder_ring, keys.recorder_signing, clock)
        self.archive = Archive(
            self._store,
            keys.recorder_ring,
            keys.recorder_signing,
            clock,
            settings.recorder.directory.with_name(settings.recorder.directory.name + "-derived"),
        )
        self.identity = WorkerIdentityEngine(
            job_seconds=settings.identity.worker_seconds,
            yunet_model=None if settings.identity.yunet_model is None else str(settings.identity.yunet_model),
        )
        self._vault = PersonVault(keys.identity)
        self.links = Links(settings)
        self._works = settings.cluster.role in ("all", "worker")
        self._pages = settings.cluster.role in ("all", "api")
        self.control = BusRoomControl(self.links.bus, self.links.directory)
        self.node: SignalingNode | None = None
        if self.links.alone:
            public = keys.tickets.public_key()
            self.node = make_media_node(settings, self.links, public, self.recorder.start, clock, self.registry)
        self._issuer = TicketIssuer(keys.tickets, clock)
        self._revoking = RevokingService(self.uow, self.control, clock)
        self._ice_servers = ice_servers_of(settings, clock)
        self.services = self._services()
        self._opener = CallOpener(
            self.uow,
            clock,
            self._issuer,
            self.control,
            self.services.recordings,
            self.services.booking,
            new_call_id,
            continues=not self.links.alone,
        )
        self._events = CallEventConsumer(
            self.uow, self.links.bus, self.control, self.services.recordings, self.services.booking
        )
        self._opener.settle = self._events.settle
        self._jobs = JobRunner(self._job_list(), self.registry, self.links.jobs)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._engine.dispose)
            stack.callback(self.archive.close)
            stack.push_async_callback(self.links.aclose)
            await self.links.start()
            if self._pages:
                stack.push_async_callback(self.identity.stop)
                # Models and workers take seconds to load; whoever needs them sooner waits for them then.
                warming = asyncio.create_task(self._warm(), name="warm-up")
                stack.push_async_callback(cancelled, [warming])
            if self.node is not None:
                await self._recover()
                stack.push_async_callback(self.recorder.close)
            if self._works:
                following = asyncio.create_task(self._events.run(), name="call-events")
                stack.push_async_callback(cancelled, [following])
                # The node's last events are stored after it has stopped.
                stack.push_async_callback(self._events.stop)
            if self.node is not None:
                await self.node.start()
                stack.push_async_callback(self.node.stop)
            self._stack = stack.pop_all()
        return self

    async def _recover(self) -> None:
        """Alone, whatever is not sealed was left by a crash: nobody else can be writing it."""
        for summary in await self.recorder.recover():
            log.warning("recording recovered after a crash", recording_id=summary.recording_id)
            try:
                await self.services.recordings.sealed(SYSTEM, summary)
            except DomainError as error:
                log.error("recovered recording not registered", recording_id=summary.recording_id, code=error.code)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _warm(self) -> None:
        for name, load in (("identity", self.identity.start), ("derivation", self.archive.warm)):
            try:
                await load()
            except Exception:
                log.exception("not warmed up", part=name)

    async def close(self) -> None:
        """Let go of what the constructor opened, when nothing was started."""
        self.archive.close()
        await self.links.aclose()
        await self._engine.dispose()

    def web_app(self) -> web.Application:
        """The pages, the API and the media node's endpoints; of a worker only health, readiness and figures."""
        checks: dict[str, ReadinessCheck] = {"database": self._database_answers, "storage": self._storage_has_room}
        if self.node is not None:
            checks["media"] = self._media_runs
        return create_app(
            self.services,
            self.settings,
            () if self.node is None else media_routes(self.node, ice_servers=self._ice_servers),
            clock=self.clock,
            checks=checks,
            # Pages and bookings go on without these: who balances load must not take the whole house away for them.
            notes={} if self.links.alone else {"redis": self.links.ping, "media": self.links.media_lives},
            metrics_registry=self.registry,
            limiter=self.links.limiter,
            tables=None if self._pages else (),
        )

    def start_jobs(self) -> None:
        """Begin what is done by the clock, where that is this process's to do."""
        if self._works:
            self._jobs.start()

    async def stop_jobs(self) -> None:
        """End it."""
        await self._jobs.stop()

    def _services(self) -> Services:
        uow, clock, settings = self.uow, self.clock, self.settings
        passwords = Passwords()
        sealer = AesGcmSealer(self._keys.sealing)
        policy = settings.policy
        lifetimes = {
            "family": _lifetime(policy.family_idle_minutes, policy.family_session_minutes),
            "terminal": _lifetime(policy.terminal_idle_minutes, policy.terminal_session_minutes),
            "staff": _lifetime(policy.staff_idle_minutes, policy.staff_session_minutes),
        }
        sessions = SessionService(uow, clock, lifetimes)
        facts = FactsReader(identity_standings, new_id=new_id)
        placing = Placing(uow, clock, facts)
        allowance = AllowanceService(uow, clock, facts)
        visits = VisitService(uow, clock)
        identity_policy = IdentityPolicy(picture_days=settings.identity.image_days)
        check = BookingCheck(clock, facts)
        self._flagging = Flagging(uow, clock, check)
        live = LiveRights(uow, clock, check, self.control, self._translator())
        self._change_worker = ChangeWorker(uow, clock, self._flagging, live)
        changes = Changes(clock, self._change_worker.work_off)
        booking = BookingService(uow, clock, placing, allowance)
        slots = SlotService(uow, clock, facts, placing)
        asking = Asking(uow, clock, facts, placing, slots)
        preferences = PreferenceService(uow, clock, placing, asking)
        self._offering = WaitlistOffering(uow, clock, asking, booking, preferences.match_slot)
        return Services(
            accounts=AccountService(
                uow,
                clock,
                passwords,
                new_id,
                AccountRules(settings.confirms_email, policy.minimum_age, settings.server.public_url),
                self._revoking,
            ),
            signin=SignInService(uow, clock, passwords, sessions, sealer, policy.pin_attempts),
            sessions=sessions,
            stations=StationService(uow, clock, new_id, timedelta(minutes=policy.enrolment_code_minutes), changes),
            pins=PinService(uow, clock, passwords, new_id),
            own_security=OwnSecurityService(uow, clock, passwords, sealer),
            relationships=RelationshipService(uow, clock, changes),
            restrictions=RestrictionService(uow, clock, changes),
            non_associations=NonAssociationService(uow, clock, changes),
            flags=FlagService(uow, clock, check, self._flagging, booking, slots),
            slots=slots,
            booking=booking,
            bookings=BookingReader(uow, clock),
            allowance=allowance,
            templates=TemplateService(uow, clock, changes=changes),
            blocks=BlockService(uow, clock, changes),
            appointments=AppointmentService(uow, clock, changes, slots),
            waitlist=WaitlistService(uow, clock, placing, booking),
            preferences=preferences,
            policies=PolicyService(uow, clock, changes),
            policy_preview=PolicyPreview(uow, clock, facts, placing, check),
            why=WhyService(uow, clock, facts, placing),
            audit=AuditService(
                uow,
                clock,
                key=self._keys.audit,
                anchors=FileAnchors(settings.keys.directory.parent / "audit-anchors.jsonl"),
                signing_key=self._keys.audit_signing,
            ),
            visits=visits,
            waiting_room=WaitingRoomService(uow, visits),
            desk=DeskService(uow, clock),
            board=BoardService(uow, clock),
            moves=DeskMoves(uow, clock, facts),
            desk_why=DeskWhy(uow, clock, facts),
            day_sheet=DaySheetService(uow),
            requests=DeskRequests(uow, clock),
            bulk=BulkService(uow, clock),
            enrolment=EnrolmentService(uow, clock, self.identity, self._vault, new_id, identity_policy, changes),
            door=DoorService(uow, clock, self.identity, self._vault, new_id, identity_policy),
            calls=CallService(uow, clock, self._issuer, self.control, self._ice_servers, check),
            outbox=OutboxService(uow, clock),
            reports=ReportService(uow, clock),
            webhooks=WebhookService(uow, clock, sealer, new_id, insecure_allowed=settings.webhooks.allow_http),
            imports=ImportService(uow, clock, changes),
            clients=ClientService(uow, clock, CLIENT_ACTIONS),
            people=PeopleService(uow, clock),
            merging=MergingService(uow, clock, changes, SealedItems(self._vault, clock, new_id)),
            recordings=RecordingsService(
                uow, self.archive, clock, new_id, retention=timedelta(days=settings.recorder.retention_days)
            ),
        )

    def _job_list(self) -> list[Job]:
        services = self.services
        outbox = OutboxWorker(self.uow, self.clock, self._letters(), self._mailer())
        care = RecordingCare(self.uow, self.archive, services.recordings, self.clock)
        rescue = RecordingRescue(self.uow, self.recorder, services.recordings, self.clock)
        return [
            # By any number of processes at once: rows and the directory see to it that a call is opened once.
            Job("open-calls", 2.0 if self.links.alone else 1.0, self._opener.run_once, limit=60.0, shared=True),
            Job("call-events", 15.0, self._events.catch_up, limit=60.0, shared=True),
            Job("recording-rescue", MINUTE, rescue.run_once, limit=600.0, at_start=False),
            Job("revocations", 15.0, self._revoking.run_once),
            Job("outbox", 2.0, outbox.run_once),
            Job("webhooks", 2.0, self._webhook_worker().run_once, limit=2 * MINUTE),
            Job("reminders", MINUTE, ReminderService(self.uow, self.clock).run_once),
            # What a crash left between a change and its flags, and calls whose node has not heard of it yet.
            Job("changes", 2.0, self._change_worker.finish, limit=600.0),
            Job("flag-scan", 10 * MINUTE, FlagScanner(self.uow, self.clock, self._flagging).run_once, limit=2 * HOUR),
            Job("expire-holds", 30.0, services.booking.expire_holds),
            Job("requests", MINUTE, services.booking.lapse_requests),
            Job("waitlist", 5.0, self._offering.run_once),
            Job("waitlist-sweep", HOUR, self._offering.sweep, limit=HOUR, at_start=False),
            Job("preferences", HOUR, services.preferences.run_once, limit=HOUR, at_start=False),
            Job("audit-anchor", MINUTE, services.audit.anchor_head, limit=30.0),
            Job("sessions", HOUR, services.sessions.sweep),
            Job("missing-recordings", HOUR, care.check_missing),
            Job("recording-retention", HOUR, care.delete_expired, at_start=False),
            Job("recording-sample", DAY, care.verify_sample, limit=HOUR, at_start=False),
            Job("credits", HOUR, services.allowance.accrue, limit=HOUR),
            Job("identity-retention", HOUR, services.enrolment.purge),
        ]

    def _translator(self) -> Callable[[str, str], str]:
        """Of a language and a message, the message in that language."""
        web_directory = self.settings.server.web_directory or default_web_directory()
        catalogues = load_catalogues(web_directory / "locale")

        def translate(language: str, message: str) -> str:
            catalogue = catalogues.get(language)
            return message if catalogue is None else catalogue.gettext(message)

        return translate

    def _letters(self) -> Letters:
        sender = Sender(self.settings.mail.sender, self.settings.server.public_url)
        return Letters(sender, self.clock, self._translator())

    def _webhook_worker(self) -> WebhookWorker:
        authorities = self.settings.webhooks.authorities
        tls = None if authorities is None else ssl.create_default_context(cafile=str(authorities))
        return WebhookWorker(self.uow, self.clock, AesGcmSealer(self._keys.sealing), tls=tls)

    def _mailer(self) -> Mailer | None:
        mail = self.settings.mail
        if mail.host is not None:
            password = None if mail.password is None else mail.password.get_secret_value()
            server = SmtpServer(mail.host, mail.port, mail.username, password, mail.tls)
            return SmtpMailer(server, sender=mail.sender, clock=self.clock)
        if mail.directory is not None:
            return FolderMailer(mail.directory, sender=mail.sender, clock=self.clock)
        return None

    async def _database_answers(self) -> None:
        async with self.uow(read_only=True) as u:
            await u.people.prisons(PageRequest(1))

    async def _storage_has_room(self) -> None:
        if await asyncio.to_thread(self.recorder.storage_state) is StorageState.FULL:
            raise OSError("the recordings' storage is full")

    async def _media_runs(self) -> None:
        if self.node is None or not self.node.rooms.accepting:
            raise OSError("the media node takes no calls")


async def run_server(settings: Settings) -> int:
    """Migrate, start what the role has, serve until SIGTERM or SIGINT; the exit code.

    Of several processes none migrates: that is done once, by `visitserver migrate`, before they start.
    """
    if settings.cluster.role == "media":
        await MediaProcess(settings, load_media_keys(settings), utc_now).serve()
        return 0
    keys = load_keys(KeyPaths.of(settings))
    if settings.cluster.role == "all":
        await migrate(settings.database.url.get_secret_value())
    async with House(settings, keys) as house:
        await serve_until_stopped(house)
    return 0


async def serve_until_stopped(house: House, *, on_listening: Callable[[list[str]], None] | None = None) -> None:
    """Serve pages and run the jobs until SIGTERM or SIGINT, then let calls under way end for a while.

    `on_listening` is told the addresses once they answer. A second signal does not wait for calls. The signals stay
    with the loop until it closes: one that comes while the house is taken down must not leave half of it behind.
    """
    settings = house.settings.server
    stop, hurry = stop_signals()
    runner = web.AppRunner(house.web_app(), access_log=None, shutdown_timeout=settings.shutdown_seconds)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls_of(settings), reuse_address=True)
        await site.start()
        house.start_jobs()
        log.info("serving", role=house.settings.cluster.role, host=settings.host, port=settings.port)
        if on_listening is not None:
            on_listening(urls_of(settings, runner))
        await stop.wait()
        log.info("stopping")
        if house.node is not None:
            await wait_or_hurry(house.node.drain(house.settings.media.drain_seconds), hurry)
    finally:
        await house.stop_jobs()
        await runner.cleanup()


def _lifetime(idle_minutes: int, absolute_minutes: int) -> SessionLifetime:
    return SessionLifetime(timedelta(minutes=idle_minutes), timedelta(minutes=absolute_minutes))
