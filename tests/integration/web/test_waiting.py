"""Before and after the call: the waiting room's state, the ticket for the call page, the way in, minutes owed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.bus import InProcessBus
from signaling.call_machine import CallMachine
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Side
from signaling.tickets import CallCharter, RecordingPolicy, Supervision, TicketIssuer, TicketVerifier
from tests.fixtures.http_app import Browser
from tests.integration.web.visiting import Visiting
from visitserver.domain.calls import Call, CallKind, CallPhase, OutcomeCode
from visitserver.domain.identity import CheckState, EnrolmentRoute, IdentityCheck
from visitserver.domain.scheduling import Booking
from visitserver.services.call_history import row_of
from visitserver.services.calls import CallService

KEY = Ed25519PrivateKey.generate()


class Lobby:
    """A booked visit of Kim and Pat, and what a media node would have written about its call."""

    def __init__(self, visiting: Visiting, booking: Booking) -> None:
        self.visiting = visiting
        self.booking = booking
        self.call_id = OrdinaryCallId(new_id("call"))
        self.directory = InProcessDirectory(visiting.house.clock().timestamp)
        control = BusRoomControl(InProcessBus(), self.directory)
        house = visiting.house
        visiting.services.calls = CallService(house.uow, house.clock, TicketIssuer(KEY, house.clock), control)

    async def open(self, *, supervision: str = "sample", watch_banner: bool = False) -> None:
        """T−15: the call has its row and its room."""
        booking, clock = self.booking, self.visiting.house.clock
        clock.now = booking.starts_at - timedelta(minutes=15)
        call = Call(
            id=self.call_id,
            booking_id=booking.id,
            prison_id=booking.prison_id,
            prisoner_id=booking.prisoner_id,
            kind=CallKind.SOCIAL,
            lobby_opens_at=clock(),
            starts_at=booking.starts_at,
            ends_at=booking.ends_at,
            recorded=True,
            supervision=supervision,
            watch_banner=watch_banner,
            policy_version="1",
            created_at=clock(),
            phase=CallPhase.LOBBY_OPEN,
        )
        async with self.visiting.house.uow() as u:
            u.calls.add(call)
            await u.commit()
        await self.directory.register(NodeInfo("node_1", "", 10), 0)
        await self.directory.place(self.call_id)

    async def prisoner_arrives(self) -> None:
        """The events that a media node writes when the prisoner joins."""
        now, booking = self.visiting.house.clock(), self.booking
        charter = CallCharter(
            self.call_id,
            booking.starts_at,
            booking.ends_at,
            booking.starts_at - timedelta(minutes=15),
            (Side.FAMILY, Side.PRISONER),
            RecordingPolicy.REQUIRED,
            Supervision.SAMPLE,
            False,
        )
        machine = CallMachine(charter)
        machine.open(now)
        machine.joined(now, booking.prisoner_id, Side.PRISONER, "terminal:sta_1")
        async with self.visiting.house.uow() as u:
            for event in machine.events:
                u.calls.add(row_of(event))
            await u.commit()

    async def check(self, state: CheckState) -> None:
        """Kim has been at the door, with this result."""
        async with self.visiting.house.uow() as u:
            u.identity.add(
                IdentityCheck(
                    id=new_id("idc"),
                    booking_id=self.booking.id,
                    prison_id=self.booking.prison_id,
                    contact_id=self.visiting.house.contact.id,
                    state=state,
                    route=EnrolmentRoute.FACE,
                    created_at=self.visiting.house.clock(),
                )
            )
            await u.commit()
        self.visiting.house.clock.advance(seconds=1)

    async def end(self, phase: CallPhase, connected: int) -> None:
        async with self.visiting.house.uow() as u:
            call = await u.calls.get(self.call_id)
            call.phase, call.connected_seconds = phase, connected
            call.lost_seconds = int((call.ends_at - call.starts_at).total_seconds()) - connected
            call.outcome = OutcomeCode.TECHNICAL_FAILURE
            await u.commit()

    async def state(self, browser: Browser, side: str = "") -> dict[str, Any]:
        answer = await browser.get(f"/api{side}/visits/{self.booking.id}/state")
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


@pytest.fixture
async def lobby(visiting: Visiting) -> Lobby:
    await visiting.grant(1)
    booking_id = await visiting.book()
    async with visiting.house.uow(read_only=True) as u:
        return Lobby(visiting, await u.scheduling.get_booking(booking_id))


def awaited(state: dict[str, Any]) -> dict[str, bool]:
    return {one["who"]: one["here"] for one in state["awaiting"]}


async def api(browser: Browser, path: str) -> Any:
    return await browser.request("POST", path, json={}, headers={"X-CSRF-Token": browser.csrf})


async def test_days_before_there_is_nothing_to_enter(lobby: Lobby) -> None:
    kim = await lobby.visiting.house.family()
    state = await lobby.state(kim)
    assert (state["phase"], state["door"], state["may_enter"]) == ("too_early", "needed", False)
    await kim.get("/home")
    refused = await api(kim, f"/api/visits/{lobby.booking.id}/ticket")
    assert (refused.status, (await refused.json())["code"]) == (409, "call_not_open")


async def test_the_door_first_then_the_call(lobby: Lobby) -> None:
    await lobby.open()
    kim = await lobby.visiting.house.family()
    state = await lobby.state(kim)
    assert (state["phase"], state["door"], state["may_enter"]) == ("lobby", "needed", False)
    assert awaited(state) == {"you": True, "prisoner": False}
    path = f"/visits/{lobby.booking.id}"
    assert (await kim.get(f"{path}/call")).headers["Location"] == f"{path}/waiting"
    await kim.get("/home")
    refused = await api(kim, f"/api{path}/ticket")
    assert (refused.status, (await refused.json())["code"]) == (403, "identity_required")

    await lobby.check(CheckState.RETAKE)
    assert (await lobby.state(kim))["door"] == "retake"
    await lobby.check(CheckState.REVIEW)
    state = await lobby.state(kim)
    assert (state["door"], state["may_enter"]) == ("review", False)
    assert awaited(state)["door"] is False

    await lobby.check(CheckState.PASSED)
    await lobby.prisoner_arrives()
    state = await lobby.state(kim)
    assert (state["door"], state["may_enter"]) == ("passed", True)
    assert awaited(state) == {"you": True, "prisoner": True}
    page = await kim.get(f"{path}/call")
    assert page.status == 200
    assert "<visit-call" in await page.text()
    given = await (await api(kim, f"/api{path}/ticket")).json()
    assert given["whip"] == f"/media/whip/{lobby.call_id}"
    verifier = TicketVerifier([KEY.public_key()], lobby.visiting.house.clock)
    ticket = verifier.join(given["ticket"], lobby.call_id).body
    assert (ticket.side, ticket.participant_id) == (Side.FAMILY, lobby.visiting.house.contact.id)


async def test_whom_an_officer_refused_stays_outside_with_words(lobby: Lobby) -> None:
    await lobby.open()
    await lobby.check(CheckState.REFUSED)
    state = await lobby.state(await lobby.visiting.house.family())
    assert (state["door"], state["may_enter"]) == ("refused", False)
    assert "ask the prison" in state["words"]


async def test_who_watches_is_said_only_where_policy_says_so(lobby: Lobby) -> None:
    await lobby.open(supervision="live", watch_banner=False)
    assert "officer" not in awaited(await lobby.state(await lobby.visiting.house.family()))


async def test_the_officer_who_must_watch_is_awaited_where_policy_says_so(lobby: Lobby) -> None:
    await lobby.open(supervision="live", watch_banner=True)
    assert awaited(await lobby.state(await lobby.visiting.house.family()))["officer"] is False


async def test_a_prisoner_joins_from_a_terminal(lobby: Lobby) -> None:
    await lobby.open()
    pat = await lobby.visiting.house.at_terminal()
    state = await lobby.state(pat, "/terminal")
    assert (state["door"], state["may_enter"]) == ("passed", True)
    assert awaited(state) == {"you": True, "family": False}
    path = f"/terminal/visits/{lobby.booking.id}"
    assert (await pat.get(f"{path}/call")).status == 200
    given = await (await api(pat, f"/api{path}/ticket")).json()
    assert given["participant_id"] == lobby.visiting.house.prisoner.id


async def test_afterwards_the_minutes_used_and_owed(lobby: Lobby) -> None:
    await lobby.open()
    path = f"/visits/{lobby.booking.id}"
    kim = await lobby.visiting.house.family()
    assert "Go back to the visit" in await (await kim.get(f"{path}/after")).text()
    await lobby.end(CallPhase.FAILED, connected=22 * 60)
    page = await (await kim.get(f"{path}/after")).text()
    assert "22 minutes" in page
    assert "8 minutes" in page
    assert "The technology failed" in page
    assert (await lobby.state(kim))["phase"] == "over"
    assert (await kim.get(f"{path}/call")).headers["Location"] == f"{path}/after"


async def test_a_stranger_has_no_state_no_ticket_and_no_call(lobby: Lobby) -> None:
    await lobby.open()
    robin = await lobby.visiting.house.family("robin@example.org")
    await robin.get("/home")
    path = f"/visits/{lobby.booking.id}"
    for address in (f"/api{path}/state", f"{path}/waiting", f"{path}/call", f"{path}/after"):
        assert (await robin.get(address)).status == 404, address
    assert (await api(robin, f"/api{path}/ticket")).status == 404
