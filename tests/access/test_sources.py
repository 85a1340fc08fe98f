"""Record systems that number by themselves: another prison's identifier neither takes nor shows a person."""

from __future__ import annotations

from typing import Any

from tests.access.things import Cast
from tests.fixtures.rights import MOTHER, PRISONER, relationship_id
from visitserver.http.registry import Audience

PEOPLE: dict[str, dict[str, Any]] = {
    "prisoners/P-1": {
        "number": "E-1",
        "given_name": "Nils",
        "family_name": "Ny",
        "born_on": "1980-01-02",
        "prison": "ELS",
        "admitted_at": "2026-01-05T10:00:00Z",
    },
    "contacts/C-1": {"given_name": "Stina", "family_name": "Ny", "born_on": "1981-01-02"},
    "relationships/R-1": {
        "prisoner_external_id": "P-1",
        "contact_external_id": "C-1",
        "call_kind": "social",
        "relation": "sister",
        "state": "requested",
    },
}


async def test_the_same_identifier_is_somebody_else_at_another_prison(cast: Cast) -> None:
    async with cast.things.house.uow() as u:
        (await u.people.get_prison("prn_elsewhere")).record_source = "ELS"
        (await u.people.get_prisoner(PRISONER)).external_id = "P-1"
        (await u.people.get_contact(MOTHER)).external_id = "C-1"
        (await u.rights.get_relationship(relationship_id(MOTHER))).external_id = "R-1"
        await u.commit()
    owner, stranger = await cast.owner(Audience.API), await cast.stranger(Audience.API)

    async def read(path: str) -> tuple[int, Any]:
        response = await owner.get(f"/api/v1/{path}")
        return response.status, await response.json()

    before = {path: await read(path) for path in PEOPLE}
    for path, values in PEOPLE.items():
        # Nothing there, in the words for an identifier of nothing; then a record of their own; then that alone.
        nothing, other = await stranger.get(f"/api/v1/{path}"), await stranger.get(f"/api/v1/{path}0")
        assert nothing.status == other.status == 404
        assert (await nothing.json())["detail"] == (await other.json())["detail"]
        made = await stranger.request("PUT", f"/api/v1/{path}", json=values)
        assert made.status == 201, await made.text()
        own = await made.json()
        assert own["id"] != before[path][1]["id"]
        for browser, whose in ((stranger, own["id"]), (owner, before[path][1]["id"])):
            listed = await (await browser.get(f"/api/v1/{path.split('/')[0]}")).json()
            named = [each["id"] for each in listed["items"] if each["external_id"] == own["external_id"]]
            assert named == [whose]
    assert {path: await read(path) for path in PEOPLE} == before
