"""Every family and terminal page in every state it can be in, served by the real application core.

The pages' handlers are tested elsewhere; here stand the templates, styles and modules, with views made by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from tests.fakes.clock import FakeClock
from visitserver.config import Settings
from visitserver.domain.access import POLICY, Grant, Role
from visitserver.domain.accounts import Account, AccountKind, Session
from visitserver.domain.calls import CallKind
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.rights import PrisonerAnswer, Relationship, RelationshipKind, RelationshipState
from visitserver.domain.scheduling import Booking, BookingParticipant, BookingState, SupervisionLevel
from visitserver.http.app import create_app
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Form
from visitserver.http.registry import RouteTable
from visitserver.http.routes.media import MediaRoute
from visitserver.http.services import Services
from visitserver.http.views import Chip, VisitView, person_for_family, person_for_prisoner, relations, visit_view
from visitserver.http.wait_views import WaitView, WishView
from visitserver.services.allowance import AllowanceView
from visitserver.services.sessions import SignedIn

NOW = datetime(2026, 3, 2, 9, 50, tzinfo=UTC)
PRISON = Prison("prn_1", "Hämeenlinna", "Europe/Helsinki", "HML")


def same(text: str) -> str:
    return text


def booking(starts_in: timedelta = timedelta(days=3), **changes: Any) -> Booking:
    starts = NOW + starts_in
    made = Booking(
        id="bkg_1",
        prison_id=PRISON.id,
        prisoner_id="prs_1",
        kind=CallKind.SOCIAL,
        state=BookingState.BOOKED,
        template_id="tpl_1",
        slot_key="tpl_1@20260305T0950Z",
        starts_at=starts,
        ends_at=starts + timedelta(minutes=30),
        supervision=SupervisionLevel.SAMPLE,
        created_at=NOW,
        created_by="family:ctc_1",
        station_id="sta_1",
        participants=[BookingParticipant("bkg_1", "ctc_1", "rel_1", lead=True)],
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def visit(starts_in: timedelta = timedelta(days=3), *, terminal: bool = False, **changes: Any) -> VisitView:
    person = "Aino Lahtinen" if terminal else "Mikko Lahtinen"
    return visit_view(booking(starts_in, **changes), PRISON, person, NOW, same, recorded=True, for_terminal=terminal)


def link(**changes: Any) -> Relationship:
    made = Relationship("rel_1", "prs_1", "ctc_1", RelationshipKind.SOCIAL, CallKind.SOCIAL, "mother", NOW)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def people_for_family() -> list[Any]:
    mikko = Prisoner("prs_1", "A1234BC", PRISON.id, "Mikko", "Lahtinen", date(1990, 5, 17), NOW)
    approved = link(state=RelationshipState.APPROVED, prisoner_answer=PrisonerAnswer.ACCEPTED)
    refused = link(id="rel_3", state=RelationshipState.REFUSED, relation="friend")
    return [
        person_for_family(approved, mikko, PRISON, same),
        person_for_family(link(id="rel_2", relation="sibling"), mikko, PRISON, same),
        person_for_family(refused, mikko, PRISON, same),
    ]


def people_for_prisoner() -> list[Any]:
    accepted = link(id="rel_2", prisoner_answer=PrisonerAnswer.ACCEPTED, state=RelationshipState.APPROVED)
    refused = link(id="rel_3", prisoner_answer=PrisonerAnswer.REFUSED, relation="friend")
    return [
        person_for_prisoner(link(), "Aino Lahtinen", same),
        person_for_prisoner(accepted, "Eeva Korhonen", same),
        person_for_prisoner(refused, "Pekka Virtanen", same),
    ]


def slot(hour: int, day: int = 4, /, **more: Any) -> SimpleNamespace:
    starts = datetime(2026, 3, day, hour, 0, tzinfo=UTC)
    base: dict[str, Any] = {"review": False, "watched": False, "why": [], "change": [], "waitable": False}
    return SimpleNamespace(
        key=f"tpl_1@202603{day:02}T{hour:02}00Z",
        starts_at=starts,
        ends_at=starts + timedelta(minutes=30),
        minutes=30,
        **{**base, **more},
    )


ALLOWANCE = AllowanceView(
    prisoner_id="prs_1",
    balance=3,
    available=3,
    accumulated=0,
    privileged=0,
    next_credit=date(2026, 3, 16),
    first_expiry=None,
    floor_left=2,
    minutes_owed=12,
)


def book_page(**changes: Any) -> dict[str, Any]:
    why: dict[str, Any] = {"why": ["All places at this time are taken."], "change": ["Choose another time."]}
    days = [
        SimpleNamespace(
            day=date(2026, 3, 4),
            free=[slot(9), slot(10, review=True), slot(15, watched=True)],
            closed=[slot(11, **why)],
        ),
        SimpleNamespace(day=date(2026, 3, 5), free=[slot(9, 5), slot(10, 5)], closed=[slot(14, 5, **why)]),
    ]
    return {
        "relationship_id": "rel_1",
        "person": "Mikko Lahtinen",
        "prison": PRISON.name,
        "zone": PRISON.timezone,
        "allowance": ALLOWANCE,
        "general": [],
        "days": days,
        "free_count": 5,
        "closed_count": 2,
        "earlier": "",
        "later": "/book/rel_1?from=2026-03-11",
        "also": "",
        "guests": [],
        "may_add": True,
        "form": EMPTY,
        "calendar": "/book/rel_1/calendar",
        "wishes": "/book/rel_1/wishes",
    } | changes


def calendar_page() -> dict[str, Any]:
    """A month in which most days have free times, some have none, and some no visits."""
    monday = date(2026, 3, 2)
    days = [monday + timedelta(days=number) for number in range(35)]
    cells = [
        None
        if number > 28
        else SimpleNamespace(
            day=day, free=(number * 3) % 5, times=0 if number % 7 == 6 else 6, shown=number == 2, href="#day"
        )
        for number, day in enumerate(days)
    ]
    shown = book_page()["days"][0]
    shown.closed[0].waitable = True
    return {
        "relationship_id": "rel_1",
        "person": "Mikko Lahtinen",
        "prison": PRISON.name,
        "zone": PRISON.timezone,
        "weeks": [cells[start : start + 7] for start in range(0, 35, 7)],
        "shown": shown,
        "also": "",
        "list_url": "/book/rel_1",
        "wishes": "/book/rel_1/wishes",
    }


def wishes_page(form: Form[Any] = EMPTY) -> dict[str, Any]:
    parts = [("any", "any time of day"), ("morning", "before 12"), ("afternoon", "between 12 and 17")]
    standing = [SimpleNamespace(first_day=date(2026, 3, 9), last_day=date(2026, 3, 13))]
    return {
        "relationship_id": "rel_1",
        "person": "Mikko Lahtinen",
        "prison": PRISON.name,
        "today": date(2026, 3, 2),
        "standing": standing,
        "parts": parts,
        "numbers": range(1, 4),
        "also": "",
        "form": form,
        "list_url": "/book/rel_1",
    }


def wait(**changes: Any) -> WaitView:
    base: dict[str, Any] = {
        "id": "wtl_1",
        "person": "Mikko Lahtinen",
        "zone": PRISON.timezone,
        "first_day": date(2026, 3, 9),
        "last_day": date(2026, 3, 13),
        "from_time": time(17),
        "to_time": None,
    }
    return WaitView(**{**base, **changes})


def enrolment(step: str, **more: Any) -> dict[str, Any]:
    position = {"informed": 1, "document": 2, "selfie": 3, "submit": 4, "submitted": 5}.get(step, 0)
    base = {"id": "enr_1", "reason": "", "faces": True, "notes": [], "valid_until": None, "position": position}
    return {"enrolment": SimpleNamespace(step=step, **{**base, **more}), "form": EMPTY}


@dataclass(frozen=True)
class Shown:
    """One picture of the gallery: `surface` decides who is signed in and how the window is sized."""

    template: str
    data: Mapping[str, Any]
    surface: str = "family"


REASONS = [
    ("unwanted", "I do not want this visit"),
    ("ill", "I am ill"),
    ("busy", "I have something else then"),
    ("other", "Another reason"),
]
ONE_VISIT: dict[str, Any] = {"form": EMPTY, "instead": [], "relationship_id": "rel_1"}
OFFER = {
    "offered_from": NOW + timedelta(days=4),
    "offered_until": NOW + timedelta(days=4, minutes=30),
    "offer_ends": datetime.now(UTC) + timedelta(minutes=90),
}
HOME = {"form": EMPTY, "relations": relations(same), "more_people": ""}
SOON = timedelta(minutes=10)
IDENTITY_NEEDED = SimpleNamespace(
    needs_something=True,
    state=Chip("to do", "warn"),
    words="You need this before your first visit. It takes about five minutes.",
    button="Start",
)
IDENTITY_DONE = SimpleNamespace(needs_something=False)
ERROR = {
    "problem_status": 409,
    "title": "Conflict",
    "detail": "Somebody else was quicker. Please choose another time.",
    "code": "slot_taken",
    "surface": "calm",
}
FAULTY: Form[Any] = Form({"prisoner_number": "12"}, {"family_name": "Please fill this in."}, None)
PAGES: dict[str, Shown] = {
    "landing": Shown("family/landing.html", {}, "anonymous"),
    "signin": Shown("auth/signin.html", {"form": EMPTY, "next": ""}, "anonymous"),
    "signup": Shown("auth/signup.html", {"form": EMPTY}, "anonymous"),
    "error": Shown("error.html", ERROR, "anonymous"),
    "home": Shown(
        "family/home.html",
        {**HOME, "next_visit": visit(), "identity": IDENTITY_DONE, "people": people_for_family()},
    ),
    "home-new": Shown("family/home.html", {**HOME, "next_visit": None, "identity": IDENTITY_NEEDED, "people": []}),
    "home-faulty": Shown(
        "family/home.html",
        {**HOME, "form": FAULTY, "next_visit": None, "identity": IDENTITY_NEEDED, "people": []},
    ),
    "identity-informed": Shown("family/identity.html", enrolment("informed")),
    "identity-document": Shown("family/identity.html", enrolment("document")),
    "identity-selfie": Shown("family/identity.html", enrolment("selfie")),
    "identity-submit": Shown("family/identity.html", enrolment("submit", notes=["The document has run out."])),
    "identity-submitted": Shown("family/identity.html", enrolment("submitted")),
    "identity-more": Shown("family/identity.html", enrolment("more", reason="The number cannot be read.")),
    "identity-approved": Shown("family/identity.html", enrolment("approved", valid_until=date(2027, 3, 2))),
    "identity-refused": Shown("family/identity.html", enrolment("refused", reason="The name is another one.")),
    "identity-attended": Shown("family/identity.html", enrolment("attended")),
    "book": Shown("family/book.html", book_page()),
    "book-together": Shown(
        "family/book.html",
        book_page(also="rel_2", guests=[{"name": "Liisa Virtanen", "without": "/book/rel_1"}]),
    ),
    "book-none": Shown(
        "family/book.html", book_page(days=[], free_count=0, closed_count=0, general=["No visits left."])
    ),
    "confirm": Shown(
        "family/confirm.html",
        {
            "visit": visit(state=BookingState.HELD),
            "hold": SimpleNamespace(id="bkg_1", expires_at=datetime.now(UTC) + timedelta(minutes=9), may_extend=True),
            "cost": "This visit uses one of the visits that Mikko may have.",
        },
    ),
    "visits": Shown(
        "family/visits.html",
        {
            "coming": [visit(SOON), visit()],
            "past": [visit(timedelta(days=-2), state=BookingState.COMPLETED)],
            "more": "",
            "waits": [wait(), wait(id="wtl_2", **OFFER)],
            "wishes": [WishView("rel_1", "Mikko Lahtinen", [(date(2026, 3, 20), date(2026, 3, 22))])],
            "owed": [("Mikko Lahtinen", 12)],
        },
    ),
    "visits-none": Shown(
        "family/visits.html", {"coming": [], "past": [], "more": "", "waits": [], "wishes": [], "owed": []}
    ),
    "calendar": Shown("family/calendar.html", calendar_page()),
    "wishes": Shown("family/wishes.html", wishes_page()),
    "wishes-faulty": Shown(
        "family/wishes.html", wishes_page(Form({"first_day": ""}, {"first_day": "Please fill this in."}, None))
    ),
    "change": Shown(
        "family/change.html",
        {"visit": replace(visit(SOON * 60), late=True), "days": book_page()["days"], "notices": [], "form": EMPTY},
    ),
    "change-none": Shown("family/change.html", {"visit": visit(), "days": [], "notices": [], "form": EMPTY}),
    "visit": Shown("family/visit.html", {"visit": visit(), **ONE_VISIT}),
    "visit-in-the-way": Shown(
        "family/visit.html",
        {"visit": replace(visit(), in_the_way=True), **ONE_VISIT, "instead": book_page()["days"]},
    ),
    "visit-guest": Shown(
        "family/visit.html",
        {"visit": replace(visit(), others=("Liisa Virtanen",), can_cancel=False, can_decline=True), **ONE_VISIT},
    ),
    "visit-soon": Shown("family/visit.html", {"visit": visit(SOON), **ONE_VISIT}),
    "visit-failed": Shown("family/visit.html", {"visit": visit(-SOON * 9, state=BookingState.FAILED), **ONE_VISIT}),
    "ready": Shown("family/ready.html", {"visit": visit()}),
    "waiting": Shown("family/waiting.html", {"visit": visit(SOON), "faces": True}),
    "waiting-attended": Shown("family/waiting.html", {"visit": visit(SOON), "faces": False}),
    "call": Shown("family/call.html", {"visit": visit(SOON)}),
    "after": Shown(
        "family/after.html",
        {
            "visit": visit(-SOON * 9, state=BookingState.COMPLETED),
            "ending": "The visit is over. Thank you for coming.",
            "minutes": SimpleNamespace(used=27, owed=3),
            "back": False,
            "relationship_id": "rel_1",
        },
    ),
    "privacy": Shown(
        "family/privacy.html",
        {
            "kept": [
                SimpleNamespace(
                    what="Your name and date of birth", why="So that the prison knows who visits", until="–"
                ),
                SimpleNamespace(what="Photo of your document", why="To prove who you are", until="1 April 2026"),
            ],
            "can_delete": True,
        },
    ),
    "terminal-pin": Shown("auth/terminal_pin.html", {"form": EMPTY, "next": ""}, "station"),
    "terminal-enrol": Shown("auth/terminal_enrol.html", {"form": EMPTY, "enrolled": False}, "station"),
    "terminal-home": Shown(
        "terminal/home.html",
        {
            "next_visit": visit(terminal=True),
            "later": [visit(timedelta(days=9), terminal=True)],
            "unanswered": 1,
            "more": "",
            "unseen": 2,
            "allowance": ALLOWANCE,
            "owed": [("Aino Lahtinen", 12)],
        },
        "terminal",
    ),
    "terminal-home-none": Shown(
        "terminal/home.html",
        {
            "next_visit": None,
            "later": [],
            "unanswered": 0,
            "more": "",
            "unseen": 0,
            "allowance": ALLOWANCE,
            "owed": [],
        },
        "terminal",
    ),
    "terminal-people": Shown("terminal/people.html", {"people": people_for_prisoner(), "more": ""}, "terminal"),
    "terminal-visit": Shown(
        "terminal/visit.html",
        {"visit": replace(visit(terminal=True), in_the_way=True), "reasons": REASONS},
        "terminal",
    ),
    "terminal-visit-soon": Shown(
        "terminal/visit.html",
        {"visit": replace(visit(SOON, terminal=True), acknowledged=True), "reasons": REASONS},
        "terminal",
    ),
    "terminal-devices": Shown("terminal/devices.html", {}, "terminal"),
    "terminal-call": Shown("terminal/call.html", {"visit": visit(SOON, terminal=True)}, "terminal"),
    "terminal-error": Shown(
        "error.html",
        {**ERROR, "surface": "terminal"},
        "terminal",
    ),
}


class Sessions:
    """Whoever has a session cookie is signed in: Aino on the family's side, Mikko at a terminal."""

    async def resolve(self, token: str, audience: str, station_id: str | None) -> SignedIn:
        family = audience == "family"
        account = Account(
            id="acc_1",
            kind=AccountKind.FAMILY if family else AccountKind.PRISONER,
            login="a",
            secret_hash="",
            created_at=NOW,
            roles=frozenset({Role.FAMILY if family else Role.PRISONER}),
            contact_id="ctc_1" if family else None,
            prisoner_id=None if family else "prs_1",
        )
        session = Session(token, audience, account.id, NOW, NOW, NOW + timedelta(days=1))
        return SignedIn(account, session, "Aino Lahtinen" if family else "Mikko Lahtinen", None if family else "prn_1")


class Gallery:
    """The application; `states` is what the waiting room's state address answers, one after the other."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []
        self.uploads: list[tuple[str, dict[str, int]]] = []
        self.upload_answer: dict[str, Any] = {}

        self.tickets: Callable[[str], dict[str, Any]] | None = None

    def application(self, media: Iterable[MediaRoute] = ()) -> web.Application:
        """Every page at /gallery/NAME (terminals: /terminal/gallery/NAME), and the addresses that modules call."""
        family, terminal = RouteTable("family"), RouteTable("terminal")
        for name, shown in PAGES.items():
            table = terminal if shown.surface in ("terminal", "station") else family
            table.get(address(name), action="page.gallery", summary=name)(self._page(shown))
        family.get("/api/visits/bkg_1/state", action="page.gallery", summary="state", kind="json")(self._state)
        terminal.get("/api/terminal/visits/bkg_1/state", action="page.gallery", summary="state", kind="json")(
            self._state
        )
        for path in ("/api/identity/document", "/api/identity/selfies", "/api/visits/bkg_1/door"):
            post = family.post(path, action="page.gallery", summary="upload", kind="json", max_body=20_000_000)
            post(self._upload)
        family.get("/identity", action="page.gallery", summary="next")(self._page(PAGES["identity-submitted"]))
        family.get("/visits/bkg_1/call", action="page.gallery", summary="next")(self._page(PAGES["landing"]))
        family.post("/api/visits/bkg_1/ticket", action="page.gallery", summary="ticket", kind="json")(self._ticket)
        terminal.post("/api/terminal/visits/bkg_1/ticket", action="page.gallery", summary="ticket", kind="json")(
            self._ticket
        )
        family.get("/visits/bkg_1/after", action="page.gallery", summary="next")(self._page(PAGES["after"]))
        terminal.get("/terminal/home", action="page.gallery", summary="next")(self._page(PAGES["terminal-home-none"]))
        parts: dict[str, Any] = {part.name: SimpleNamespace() for part in fields(Services)}
        services = Services(**{**parts, "sessions": Sessions()})
        return create_app(
            services,
            Settings(),
            media,
            clock=FakeClock(NOW),
            tables=[family, terminal],
            policy={**POLICY, "page.gallery": Grant(anyone=True)},
        )

    def _page(self, shown: Shown) -> Any:
        async def handler(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
            return ctx.render(shown.template, **shown.data)

        return handler

    async def _state(self, _request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return web.json_response(state)

    async def _ticket(self, request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        if self.tickets is None:
            raise web.HTTPNotFound
        return web.json_response(self.tickets("prisoner" if "terminal" in request.path else "family"))

    async def _upload(self, request: web.Request, _ctx: Ctx) -> web.StreamResponse:
        sizes: dict[str, int] = {}
        form = await request.post()
        for name in set(form):
            sizes[name] = len(form.getall(name))
        self.uploads.append((request.path, sizes))
        return web.json_response(self.upload_answer)


def address(name: str) -> str:
    """Where the gallery shows page `name`."""
    return f"/terminal/gallery/{name}" if PAGES[name].surface in ("terminal", "station") else f"/gallery/{name}"
