"""A right that is withdrawn: watches end on every node, and what was issued before opens nothing any more."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from signaling.errors import TicketError
from tests.fakes.channel import FakeChannel
from tests.fixtures.waiting import eventually
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import Stage, stage


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


async def test_an_officer_whose_right_is_withdrawn_sees_nothing_more_and_others_go_on(on: Stage) -> None:
    given = charter()
    media = await on.open(given)
    warrants = {officer: on.warrant(given.call_id, officer) for officer in ("stf_1", "stf_2")}
    sessions = {}
    for officer, warrant in warrants.items():
        answer = await on.node.watch(warrant, given.call_id, "v=0\r\n")
        media.connect(answer.session_id)
        sessions[officer] = answer.session_id
    room = on.node.rooms.ordinary(given.call_id)
    channels = {officer: FakeChannel() for officer in warrants}
    for officer, channel in channels.items():
        room.attach_observer(on.node._verifier.monitor(warrants[officer]), channel)

    await on.control.revoke("stf_1", on.clock())
    await eventually(lambda: sessions["stf_1"] not in media.sessions, "the watch ends")
    assert sessions["stf_2"] in media.sessions
    assert channels["stf_1"].closed is not None and channels["stf_2"].closed is None
    for again in (
        lambda: on.node.watch(warrants["stf_1"], given.call_id, "v=0\r\n"),
        lambda: on.node.watch_wall(warrants["stf_1"], "v=0\r\n"),
    ):
        with pytest.raises(TicketError) as refused:
            await again()
        assert refused.value.code == "revoked"
    await on.control.revoke("stf_1", on.clock())  # said again it changes nothing

    on.clock.advance(5)
    later = on.warrant(given.call_id, "stf_1")
    await on.node.watch(later, given.call_id, "v=0\r\n")


async def test_a_participants_old_ticket_is_refused(on: Stage) -> None:
    given = charter()
    await on.open(given)
    ticket = on.ticket(given.call_id, "family")
    await on.node.publish(ticket, given.call_id, "v=0\r\n")
    await on.control.revoke("family", on.clock())
    with pytest.raises(TicketError, match="withdrawn"):
        await on.node.publish(ticket, given.call_id, "v=0\r\n")
    await on.node.publish(on.ticket(given.call_id, "prisoner"), given.call_id, "v=0\r\n")
