"""Every adult caller has shown who they are, to a person who decided."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.policies import IDENTITY_REQUIRED
from visitserver.domain.rules.engine import Finding, refuse, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.scope import VISIT

PROVE = Words("Every adult on the call must first show who they are.")
DO_IT = Words("Send a picture of your document and of your face, or ask to be checked by an officer instead.")
AGAIN = Words("Somebody's proof of identity ends before this visit.")
RENEW = Words("It changes when they have shown again who they are.")


@rule("identity", "identity", IDENTITY_REQUIRED, of=VISIT)
def identity(facts: Facts) -> Iterator[Finding]:
    """Minors are counted, not matched; an adult's approval must last until the call has begun."""
    if not facts.policies.flag(IDENTITY_REQUIRED):
        return
    for caller in facts.callers:
        if not caller.contact.is_adult_on(facts.slot.day):
            continue
        standing = caller.identity.need()
        inputs = {"contact": caller.contact.id, "enrolment": standing.reference}
        if not standing.approved:
            yield refuse("No approved identity.", PROVE, DO_IT, **inputs)
        elif standing.expires_at is not None and standing.expires_at <= facts.slot.starts_at:
            yield refuse("The approved identity ends before the call.", AGAIN, RENEW, **inputs)
