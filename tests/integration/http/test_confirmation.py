"""Confirming an e-mail address: until then an account does nothing, and nobody learns which addresses have one."""

from __future__ import annotations

from typing import Any

from tests.fixtures.http_app import HttpHouse, account_services
from visitserver.config import MailSettings, Settings
from visitserver.domain.accounts import AccountKind
from visitserver.domain.paging import PageRequest

SIGN_UP = {
    "given_name": "Noor",
    "family_name": "Brook",
    "birth_date": "1991-02-03",
    "email": "noor@example.org",
    "password": "a long walk home",
}


async def mails(house: HttpHouse) -> list[dict[str, Any]]:
    async with house.uow(read_only=True) as u:
        return [message.payload for message in (await u.outbox.messages(None, PageRequest())).items]


def confirming(house: HttpHouse) -> HttpHouse:
    house.settings = Settings(mail=MailSettings(host="mail.example.org"))
    house.services = account_services(house.uow, house.clock, confirm_email=True)
    return house


async def test_the_link_makes_the_account_good(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    browser = await house.browser()
    await browser.get("/signup")
    response = await browser.post("/signup", SIGN_UP)
    assert response.status == 200
    assert "Look into your e-mail" in await response.text()
    sign_in = {"email": SIGN_UP["email"], "password": SIGN_UP["password"]}
    await browser.get("/signin")
    early = await browser.post("/signin", sign_in)
    assert early.status == 422
    (mail,) = await mails(house)
    assert (mail["template"], mail["to"]) == ("account.confirm", "noor@example.org")
    path = mail["values"]["link"].removeprefix("https://visits.example.org")
    token = path.split("token=")[1]
    page = await browser.get(path)
    assert token in await page.text()
    assert (await browser.post("/signin", sign_in)).status == 422, "opening the link is not enough: programs open links"
    own = {"token": token, "password": SIGN_UP["password"]}
    for wrong in ({"token": token}, {**own, "password": "some other words"}):
        assert (await browser.post("/signup/confirm", wrong)).status == 422
    assert (await browser.post("/signup/confirm", own)).headers["Location"] == "/signin?made=1"
    await browser.get("/signin")
    assert (await browser.post("/signin", sign_in)).status == 303


async def test_links_wear_out(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    browser = await house.browser()
    await browser.get("/signup")
    await browser.post("/signup", SIGN_UP)
    await browser.post("/signup", SIGN_UP)
    own = {"password": SIGN_UP["password"]}
    second, first = [mail["values"]["link"].split("token=")[1] for mail in await mails(house)]
    await browser.get("/signup/confirm?token=x")
    assert (await browser.post("/signup/confirm", {**own, "token": first})).status == 422, "a newer link took its place"
    house.clock.advance(hours=25)
    await browser.get("/signup/confirm?token=x")
    assert (await browser.post("/signup/confirm", {**own, "token": second})).status == 422
    assert (await browser.post("/signup/confirm", {**own, "token": ""})).status == 422


async def test_a_taken_address_gets_the_same_page(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    browser = await house.browser()
    await browser.get("/signup")
    new = await (await browser.post("/signup", SIGN_UP)).text()
    taken = await (await browser.post("/signup", {**SIGN_UP, "email": "kim@example.org"})).text()
    assert new == taken
    assert {mail["template"] for mail in await mails(house)} == {"account.confirm", "account.exists"}


async def test_an_account_begun_by_somebody_else_is_never_confirmed_for_them(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    thief, owner = await house.browser(), await house.browser()
    await thief.get("/signup")
    await thief.post("/signup", {**SIGN_UP, "given_name": "Thief", "password": "the thief has this"})
    (mail,) = await mails(house)
    thiefs = mail["values"]["link"].split("token=")[1]
    await owner.get("/signup/confirm?token=x")
    answer = await owner.post("/signup/confirm", {"token": thiefs, "password": SIGN_UP["password"]})
    assert answer.status == 422, "the owner of the address does not know the thief's password"
    await owner.post("/signup", SIGN_UP)
    (owners,) = {mail["values"]["link"].split("token=")[1] for mail in await mails(house)} - {thiefs}
    confirmed = await owner.post("/signup/confirm", {"token": owners, "password": SIGN_UP["password"]})
    assert confirmed.headers["Location"] == "/signin?made=1"
    await thief.get("/signin")
    with_the_thiefs = {"email": SIGN_UP["email"], "password": "the thief has this"}
    assert (await thief.post("/signin", with_the_thiefs)).status == 422
    await owner.get("/signin")
    assert (await owner.post("/signin", {"email": SIGN_UP["email"], "password": SIGN_UP["password"]})).status == 303
    async with house.uow(read_only=True) as u:
        account = await u.accounts.account_by_login(AccountKind.FAMILY, SIGN_UP["email"])
        assert account is not None
        assert (await u.people.get_contact(account.person_id)).given_name == "Noor"
