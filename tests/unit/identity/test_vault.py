"""A key for each person: what opens, what must not, and what deleting the key does."""

from __future__ import annotations

import os

import pytest

from visitserver.identity.vault import PersonVault

CONTEXT = "enr_1/template/0/dlib_resnet_v1"


@pytest.fixture
def vault() -> PersonVault:
    return PersonVault(bytes(range(32)))


def test_what_was_sealed_opens(vault: PersonVault) -> None:
    wrapped = vault.new_key("con_a")
    sealed = vault.seal("con_a", wrapped, b"a face", CONTEXT)
    assert vault.open("con_a", wrapped, sealed, CONTEXT) == b"a face"
    assert b"a face" not in sealed


def test_two_seals_of_the_same_are_different(vault: PersonVault) -> None:
    wrapped = vault.new_key("con_a")
    assert vault.seal("con_a", wrapped, b"x", CONTEXT) != vault.seal("con_a", wrapped, b"x", CONTEXT)


def test_nothing_opens_for_another_person_item_model_or_master(vault: PersonVault) -> None:
    wrapped, other = vault.new_key("con_a"), vault.new_key("con_b")
    sealed = vault.seal("con_a", wrapped, b"a face", CONTEXT)
    for attempt in (
        lambda: vault.open("con_b", other, sealed, CONTEXT),
        lambda: vault.open("con_b", wrapped, sealed, CONTEXT),
        lambda: vault.open("con_a", other, sealed, CONTEXT),
        lambda: vault.open("con_a", wrapped, sealed, CONTEXT.replace("v1", "v2")),
        lambda: vault.open("con_a", wrapped, sealed, CONTEXT.replace("enr_1", "enr_2")),
        lambda: PersonVault(os.urandom(32)).open("con_a", wrapped, sealed, CONTEXT),
        # a key deleted and made anew: what the old one sealed is gone
        lambda: vault.open("con_a", vault.new_key("con_a"), sealed, CONTEXT),
    ):
        with pytest.raises(ValueError, match="does not open"):
            attempt()


def test_every_flipped_byte_is_seen(vault: PersonVault) -> None:
    wrapped = vault.new_key("con_a")
    sealed = vault.seal("con_a", wrapped, b"a face", CONTEXT)
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(ValueError, match=r"not sealed|does not open"):
            vault.open("con_a", wrapped, changed, CONTEXT)


def test_parts_of_a_context_do_not_run_into_each_other(vault: PersonVault) -> None:
    wrapped = vault.new_key("con_a")
    sealed = vault.seal("con_a", wrapped, b"x", "b" + "c")
    with pytest.raises(ValueError, match="does not open"):
        vault.open("con_ab", vault.new_key("con_ab"), sealed, "c")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        PersonVault(bytes(length))
