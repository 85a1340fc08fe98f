"""Names as typed and as printed in a zone."""

from __future__ import annotations

import pytest

from visitserver.identity.names import family_agrees, given_agrees


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("Eriksson", "ERIKSSON"),
        ("Mäkinen", "MAEKINEN"),
        ("Mäkinen", "MAKINEN"),
        ("Åström", "AASTROEM"),
        ("Åström", "ASTROM"),
        ("Müller", "MUELLER"),
        ("Müller", "MULLER"),
        ("Groß", "GROSS"),
        ("O'Brien", "OBRIEN"),
        ("Smith-Jones", "SMITH JONES"),
        ("Smith-Jones", "SMITHJONES"),
        ("van der Berg", "VAN DER BERG"),
        ("van der Berg", "VANDERBERG"),
        ("Łukasiewicz", "LUKASIEWICZ"),
        ("Núñez", "NUNEZ"),
        ("Sørensen", "SOERENSEN"),
        ("Sørensen", "SORENSEN"),
        ("Đorđević", "DORDEVIC"),
    ],
)
def test_the_same_family_name(typed: str, printed: str) -> None:
    assert family_agrees(typed, printed, cut=False)


@pytest.mark.parametrize(
    ("typed", "printed"), [("Eriksson", "ERIKSEN"), ("Li", "LIN"), ("Berg", "VAN DER BERG"), ("", "X"), ("Aalto", "")]
)
def test_another_family_name(typed: str, printed: str) -> None:
    assert not family_agrees(typed, printed, cut=False)


def test_a_cut_name_agrees_with_its_beginning_alone() -> None:
    assert family_agrees("Papandropoulous", "PAPANDROP", cut=True)
    assert not family_agrees("Papandropoulous", "PAPANDROP", cut=False)
    assert not family_agrees("Papadopoulos", "PAPANDROP", cut=True)


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("Anna", "ANNA MARIA"),
        ("Maria Anna", "ANNA MARIA"),
        ("Anna-Maria", "ANNA MARIA"),
        ("Anna-Maria", "ANNAMARIA"),
        ("Jürgen", "JUERGEN"),
        ("José Luis", "JOSE LUIS"),
    ],
)
def test_given_names_may_be_left_out_and_stand_in_any_order(typed: str, printed: str) -> None:
    assert given_agrees(typed, printed, cut=False)


@pytest.mark.parametrize(("typed", "printed"), [("Anna", "ANNE"), ("Anna Liisa", "ANNA MARIA"), ("", "ANNA")])
def test_other_given_names(typed: str, printed: str) -> None:
    assert not given_agrees(typed, printed, cut=False)


def test_the_last_given_name_may_be_cut() -> None:
    assert given_agrees("Anna Bartholomea", "ANNA BARTHOL", cut=True)
    assert not given_agrees("Anna Bartholomea", "ANNA BARTHOL", cut=False)
