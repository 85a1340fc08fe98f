"""The identity process for real: what it says, and what the application says when it does not answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import date

import cv2
import psutil
import pytest

from tests.fixtures.waiting import eventually
from tests.media_factory import DocumentFields, PortraitMissing, camera_frames, make_page, make_td3_page, portrait_path
from visitserver.domain.identity import IdentityPolicy, Verdict
from visitserver.identity.engine import WorkerIdentityEngine
from visitserver.services.ports.identity_engine import Claim, ImageRefused, Progress, Purpose

TODAY = date(2026, 3, 2)
POLICY = IdentityPolicy()
WHO = DocumentFields("Collins", "Eileen Marie", date(1956, 11, 19))
CLAIM = Claim("Eileen", "Collins", date(1956, 11, 19))


@pytest.fixture(scope="module", autouse=True)
def portraits() -> None:
    try:
        portrait_path("astronaut")
        portrait_path("admiral")
    except PortraitMissing as error:
        pytest.skip(str(error))


@pytest.fixture
async def engine() -> AsyncIterator[WorkerIdentityEngine]:
    engine = WorkerIdentityEngine(job_seconds=60)
    yield engine
    await engine.stop()


def frames(portrait: str, count: int = 5) -> list[bytes]:
    """Frames of the made camera as JPEG."""
    every = list(camera_frames(portrait, seconds=count / 3, rate=3))
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in every]


async def test_one_person_from_document_to_door(engine: WorkerIdentityEngine) -> None:
    heard: list[Progress] = []
    page = make_td3_page("astronaut", WHO)
    reading = await engine.read_document(page, today=TODAY, claim=CLAIM, progress=heard.append)
    assert reading.fields is not None
    assert (reading.fields.family_name, reading.fields.given_names) == ("COLLINS", "EILEEN MARIE")
    assert (reading.fields.birth_date, reading.fields.expires) == (WHO.birth_date, WHO.expires)
    assert reading.problems == ()
    assert all(check.ok for check in reading.checks)
    assert {"family_name_agrees", "given_names_agree", "birth_date_agrees", "expiry"} <= {
        c.check for c in reading.checks
    }
    assert reading.portrait_found and reading.portrait.startswith(b"\xff\xd8")
    assert [step.step for step in heard] == ["decode", "read"]

    same = await engine.compare(reading.page, frames("astronaut"), policy=POLICY.enrolment)
    assert same.verdict is Verdict.AGREE
    assert same.template is not None and len(same.template) == 512
    assert len(same.distances) >= 3 and len(same.frames) == 5
    door = await engine.verify(same.template, frames("astronaut"), policy=POLICY.door, model_version=same.model_version)
    assert door.verdict is Verdict.AGREE
    assert door.template is None
    other = await engine.verify(same.template, frames("admiral"), policy=POLICY.door, model_version=same.model_version)
    assert other.verdict is Verdict.DISAGREE
    swapped = await engine.compare(reading.page, frames("admiral"), policy=POLICY.enrolment)
    assert swapped.verdict is Verdict.DISAGREE
    assert engine.starts == 1


async def test_what_cannot_be_compared_is_said_to_be_so(engine: WorkerIdentityEngine) -> None:
    template = b"\x00\x00\x80\x3f" * 128
    other = await engine.verify(template, frames("astronaut", 3), policy=POLICY.door, model_version="another")
    assert (other.verdict, other.reasons) == (Verdict.COULD_NOT_CHECK, ("other_model",))
    damaged = await engine.verify(
        b"short", frames("astronaut", 3), policy=POLICY.door, model_version=POLICY.door.encoder
    )
    assert damaged.reasons == ("template_damaged",)
    back = make_page("TD1", None, WHO)
    nobody = await engine.compare(back, frames("astronaut", 3), policy=POLICY.enrolment)
    assert nobody.verdict is Verdict.COULD_NOT_CHECK
    assert nobody.reasons[0].startswith("document:")
    assert nobody.template is None


async def test_claims_that_do_not_agree_and_an_old_document(engine: WorkerIdentityEngine) -> None:
    page = make_td3_page("astronaut", WHO.with_(expires=date(2025, 1, 1)))
    claim = Claim("Ellen", "Colins", date(1956, 11, 20))
    reading = await engine.read_document(page, today=TODAY, claim=claim)
    said = {check.check: check.ok for check in reading.checks}
    assert not said["family_name_agrees"]
    assert not said["given_names_agree"]
    assert not said["birth_date_agrees"]
    assert not said["expiry"]
    assert said["check_digit:composite"]


async def test_print_that_is_too_small_asks_for_a_retake(engine: WorkerIdentityEngine) -> None:
    reading = await engine.read_document(make_td3_page("astronaut", WHO, pixels_per_char=13), today=TODAY)
    assert "zone_too_small" in reading.problems
    assert reading.wants_retake
    assert reading.pixels_per_char == pytest.approx(13, rel=0.1)


async def test_what_is_no_picture_is_refused_and_the_process_lives(engine: WorkerIdentityEngine) -> None:
    for data, code in ((b"%PDF-1.4", "not_a_picture"), (make_td3_page("astronaut")[:5000], "truncated")):
        with pytest.raises(ImageRefused) as refused:
            await engine.read_document(data, today=TODAY)
        assert refused.value.code == code
    with pytest.raises(ImageRefused) as large:
        await engine.quality(bytes(11 << 20), Purpose.SELFIE)
    assert large.value.code == "too_large"
    assert await engine.quality(frames("astronaut", 1)[0], Purpose.SELFIE) == []
    assert engine.starts == 1


async def test_pictures_for_a_person_are_made_safe_and_not_compared(engine: WorkerIdentityEngine) -> None:
    page = make_td3_page("astronaut")
    clean = await engine.clean([frames("astronaut", 1)[0], page])
    assert clean.problems == () and len(clean.pictures) == 2
    assert all(picture.startswith(b"\xff\xd8") for picture in clean.pictures)
    assert page not in clean.pictures
    with pytest.raises(ImageRefused):
        await engine.clean([page, b"%PDF-1.4"])


async def test_a_job_whose_process_dies_is_reported_and_the_next_one_is_done(engine: WorkerIdentityEngine) -> None:
    await engine.start()
    pid = engine.process_id
    assert pid is not None

    def kill_it(step: Progress) -> None:
        if engine.process_id == pid:
            psutil.Process(pid).kill()

    reading = await engine.read_document(make_td3_page("astronaut"), today=TODAY, progress=kill_it)
    assert reading.problems == ("engine_stopped",)
    assert reading.fields is None and reading.page == b""
    again = await engine.read_document(make_td3_page("astronaut"), today=TODAY)
    assert again.fields is not None
    assert engine.starts == 2
    assert engine.process_id != pid


async def test_ctrl_c_in_a_terminal_is_left_to_the_application(engine: WorkerIdentityEngine) -> None:
    picture = frames("astronaut", 1)[0]
    await engine.quality(picture, Purpose.SELFIE)
    pid = engine.process_id
    assert pid is not None
    (decoder,) = psutil.Process(pid).children()
    os.kill(pid, signal.SIGINT)  # as a terminal does, to every process of the group
    decoder.send_signal(signal.SIGINT)
    assert await engine.quality(picture, Purpose.SELFIE) == []
    assert (engine.process_id, engine.starts) == (pid, 1)
    assert decoder.is_running() and decoder.status() != psutil.STATUS_ZOMBIE


async def test_stopping_leaves_no_process_behind(engine: WorkerIdentityEngine) -> None:
    await engine.quality(frames("astronaut", 1)[0], Purpose.SELFIE)
    pid = engine.process_id
    assert pid is not None
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    assert len(family) == 2  # itself and its decoder
    await engine.stop()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []


READY = """
import json, socket, struct, sys, time
connection = socket.socket(fileno=int(sys.argv[1]))
def send(header):
    text = json.dumps(header).encode()
    connection.sendall(struct.pack(">II", len(text), 0) + text)
send({"ready": True})
"""


def stand_in(script: str) -> WorkerIdentityEngine:
    """An engine over a process that says it is ready and then does as `script` says."""
    return WorkerIdentityEngine(job_seconds=0.5, max_waiting=2, command=[sys.executable, "-c", READY + script])


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("time.sleep(60)", "too_slow"),
        ("connection.recv(10)", "engine_stopped"),
        ("connection.recv(10); connection.sendall(bytes(1000)); time.sleep(60)", "engine_stopped"),
        ("connection.recv(10); connection.sendall(b'\\xff' * 1000); time.sleep(60)", "engine_stopped"),
        ("connection.recv(10); send({'job': 99, 'result': {}}); time.sleep(60)", "engine_stopped"),
        ("connection.recv(10); send({'job': 1, 'result': {}}); time.sleep(60)", "engine_stopped"),
        ("connection.recv(10); send({'job': 1, 'failed': 'ValueError'}); time.sleep(60)", "engine_error"),
    ],
)
async def test_a_process_that_misbehaves(script: str, code: str) -> None:
    engine = stand_in(script)
    try:
        comparison = await engine.compare(b"x", [b"x"] * 3, policy=POLICY.enrolment)
        assert (comparison.verdict, comparison.reasons) == (Verdict.COULD_NOT_CHECK, (code,))
        assert comparison.template is None
    finally:
        await engine.stop()


async def test_a_queue_that_is_full_turns_away_at_once() -> None:
    engine = stand_in("time.sleep(60)")
    try:
        jobs = [asyncio.create_task(engine.quality(b"x", Purpose.SELFIE)) for _ in range(6)]
        codes = [hints[0].code for hints in await asyncio.gather(*jobs)]
        assert sorted(set(codes)) == ["engine_busy", "too_slow"]
        assert codes.count("engine_busy") >= 2
    finally:
        await engine.stop()


async def test_a_cancelled_job_does_not_answer_the_next_one() -> None:
    engine = stand_in("connection.recv(10); time.sleep(60)")
    try:
        await engine.start()
        first = engine.process_id
        job = asyncio.create_task(engine.quality(b"x", Purpose.SELFIE))
        await eventually(lambda: engine._numbers > 0, "the job is under way")
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert engine.process_id is None
        await engine.quality(b"x", Purpose.SELFIE)
        assert engine.starts == 2 and first is not None
    finally:
        await engine.stop()


async def test_a_process_that_never_starts_is_left_in_peace_for_a_while() -> None:
    now = 0.0
    engine = WorkerIdentityEngine(command=[sys.executable, "-c", "raise SystemExit(1)"], monotonic=lambda: now)
    for _ in range(5):
        assert (await engine.quality(b"x", Purpose.SELFIE))[0].code == "engine_unfit"
    assert engine.starts == 3
    now += 31
    await engine.quality(b"x", Purpose.SELFIE)
    assert engine.starts == 4
    await engine.stop()
