"""Recordings in the application: real store, real archive, real recordings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from recorder.archive import Archive
from recorder.manifest import SealSummary
from recorder.retention import StoredState, stored_state
from signaling.ids import new_call_id, new_id
from tests.fixtures.store import SettableClock
from tests.unit.recorder.support import Laboratory, Publisher, ordinary_call
from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.recordings import Recording, RecordingState
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.recordings import RecordingFilter
from visitserver.services.recording_care import OVERDUE, RecordingCare
from visitserver.services.recordings import OPENING_LASTS, RecordingsService
from visitserver.store.uow import SqlUnitOfWorkFactory

OFFICER = Actor(ActorKind.STAFF, "stf_1", "prn_1")
COLLEAGUE = Actor(ActorKind.STAFF, "stf_2", "prn_1")
ELSEWHERE = Actor(ActorKind.STAFF, "stf_3", "prn_2")
FAMILY = Actor(ActorKind.FAMILY, "con_1")
MINE = RecordingFilter(prison_id="prn_1")


class World:
    """The service, its archive, and a recorder."""

    def __init__(self, uow: SqlUnitOfWorkFactory, clock: SettableClock, tmp_path: Path) -> None:
        self.lab = Laboratory(tmp_path)
        self.clock = clock
        self.uow = uow
        self.archive = Archive(self.lab.store, self.lab.keys, self.lab.signing_key, clock, tmp_path / "derived")
        self.service = RecordingsService(uow, self.archive, clock, new_id)
        self.care = RecordingCare(uow, self.archive, self.service, clock)

    async def people(self) -> None:
        async with self.uow() as u:
            for number in (1, 2):
                u.people.add(Prison(id=f"prn_{number}", name="P", timezone="Europe/Helsinki", code=f"P{number}"))
            u.people.add(
                Prisoner(
                    id="prs_1",
                    number="N1",
                    prison_id="prn_1",
                    given_name="A",
                    family_name="B",
                    born_on=date(1990, 2, 28),
                    admitted_at=datetime(2025, 1, 1, tzinfo=UTC),
                    location=("A", "2"),
                )
            )
            await u.commit()

    async def expect(self, recording_id: str | None = None) -> Recording:
        async with self.uow() as u:
            recording = self.service.expect(
                u,
                call_id=ordinary_call(),
                prison_id="prn_1",
                prisoner_id="prs_1",
                booking_id=None,
                policy_version="1",
                expected_end=self.clock() + timedelta(minutes=30),
            )
            if recording_id is not None:
                recording.id = recording_id
            await u.commit()
        return recording

    def record(self) -> SealSummary:
        """A real, sealed recording in the archive."""
        call_id = ordinary_call()
        _, summary = self.lab.write(Publisher(call_id).send(1.0), call_id=call_id)
        assert summary is not None
        return summary

    async def sealed(self) -> Recording:
        """A recording that was made, registered and sealed."""
        summary = self.record()
        recording = await self.expect(summary.recording_id)
        await self.service.started(recording.id)
        await self.service.sealed(SYSTEM, summary)
        return await self.service.get(OFFICER, recording.id)

    async def audited(self, recording_id: str) -> list[str]:
        async with self.uow(read_only=True) as u:
            page = await u.audit.rows(AuditFilter(object_id=recording_id), PageRequest())
        return [row.action for row in reversed(page.items)]


@pytest.fixture
async def world(uow: SqlUnitOfWorkFactory, clock: SettableClock, tmp_path: Path) -> World:
    return World(uow, clock, tmp_path)


@pytest.fixture(autouse=True)
def closed(world: World) -> Iterator[None]:
    yield
    world.archive.close()


async def test_a_recording_is_registered_from_the_call_to_the_seal(world: World) -> None:
    await world.people()
    recording = await world.sealed()
    assert (recording.state, recording.segments > 0, recording.interrupted) == (RecordingState.SEALED, True, False)
    assert recording.retain_until == world.clock() + timedelta(days=90)
    summary = await world.archive.sealed(recording.id)
    assert summary is not None
    await world.service.sealed(SYSTEM, summary)  # told twice
    with pytest.raises(Conflict, match="another head"):
        await world.service.sealed(SYSTEM, replace(summary, head_sha256="00" * 32))
    assert await world.audited(recording.id) == ["recording.sealed"]


async def test_a_privileged_call_has_no_recording(world: World) -> None:
    await world.people()
    async with world.uow() as u:
        with pytest.raises(Invalid) as refused:
            world.service.expect(
                u,
                call_id=new_call_id(privileged=True),
                prison_id="prn_1",
                prisoner_id="prs_1",
                booking_id=None,
                policy_version="1",
                expected_end=world.clock(),
            )
        await u.commit()
    assert refused.value.code == "privileged_call"
    assert (await world.service.list(OFFICER, MINE, PageRequest())).items == []


async def test_the_audit_row_is_there_before_the_first_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the recording is read before the row is committed; and without a row there is no playback."""
    await world.people()
    recording = await world.sealed()
    seen: list[list[str]] = []
    real = world.archive.timeline

    async def watched(recording_id: str) -> dict[str, object]:
        seen.append(await world.audited(recording_id))
        return await real(recording_id)

    monkeypatch.setattr(world.archive, "timeline", watched)
    with pytest.raises(Invalid):
        await world.service.open_for_playback(OFFICER, recording.id, "  ")
    playback = await world.service.open_for_playback(OFFICER, recording.id, "complaint 12", "req_1")
    assert seen == [["recording.sealed", "recording.opened"]]
    assert playback.timeline["tracks"][0]["number"] == 1
    track = await world.service.open_track(OFFICER, recording.id, 1, playback.opening.id)
    assert track.read(4) == b"\x1a\x45\xdf\xa3"
    track.close()
    page = await world.service.openings(OFFICER, recording.id, PageRequest())
    assert [(one.actor, one.reason) for one in page.items] == [("staff:stf_1", "complaint 12")]

    async def no_audit(_: object) -> None:
        raise RuntimeError("the audit log cannot be written")

    monkeypatch.setattr("visitserver.store.repositories.audit.SqlAudit.write_waiting", no_audit)
    with pytest.raises(RuntimeError, match="audit"):
        await world.service.open_for_playback(OFFICER, recording.id, "again")
    assert len(seen) == 1


async def test_an_opening_is_one_persons_for_one_recording_and_some_hours(world: World) -> None:
    await world.people()
    recording, other = await world.sealed(), await world.sealed()
    playback = await world.service.open_for_playback(OFFICER, recording.id, "sample")
    opening = playback.opening.id
    for actor, recording_id, opening_id in (
        (COLLEAGUE, recording.id, opening),
        (ELSEWHERE, recording.id, opening),
        (FAMILY, recording.id, opening),
        (OFFICER, other.id, opening),
        (OFFICER, recording.id, "opn_unknown"),
    ):
        with pytest.raises(NotFound):
            await world.service.open_track(actor, recording_id, 1, opening_id)
    world.clock.now += OPENING_LASTS
    with pytest.raises(Conflict, match="too long ago"):
        await world.service.open_track(OFFICER, recording.id, 1, opening)


async def test_another_prisons_recordings_do_not_exist(world: World) -> None:
    await world.people()
    recording = await world.sealed()
    for actor in (ELSEWHERE, FAMILY):
        with pytest.raises(NotFound):
            await world.service.get(actor, recording.id)
        with pytest.raises(NotFound):
            await world.service.open_for_playback(actor, recording.id, "curious")
        with pytest.raises(NotFound):
            await world.service.list(actor, MINE, PageRequest())
        with pytest.raises(NotFound):
            await world.service.place_hold(actor, recording.id, "curious")
        with pytest.raises(NotFound):
            await world.service.verify(actor, recording.id)


async def test_the_list_is_paged_and_filtered(world: World) -> None:
    await world.people()
    made = []
    for _ in range(5):
        made.append((await world.expect()).id)
        world.clock.advance(minutes=1)
    await world.service.failed(SYSTEM, made[1], "storage")
    first = await world.service.list(OFFICER, MINE, PageRequest(limit=3))
    rest = await world.service.list(OFFICER, MINE, PageRequest(limit=3, cursor=first.next_cursor))
    assert [one.id for one in [*first.items, *rest.items]] == made[::-1]
    assert rest.next_cursor is None

    async def ids(**wanted: object) -> list[str]:
        page = await world.service.list(OFFICER, replace(MINE, **wanted), PageRequest())  # type: ignore[arg-type]
        return [one.id for one in page.items]

    assert await ids(states=frozenset({RecordingState.FAILED})) == [made[1]]
    assert await ids(prisoner_id="prs_2") == []
    assert await ids(contact_id="con_1") == []
    begun = world.clock() - timedelta(minutes=5)
    assert await ids(since=begun + timedelta(minutes=1), until=begun + timedelta(minutes=3)) == [made[2], made[1]]


async def test_damage_is_found_and_audited(world: World) -> None:
    await world.people()
    recording, whole = await world.sealed(), await world.sealed()
    path = world.lab.root / recording.id / "000001.seg"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    verdict = await world.service.verify(OFFICER, recording.id)
    assert (verdict.valid, verdict.kind, verdict.segment) == (False, "altered", 1)
    assert (await world.service.verify(OFFICER, whole.id)).valid
    assert await world.audited(recording.id) == ["recording.sealed", "recording.verified"]
    found = await world.care.verify_sample()
    assert list(found) == [recording.id]
    with pytest.raises(Conflict) as refused:
        await world.service.open_for_playback(OFFICER, recording.id, "look")
    assert refused.value.code == "recording_damaged"


async def test_retention_deletes_what_is_old_and_not_held(world: World) -> None:
    await world.people()
    old, held = await world.sealed(), await world.sealed()
    world.clock.advance(days=60)
    young = await world.sealed()
    await world.service.place_hold(OFFICER, held.id, "case 4711")
    with pytest.raises(Conflict):
        await world.service.place_hold(OFFICER, held.id, "twice")
    assert await world.care.delete_expired() == ()
    world.clock.advance(days=31)
    assert await world.care.delete_expired() == (old.id,)
    assert stored_state(world.lab.store, old.id) is StoredState.DELETED
    assert stored_state(world.lab.store, held.id) is StoredState.HELD
    assert stored_state(world.lab.store, young.id) is StoredState.SEALED
    gone = await world.service.get(OFFICER, old.id)
    assert (gone.state, gone.deletion_reason, gone.erased_at) == (RecordingState.DELETED, "retention", world.clock())
    with pytest.raises(Conflict):
        await world.service.open_for_playback(OFFICER, old.id, "too late")
    with pytest.raises(Conflict):
        await world.service.place_hold(OFFICER, old.id, "too late")
    assert (await world.service.verify(OFFICER, old.id)).valid  # the tombstone is that of this recording
    await world.service.lift_hold(OFFICER, held.id, "case closed")
    assert (await world.service.get(OFFICER, held.id)).hold_reason == "case 4711\ncase closed"
    assert await world.care.delete_expired() == (held.id,)
    assert await world.audited(held.id) == [
        "recording.sealed", "recording.hold_placed", "recording.hold_lifted", "recording.deleted",
    ]  # fmt: skip


async def test_a_deletion_cut_off_before_the_archive_is_finished_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.people()
    old = await world.sealed()
    world.clock.advance(days=91)

    async def away(*_: object) -> None:
        raise OSError("the archive's disk is away")

    with monkeypatch.context() as patch:
        patch.setattr(world.archive, "delete", away)
        assert await world.care.delete_expired() == ()
    assert (await world.service.get(OFFICER, old.id)).state is RecordingState.DELETED
    assert stored_state(world.lab.store, old.id) is StoredState.SEALED
    assert await world.care.delete_expired() == (old.id,)
    assert stored_state(world.lab.store, old.id) is StoredState.DELETED
    assert await world.care.delete_expired() == ()


async def test_a_recording_that_nobody_reported_is_found_or_missed(world: World) -> None:
    """The process died between the seal and its report; another call's recording never came to be."""
    await world.people()
    summary = world.record()
    unreported = await world.expect(summary.recording_id)
    never = await world.expect()
    assert (await world.care.check_missing()).missing == ()  # the call may still go on
    world.clock.now = unreported.expected_end + OVERDUE + timedelta(seconds=1)
    report = await world.care.check_missing()
    assert (report.found, report.missing) == ((unreported.id,), (never.id,))
    assert (await world.service.get(OFFICER, unreported.id)).head_sha256 == summary.head_sha256
    lost = await world.service.get(OFFICER, never.id)
    assert (lost.state, lost.failure) == (RecordingState.FAILED, "missing")
    assert await world.audited(never.id) == ["recording.failed"]
    assert await world.care.check_missing() == type(report)((), ())


async def test_one_recording_that_cannot_be_looked_for_keeps_no_other_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.people()
    summary = world.record()
    away = await world.expect()
    there = await world.expect(summary.recording_id)
    world.clock.now = there.expected_end + OVERDUE + timedelta(seconds=1)
    ask = world.archive.sealed

    async def sealed(recording_id: str) -> SealSummary | None:
        if recording_id == away.id:
            raise OSError("this one's disk is away")
        return await ask(recording_id)

    with monkeypatch.context() as patch:
        patch.setattr(world.archive, "sealed", sealed)
        report = await world.care.check_missing()
    assert (report.found, report.missing) == ((there.id,), ())
    assert (await world.service.get(OFFICER, away.id)).state is RecordingState.PENDING, "nothing is said of it yet"
    assert (await world.care.check_missing()).missing == (away.id,)


async def test_a_pause_is_shown_and_late_news_change_nothing(world: World) -> None:
    await world.people()
    recording = await world.expect()
    await world.service.started(recording.id)
    await world.service.paused(recording.id, True)
    assert (await world.service.get(OFFICER, recording.id)).state is RecordingState.PAUSED
    await world.service.paused(recording.id, False)
    await world.service.failed(SYSTEM, recording.id, "storage")
    await world.service.paused(recording.id, True)
    await world.service.started(recording.id)
    assert (await world.service.get(OFFICER, recording.id)).state is RecordingState.FAILED
    with pytest.raises(NotFound):
        await world.service.started("rec_unknown")
