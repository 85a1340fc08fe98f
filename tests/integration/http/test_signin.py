"""Signing up, in and out: families, staff, prisoners."""

from __future__ import annotations

import pyotp
import pytest

from tests.fixtures.http_app import PASSWORD, PIN, HttpHouse
from visitserver.domain.paging import PageRequest
from visitserver.services.ports.audit import AuditFilter

SIGN_UP = {
    "given_name": "Noor",
    "family_name": "Brook",
    "birth_date": "1991-02-03",
    "email": "Noor@Example.org",
    "password": "a long walk home",
}


async def test_a_family_member_signs_up_and_in(http_house: HttpHouse) -> None:
    browser = await http_house.browser()
    await browser.get("/signup")
    response = await browser.post("/signup", SIGN_UP)
    assert (response.status, response.headers["Location"]) == (303, "/signin?made=1")
    page = await browser.get("/signin?made=1")
    assert "Your account is ready" in await page.text()
    response = await browser.post("/signin", {"email": "noor@example.org", "password": SIGN_UP["password"]})
    assert (response.status, response.headers["Location"]) == (303, "/home")


async def test_signing_up_with_a_taken_address_looks_the_same(http_house: HttpHouse) -> None:
    browser = await http_house.browser()
    await browser.get("/signup")
    new = await browser.post("/signup", SIGN_UP)
    taken = await browser.post("/signup", {**SIGN_UP, "email": "kim@example.org"})
    assert (new.status, new.headers["Location"]) == (taken.status, taken.headers["Location"])
    await http_house.family("kim@example.org")  # the owner's password is what it was
    async with http_house.uow(read_only=True) as u:
        messages = (await u.outbox.messages(None, PageRequest())).items
    assert [(m.payload["template"], m.payload["to"]) for m in messages] == [("account.exists", "kim@example.org")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "aaaaaaaaaaaaaaaa"}, "password"),
        ({"password": "noor@example.org"}, "password"),
        ({"email": "no address"}, "email"),
        ({"birth_date": "2019-01-01"}, "birth_date"),
        ({"birth_date": "2199-01-01"}, "birth_date"),
        ({"birth_date": "3.2.1991"}, "birth_date"),
        ({"given_name": " "}, "given_name"),
    ],
)
async def test_a_form_that_cannot_be_used_comes_back(http_house: HttpHouse, change: dict[str, str], field: str) -> None:
    browser = await http_house.browser()
    await browser.get("/signup")
    response = await browser.post("/signup", {**SIGN_UP, **change})
    text = await response.text()
    assert response.status == 422
    assert f'id="{field}-error"' in text
    assert 'value="Brook"' in text, "what was typed is still there"
    assert SIGN_UP["password"] not in text, "but no password"


async def test_wrong_password_and_unknown_address_get_the_same_answer(http_house: HttpHouse) -> None:
    browser = await http_house.browser()
    await browser.get("/signin")
    known = await browser.post("/signin", {"email": "kim@example.org", "password": "not the password"})
    unknown = await browser.post("/signin", {"email": "nobody@example.org", "password": "not the password"})
    assert known.status == unknown.status == 422
    first, second = await known.text(), await unknown.text()
    assert first.replace("kim@example.org", "X") == second.replace("nobody@example.org", "X")


async def test_signing_in_gives_a_new_session_and_signing_out_ends_it(http_house: HttpHouse) -> None:
    browser = await http_house.staff("administrator")
    first = browser.client.session.cookie_jar.filter_cookies(browser.client.make_url("/"))["visit_staff"].value
    page = await browser.get("/staff/admin")
    assert page.status == 200
    again = await http_house.staff("administrator")
    second = again.client.session.cookie_jar.filter_cookies(again.client.make_url("/"))["visit_staff"].value
    assert first != second
    response = await browser.post("/staff/signout")
    assert response.status == 303
    browser.client.session.cookie_jar.update_cookies({"visit_staff": first})
    stale = await browser.get("/staff/admin")
    assert (stale.status, stale.headers["Location"]) == (303, "/staff/signin?next=/staff/admin")


async def test_cookies_are_hidden_from_scripts_and_other_sites(http_house: HttpHouse) -> None:
    browser = await http_house.browser()
    await browser.get("/signin")
    response = await browser.post("/signin", {"email": "kim@example.org", "password": PASSWORD})
    (cookie,) = [c for c in response.headers.getall("Set-Cookie") if c.startswith("visit_family=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Max-Age" not in cookie


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/visits", "/visits"),
        ("//evil.example/", "/home"),
        ("/\\evil.example/", "/home"),
        ("https://evil.example/", "/home"),
        ("/staff/admin", "/home"),
        ("/home\r\nX-Evil: 1", "/home"),
    ],
)
async def test_after_signing_in_one_stays_here(http_house: HttpHouse, wanted: str, goes: str) -> None:
    browser = await http_house.browser()
    await browser.get("/signin")
    response = await browser.post("/signin", {"email": "kim@example.org", "password": PASSWORD, "next": wanted})
    assert response.headers["Location"] == goes


async def test_a_session_ends_when_unused_and_at_last_in_any_case(http_house: HttpHouse) -> None:
    idle = await http_house.staff("administrator")
    http_house.clock.advance(minutes=59)
    assert (await idle.get("/staff/admin")).status == 200
    http_house.clock.advance(minutes=59)
    assert (await idle.get("/staff/admin")).status == 200, "a request counts as use"
    http_house.clock.advance(minutes=61)
    assert (await idle.get("/staff/admin")).status == 303
    busy = await http_house.staff("administrator")
    for _ in range(14):
        http_house.clock.advance(minutes=45)
        last = await busy.get("/staff/admin")
    assert last.status == 303, "ten hours are over, although it was used all the time"


async def test_a_suspended_account_is_out_at_once_and_told_why_only_with_its_password(http_house: HttpHouse) -> None:
    officer = await http_house.staff("officer")
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/staff")
    account = http_house.accounts["officer"]
    response = await administrator.post(f"/staff/admin/staff/{account.id}/suspend")
    assert response.status == 303
    assert (await officer.get("/staff/security")).status == 303
    browser = await http_house.browser()
    await browser.get("/staff/signin")
    wrong = await browser.post("/staff/signin", {"login": "officer", "password": "not the password"})
    right = await browser.post("/staff/signin", {"login": "officer", "password": PASSWORD})
    assert (wrong.status, right.status) == (422, 403)
    assert "suspended" not in await wrong.text()
    assert "suspended" in await right.text()
    await administrator.get("/staff/admin/staff")
    await administrator.post(f"/staff/admin/staff/{account.id}/resume")
    await http_house.staff("officer")


async def test_new_roles_count_at_once(http_house: HttpHouse) -> None:
    officer = await http_house.staff("officer")
    assert (await officer.get("/staff/admin")).status == 403
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/staff")
    account = http_house.accounts["officer"]
    await administrator.post(f"/staff/admin/staff/{account.id}/roles", {"roles": ["administrator", "officer"]})
    assert (await officer.get("/staff/admin")).status == 303, "the old session is over"
    assert (await (await http_house.staff("officer")).get("/staff/admin")).status == 200


async def test_a_new_colleague_signs_in_with_the_first_password(http_house: HttpHouse) -> None:
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/staff")
    response = await administrator.post("/staff/admin/staff", {"name": "Jo Lake", "login": "Jo", "roles": ["auditor"]})
    text = await response.text()
    first = text.split("<dt>First password</dt><dd><code>")[1].split("<")[0]
    await http_house.staff("jo", first)
    await administrator.get("/staff/admin/staff")
    again = await administrator.post("/staff/admin/staff", {"name": "Jo Lake", "login": "jo", "roles": ["auditor"]})
    assert again.status == 422
    assert 'id="login-error"' in await again.text()


async def test_a_second_factor_is_asked_for_and_no_code_works_twice(http_house: HttpHouse) -> None:
    officer = await http_house.staff("officer")
    text = await (await officer.get("/staff/security")).text()
    secret = text.split('name="secret" value="')[1].split('"')[0]
    totp = pyotp.TOTP(secret)
    code = totp.at(http_house.clock())
    wrong = await officer.post("/staff/security/second-factor", {"password": "not it", "secret": secret, "code": code})
    assert wrong.status == 422
    done = await officer.post("/staff/security/second-factor", {"password": PASSWORD, "secret": secret, "code": code})
    assert done.status == 200, await done.text()

    browser = await http_house.browser()
    await browser.get("/staff/signin")
    form = {"login": "officer", "password": PASSWORD}
    assert 'name="code"' in await (await browser.post("/staff/signin", form)).text()
    replayed = await browser.post("/staff/signin", {**form, "code": code})
    assert replayed.status == 422, "the code that turned it on is used up"
    http_house.clock.advance(seconds=30)
    fresh = totp.at(http_house.clock())
    assert (await browser.post("/staff/signin", {**form, "code": "000000"})).status == 422
    assert (await browser.post("/staff/signin", {**form, "code": fresh})).status == 303
    other = await http_house.browser()
    await other.get("/staff/signin")
    assert (await other.post("/staff/signin", {**form, "code": fresh})).status == 422


async def test_a_prisoner_signs_in_at_a_terminal_of_their_own_prison_only(http_house: HttpHouse) -> None:
    here = await http_house.terminal()
    assert (await here.post("/terminal", {"number": "a1234", "pin": PIN})).headers["Location"] == "/terminal/home"
    elsewhere = await http_house.terminal(http_house.other_station)
    assert (await elsewhere.post("/terminal", {"number": "A1234", "pin": PIN})).status == 422
    nowhere = await http_house.browser()
    assert (await nowhere.get("/terminal")).headers["Location"] == "/terminal/enrol"


async def test_nobody_at_another_prison_locks_a_pin(http_house: HttpHouse) -> None:
    elsewhere = await http_house.terminal(http_house.other_station)
    for _ in range(6):
        assert (await elsewhere.post("/terminal", {"number": "A1234", "pin": "111222"})).status == 422
    here = await http_house.terminal()
    assert (await here.post("/terminal", {"number": "A1234", "pin": PIN})).headers["Location"] == "/terminal/home"


async def test_a_prisoners_session_stays_at_its_terminal(http_house: HttpHouse) -> None:
    terminal = await http_house.at_terminal()
    assert (await terminal.get("/terminal")).headers["Location"] == "/terminal/home"
    jar = terminal.client.session.cookie_jar.filter_cookies(terminal.client.make_url("/"))
    thief = await http_house.browser()
    thief.client.session.cookie_jar.update_cookies({"visit_terminal": jar["visit_terminal"].value})
    assert (await thief.get("/terminal")).headers["Location"] == "/terminal/enrol"
    other = await http_house.terminal(http_house.other_station)
    other.client.session.cookie_jar.update_cookies({"visit_terminal": jar["visit_terminal"].value})
    page = await other.get("/terminal")
    assert page.status == 200, "it asks for the PIN"
    assert 'name="pin"' in await page.text()


async def test_five_wrong_pins_lock_until_staff_unlock(http_house: HttpHouse) -> None:
    terminal = await http_house.terminal()
    for _ in range(5):
        assert (await terminal.post("/terminal", {"number": "A1234", "pin": "111222"})).status == 422
    assert (await terminal.post("/terminal", {"number": "A1234", "pin": PIN})).status == 422, "locked"
    elsewhere = await http_house.staff("other-officer")
    assert "A1234" not in await (await elsewhere.get("/staff/admin/pins")).text()
    officer = await http_house.staff("officer")
    page = await (await officer.get("/staff/admin/pins")).text()
    assert "A1234" in page
    unlock = page.split('action="/staff/admin/pins/')[1].split('"')[0]
    assert (await elsewhere.post(f"/staff/admin/pins/{unlock}")).status == 404
    assert (await officer.post(f"/staff/admin/pins/{unlock}")).status == 303
    assert (await terminal.post("/terminal", {"number": "A1234", "pin": PIN})).status == 303


async def test_an_enrolment_code_works_once_and_not_for_long(http_house: HttpHouse) -> None:
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/stations")
    path = f"/staff/admin/stations/{http_house.station.id}/code"

    async def issue() -> str:
        text = await (await administrator.post(path)).text()
        return text.split('id="enrolment-code">')[1].split("<")[0]

    async def enrol(code: str) -> int:
        browser = await http_house.browser()
        await browser.get("/terminal/enrol")
        return (await browser.post("/terminal/enrol", {"code": code})).status

    code = await issue()
    assert await enrol(code.lower().replace("-", " ")) == 303
    assert await enrol(code) == 422
    replaced, late = await issue(), await issue()
    assert await enrol(replaced) == 422
    http_house.clock.advance(minutes=16)
    assert await enrol(late) == 422


async def test_a_revoked_terminal_is_none_any_more(http_house: HttpHouse) -> None:
    terminal = await http_house.at_terminal()
    administrator = await http_house.staff("administrator")
    await administrator.get("/staff/admin/stations")
    await administrator.post(f"/staff/admin/stations/{http_house.station.id}/revoke")
    assert (await terminal.get("/terminal")).headers["Location"] == "/terminal/enrol"
    assert (await administrator.post(f"/staff/admin/stations/{http_house.other_station.id}/revoke")).status == 404


async def test_what_happened_is_in_the_audit_log_without_names(http_house: HttpHouse) -> None:
    await http_house.family()
    terminal = await http_house.terminal()
    await terminal.post("/terminal", {"number": "A1234", "pin": "111222"})
    async with http_house.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(), PageRequest(limit=200))).items
    assert {"session.began", "session.refused", "station.enrolled", "account.created", "pin.set"} <= {
        row.action for row in rows
    }
    text = " ".join(f"{row.actor_id} {row.object_id} {row.data}" for row in rows)
    for private in ("kim", "Meadow", "A1234", "example.org", "111222"):
        assert private not in text


async def test_a_terminal_is_taken_out_of_use_and_put_back_with_a_reason(http_house: HttpHouse) -> None:
    administrator = await http_house.staff("administrator")
    path = f"/staff/admin/stations/{http_house.station.id}/use"
    await administrator.get("/staff/admin/stations")
    assert (await administrator.post(path, {"active": "false", "reason": " "})).status == 422
    assert (await administrator.post(path, {"active": "false", "reason": "The screen is broken."})).status == 303
    assert "not in use" in await (await administrator.get("/staff/admin/stations")).text()
    assert (await administrator.post(path, {"active": "true", "reason": "Mended."})).status == 303
    assert "not in use" not in await (await administrator.get("/staff/admin/stations")).text()
    other = f"/staff/admin/stations/{http_house.other_station.id}/use"
    assert (await administrator.post(other, {"active": "false", "reason": "Not mine."})).status == 404
