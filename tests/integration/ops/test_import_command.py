"""`visitserver import` and `visitserver client add` as an operator runs them."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from visitserver.bootstrap import House
from visitserver.config import Settings
from visitserver.demo.run import demo_settings
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.import_lines import Format
from visitserver.domain.importing import ImportKind
from visitserver.domain.people import Prison
from visitserver.import_command import add_client, run_import
from visitserver.keyring import KeyPaths, load_keys, make_missing_keys
from visitserver.store.migrate import migrate

PEOPLE = """external_id;number;given_name;family_name;born_on;prison;admitted_at
P-1;K-1;Eino;Äkäs;1991-02-03;KUU;2026-01-05T10:00:00+02:00
P-2;K-2;Veikko;Ek;1991-02-30;KUU;2026-01-05T10:00:00+02:00
"""


@pytest.fixture
async def configured(tmp_path: Path) -> Settings:
    """The settings of a server that has one prison, and nobody in it."""
    settings = demo_settings(tmp_path, port=0, udp_port=0, tls=False)
    paths = KeyPaths.of(settings)
    make_missing_keys(paths)
    await migrate(settings.database.url.get_secret_value())
    house = House(settings, load_keys(paths))
    async with house.uow() as u:
        u.people.add(Prison("prs_kuura", "Kuura", "Europe/Helsinki", "KUU"))
        await u.commit()
    await house.close()
    return settings


async def run(settings: Settings, path: Path, *, dry_run: bool = False) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    code = await run_import(
        settings,
        ImportKind.PRISONERS,
        path,
        Format.CSV,
        dry_run=dry_run,
        out=Console(file=out, width=200),
        err=Console(file=err, width=200),
    )
    return code, out.getvalue(), err.getvalue()


async def test_a_file_is_tried_out_imported_and_imported_again(configured: Settings, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE, encoding="utf-8-sig")
    code, out, err = await run(configured, path, dry_run=True)
    assert code == 1  # a line was refused
    assert "family_name: (nothing) -> Äkäs" in out
    assert "line 3, born_on: date: A date is year-month-day" in out
    assert "2 lines: 1 would be created, 0 would be changed, 0 would be ended, 0 unchanged, 1 refused" in out
    assert "Nothing was written." in out
    assert "100 %  2 lines, 1 refused" in err
    assert "Äkäs" not in err
    path.write_text(PEOPLE.replace("02-30", "02-28"), encoding="utf-8")
    assert (await run(configured, path))[:1] == (0,)
    code, out, _ = await run(configured, path)
    assert (code, out.strip()) == (0, "2 lines: 0 created, 0 changed, 0 ended, 2 unchanged, 0 refused")
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(Invalid):
        await run(configured, path)


async def test_a_token_is_issued_at_the_prison_of_a_code(configured: Settings) -> None:
    issued = await add_client(configured, name="register", prison_code="KUU", actions=["api.prisoner.read"], days=30)
    assert issued.client.prison_id == "prs_kuura"
    assert issued.token.startswith("visit_")
    with pytest.raises(NotFound):
        await add_client(configured, name="register", prison_code="XXX", actions=["api.prisoner.read"], days=30)
    with pytest.raises(Invalid):
        await add_client(configured, name="register", prison_code="KUU", actions=["admin.home"], days=30)
