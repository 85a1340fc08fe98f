"""The description of the interface is the interface."""

from __future__ import annotations

import re

import jsonschema_rs

from tests.fixtures.http_app import HttpHouse
from visitserver.http.app import create_app
from visitserver.http.keys import ROUTES
from visitserver.http.openapi import openapi_document


async def test_every_route_is_described_and_nothing_else(http_house: HttpHouse) -> None:
    app = create_app(http_house.services, http_house.settings, clock=http_house.clock)
    document = openapi_document(app[ROUTES])
    described = {(method, path) for path, operations in document["paths"].items() for method in operations}
    served = {(r.method.lower(), re.sub(r":[^}]+}", "}", r.path)) for r in app[ROUTES]}
    assert described == served
    ids = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


async def test_the_document_is_served_and_every_schema_in_it_is_one(http_house: HttpHouse) -> None:
    browser = await http_house.browser()
    document = await (await browser.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.validator_for({**schema, "components": document["components"]}), name
    references = set()

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                references.add(reference)
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(document)
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"], reference
    page = await (await browser.get("/docs")).text()
    for path in document["paths"]:
        assert path in page
