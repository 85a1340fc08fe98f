"""The OpenAPI 3.1 document, made from the route registry: what is served is what is described."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from visitserver.domain.access import POLICY, Grant
from visitserver.http.csrf import HEADER
from visitserver.http.problems import MEDIA_TYPE, ProblemDocument
from visitserver.http.registry import SAFE_METHODS, Audience, Route, RouteKind

_REFERENCE: Final = "#/components/schemas/{model}"
_SCHEMES: Final = {Audience.FAMILY: "family", Audience.TERMINAL: "terminal", Audience.STAFF: "staff"}


def openapi_document(routes: Iterable[Route], policy: Mapping[str, Grant] = POLICY) -> dict[str, Any]:
    """The document (JSON data) for `routes`."""
    listed = sorted(routes, key=lambda route: (route.path, route.method))
    names, schemas = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        path = re.sub(r"{([a-z_]+):[^}]+}", r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, names, policy)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "visitserver",
            "version": version("visitserver"),
            "description": "Video visits between prisoners and their families.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [{"name": audience.value} for audience in Audience],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _security_schemes()},
    }


def _schemas(routes: Iterable[Route]) -> tuple[dict[type[BaseModel], dict[str, Any]], dict[str, Any]]:
    models: dict[type[BaseModel], None] = {ProblemDocument: None}
    for route in routes:
        models.update(dict.fromkeys(m for m in (route.body, route.query, route.response) if m is not None))
    by_model, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCE, by_alias=True
    )
    return {model: by_model[(model, "validation")] for model in models}, definitions.get("$defs", {})


def _operation(
    route: Route, names: Mapping[type[BaseModel], dict[str, Any]], policy: Mapping[str, Grant]
) -> dict[str, Any]:
    grant = policy.get(route.action, Grant())
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.audience.value],
        "x-action": route.action,
        "x-roles": ["anyone"]
        if grant.anyone
        else ["ticket"]
        if grant.ticket
        else ["client"]
        if grant.client
        else sorted(grant.roles),
        "parameters": _parameters(route),
        "responses": _responses(route, names, grant),
    }
    if route.method not in SAFE_METHODS and (content := _request_content(route, names)) is not None:
        operation["requestBody"] = {"required": True, "content": content}
    if grant.ticket:
        operation["security"] = [{"ticket": []}]
    elif grant.client:
        operation["security"] = [{"client": []}]
    elif not grant.anyone:
        operation["security"] = [{_SCHEMES[route.audience]: []}]
    else:
        operation["security"] = []
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(route, name)} for name in route.parameters
    ]
    if route.query is not None:
        schema = route.query.model_json_schema(ref_template=_REFERENCE)
        required = set(schema.get("required", ()))
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": value}
            for name, value in schema.get("properties", {}).items()
        ]
    if route.kind is RouteKind.JSON and route.method not in SAFE_METHODS and route.audience in _SCHEMES:
        parameters.append({"name": HEADER, "in": "header", "required": True, "schema": {"type": "string"}})
    if route.conditional:
        names = ("If-None-Match",) if route.method == "GET" else ("If-Match", "If-None-Match")
        tag = {"type": "string", "maxLength": 100, "pattern": r'^(\*|(W/)?"[!#-~]*")$'}
        parameters += [{"name": name, "in": "header", "required": False, "schema": tag} for name in names]
    return parameters


def _path_schema(route: Route, name: str) -> dict[str, Any]:
    """What may stand in the path: one of some words, what a pattern allows, or any identifier."""
    found = re.search("{" + name + r":([^}]+)}", route.path)
    if found is None:
        return {"type": "string", "minLength": 1, "maxLength": 80}
    pattern = found[1]
    if re.fullmatch(r"[a-z_|]+", pattern):
        return {"type": "string", "enum": pattern.split("|")}
    return {"type": "string", "maxLength": 80, "pattern": f"^{pattern}$"}


def _request_content(route: Route, names: Mapping[type[BaseModel], dict[str, Any]]) -> dict[str, Any] | None:
    if route.media_type is not None:
        types = route.media_type.split(", ")
        return {name: {"schema": {"type": "string", "contentMediaType": name}} for name in types}
    if route.body is None and route.kind is not RouteKind.PAGE:
        return None
    if route.kind is RouteKind.PAGE:
        own: dict[str, Any] = {
            "type": "object",
            "properties": {"csrf_token": {"type": "string"}},
            "required": ["csrf_token"],
        }
        if route.body is not None:
            form = route.body.model_json_schema(ref_template=_REFERENCE)
            form.pop("$defs", None)  # they stand among the components
            form["properties"] = {**form.get("properties", {}), **own["properties"]}
            form["required"] = [*form.get("required", []), "csrf_token"]
            own = form
        return {"application/x-www-form-urlencoded": {"schema": own}}
    assert route.body is not None  # noqa: S101 - the case above
    return {"application/json": {"schema": names[route.body]}}


def _responses(
    route: Route, names: Mapping[type[BaseModel], dict[str, Any]], grant: Grant
) -> dict[str, dict[str, Any]]:
    problem: dict[str, Any] = {MEDIA_TYPE: {"schema": names[ProblemDocument]}}
    if route.kind is RouteKind.PAGE:
        problem = {"text/html": {"schema": {"type": "string"}}}
    success: dict[str, Any] = {"description": "Done"}
    if route.response is not None:
        success["content"] = {"application/json": {"schema": names[route.response]}}
    elif route.kind is RouteKind.PAGE:
        success["content"] = {"text/html": {"schema": {"type": "string"}}}
    if route.produces is not None:
        success["content"] = {
            **success.get("content", {}),
            **{name: {"schema": {"type": "string"}} for name in route.produces.split(", ")},
        }
    responses: dict[str, dict[str, Any]] = {
        str(route.status): success,
        "400": {"description": "The request cannot be read", "content": problem},
        "429": {"description": "Too many requests", "content": problem},
        "503": {"description": "Something that is needed cannot be reached now", "content": problem},
    }
    if route.kind is RouteKind.PAGE:
        responses["303"] = {"description": "Go on at Location (to the sign-in page when nobody is signed in)"}
    if not grant.anyone:
        responses["401"] = {"description": "Not signed in", "content": problem}
        responses["403"] = {"description": "Not allowed", "content": problem}
    if route.parameters or not grant.anyone:
        responses["404"] = {"description": "No such thing, or not yours", "content": problem}
    responses["409"] = {"description": "The present state or the rules forbid it", "content": problem}
    responses["422"] = {"description": "Something in the input cannot be used", "content": problem}
    if route.method not in SAFE_METHODS:
        responses["403"] = {"description": "Not allowed, or not from our own page", "content": problem}
        responses["413"] = {"description": f"More than {route.max_body} bytes", "content": problem}
        if route.body is not None or route.media_type is not None:
            responses["415"] = {"description": "The body is of a type that is not taken here", "content": problem}
    if route.conditional:
        tag = {"ETag": {"description": "Changes when the record does", "schema": {"type": "string"}}}
        responses["200"] = {**success, "headers": tag}
        if route.method == "GET":
            responses["304"] = {"description": "The record is the one of If-None-Match"}
        else:
            responses["201"] = {**success, "description": "Made", "headers": tag}
            responses["412"] = {"description": "Not the record of If-Match, or there already", "content": problem}
    return dict(sorted(responses.items()))


def _operation_id(route: Route) -> str:
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r":[^}]+}", "}", route.path)) or ["root"]
    return "_".join([route.method.lower(), *words])


def _security_schemes() -> dict[str, Any]:
    cookies = {
        name: {
            "type": "apiKey",
            "in": "cookie",
            "name": f"visit_{name}",
            "description": "Session cookie; __Host- stands before its name over HTTPS.",
        }
        for name in _SCHEMES.values()
    }
    ticket = {"type": "http", "scheme": "bearer", "bearerFormat": "JWS", "description": "A signed ticket or warrant."}
    client = {"type": "http", "scheme": "bearer", "description": "A machine client's token (docs/api.md)."}
    return {**cookies, "ticket": ticket, "client": client}
