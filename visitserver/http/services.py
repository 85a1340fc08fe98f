"""The services that handlers call, one attribute each. Bootstrap builds it; handlers see nothing behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from visitserver.services.accounts import AccountService
    from visitserver.services.own_security import OwnSecurityService
    from visitserver.services.pins import PinService
    from visitserver.services.sessions import SessionService
    from visitserver.services.signin import SignInService
    from visitserver.services.stations import StationService


@dataclass(slots=True, kw_only=True)
class Services:
    """What bootstrap hands to `create_app`."""

    # accounts (HTTP)
    accounts: AccountService
    signin: SignInService
    sessions: SessionService
    stations: StationService
    pins: PinService
    own_security: OwnSecurityService
    # contact rights and scheduling (RIGHTS)
    relationships: Any
    restrictions: Any
    slots: Any
    booking: Any
    allowance: Any
    templates: Any
    decisions: Any
    audit: Any
    # identity (IDENTITY)
    enrolment: Any
    door: Any
    # calls (CONTROL)
    calls: Any
    # recordings (RECORDER)
    recordings: Any
