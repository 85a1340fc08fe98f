"""The small parts: settings, addresses, limits, codes, passwords, forms, onward paths."""

from __future__ import annotations

from datetime import date
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import argon2
import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import MultiDict
from pydantic import Field, ValidationError

from visitserver.config import UnknownSetting, load_settings
from visitserver.domain.errors import Invalid
from visitserver.http.assets import scan_assets
from visitserver.http.forms import Body, parse_form
from visitserver.http.onward import onward
from visitserver.http.peer_address import Peer, peer_of
from visitserver.http.ratelimit import InProcessRateLimiter, Limit, retry_after
from visitserver.http.templating import load_catalogues
from visitserver.services.passwords import Passwords, check_password, check_pin
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.tokens import code_hash, new_code, new_token, token_hash


def same(text: str) -> str:
    return text


# settings


def test_later_sources_win(tmp_path: Path) -> None:
    toml = tmp_path / "visit.toml"
    toml.write_text(
        '[server]\nport = 1\nhost = "192.0.2.1"\n[mail]\nhost = "mail.example"\npassword = "from the file"\n'
    )
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "mail__password").write_text("from the secret\n")
    environ = {"VISITSERVER_SERVER__PORT": "2", "VISITSERVER_MAIL__PASSWORD": "from the environment", "OTHER": "x"}
    settings = load_settings(toml, secrets, environ=environ)
    assert (settings.server.host, settings.server.port) == ("192.0.2.1", 2)
    assert settings.mail.password is not None
    assert settings.mail.password.get_secret_value() == "from the secret"
    assert settings.confirms_email
    assert load_settings(toml, overrides={"server": {"port": 3}}, environ={}).server.port == 3


def test_a_key_that_is_none_is_an_error(tmp_path: Path) -> None:
    toml = tmp_path / "visit.toml"
    toml.write_text("[server]\nprot = 1\n")
    with pytest.raises(ValidationError, match="prot"):
        load_settings(toml, environ={})
    with pytest.raises(UnknownSetting, match="server__prot"):
        load_settings(environ={"VISITSERVER_SERVER__PROT": "1"})
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mail__pasword").write_text("x")
    with pytest.raises(UnknownSetting, match="mail__pasword"):
        load_settings(None, tmp_path / "secrets", environ={})
    with pytest.raises(FileNotFoundError):
        load_settings(tmp_path / "none.toml", environ={})


def test_secrets_are_not_shown() -> None:
    settings = load_settings(environ={"VISITSERVER_DATABASE__URL": "postgresql+asyncpg://visit:hush@db/visit"})
    assert "hush" not in repr(settings) + settings.model_dump_json()


# addresses


def peer(remote: str, trusted: str = "10.0.0.0/8", **headers: str) -> Peer:
    class Transport:
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return (remote, 1) if name == "peername" else default

    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    request = make_mocked_request("GET", "/", headers=fields, transport=Transport())
    return peer_of(request, [ip_network(trusted)])


def test_forwarded_addresses_are_believed_from_trusted_proxies_alone() -> None:
    assert peer("198.51.100.7", X_Forwarded_For="203.0.113.9").address == ip_address("198.51.100.7")
    assert peer("10.0.0.1", X_Forwarded_For="203.0.113.9").address == ip_address("203.0.113.9")
    spoofed = peer("10.0.0.1", X_Forwarded_For="192.0.2.66, 203.0.113.9, 10.0.0.2")
    assert spoofed.address == ip_address("203.0.113.9"), "what the browser wrote itself stands further left"
    assert peer("10.0.0.1", X_Forwarded_For="rubbish").address == ip_address("10.0.0.1")
    assert peer("10.0.0.1").address == ip_address("10.0.0.1")
    assert not peer("198.51.100.7", X_Forwarded_Proto="https").secure
    assert peer("10.0.0.1", X_Forwarded_Proto="https").secure


def test_buckets_are_customers() -> None:
    assert peer("::ffff:192.0.2.1").bucket == "192.0.2.1"
    assert peer("2001:db8:1:2:3:4:5:6").bucket == peer("2001:db8:1:2::9").bucket == "2001:db8:1:2::"


# limits


async def test_a_bucket_empties_and_refills() -> None:
    now = [100.0]
    limiter = InProcessRateLimiter(lambda: now[0], {"x": Limit(2, 0.5)})
    assert [await limiter.take("x", "a") for _ in range(3)] == [0.0, 0.0, 2.0]
    assert await limiter.take("x", "b") == 0.0, "each key has its own"
    now[0] += 2
    assert [await limiter.take("x", "a") for _ in range(2)] == [0.0, 2.0]
    assert (retry_after(0.1), retry_after(1.2)) == (1, 2)


async def test_buckets_do_not_pile_up() -> None:
    limiter = InProcessRateLimiter(lambda: 0.0, {"x": Limit(1, 1.0)}, max_keys=10)
    for n in range(1000):
        await limiter.take("x", str(n))
    assert len(limiter._buckets) == 10


# secrets


def test_codes_forgive_how_they_are_typed() -> None:
    code = new_code()
    assert len(code.replace("-", "")) == 12
    assert code_hash(code) == code_hash(f" {code.lower().replace('-', ' ')} ")
    assert code_hash("OIL0-1111-2222") == code_hash("0110-1111-2222")
    assert len({new_token() for _ in range(100)}) == 100
    assert token_hash("a") != token_hash("b")


async def test_passwords() -> None:
    passwords = Passwords(time_cost=1, memory_kib=64)
    hashed = await passwords.hash("seven green windows")
    assert "windows" not in hashed
    assert await passwords.verify("seven green windows", hashed)
    assert not await passwords.verify("Seven green windows", hashed)
    assert not await passwords.verify("anything", None)
    assert not await passwords.verify("anything", "not a hash")
    assert not passwords.outdated(hashed)
    assert Passwords(time_cost=2, memory_kib=64).outdated(hashed)


async def test_nobody_takes_as_long_as_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """For an unknown name the same hash is worked out as for a known one: once, with the same parameters."""
    worked: list[argon2.Parameters] = []
    verify = argon2.PasswordHasher.verify

    def noted(hasher: argon2.PasswordHasher, hashed: str, secret: str) -> bool:
        worked.append(argon2.extract_parameters(hashed))
        return verify(hasher, hashed, secret)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", noted)
    passwords = Passwords(time_cost=2, memory_kib=4096)
    somebody = await passwords.hash("seven green windows")
    assert not await passwords.verify("a wrong password", somebody)
    assert not await passwords.verify("a wrong password", None)
    assert worked == [argon2.extract_parameters(somebody)] * 2


@pytest.mark.parametrize("password", ["short", "x" * 129, "password1234", "aaaabbbbaaaabbbb", "somebody@example.org"])
def test_passwords_that_everybody_tries(password: str) -> None:
    with pytest.raises(Invalid):
        check_password(password, "somebody@example.org")


def test_a_password_may_be_a_sentence() -> None:
    check_password("кот спит на окне", "somebody@example.org")


@pytest.mark.parametrize("pin", ["12345", "1234567", "12a456", "١٢٣٤٥٦", "111111", "123456", "654321"])
def test_pins_that_are_none(pin: str) -> None:
    with pytest.raises(Invalid):
        check_pin(pin)


def test_sealed_secrets_open_for_their_own_context_only() -> None:
    sealer = AesGcmSealer(bytes(32))
    sealed = sealer.seal(b"secret", "totp:acc_1")
    assert sealer.open(sealed, "totp:acc_1") == b"secret"
    assert sealer.seal(b"secret", "totp:acc_1") != sealed
    for changed, context in (
        (sealed, "totp:acc_2"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "totp:acc_1"),
        (b"\x02" + sealed[1:], "totp:acc_1"),
        (b"", "totp:acc_1"),
    ):
        with pytest.raises(ValueError, match="seal"):
            sealer.open(changed, context)
    with pytest.raises(ValueError, match="32 bytes"):
        AesGcmSealer(b"short")


# forms


class Visit(Body):
    """A form for tests."""

    name: str = Field(min_length=2, max_length=5)
    day: date
    guests: list[str] = Field(default_factory=list)
    note: str | None = None
    password: str = ""


def test_a_form_becomes_a_model() -> None:
    data = MultiDict(
        [("csrf_token", "x"), ("name", " Kim "), ("day", "2026-03-02"), ("guests", "a"), ("guests", "b"), ("note", " ")]
    )
    form = parse_form(data, Visit, same)
    assert form.model == Visit(name="Kim", day=date(2026, 3, 2), guests=["a", "b"], note=None)
    assert form.errors == {}


def test_a_form_that_does_not_fit_says_where_and_forgets_secrets() -> None:
    form = parse_form(MultiDict({"name": "K", "day": "soon", "password": "hush", "odd": "1"}), Visit, same)
    assert form.model is None
    assert form.errors == {
        "name": "Please use at least 2 characters.",
        "day": "Please write the date as year-month-day, for example 1980-12-31.",
        "odd": "This field is not known.",
    }
    assert form.values == {"name": "K", "day": "soon", "odd": "1"}
    assert parse_form(MultiDict({"day": "2026-03-02"}), Visit, same).errors == {"name": "Please fill this in."}


def test_one_guest_is_a_list_too() -> None:
    form = parse_form(MultiDict({"name": "Kim", "day": "2026-03-02", "guests": "a"}), Visit, same)
    assert form.model is not None
    assert form.model.guests == ["a"]


# paths, files, languages


@pytest.mark.parametrize(
    "wanted",
    ["//evil.example", "/\\evil", "https://evil.example", "javascript:1", "/a\nb", "/a b", "", "/" + "a" * 600],
)
def test_onward_is_never_another_host(wanted: str) -> None:
    assert onward(wanted, "/home") == "/home"


def test_onward_keeps_to_its_own_pages() -> None:
    assert onward("/visits?after=3", "/home") == "/visits?after=3"
    assert onward("/staff/wall", "/home", not_under=("/staff",)) == "/home"
    assert onward("/visits", "/staff", under="/staff") == "/staff"


def test_a_changed_file_changes_the_address(tmp_path: Path) -> None:
    (tmp_path / "css").mkdir()
    (tmp_path / "css" / "a.css").write_text("a")
    (tmp_path / ".hidden.css").write_text("x")
    (tmp_path / "notes.md").write_text("x")
    before = scan_assets(tmp_path)
    assert set(before.files) == {"css/a.css"}
    (tmp_path / "css" / "a.css").write_text("b")
    assert scan_assets(tmp_path).url("css/a.css") != before.url("css/a.css")
    with pytest.raises(KeyError):
        before.url("css/none.css")


def test_catalogues_are_read_as_they_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "fi" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "messages.po").write_text(
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\nmsgid "Sign in"\nmsgstr "Kirjaudu"\n', "utf-8"
    )
    catalogues = load_catalogues(tmp_path)
    assert list(catalogues) == ["en", "fi"]
    assert catalogues["fi"].gettext("Sign in") == "Kirjaudu"
    assert catalogues["en"].gettext("Sign in") == "Sign in"
