"""`visitserver why` over a database: the trace, what the family hears, and how the command ends."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.fixtures.rights import KUURA, MOTHER, PRISON, PRISONER, populate
from tests.fixtures.store import AUDIT_KEY
from visitserver.bootstrap import utc_now
from visitserver.cli import app
from visitserver.domain.policies import IDENTITY_REQUIRED, PolicyValue
from visitserver.domain.rights import Alert
from visitserver.store.engine import create_engine
from visitserver.store.uow import SqlUnitOfWorkFactory

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
RUNNER = CliRunner()


async def put(url: str, *things: PolicyValue | Alert) -> None:
    """Write these; with nothing given, the prison and its people."""
    engine = create_engine(url)
    try:
        uow = SqlUnitOfWorkFactory(engine, clock=utc_now, audit_key=AUDIT_KEY)
        if not things:
            await populate(uow)
            return
        async with uow() as u:
            for thing in things:
                if isinstance(thing, Alert):
                    u.rights.add(thing)
                else:
                    u.policies.add(thing)
            await u.commit()
    finally:
        await engine.dispose()


def test_why(sqlite_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "visitserver.toml"
    config.write_text(
        f"""
[keys]
directory = "{tmp_path}/keys"
[recorder]
directory = "{tmp_path}/recordings"
key_file = "{tmp_path}/keys/recorder.keys"
signing_key_file = "{tmp_path}/keys/recorder-signing.pem"
[identity]
key_file = "{tmp_path}/keys/identity.key"
"""
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "database__url").write_text(sqlite_store_url)
    monkeypatch.setenv("VISITSERVER_CONFIG", str(config))
    monkeypatch.setenv("VISITSERVER_SECRETS", str(secrets))
    monkeypatch.setattr("visitserver.cli.set_up_logs", lambda *_: None)  # the other tests keep their logs
    assert RUNNER.invoke(app, ["keys"]).exit_code == 0
    asyncio.run(put(sqlite_store_url))
    day = (utc_now().astimezone(KUURA.zone) + timedelta(days=6)).date()

    def why(*more: str, at: str = f"{day} 09:00", contact: str = "Maija Mother") -> Result:
        return RUNNER.invoke(app, ["why", "--prisoner", "K-1", "--contact", contact, "--at", at, *more])

    refused = why()
    assert refused.exit_code == 11, refused.output
    assert "REFUSE  identity  identity         No approved identity." in refused.stdout
    assert "policies identity.required_to_book@default" in refused.stdout
    assert f"contact={MOTHER}" in refused.stdout
    assert "family    Every adult on the call must first show who they are." in refused.stdout
    assert "answer    refused" in refused.stdout

    policy = PolicyValue("pol_1", PRISON, IDENTITY_REQUIRED.name, 1, False, LONG_AGO, LONG_AGO, "test", "pilot")
    asyncio.run(put(sqlite_store_url, policy))
    allowed = why()
    assert allowed.exit_code == 0, allowed.output
    assert "answer    allowed" in allowed.stdout
    assert "family " not in allowed.stdout

    alert = Alert("alt_1", PRISONER, "HIGH-RISK", LONG_AGO.date(), LONG_AGO, "test")
    asyncio.run(put(sqlite_store_url, alert))
    asked = why("--json")
    assert asked.exit_code == 10, asked.output
    told = json.loads(asked.stdout)
    assert told["outcome"] == "review"
    assert told["family_hears"] == ["A member of staff looks at this first and then tells you."]
    (line,) = [line for line in told["trace"] if line["outcome"] == "review"]
    assert (line["key"], line["number"], line["inputs"]["alert"]) == ("alerts", "4", "alt_1")
    assert "alerts.review_codes@default" in line["policy_version"]
    assert why("--staff", at=f"{day + timedelta(days=60)} 09:00").exit_code == 11

    for wrong, says in (
        (why(contact="Nobody"), "There is no contact 'Nobody' of K-1."),
        (why(at="soon"), "Not a time: 'soon'"),
        (RUNNER.invoke(app, ["why", "--prisoner", "K-1"]), "Name --prisoner, --contact and --at, or a --booking."),
        (RUNNER.invoke(app, ["why", "--booking", "bkg_none"]), "There is no such booking."),
    ):
        assert wrong.exit_code == 1, wrong.output
        assert says in wrong.output
        assert "Traceback" not in wrong.output
