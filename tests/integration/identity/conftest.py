"""The services of identity over a small prison, with an engine that says what a test wants."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from signaling.ids import new_id
from tests.fakes.identity_engine import FakeIdentityEngine
from tests.fixtures.rights import PRISON, World
from visitserver.domain.actors import Actor, ActorKind
from visitserver.identity.vault import PersonVault
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService

OFFICER = Actor(ActorKind.STAFF, "stf_officer", PRISON, frozenset({"officer"}))
COLLEAGUE = Actor(ActorKind.STAFF, "stf_colleague", PRISON, frozenset({"officer"}))
STRANGER = Actor(ActorKind.STAFF, "stf_stranger", "prn_elsewhere", frozenset({"officer"}))


@dataclass
class Desk:
    """Everything that a test of identity uses."""

    world: World
    engine: FakeIdentityEngine
    enrolment: EnrolmentService
    door: DoorService


@pytest.fixture
def desk(world: World) -> Desk:
    """On each database."""
    engine = FakeIdentityEngine()
    vault = PersonVault(bytes(range(32)))
    return Desk(
        world,
        engine,
        EnrolmentService(world.uow, world.clock, engine, vault, new_id),
        DoorService(world.uow, world.clock, engine, vault, new_id),
    )
