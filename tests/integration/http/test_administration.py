"""The pages of administrators, auditors and whoever sets PINs."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fixtures.http_app import PASSWORD, PIN, HttpHouse
from tests.fixtures.store import AUDIT_KEY
from visitserver.domain.actors import Actor, ActorKind
from visitserver.services.audit import AuditService
from visitserver.store.anchors import FileAnchors


@pytest.fixture
def audited(http_house: HttpHouse, tmp_path: Path) -> HttpHouse:
    """The house with a real audit service."""
    http_house.services.audit = AuditService(
        http_house.uow,
        http_house.clock,
        key=AUDIT_KEY,
        anchors=FileAnchors(tmp_path / "anchors.jsonl"),
        signing_key=Ed25519PrivateKey.generate(),
    )
    return http_house


async def test_the_log_is_read_in_pages_and_filtered(audited: HttpHouse) -> None:
    seeder = Actor(ActorKind.SYSTEM, "seed", audited.prison.id)
    for _ in range(60):
        await audited.services.pins.set_pin(seeder, "A1234", PIN)
    auditor = await audited.staff("auditor")
    first = await (await auditor.get("/staff/audit")).text()
    assert first.count("<code>pin.set</code>") + first.count("<code>session.began</code>") == 50
    onward = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = await (await auditor.get(onward)).text()
    assert "pin.set" in second
    filtered = await (await auditor.get("/staff/audit?action=session.began")).text()
    assert "<code>session.began</code>" in filtered
    assert "<code>pin.set</code>" not in filtered
    assert (await auditor.get("/staff/audit?after=rubbish")).status in (400, 422)
    assert (await auditor.get("/staff/audit?odd=1")).status == 422


async def test_another_prisons_rows_are_not_shown(audited: HttpHouse) -> None:
    here = await audited.staff("auditor")
    there = await audited.staff("other-auditor")
    account = audited.accounts["officer"]
    assert account.id in await (await here.get("/staff/audit")).text()
    assert account.id not in await (await there.get("/staff/audit")).text()


async def test_the_button_says_that_the_log_is_whole(audited: HttpHouse) -> None:
    auditor = await audited.staff("auditor")
    await auditor.get("/staff/audit")
    response = await auditor.post("/staff/audit/verify")
    text = await response.text()
    assert response.status == 200
    assert "The log is whole" in text


async def test_the_button_finds_a_log_that_another_key_sealed(audited: HttpHouse) -> None:
    audited.services.audit._key = b"another key, as if rows were put in"  # type: ignore[attr-defined]
    auditor = await audited.staff("auditor")
    await auditor.get("/staff/audit")
    text = await (await auditor.post("/staff/audit/verify")).text()
    assert "The log was changed" in text
    assert "First wrong row" in text


async def test_the_staff_list_shows_ones_own_prison(http_house: HttpHouse) -> None:
    administrator = await http_house.staff("administrator")
    text = await (await administrator.get("/staff/admin/staff")).text()
    assert "Sam officer" in text
    assert "other-officer" not in text
    assert "This is you" in text


async def test_nobody_changes_their_own_rights_or_those_elsewhere(http_house: HttpHouse) -> None:
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/staff")
    own, elsewhere = (http_house.accounts[name].id for name in ("administrator", "other-officer"))
    family = http_house.accounts["kim@example.org"].id
    for path, data in (("suspend", {}), ("resume", {}), ("roles", {"roles": ["supervisor"]})):
        assert (await administrator.post(f"/staff/admin/staff/{own}/{path}", data)).status == 409
        for other in (elsewhere, family, "acc_doesnotexist"):
            assert (await administrator.post(f"/staff/admin/staff/{other}/{path}", data)).status == 404, (path, other)
    officer = http_house.accounts["officer"].id
    for roles in ([], ["family"], ["prisoner", "officer"], ["king"]):
        assert (await administrator.post(f"/staff/admin/staff/{officer}/roles", {"roles": roles})).status == 422


async def test_a_pin_is_set_for_ones_own_prisoners(http_house: HttpHouse) -> None:
    officer = await http_house.staff("officer")
    await officer.get("/staff/admin/pins")
    good = await officer.post("/staff/admin/pins", {"number": "a1234", "pin": "735182"})
    assert "The PIN is set" in await good.text()
    terminal = await http_house.terminal()
    assert (await terminal.post("/terminal", {"number": "A1234", "pin": PIN})).status == 422
    assert (await terminal.post("/terminal", {"number": "A1234", "pin": "735182"})).status == 303
    await officer.get("/staff/admin/pins")
    for number, pin in (("B9876", "735182"), ("none", "735182"), ("A1234", "123456"), ("A1234", "")):
        response = await officer.post("/staff/admin/pins", {"number": number, "pin": pin})
        text = await response.text()
        assert response.status == 422
        assert "735182" not in text


async def test_an_own_new_password_ends_every_session(http_house: HttpHouse) -> None:
    officer, elsewhere = await http_house.staff("officer"), await http_house.staff("officer")
    await officer.get("/staff/security")
    wrong = await officer.post("/staff/security/password", {"password": "x", "new_password": "nine blue doors"})
    weak = await officer.post("/staff/security/password", {"password": PASSWORD, "new_password": "password1234"})
    assert (wrong.status, weak.status) == (422, 422)
    done = await officer.post("/staff/security/password", {"password": PASSWORD, "new_password": "nine blue doors"})
    assert done.headers["Location"] == "/staff/signin"
    for browser in (officer, elsewhere):
        assert (await browser.get("/staff/security")).status == 303
    await http_house.staff("officer", "nine blue doors")
