"""Rule 4, its second half: alerts on the prisoner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.policies import ALERTS_IGNORED, ALERTS_REVIEW, code
from visitserver.domain.rules.engine import Finding, remark, review, rule
from visitserver.domain.rules.scope import DAY, OfDay


@rule("alerts", "4", ALERTS_REVIEW, ALERTS_IGNORED, of=DAY)
def alerts(facts: OfDay) -> Iterator[Finding]:
    """A listed alert asks a person, and so does one that nobody has described; privileged calls are free of them."""
    for alert in facts.alerts.need():
        if not alert.applies_on(facts.slot.day):
            continue
        inputs: dict[str, Any] = {"alert": alert.id, "code": alert.code, "day": facts.slot.day}
        if facts.kind.privileged:
            yield remark(f"{alert.code}: not asked about privileged calls.", **inputs)
        elif code(alert.code) in facts.policies.texts(ALERTS_REVIEW):
            yield review(f"Alert {alert.code}: to be looked at.", **inputs)
        elif code(alert.code) in facts.policies.texts(ALERTS_IGNORED):
            yield remark(f"Alert {alert.code} has nothing to do with visits.", **inputs)
        else:
            yield review(f"Alert {alert.code}: a code that nobody has described.", **inputs)
