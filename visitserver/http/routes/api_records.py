"""/api/v1/…: the records of a prison's own system, one at a time and as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, Field

from visitserver.domain.errors import Invalid
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import Change, ImportKind, Outcome
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body, UnsupportedBody
from visitserver.http.record_models import OUT_MODELS, PAGE_MODELS, PUT_MODELS, SINGULAR
from visitserver.http.registry import Handler, RouteTable
from visitserver.services.imports import Described, ImportReport, read_lines
from visitserver.services.records import plain

routes = RouteTable("api")
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

FORMATS: Final = {"text/csv": Format.CSV, "application/x-ndjson": Format.JSONL}
LARGEST: Final = 4 * 1024 * 1024


class ListQuery(Body):
    """Which part of a list: at most `limit` items after `cursor`, which the part before gave."""

    limit: int = Field(50, ge=1, le=MAX_LIMIT)
    cursor: str | None = Field(None, max_length=400)

    def part(self) -> PageRequest:
        """What to ask a service for."""
        return PageRequest(self.limit, self.cursor)


def page_of(model: type[M], page: Page[T], make: Callable[[T], BaseModel]) -> M:
    """The part of a list as the answer has it: its items as `make` writes them, and where the list goes on."""
    return model(items=[make(each) for each in page.items], next_cursor=page.next_cursor)


class UploadQuery(Body):
    """`dry_run`: say what would change, and change nothing."""

    dry_run: bool = False


class FaultOut(BaseModel):
    """Why a line was refused. It never repeats what stood there."""

    line: int
    column: str | None
    code: str
    message: str


class FieldChange(BaseModel):
    """What was and what is now."""

    before: Any
    after: Any


class ChangeOut(BaseModel):
    """What a line did, or would do."""

    external_id: str
    outcome: str
    fields: dict[str, FieldChange]


class RunOut(BaseModel):
    """One import. Counts are of lines."""

    id: str
    kind: str
    dry_run: bool
    started_at: str
    finished_at: str | None
    lines: int
    created: int
    changed: int
    ended: int
    unchanged: int
    refused: int
    faults: list[FaultOut]


class ReportOut(RunOut):
    """An import's report, with at most 1,000 changes and refused lines each."""

    changes: list[ChangeOut]


class RunPage(BaseModel):
    """A part of the list of imports, newest first."""

    items: list[RunOut]
    next_cursor: str | None


def _declare(kind: ImportKind) -> None:
    """The routes of one kind."""
    singular = SINGULAR[kind]
    put_model, out_model, page_model = PUT_MODELS[kind], OUT_MODELS[kind], PAGE_MODELS[kind]

    async def listing(request: web.Request, ctx: Ctx) -> BaseModel:
        page = await ctx.services.imports.page(ctx.actor, kind, ctx.query(ListQuery).part())
        items = [_values(found) for found in page.items]
        return page_model.model_validate({"items": items, "next_cursor": page.next_cursor})

    async def read(request: web.Request, ctx: Ctx) -> web.StreamResponse:
        found = await ctx.services.imports.get(ctx.actor, kind, ctx.param("external_id"))
        if f'"{found.etag}"' in _tags(request, "If-None-Match"):
            return web.Response(status=304, headers=_etag(found))
        return _answer(out_model, found, 200)

    async def put(request: web.Request, ctx: Ctx) -> web.StreamResponse:
        body = await ctx.body(put_model)
        change, found = await ctx.services.imports.put(
            ctx.actor,
            kind,
            ctx.param("external_id"),
            body.model_dump(exclude_unset=True),
            if_match=_if_match(request),
            if_none_match="*" in _tags(request, "If-None-Match"),
            request_id=ctx.request_id,
        )
        return _answer(out_model, found, 201 if change.outcome is Outcome.CREATED else 200)

    async def upload(request: web.Request, ctx: Ctx) -> BaseModel:
        query = ctx.query(UploadQuery)
        if request.content_type not in FORMATS:
            raise UnsupportedBody
        lines = io.BytesIO(await request.read())
        await ctx.limit("client_upload", ctx.principal.account_id)
        report = await ctx.services.imports.run(
            ctx.actor,
            kind,
            FORMATS[request.content_type],
            read_lines(lines),
            dry_run=query.dry_run,
            request_id=ctx.request_id,
        )
        return _report(report)

    def add(method: str, path: str, handler: Handler, verb: str, summary: str, **options: Any) -> None:
        action = f"api.{singular.replace('-', '_')}.{verb}"
        routes.add(method, path, handler, action=action, summary=summary, kind="json", rate="client", **options)

    one = f"/api/v1/{kind}/{{external_id}}"
    add("GET", f"/api/v1/{kind}", listing, "read", f"The prison's {kind}", query=ListQuery, response=page_model)
    add("GET", one, read, "read", f"One {singular}", response=out_model, conditional=True)
    add(
        *("PUT", one, put, "write", f"Make or change a {singular}; twice is once"),
        body=put_model,
        response=out_model,
        conditional=True,
    )
    add(
        *("POST", f"/api/v1/imports/{kind}", upload, "write", f"Import a file of {kind}"),
        query=UploadQuery,
        response=ReportOut,
        media_type=", ".join(FORMATS),
        max_body=LARGEST,
    )


for _kind in ImportKind:
    _declare(_kind)


@routes.get(
    "/api/v1/imports",
    action="api.import.read",
    summary="The prison's imports, newest first",
    kind="json",
    query=ListQuery,
    response=RunPage,
    rate="client",
)
async def runs(request: web.Request, ctx: Ctx) -> BaseModel:
    page = await ctx.services.imports.runs(ctx.actor, ctx.query(ListQuery).part())
    return page_of(RunPage, page, lambda run: RunOut(**_run(run)))


@routes.get(
    "/api/v1/imports/{run_id}",
    action="api.import.read",
    summary="One import and the lines it refused",
    kind="json",
    response=RunOut,
    rate="client",
)
async def run(request: web.Request, ctx: Ctx) -> BaseModel:
    return RunOut(**_run(await ctx.services.imports.get_run(ctx.actor, ctx.param("run_id"))))


def _values(found: Described) -> dict[str, Any]:
    return {"id": found.id, **{name: plain(value) for name, value in found.values.items()}}


def _etag(found: Described) -> dict[str, str]:
    return {"ETag": f'"{found.etag}"'}


def _answer(model: type[BaseModel], found: Described, status: int) -> web.Response:
    text = model.model_validate(_values(found)).model_dump_json()
    return web.Response(text=text, status=status, content_type="application/json", headers=_etag(found))


def _tags(request: web.Request, header: str) -> list[str]:
    """The entity tags of a conditional request (RFC 9110 section 13.1), weak ones without their mark."""
    text = ",".join(request.headers.getall(header, []))
    return [tag.strip().removeprefix("W/") for tag in text.split(",") if tag.strip()]


def _if_match(request: web.Request) -> str | None:
    """The one tag that the caller has seen, or `*`; None without the field. Invalid for several."""
    tags = _tags(request, "If-Match")
    if len(tags) > 1:
        raise Invalid("Send one entity tag.", code="if_match", field="If-Match")
    return tags[0].strip('"') if tags else None


def _run(run: Any) -> dict[str, Any]:
    names = ("id", "kind", "dry_run", "lines", "created", "changed", "ended", "unchanged", "refused", "faults")
    values = {name: getattr(run, name) for name in names}
    return {**values, "started_at": plain(run.started_at), "finished_at": plain(run.finished_at)}


def _report(report: ImportReport) -> ReportOut:
    return ReportOut(**_run(report.run), changes=[_change(change) for change in report.changes])


def _change(change: Change) -> ChangeOut:
    fields = {
        name: FieldChange(before=plain(before), after=plain(after)) for name, (before, after) in change.fields.items()
    }
    return ChangeOut(external_id=change.external_id, outcome=change.outcome, fields=fields)
