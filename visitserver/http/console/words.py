"""What a family would read of a decision, for staff to see word by word."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from visitserver.domain.decisions import Outcome
from visitserver.http.ctx import Ctx
from visitserver.http.templating import DEFAULT_LOCALE
from visitserver.http.wording import shown_in
from visitserver.services.desk_why import Answer


@dataclass(frozen=True, slots=True)
class FamilyWords:
    """The lead caller's language, what the rules answer them, the sentences they read, and what would change it."""

    language: str
    outcome: Outcome
    sentences: tuple[str, ...]
    changes: tuple[str, ...]


def family_words(ctx: Ctx, answer: Answer) -> FamilyWords:
    """The words as the lead's own pages would say them: in their language, and moments in the prison's zone."""
    language = answer.lead.language if answer.lead.language in ctx.templates.locales else DEFAULT_LOCALE
    zone = ZoneInfo(answer.prison.timezone)
    show = shown_in(language, zone)

    def translate(message: str) -> str:
        return ctx.templates.translate(language, message)

    decision = answer.family
    return FamilyWords(
        language, decision.outcome, tuple(decision.say(translate, show)), tuple(decision.say_change(translate, show))
    )
