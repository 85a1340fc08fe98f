"""The console's application: real services on SQLite, a real media node on loopback, real recordings, real time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time as timeless
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Browser, Page

from recorder.archive import Archive
from recorder.service import RecordingService
from signaling.bus import InProcessBus
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.http import media_routes
from signaling.ids import OrdinaryCallId, new_call_id, new_id, parse_call_id
from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.node import SignalingNode
from signaling.tickets import JoinTicket, TicketIssuer, TicketVerifier
from tests.e2e.support.browser import WIDE, Visitor, visitor
from tests.fixtures.desk import desk_services
from tests.fixtures.http_app import PASSWORD, HttpHouse
from tests.fixtures.rights import FakeIdentity, only_granted_credits
from tests.fixtures.store import SettableClock
from tests.unit.recorder.support import Laboratory, Publisher
from visitserver.domain.actors import SYSTEM
from visitserver.domain.calls import Call, CallKind
from visitserver.domain.people import Contact, Prisoner, Wing
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipState, kind_for
from visitserver.domain.scheduling import (
    Booking,
    BookingParticipant,
    BookingState,
    SessionTemplate,
    Station,
    SupervisionLevel,
)
from visitserver.identity.vault import PersonVault
from visitserver.services.allowance import AllowanceService
from visitserver.services.booking import BookingService
from visitserver.services.bookings import BookingReader
from visitserver.services.call_events import CallEventConsumer
from visitserver.services.call_opening import CallOpener
from visitserver.services.calls import CallService
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.recordings import RecordingsService
from visitserver.services.relationships import RelationshipService
from visitserver.services.slots import SlotService
from visitserver.services.templates import TemplateService
from visitserver.services.why import WhyService


class LiveClock(SettableClock):
    """The real time: browsers, tickets and media all go by it."""

    def __call__(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class Pair:
    """A prisoner and their contact."""

    prisoner: Prisoner
    contact: Contact
    relationship: Relationship
    station: Station


@dataclass
class ConsoleHouse:
    """`http` with the services of rights, calls and recordings, and people for several calls at once."""

    http: HttpHouse
    node: SignalingNode
    opener: CallOpener
    consumer: CallEventConsumer
    issuer: TicketIssuer
    identity: FakeIdentity
    laboratory: Laboratory
    pairs: list[Pair] = field(default_factory=list)
    base_url: str = ""

    @property
    def services(self) -> Any:
        return self.http.services

    def now(self) -> datetime:
        """The time by the house's clock."""
        return self.http.clock()

    async def add_pairs(self, names: Sequence[tuple[str, str]], kind: CallKind = CallKind.SOCIAL) -> list[Pair]:
        """A prisoner, an approved contact and a station for each pair of names."""
        house, added = self.http, []
        for prisoner_name, contact_name in names:
            number = len(self.pairs) + 1
            given, family = prisoner_name.split()
            first, last = contact_name.split()
            prisoner = Prisoner(
                new_id("psn"),
                f"C{number:04}",
                house.prison.id,
                given,
                family,
                date(1985, 4, number),
                datetime(2025, 6, 1, tzinfo=UTC),
                wing_id=f"wng_{'ab'[number % 2]}",
            )
            contact = Contact(new_id("con"), first, last, date(1984, 3, number), email=f"{first.lower()}@example.net")
            link = Relationship(
                id=new_id("rel"),
                prisoner_id=prisoner.id,
                contact_id=contact.id,
                kind=kind_for(kind),
                call_kind=kind,
                relation="solicitor" if kind.privileged else "sibling",
                requested_at=self.now() - timedelta(days=40),
                state=RelationshipState.APPROVED,
                prisoner_answer=PrisonerAnswer.ACCEPTED,
            )
            station = Station(new_id("sta"), house.prison.id, f"Terminal {number}", wing_id=prisoner.wing_id)
            async with house.uow() as u:
                u.people.add(prisoner)
                u.people.add(contact)
                u.scheduling.add(station)
                u.rights.add(link)
                await u.commit()
            self.identity.approved.add(contact.id)
            added.append(Pair(prisoner, contact, link, station))
            self.pairs.append(added[-1])
        return added

    async def book(
        self,
        pair: Pair,
        starts_in: timedelta = timedelta(minutes=-1),
        minutes: int = 30,
        supervision: SupervisionLevel = SupervisionLevel.SAMPLE,
        state: BookingState = BookingState.BOOKED,
    ) -> Booking:
        """A booking put there as it is, whatever the rules say: times near now suit no booking window."""
        starts_at = (self.now() + starts_in).replace(second=0, microsecond=0)
        booking = Booking(
            id=new_id("bkg"),
            prison_id=self.http.prison.id,
            prisoner_id=pair.prisoner.id,
            kind=pair.relationship.call_kind,
            state=state,
            template_id="tpl_daily",
            slot_key=f"tpl_daily@{starts_at:%Y%m%dT%H%MZ}",
            starts_at=starts_at,
            ends_at=starts_at + timedelta(minutes=minutes),
            supervision=supervision,
            created_at=self.now() - timedelta(days=2),
            created_by=f"family:{pair.contact.id}",
            station_id=pair.station.id,
        )
        booking.participants.append(BookingParticipant(booking.id, pair.contact.id, pair.relationship.id, lead=True))
        async with self.http.uow() as u:
            u.scheduling.add(booking)
            await u.commit()
        return booking

    async def open_calls(self) -> dict[str, Call]:
        """Open the rooms that are due; the calls by booking."""
        await self.opener.run_once()
        async with self.http.uow(read_only=True) as u:
            return {call.booking_id: call for call in await u.calls.unfinished(100)}

    def tickets(self, call: Call, pair: Pair) -> dict[str, str]:
        """Join tickets for both, as after their identity checks."""
        call_id = parse_call_id(call.id)
        return {
            side.value: self.issuer.issue(
                JoinTicket(call_id, person.id, side, person.name, "idc_test"),
                expires_at=call.ends_at + timedelta(minutes=5),
            )
            for side, person in ((Side.FAMILY, pair.contact), (Side.PRISONER, pair.prisoner))
        }

    async def record(self, pair: Pair, seconds: float = 6.0) -> str:
        """A real recording of both sides, sealed and registered; its id."""
        call_id = new_call_id(privileged=False)
        assert isinstance(call_id, OrdinaryCallId)
        sent = [
            *Publisher(call_id, pair.contact.id, Side.FAMILY).send(seconds),
            *Publisher(call_id, pair.prisoner.id, Side.PRISONER, first_ssrc=200, phase=1.0).send(seconds),
        ]
        recording_id, _ = await asyncio.to_thread(self.laboratory.write, sent, call_id=call_id)
        async with self.http.uow() as u:
            recording = self.services.recordings.expect(
                u,
                call_id=str(call_id),
                prison_id=self.http.prison.id,
                prisoner_id=pair.prisoner.id,
                booking_id=None,
                policy_version="1",
                expected_end=self.now(),
            )
            recording.id = recording_id
            await u.commit()
        assert await self.services.recordings.seal_known(SYSTEM, recording_id)
        return recording_id

    @asynccontextmanager
    async def staff(
        self, browser: Browser, role: str, size: tuple[int, int] = WIDE, **options: Any
    ) -> AsyncIterator[Visitor]:
        """A member of staff who is signed in."""
        # Whoever ends a media session that the server has ended already is told 404, which is no fault.
        allow = [r"404 .*/media/sessions/", *options.pop("allow", ())]
        async with visitor(browser, self.base_url, size, allow=allow, **options) as person:
            await person.page.goto("/staff/signin")
            await person.page.fill('input[name="login"]', role)
            await person.page.fill('input[name="password"]', PASSWORD)
            await person.page.click('main button[type="submit"]')
            await person.page.wait_for_url("**/staff")
            yield person


async def picture(person: Visitor, name: str) -> None:
    """Keep a picture of the page in the folder that VISIT_SCREENSHOTS names, for a person to look at; else nothing."""
    folder = os.environ.get("VISIT_SCREENSHOTS")
    if folder:
        await person.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


JOIN = """async ({ticket, callId, whip, channel, version}) => {
  const {WhipClient} = await import(version + "protocol/whip.js");
  const {Channel} = await import(version + "protocol/channel.js");
  const video = {width: 320, height: 240, frameRate: 10};
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video});
  const client = new WhipClient({url: whip, ticket: async () => ticket, stream, talk: true});
  client.on("track", ({track, transceiver}) => {
    const voice = new Audio();
    if (transceiver === client.talkLine) voice.srcObject = new MediaStream([track]);
    if (voice.srcObject) void voice.play();
    if (voice.srcObject) window.voice = voice;
  });
  const line = new Channel({url: channel, ticket: async () => ticket});
  window.heard = [];
  line.on("any", (message) => window.heard.push(message));
  line.on("welcome", () => line.send({type: "device", microphone: "on", camera: "on"}));
  void line.run();
  await client.start();
  window.part = {client, line};
  return true;
}"""


async def join(page: Page, house: ConsoleHouse, call: Call, ticket: str) -> None:
    """Join a call from a page of the house, with the browser's fake camera and microphone, by the real modules."""
    await page.goto("/signin")
    script = await page.evaluate("document.querySelector('link[rel=stylesheet]').href")
    await page.evaluate(
        JOIN,
        {
            "ticket": ticket,
            "callId": call.id,
            "whip": f"/media/whip/{call.id}",
            "channel": f"{house.base_url.replace('http', 'ws', 1)}/media/channel",
            "version": str(script).split("css/")[0] + "js/",
        },
    )


@asynccontextmanager
async def console_house(http: HttpHouse, tmp_path: Path) -> AsyncIterator[ConsoleHouse]:
    """Put the other rooms' services into `http`, start the node and the server."""
    key = Ed25519PrivateKey.generate()
    clock = http.clock
    bus, directory = InProcessBus(), InProcessDirectory(timeless.monotonic)
    laboratory = Laboratory(tmp_path)
    recorder = RecordingService(laboratory.store, laboratory.keys, laboratory.signing_key, clock)
    archive = Archive(laboratory.store, laboratory.keys, laboratory.signing_key, clock, tmp_path / "derived")
    node = SignalingNode(
        NodeInfo("node-1", "", 60),
        MediaNode("127.0.0.1", 0),
        bus,
        directory,
        TicketVerifier([key.public_key()], clock),
        clock=clock,
        monotonic=timeless.monotonic,
        recorder_factory=recorder.start,
    )
    control, issuer = BusRoomControl(bus, directory), TicketIssuer(key, clock)
    identity = FakeIdentity({http.contact.id})
    facts = FactsReader(identity, new_id=new_id)
    placing = Placing(http.uow, clock, facts)
    services: Any = http.services
    services.relationships = RelationshipService(http.uow, clock)
    services.allowance = AllowanceService(http.uow, clock, facts)
    services.booking = BookingService(http.uow, clock, placing, services.allowance)
    services.bookings = BookingReader(http.uow, clock)
    services.slots = SlotService(http.uow, clock, facts, placing)
    services.templates = TemplateService(http.uow, clock)
    services.why = WhyService(http.uow, clock, facts, placing)
    desk_services(services, http.uow, clock, identity)
    services.recordings = RecordingsService(http.uow, archive, clock, new_id)
    vault = PersonVault(bytes(range(32)))
    absent: Any = None  # these tests put in what the engine would have found; nothing here asks it
    services.enrolment = EnrolmentService(http.uow, clock, absent, vault, new_id)
    services.door = DoorService(http.uow, clock, absent, vault, new_id)
    services.calls = CallService(http.uow, clock, issuer, control)
    opener = CallOpener(http.uow, clock, issuer, control, services.recordings, services.booking, new_call_id)
    consumer = CallEventConsumer(http.uow, bus, control, services.recordings, services.booking)
    async with http.uow() as u:
        for name in "ab":
            u.people.add(Wing(f"wng_{name}", http.prison.id, f"Wing {name.upper()}"))
        await u.commit()
    await node.start()
    following = asyncio.create_task(consumer.run())
    http.start(media_routes=media_routes(node))
    assert http._server is not None
    await http._server.start_server()
    house = ConsoleHouse(http, node, opener, consumer, issuer, identity, laboratory)
    house.base_url = str(http._server.make_url("/")).rstrip("/")
    try:
        yield house
    finally:
        await http._server.close()
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await node.stop()
        await recorder.close()
        archive.close()


async def add_sessions(house: ConsoleHouse) -> SessionTemplate:
    """Visits every day from 9 to 17, half an hour each, on every station; no credits come by the calendar."""
    template = SessionTemplate(
        id="tpl_daily",
        prison_id=house.http.prison.id,
        name="Daily",
        weekdays=tuple(range(7)),
        starts_at=time(9),
        ends_at=time(17),
        duration_minutes=30,
        capacity=4,
        station_ids=tuple(pair.station.id for pair in house.pairs),
        valid_from=date(2026, 1, 1),
    )
    async with house.http.uow() as u:
        u.scheduling.add(template)
        for value in only_granted_credits(house.http.prison.id):
            u.policies.add(value)
        await u.commit()
    return template
