"""What a family sees of proving who they are: the step they are at, and what to do next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from visitserver.domain.identity import Enrolment, EnrolmentRoute, EnrolmentState
from visitserver.http.views import Chip

Translate = Callable[[str], str]

_POSITION: Final = {"informed": 1, "document": 2, "selfie": 3, "submit": 4, "submitted": 5}
_STEP: Final = {
    EnrolmentState.INVITED: "informed",
    EnrolmentState.INFORMED: "document",
    EnrolmentState.DOCUMENT: "selfie",
    EnrolmentState.SELFIE: "submit",
    EnrolmentState.SUBMITTED: "submitted",
    EnrolmentState.MORE_INFORMATION: "more",
    EnrolmentState.APPROVED: "approved",
    EnrolmentState.REFUSED: "refused",
    EnrolmentState.EXPIRED: "expired",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentView:
    """The identity page. `step` chooses what it shows; `reason` are an officer's words for the caller."""

    id: str
    step: str
    position: int
    faces: bool
    reason: str
    notes: list[str]
    valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingView:
    """The card on the home page; not shown when nothing needs doing. `button` empty: only to wait."""

    needs_something: bool
    state: Chip
    words: str
    button: str


def step_of(enrolment: Enrolment | None, now: datetime) -> str:
    """informed | document | selfie | submit | submitted | more | approved | attended | refused | expired."""
    if enrolment is None:
        return "informed"
    step = _STEP[enrolment.state]
    if step == "approved" and not enrolment.holds_at(now):
        return "expired"
    if enrolment.route is EnrolmentRoute.ATTENDED:
        # No picture is asked for now: an officer looks at those of the waiting room, before every visit.
        return {"document": "submit", "selfie": "submit", "more": "submit", "approved": "attended"}.get(step, step)
    return step


def enrolment_view(enrolment: Enrolment | None, now: datetime, _: Translate) -> EnrolmentView:
    """The view of the newest enrolment, or of none yet."""
    step = step_of(enrolment, now)
    faces = enrolment is None or enrolment.route is EnrolmentRoute.FACE
    position = _POSITION.get(step, 0)
    return EnrolmentView(
        id=enrolment.id if enrolment else "",
        step=step,
        position=position if faces or position < 3 else position - 2,
        faces=faces,
        reason=(enrolment.words_for_caller or "") if enrolment else "",
        notes=problem_words(enrolment.document_problems, _) if enrolment else [],
        valid_until=enrolment.expires_at if enrolment and step == "approved" else None,
    )


def standing_view(enrolment: Enrolment | None, now: datetime, _: Translate) -> StandingView:
    """The card of the newest enrolment, or of none yet."""
    match step_of(enrolment, now):
        case "approved" | "attended":
            return StandingView(needs_something=False, state=Chip(""), words="", button="")
        case "submitted":
            words = _("An officer is looking at it. You need not do anything now.")
            return StandingView(needs_something=True, state=Chip(_("sent"), "note"), words=words, button="")
        case "more":
            words = _("The officer needs something more from you.")
            return _card(Chip(_("to do"), "warn"), words, _("Look at it"))
        case "refused":
            words = _("The officer could not accept your proof.")
            return _card(Chip(_("not accepted"), "bad"), words, _("Look at it"))
        case "expired":
            return _card(Chip(_("to do"), "warn"), _("Your proof has run out. Please do it once more."), _("Start"))
        case "informed":
            words = _("You need this before your first visit. It takes about five minutes.")
            return _card(Chip(_("to do"), "warn"), words, _("Start"))
        case _:
            return _card(
                Chip(_("begun"), "warn"), _("You have begun. Your pictures are kept until you go on."), _("Go on")
            )


def _card(state: Chip, words: str, button: str) -> StandingView:
    return StandingView(needs_something=True, state=state, words=words, button=button)


def problem_words(problems: tuple[str, ...], _: Translate) -> list[str]:
    """Codes of services/ports/identity_engine.py as sentences. A code without one is left to officers."""
    words = {
        "no_zone": _(
            "We found no lines of letters and signs (<<<) in the picture. They stand at the edge of the document."
        ),
        "zone_too_small": _("The document is too small in the picture. Go closer."),
        "zone_unclear": _("The lines of letters and signs (<<<) cannot be read well."),
        "too_dark": _("It is too dark."),
        "too_bright": _("It is too bright."),
        "blurred": _("It is blurred."),
        "glare": _("Light is reflected in it."),
        "no_portrait": _("We found no photo of a face on the document."),
        "expired": _("The document has run out."),
        "engine_busy": _("Our program could not look at it now. The officer does."),
        "engine_stopped": _("Our program could not look at it now. The officer does."),
        "too_slow": _("Our program could not look at it now. The officer does."),
        "no_face": _("We found no face in the pictures."),
        "several_faces": _("There is more than one face in the pictures."),
        "too_few_faces": _("We did not see your face in enough of the pictures."),
        "poor_picture": _("The pictures are too dark or blurred."),
    }
    return list(dict.fromkeys(words[code] for code in problems if code in words))
