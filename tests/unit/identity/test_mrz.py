"""Zones as text: the examples of ICAO Doc 9303 and what may not pass for a zone."""

from __future__ import annotations

import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.media_factory import DocumentFields, random_fields, zone_lines
from visitserver.identity.mrz import MrzError, MrzKind, check_digit, parse

TODAY = date(2026, 3, 2)
# The examples printed in Doc 9303 parts 4, 5, 6 and 7.
TD3 = ["P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10"]
TD1 = ["I<UTOD231458907<<<<<<<<<<<<<<<", "7408122F1204159UTO<<<<<<<<<<<6", "ERIKSSON<<ANNA<MARIA<<<<<<<<<<"]
TD2 = ["I<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "D231458907UTO7408122F1204159<<<<<<<6"]
VISA_A = ["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L8988901C4XXX4009078F96121096ZE184226B<<<<<<"]
VISA_B = ["V<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<", "L8988901C4XXX4009078F9612109<<<<<<<<"]


@pytest.mark.parametrize(
    ("lines", "kind"),
    [(TD3, MrzKind.TD3), (TD1, MrzKind.TD1), (TD2, MrzKind.TD2), (VISA_A, MrzKind.VISA_A), (VISA_B, MrzKind.VISA_B)],
)
def test_the_examples_of_the_standard(lines: list[str], kind: MrzKind) -> None:
    reading = parse(lines, today=TODAY)
    assert reading.kind is kind
    assert (reading.family_name, reading.given_names, reading.issuer) == ("ERIKSSON", "ANNA MARIA", "UTO")
    assert reading.sex == "F"
    assert reading.consistent, (reading.checks, reading.problems)


def test_every_field_of_a_passport() -> None:
    reading = parse(TD3, today=TODAY)
    assert (reading.document_code, reading.number, reading.nationality) == ("P", "L898902C3", "UTO")
    assert (reading.birth_date, reading.expires) == (date(1974, 8, 12), date(2012, 4, 15))
    assert reading.optional == "ZE184226B"
    assert {check.field for check in reading.checks} == {"number", "birth_date", "expires", "optional", "composite"}


def test_the_check_digits_of_the_standard() -> None:
    assert check_digit("520727") == "3"
    assert check_digit("AB2134<<<") == "5"


def test_a_number_of_more_than_nine_characters() -> None:
    # 9303-5, 4.2.2: the number goes on in the optional field, its check digit after it.
    number = "D23145890734"
    check = check_digit(number)
    first = f"I<UTOD23145890<734{check}<<<<<<<<<<<"
    body = "7408122F1204159UTO<<<<<<<<<<<"
    composite = check_digit(first[5:30] + body[0:7] + body[8:15] + body[18:29])
    reading = parse([first, body + composite, TD1[2]], today=TODAY)
    assert reading.number == number
    assert reading.consistent


@pytest.mark.parametrize(
    ("place", "line"), [(1, 1), (13, 1), (21, 1), (28, 1), (9, 1), (19, 1), (27, 1), (42, 1), (43, 1)]
)
def test_one_wrong_figure_is_seen(place: int, line: int) -> None:
    lines = list(TD3)
    char = lines[line][place]
    other = "1" if char != "1" else "2"
    lines[line] = lines[line][:place] + other + lines[line][place + 1 :]
    assert not parse(lines, today=TODAY).consistent


@given(st.integers(0, 5000), st.sampled_from(["TD1", "TD2", "TD3", "MRV-A", "MRV-B"]))
def test_what_is_written_is_what_is_read(seed: int, kind: str) -> None:
    fields = random_fields(random.Random(seed))
    if kind.startswith("MRV"):
        fields = fields.with_(optional="")
    reading = parse(zone_lines(kind, fields), today=TODAY)
    assert reading.consistent, (reading.checks, reading.problems)
    assert (reading.birth_date, reading.expires, reading.number) == (fields.birth_date, fields.expires, fields.number)
    assert reading.nationality == fields.nationality
    assert reading.sex == ("X" if fields.sex not in "MF" else fields.sex)


@given(st.text("ABCXYZ019<", min_size=0, max_size=50), st.integers(0, 4))
def test_any_lines_are_read_or_refused_by_name(text: str, count: int) -> None:
    try:
        parse([text] * count, today=TODAY)
    except MrzError as error:
        assert error.code in ("line_count", "line_length", "characters")


@given(st.lists(st.text("ABCXYZ0123456789<", min_size=44, max_size=44), min_size=2, max_size=2))
def test_any_text_of_the_right_shape_is_taken_apart(lines: list[str]) -> None:
    reading = parse(lines, today=TODAY)
    assert reading.birth_date is None or reading.birth_date <= TODAY


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["P<UTO"], "line_count"),
        ([], "line_count"),
        ([TD3[0], TD3[1][:-1]], "line_length"),
        ([TD3[0].replace("A", "a"), TD3[1]], "characters"),
        ([TD3[0].replace("A", "Ñ"), TD3[1]], "characters"),
    ],
)
def test_what_is_no_zone(lines: list[str], code: str) -> None:
    with pytest.raises(MrzError) as refused:
        parse(lines, today=TODAY)
    assert refused.value.code == code


def test_nothing_is_repaired() -> None:
    # O for 0 in a date: its check digit may even fit, the field does not admit a letter.
    reading = parse([TD3[0], TD3[1].replace("7408122", "74O8122")], today=TODAY)
    assert reading.birth_date is None
    assert "birth_date:letter" in reading.problems
    reading = parse([TD3[0].replace("ERIKSSON", "ER1KSSON"), TD3[1]], today=TODAY)
    assert reading.family_name == "ER1KSSON"
    assert "names:digit" in reading.problems


@pytest.mark.parametrize(
    ("birth", "today", "expected"),
    [
        ("260302", date(2026, 3, 2), date(2026, 3, 2)),  # born today
        ("260303", date(2026, 3, 2), date(1926, 3, 3)),  # tomorrow cannot be
        ("000229", date(2026, 3, 2), date(2000, 2, 29)),
        ("990101", date(2026, 3, 2), date(1999, 1, 1)),
        ("010101", date(2000, 6, 1), date(1901, 1, 1)),
    ],
)
def test_the_century_of_a_birth(birth: str, today: date, expected: date) -> None:
    lines = [TD3[0], TD3[1][:13] + birth + check_digit(birth) + TD3[1][20:]]
    assert parse(lines, today=today).birth_date == expected


@pytest.mark.parametrize(
    ("expires", "today", "expected"),
    [
        ("350101", date(2026, 3, 2), date(2035, 1, 1)),
        ("120415", date(2026, 3, 2), date(2012, 4, 15)),
        ("980101", date(2026, 3, 2), date(1998, 1, 1)),
        ("040101", date(1999, 3, 2), date(2004, 1, 1)),
    ],
)
def test_the_century_of_an_end(expires: str, today: date, expected: date) -> None:
    lines = [TD3[0], TD3[1][:21] + expires + check_digit(expires) + TD3[1][28:]]
    assert parse(lines, today=today).expires == expected


def test_unknown_parts_of_a_birth_date_are_no_date() -> None:
    birth = "74<<<<"
    reading = parse([TD3[0], TD3[1][:13] + birth + check_digit(birth) + TD3[1][20:]], today=TODAY)
    assert reading.birth_date is None
    assert "birth_date:incomplete" in reading.problems


def test_names_without_room_are_said_to_be_cut() -> None:
    long = DocumentFields(family_name="Papandropoulous", given_names="Jonathon Alec Trevor Bartholomew")
    assert parse(zone_lines("TD3", long), today=TODAY).names_cut
    assert not parse(TD3, today=TODAY).names_cut


def test_an_unknown_country_is_a_problem() -> None:
    reading = parse(zone_lines("TD3", DocumentFields(country="QQQ")), today=TODAY)
    assert "issuer:unknown" in reading.problems
    assert parse(zone_lines("TD3", DocumentFields(country="D", nationality="D")), today=TODAY).consistent


def test_a_document_of_no_known_kind_is_a_problem() -> None:
    assert "document_code:unknown" in parse([TD3[0].replace("P<", "F<", 1), TD3[1]], today=TODAY).problems
    assert "document_code:unknown" in parse([TD1[0].replace("I<", "P<", 1), *TD1[1:]], today=TODAY).problems


def test_what_check_digits_cannot_see() -> None:
    # The reason why names and nationality are for a person to read, and why A for K passes in a number.
    assert check_digit("L898902C3") == check_digit("V898902C3")
    assert parse([TD3[0].replace("ANNA", "HANA"), TD3[1]], today=TODAY).consistent
