"""What a family is told when a person rejects the booking they asked for.

The words reveal no victim, no other prisoner and no intelligence: each says what could be said to anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from visitserver.domain.decisions import Words


class RejectionReason(StrEnum):
    """Why, in the terms that families are given."""

    NO_ALLOWANCE = "no_allowance"
    NOT_ON_LIST = "not_on_list"
    BANNED = "banned"
    SLOT_GONE = "slot_gone"
    NO_ADULT = "no_adult"
    DETAILS_WRONG = "details_wrong"
    NON_ASSOCIATION = "non_association"
    MOVED = "moved"
    RELEASED = "released"
    DUPLICATE = "duplicate"
    OTHER = "other"


_WORDS: Final[Mapping[RejectionReason, Words]] = MappingProxyType(
    {
        RejectionReason.NO_ALLOWANCE: Words("There was no visit credit left for it."),
        RejectionReason.NOT_ON_LIST: Words("Somebody on it is not on the list of people who may visit."),
        RejectionReason.BANNED: Words("You cannot have visits at this time."),
        RejectionReason.SLOT_GONE: Words("This time is taken."),
        RejectionReason.NO_ADULT: Words("A child needs an adult on the same visit."),
        RejectionReason.DETAILS_WRONG: Words("Some details were not right. Please check them and ask again."),
        RejectionReason.NON_ASSOCIATION: Words("This visit is not possible at this time."),
        RejectionReason.MOVED: Words("The person is at another prison now."),
        RejectionReason.RELEASED: Words("The person is no longer at a prison."),
        RejectionReason.DUPLICATE: Words("You have another visit like this one."),
        RejectionReason.OTHER: Words("The prison could not agree to this visit."),
    }
)

_DATED: Final[Mapping[RejectionReason, Words]] = MappingProxyType(
    {
        RejectionReason.NO_ALLOWANCE: Words("There was no visit credit left for it. The next one comes on {day}."),
        RejectionReason.BANNED: Words("You cannot have visits until {day}."),
    }
)

DATED: Final = frozenset(_DATED)
"""The reasons whose words can name a day."""


def words_of(reason: RejectionReason, day: date | None = None) -> Words:
    """The sentence for a family. `day`: the next credit's, or the last one of a ban; left out where it says nothing."""
    if day is not None and reason in _DATED:
        return Words(_DATED[reason].template, {"day": day})
    return _WORDS[reason]
