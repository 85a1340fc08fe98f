"""Confirming an e-mail address: until then an account does nothing, and nobody learns which addresses have one."""

from __future__ import annotations

from typing import Any

from tests.fixtures.http_app import HttpHouse, account_services
from visitserver.config import MailSettings, Settings
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
    assert (await browser.post("/signup/confirm", {"token": token})).headers["Location"] == "/signin?made=1"
    await browser.get("/signin")
    assert (await browser.post("/signin", sign_in)).status == 303


async def test_links_wear_out(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    browser = await house.browser()
    await browser.get("/signup")
    await browser.post("/signup", SIGN_UP)
    await browser.post("/signup", SIGN_UP)
    second, first = [mail["values"]["link"].split("token=")[1] for mail in await mails(house)]
    await browser.get("/signup/confirm?token=x")
    assert (await browser.post("/signup/confirm", {"token": first})).status == 422, "a newer link took its place"
    house.clock.advance(hours=25)
    await browser.get("/signup/confirm?token=x")
    assert (await browser.post("/signup/confirm", {"token": second})).status == 422
    assert (await browser.post("/signup/confirm", {"token": ""})).status == 422


async def test_a_taken_address_gets_the_same_page(http_house: HttpHouse) -> None:
    house = confirming(http_house)
    browser = await house.browser()
    await browser.get("/signup")
    new = await (await browser.post("/signup", SIGN_UP)).text()
    taken = await (await browser.post("/signup", {**SIGN_UP, "email": "kim@example.org"})).text()
    assert new == taken
    assert {mail["template"] for mail in await mails(house)} == {"account.confirm", "account.exists"}
