"""`visitserver demo`: everything set up, addresses and sign-ins printed, then served."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from visitserver.bootstrap import House, serve_until_stopped, utc_now
from visitserver.config import Settings, load_settings
from visitserver.demo import people as cast
from visitserver.demo.desk import plans
from visitserver.demo.seed import SignIns, seed
from visitserver.demo.selfsigned import make_certificate, own_addresses
from visitserver.demo.sessions import open_now, regular_week
from visitserver.domain.actors import Actor, ActorKind
from visitserver.keyring import KeyPaths, load_keys, make_missing_keys
from visitserver.store.migrate import migrate

SIGN_INS: Final = "signins.json"


async def run_demo(folder: Path, *, port: int, udp_port: int, tls: bool, console: Console) -> int:
    """Set up what is missing in `folder`, print who can sign in where, and serve until told to stop.

    With `tls` the pages are on every address of the machine, by HTTPS with a certificate of our own making.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = demo_settings(folder, port=port, udp_port=udp_port, tls=tls)
    paths = KeyPaths.of(settings)
    make_missing_keys(paths)
    await migrate(settings.database.url.get_secret_value())
    async with House(settings, load_keys(paths)) as house:
        sign_ins = SignIns.read(folder / SIGN_INS)
        if sign_ins is None:
            console.print("Making the demo prison …")
            sign_ins = await seed(house)
            await regular_week(house, sign_ins)
            await plans(house, sign_ins)
            sign_ins.write(folder / SIGN_INS)
        await open_now(house, sign_ins)
        codes = await _station_codes(house, sign_ins)
        await serve_until_stopped(house, on_listening=lambda urls: _tell(console, urls, sign_ins, codes))
    return 0


def demo_settings(folder: Path, *, port: int, udp_port: int, tls: bool) -> Settings:
    """The settings of a demo that keeps everything in `folder`."""
    overrides: dict[str, Any] = {
        "server": {"port": port, "log_format": "console", "log_level": "warning"},
        "database": {"url": f"sqlite+aiosqlite:///{folder}/visitserver.sqlite3"},
        "media": {"udp_host": "127.0.0.1", "udp_port": udp_port},
        "keys": {"directory": folder / "keys"},
        "recorder": {
            "directory": folder / "recordings",
            "key_file": folder / "keys" / "recorder.keys",
            "signing_key_file": folder / "keys" / "recorder-signing.pem",
        },
        "identity": {"key_file": folder / "keys" / "identity.key"},
        "mail": {"directory": folder / "mail"},
        "policy": {"enrolment_code_minutes": 1440},
    }
    if tls:
        addresses = own_addresses()
        certificate, key = make_certificate(folder / "keys", ["localhost", "127.0.0.1", *addresses], utc_now())
        overrides["server"] |= {"host": "0.0.0.0", "tls_certificate": certificate, "tls_key": key}  # noqa: S104
        overrides["media"] = {"udp_host": "0.0.0.0", "udp_port": udp_port, "advertised": tuple(addresses)}  # noqa: S104
    return load_settings(overrides=overrides, environ={})


async def _station_codes(house: House, sign_ins: SignIns) -> dict[str, str]:
    administrator = Actor(ActorKind.STAFF, sign_ins.administrator_id, sign_ins.prison_id, frozenset({"administrator"}))
    return {
        name: await house.services.stations.issue_code(administrator, id_) for name, id_ in sign_ins.stations.items()
    }


def _tell(console: Console, urls: list[str], sign_ins: SignIns, codes: dict[str, str]) -> None:
    base = urls[0]
    console.print()
    console.print("Visit: a demonstration. Nobody in it is real.", style="bold")
    console.print(
        f"The password of everybody outside and of all staff: [bold]{sign_ins.password}[/bold]", highlight=False
    )
    _table(console, f"Staff: {base}/staff/signin", ("user name", "role"), sign_ins.staff.items())
    _table(console, f"Families and lawyers: {base}/signin", ("e-mail", "who they are"), sign_ins.families.items())
    prisoners = (
        (one.number, sign_ins.pins[one.number], f"{one.given_name} {one.family_name}") for one in cast.PRISONERS
    )
    _table(console, f"Prisoners: {base}/terminal", ("number", "PIN", "name"), prisoners)
    _table(console, f"Terminals: {base}/terminal/enrol", ("terminal", "set-up code, works once"), codes.items())
    for url in urls:
        console.print(f"Ready: {url}   (Ctrl-C stops it)", highlight=False)


def _table(console: Console, title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    console.print(f"\n{title}", style="bold", highlight=False)
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        # What is typed off must never be cut: only the last column gives way to a narrow window.
        table.add_column(column, no_wrap=number < len(columns) - 1, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)
