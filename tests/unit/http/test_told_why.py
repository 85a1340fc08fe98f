"""What a family reads of a rejection and of a cancellation: the sentence of the reason, and the prison's own words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from visitserver.domain.calls import CallKind
from visitserver.domain.rejections import RejectionReason
from visitserver.domain.scheduling import Booking, BookingState, SupervisionLevel
from visitserver.http.views import told_why
from visitserver.http.wording import shown_in


def booking(state: BookingState, **told: object) -> Booking:
    """A booking that staff have decided about; `reason` is theirs."""
    starts_at = datetime(2026, 3, 10, 9, tzinfo=UTC)
    made = Booking(
        id="bkg_1",
        prison_id="prn_1",
        prisoner_id="prs_1",
        kind=CallKind.SOCIAL,
        state=state,
        template_id="tpl_1",
        slot_key="tpl_1@20260310T0900Z",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=30),
        supervision=SupervisionLevel.SAMPLE,
        created_at=starts_at - timedelta(days=5),
        created_by="family:con_1",
        station_id="sta_1",
        reason="He is to meet nobody of that gang.",
    )
    for name, value in told.items():
        setattr(made, name, value)
    return made


def read(made: Booking) -> tuple[str, ...]:
    return told_why(made, str, shown_in("en"))


def test_a_rejection_says_its_sentence_with_its_day_and_the_prisons_words() -> None:
    made = booking(
        BookingState.REJECTED,
        rejection=RejectionReason.BANNED,
        rejection_day=date(2026, 5, 1),
        family_words="Write to the governor.",
    )
    assert read(made) == (*("You cannot have visits until 1 May 2026.", "The prison writes: Write to the governor."),)


def test_words_with_braces_are_read_as_they_were_written() -> None:
    assert read(booking(BookingState.CANCELLED, family_words="{words} 100 %")) == ("The prison writes: {words} 100 %",)


def test_what_staff_wrote_for_themselves_is_never_told() -> None:
    for state in BookingState:
        assert all("gang" not in sentence for sentence in read(booking(state)))
    assert read(booking(BookingState.REJECTED, rejection=RejectionReason.NON_ASSOCIATION)) == (
        "This visit is not possible at this time.",
    )


def test_nothing_is_told_of_a_visit_that_stands() -> None:
    assert read(booking(BookingState.BOOKED, rejection=RejectionReason.OTHER, family_words="old")) == ()
