"""The command `visitserver`: serve, migrate, demo, keys, user, doctor, why, verify, audit, backup, restore."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from visitserver.config import Settings, UnknownSetting, load_settings
from visitserver.domain.errors import DomainError
from visitserver.logs import set_up_logs

app: Final = typer.Typer(
    name="visitserver",
    help="Video visits between prisoners and their families.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
user_app: Final = typer.Typer(help="Accounts of staff.", no_args_is_help=True)
audit_app: Final = typer.Typer(help="The audit log.", no_args_is_help=True)
app.add_typer(user_app, name="user")
app.add_typer(audit_app, name="audit")
client_app: Final = typer.Typer(help="Machine clients: a prison's own systems.", no_args_is_help=True)
app.add_typer(client_app, name="client")

out: Final = Console()
err: Final = Console(stderr=True)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", envvar="VISITSERVER_CONFIG", help="TOML file with the settings.")
]
SecretsOption = Annotated[
    Path | None, typer.Option("--secrets", envvar="VISITSERVER_SECRETS", help="Folder with one file per secret.")
]


def main() -> None:
    """The console script."""
    app()


def _fail(message: str, code: int = 1) -> NoReturn:
    err.print(message, style="red", highlight=False, markup=False)
    raise typer.Exit(code)


def _settings(config: Path | None, secrets: Path | None, overrides: Mapping[str, Any] | None = None) -> Settings:
    try:
        settings = load_settings(config, secrets, overrides)
    except FileNotFoundError as error:
        _fail(f"There is no settings file {error.filename or error}.", 2)
    except UnknownSetting as error:
        _fail(str(error), 2)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        _fail(f"The settings do not fit: {faults}", 2)
    set_up_logs(settings.server.log_format, settings.server.log_level)
    return settings


def _run(work: Coroutine[Any, Any, int | None]) -> None:
    """Run one command's coroutine on uvloop; domain errors become one line, Ctrl-C is no error."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(work)
    except DomainError as error:
        _fail(error.detail)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if code:
        raise typer.Exit(code)


@app.command()
def serve(
    config: ConfigOption = None,
    secrets: SecretsOption = None,
    make_keys: Annotated[
        bool, typer.Option("--make-keys", help="Make keys that are missing: for the first start of a container.")
    ] = False,
    role: Annotated[
        str | None, typer.Option(help="all, api, media or worker; by default what the settings say.")
    ] = None,
) -> None:
    """Run the server: pages, media, recorder and background jobs in one process, or one role of several processes."""
    from visitserver.bootstrap import run_server
    from visitserver.keyring import KeyPaths, make_missing_keys

    settings = _settings(config, secrets, {} if role is None else {"cluster": {"role": role}})
    if make_keys:
        make_missing_keys(KeyPaths.of(settings))
    _run(run_server(settings))


@app.command()
def migrate(config: ConfigOption = None, secrets: SecretsOption = None) -> None:
    """Bring the database's tables up to this version."""
    from visitserver.store.migrate import migrate as bring_up

    settings = _settings(config, secrets)
    _run(bring_up(settings.database.url.get_secret_value()))
    out.print("The database is up to date.")


@app.command()
def keys(config: ConfigOption = None, secrets: SecretsOption = None) -> None:
    """Make the keys that are missing. Keys that are there stay as they are."""
    from visitserver.keyring import KeyPaths, make_missing_keys

    made = make_missing_keys(KeyPaths.of(_settings(config, secrets)))
    for path in made:
        out.print(f"made {path}", highlight=False)
    out.print(f"{len(made)} keys made. Back them up apart from the database.")


@app.command()
def demo(
    port: Annotated[int, typer.Option(help="TCP port of the pages.", min=0, max=65535)] = 8080,
    tls: Annotated[bool, typer.Option("--tls", help="HTTPS on every address, self-signed: for a phone.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of the demo's data.")] = Path("var/demo"),
    udp_port: Annotated[int, typer.Option(help="UDP port of the media.", min=0, max=65535)] = 8189,
) -> None:
    """Start with a demo prison: migrate, seed, print addresses and sign-ins, serve."""
    from visitserver.demo.run import run_demo

    set_up_logs("console", "warning")
    _run(run_demo(data, port=port, udp_port=udp_port, tls=tls, console=out))


@user_app.command("add-administrator")
def add_administrator(
    login: Annotated[str, typer.Argument(help="User name for signing in.")],
    name: Annotated[str, typer.Option(help="The person's name.")],
    prison: Annotated[str, typer.Option(help="Name of the prison; made when there is none of that name.")],
    zone: Annotated[str, typer.Option(help="The prison's time zone, if it is made.")] = "Europe/Helsinki",
    record_source: Annotated[
        str | None, typer.Option(help="Whose numbering its record systems use, if it is made; by default its own.")
    ] = None,
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Make the first administrator of a prison; prints a password that works once."""
    from visitserver.admin import add_first_administrator

    settings = _settings(config, secrets)

    async def work() -> None:
        password = await add_first_administrator(
            settings, login=login, name=name, prison_name=prison, zone=zone, record_source=record_source
        )
        out.print(f"{login} can sign in at /staff/signin with: {password}", highlight=False)

    _run(work())


def _mark(*, good: bool, advice: str) -> str:
    if not good:
        return "[red]bad[/red]"
    return "[yellow]could be better[/yellow]" if advice else "good"


@app.command()
def doctor(config: ConfigOption = None, secrets: SecretsOption = None) -> None:
    """Check settings, keys, database, storage, media port and the identity worker; say what to do about faults."""
    from visitserver.admin import examine

    settings = _settings(config, secrets)

    async def work() -> int:
        table = Table("part", "state", "what to do")
        findings = await examine(settings)
        for finding in findings:
            table.add_row(finding.part, _mark(good=finding.good, advice=finding.advice), finding.advice)
        out.print(table)
        return 0 if all(finding.good for finding in findings) else 1

    _run(work())


@app.command()
def verify(
    path: Annotated[Path, typer.Argument(help="Folder of a recording.")],
    public_key: Annotated[Path | None, typer.Option(help="Public key (PEM) that signed it.")] = None,
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Say whether a recording is what was recorded; if not, which segment is damaged and how."""
    from recorder.verify import verify_path

    key = public_key or _settings(config, secrets).recorder.signing_key_file.with_suffix(".pub.pem")
    try:
        report = verify_path(path, key.read_bytes())
    except (OSError, ValueError) as error:
        _fail(f"Cannot verify: {error}", 2)
    out.print(str(report), highlight=False, markup=False)
    raise typer.Exit(0 if report.valid else 1)


@audit_app.command("verify")
def audit_verify(config: ConfigOption = None, secrets: SecretsOption = None) -> None:
    """Say whether the audit log is whole; if not, which row was edited, deleted, inserted or cut off."""
    from visitserver.admin import verify_audit_log

    settings = _settings(config, secrets)

    async def work() -> int:
        report = await verify_audit_log(settings)
        out.print(str(report), highlight=False, markup=False)
        return 0 if report.valid else 1

    _run(work())


@client_app.command("add")
def client_add(
    name: Annotated[str, typer.Argument(help="Name of the system.")],
    prison: Annotated[str, typer.Option(help="Code of its prison.")],
    action: Annotated[list[str], typer.Option(help="What it may do, e.g. api.prisoner.write; several times.")],
    days: Annotated[int, typer.Option(help="How long the token lasts.", min=1, max=400)] = 365,
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Issue a machine client's token; it is printed this once."""
    from visitserver.import_command import add_client

    settings = _settings(config, secrets)

    async def work() -> None:
        issued = await add_client(settings, name=name, prison_code=prison, actions=action, days=days)
        err.print(f"{issued.client.id}: good until {issued.client.expires_at:%Y-%m-%d}", highlight=False)
        typer.echo(issued.token)

    _run(work())


@app.command("import")
def import_file(
    kind: Annotated[
        str,
        typer.Argument(
            help="prisoners, contacts, relationships, restrictions, alerts, non-associations or appointments."
        ),
    ],
    path: Annotated[Path, typer.Argument(help="The file.", exists=True, dir_okay=False, readable=True)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    format: Annotated[str | None, typer.Option(help="csv or jsonl; by default what the name ends in.")] = None,
    prison: Annotated[
        str | None, typer.Option(help="Code of the prison whose system numbered the records, if prisons number apart.")
    ] = None,
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Import people and rights from a prison's own system (docs/import.md). Twice is once."""
    from visitserver.domain.importing import ImportKind
    from visitserver.import_command import format_of, run_import

    if kind not in tuple(ImportKind):
        _fail(f"Import one of: {', '.join(ImportKind)}.", 2)
    try:
        chosen = format_of(path, format)
    except DomainError as error:
        _fail(error.detail, 2)
    settings = _settings(config, secrets)
    _run(run_import(settings, ImportKind(kind), path, chosen, dry_run=dry_run, out=out, err=err, prison_code=prison))


@app.command("import-columns", hidden=True)
def import_columns() -> None:
    """Print the tables of docs/import.md."""
    from visitserver.import_command import column_tables

    typer.echo(column_tables())


@app.command()
def why(
    prisoner: Annotated[str | None, typer.Option(help="Number, id or name.")] = None,
    contact: Annotated[str | None, typer.Option(help="Id, e-mail address or name of the lead caller.")] = None,
    at: Annotated[str | None, typer.Option(help="YYYY-MM-DD HH:MM in the prison's time, or a slot's key.")] = None,
    also: Annotated[list[str] | None, typer.Option(help="A further caller, as --contact; several times.")] = None,
    session: Annotated[str | None, typer.Option(help="Session (id or name), where several have that time.")] = None,
    booking: Annotated[str | None, typer.Option(help="A booking as it stands, instead of all of these.")] = None,
    staff: Annotated[bool, typer.Option("--staff", help="As staff are answered, not as the family is.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Why (not)? What every rule says about a visit. Ends with 0: allowed, 10: a person decides, 11: refused."""
    from visitserver import why_command

    settings = _settings(config, secrets)

    async def work() -> int:
        answer = await why_command.ask(
            settings, prisoner=prisoner, contact=contact, at=at, also=also or (), session=session, booking=booking
        )
        decision = answer.decision if staff else answer.family
        if as_json:
            typer.echo(why_command.as_json(answer, decision))
        else:
            for line in why_command.as_text(answer, decision):
                typer.echo(line)
        return why_command.EXIT_CODES[decision.outcome]

    _run(work())


@app.command()
def rules(
    write: Annotated[
        Path | None, typer.Option(help="Write the tables into this document instead (docs/contact-rights.md).")
    ] = None,
) -> None:
    """Print every rule of a visit and every policy with its default, as tables (docs/contact-rights.md)."""
    from visitserver import rules_document

    if write is None:
        for table in rules_document.TABLES.values():
            typer.echo(f"{table()}\n")
        return
    try:
        changed = rules_document.renew(write)
    except (OSError, ValueError) as error:
        _fail(f"Cannot write {write}: {error}", 2)
    out.print("changed" if changed else "up to date")


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(help="Archive to write (.tar); must not exist.")],
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Copy database and recordings into one archive while the server runs. Keys are never in it."""
    from visitserver.backup import write_backup

    settings = _settings(config, secrets)
    summary = write_backup(settings, destination, progress=lambda line: err.print(line, highlight=False))
    out.print(summary, highlight=False)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="Archive made by backup.")],
    config: ConfigOption = None,
    secrets: SecretsOption = None,
) -> None:
    """Put an archive's content into places that are empty; the server must be stopped."""
    from visitserver.backup import read_backup

    settings = _settings(config, secrets)
    summary = read_backup(settings, source, progress=lambda line: err.print(line, highlight=False))
    out.print(summary, highlight=False)
