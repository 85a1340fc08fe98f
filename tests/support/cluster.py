"""A deployment of several processes: PostgreSQL, Redis, one api, media nodes, one worker; and parties that call.

The processes are `visitserver serve --role …` as systemd would start them. The parties are the tests' own RTP clients;
they ask the api where their call is and come back by themselves, as the pages do.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from signaling.ids import CallId, new_id, parse_call_id
from tests.fakes.media_client import MediaClient
from tests.fixtures.ports import free_tcp_port, free_udp_port
from tests.fixtures.requirements import REPOSITORY
from visitserver.bootstrap import House
from visitserver.config import Settings, load_settings
from visitserver.demo.seed import SignIns, seed
from visitserver.demo.sessions import open_now
from visitserver.domain.accounts import AccountKind
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import Call
from visitserver.domain.identity import CheckState, EnrolmentRoute, IdentityCheck
from visitserver.domain.paging import PageRequest
from visitserver.keyring import KeyPaths, load_keys, make_missing_keys
from visitserver.services.calls import JoinPass
from visitserver.store.migrate import migrate

PATIENCE = float(os.environ.get("VISIT_PATIENCE", "240"))
MEDIA_PROCESSES = 4  # at most, in one test: the pages are told where they may connect to before they start
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_VOICE = b"\xfc"  # an Opus packet's first byte: one frame of 20 ms; what follows is the test's


@dataclass
class Process:
    """One process of a role, its output in a file."""

    role: str
    url: str
    settings: Path
    log: Path
    popen: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "visitserver", "serve", "--role", self.role],
                cwd=REPOSITORY,
                env={**os.environ, "VISITSERVER_CONFIG": str(self.settings), **self.environment},
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        assert self.popen is not None
        self.popen.send_signal(number)

    def end(self, number: signal.Signals | None = None, timeout: float = PATIENCE) -> int:
        """Send a signal, if one is given, and wait for the end; the exit code."""
        assert self.popen is not None
        if number is not None:
            self.popen.send_signal(number)
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(timeout)
            raise

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until /readyz says so."""
        async with asyncio.timeout(PATIENCE):
            while True:
                assert self.popen is not None and self.popen.poll() is None, self.log.read_text()
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    async with http.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.05)


class Cluster:
    """The deployment. `house` is the application's services in the test's own process, on the same database."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, *, lease: float) -> None:
        self.folder = folder
        self._database = database_url
        self._redis = redis_url
        self._lease = lease
        self.processes: list[Process] = []
        self.house: House
        self.sign_ins: SignIns
        self.http: aiohttp.ClientSession
        self.page_origin = ""
        self._media_ports = [free_tcp_port() for _ in range(MEDIA_PROCESSES)]
        self._media_ports_left = list(self._media_ports)

    async def set_up(self, http: aiohttp.ClientSession) -> None:
        """Keys, tables, the demo's prison."""
        self.http = http
        settings = load_settings(self._write("house", "api", 0))
        paths = KeyPaths.of(settings)
        make_missing_keys(paths)
        await migrate(settings.database.url.get_secret_value())
        self.house = House(settings, load_keys(paths))
        self.sign_ins = await seed(self.house)
        await open_now(self.house, self.sign_ins)

    async def tear_down(self) -> None:
        """End whatever still runs."""
        for process in self.processes:
            if process.popen is not None and process.popen.poll() is None:
                process.popen.kill()
                process.popen.wait(PATIENCE)
        try:
            async with asyncio.timeout(PATIENCE):
                await self.house.close()
        except TimeoutError:
            for task in asyncio.all_tasks():
                task.print_stack()
            raise

    @staticmethod
    def end(*processes: Process) -> list[int]:
        """Ask them all to end; their exit codes."""
        for process in processes:
            process.send(signal.SIGTERM)
        return [process.end() for process in processes]

    def process(self, role: str, **environment: str) -> Process:
        """A further process, started."""
        port = self._media_ports_left.pop(0) if role == "media" else free_tcp_port()
        name = f"{role}-{len(self.processes) + 1}"
        made = Process(role, f"http://127.0.0.1:{port}", self._write(name, role, port), self.folder / f"{name}.log")
        made.environment = environment
        self.processes.append(made)
        made.start()
        return made

    def _write(self, name: str, role: str, port: int) -> Path:
        """The settings of one process. A media process is told nothing of the database."""
        folder = self.folder
        if role == "api" and port:
            self.page_origin = f"http://127.0.0.1:{port}"
        database = "" if role == "media" else f'[database]\nurl = "{self._database}"\n'
        keys = folder / "keys"
        if role == "media":  # and has none of the application's keys
            keys = folder / "media-keys"
        text = f"""
{database}
[server]
port = {port}
shutdown_seconds = 1
[cluster]
role = "{role}"
redis_url = "{self._redis}"
lease_seconds = {self._lease}
media_url = "http://127.0.0.1:{port}"
page_origins = ["{self.page_origin or "http://127.0.0.1:1"}"]
media_origins = [{", ".join(f'"http://127.0.0.1:{media}"' for media in self._media_ports)}]
ticket_key = "{folder}/keys/tickets.pub.pem"
[media]
udp_host = "127.0.0.1"
udp_port = {free_udp_port()}
drain_seconds = 0
transports = ["udp"]
[keys]
directory = "{keys}"
[recorder]
directory = "{folder}/recordings"
key_file = "{folder}/keys/recorder.keys"
signing_key_file = "{folder}/keys/recorder-signing.pem"
[identity]
key_file = "{folder}/keys/identity.key"
"""
        path = folder / f"{name}.toml"
        path.write_text(text)
        return path

    # --- people ------------------------------------------------------------------------------------------------

    async def contact(self, name: str) -> Actor:
        """The demo's contact whose address begins with `name`."""
        email = next(one for one in self.sign_ins.families if one.startswith(name))
        async with self.house.uow(read_only=True) as u:
            account = await u.accounts.account_by_login(AccountKind.FAMILY, email)
        assert account is not None
        return Actor(ActorKind.FAMILY, account.person_id)

    async def book(self, name: str) -> Visit:
        """A visit of the demo's contact that can begin now, with the check at the door passed."""
        services, actor = self.house.services, await self.contact(name)
        relationship = (await services.relationships.mine(actor, PageRequest(10))).items[0].relationship
        offer = (await services.slots.next_free(actor, relationship.id, count=1))[0]
        hold = await services.booking.hold(actor, relationship.id, offer.slot.key)
        booking = await services.booking.confirm(actor, hold.id)
        async with self.house.uow() as u:
            check = IdentityCheck(
                new_id("idc"),
                booking.id,
                booking.prison_id,
                actor.id,
                CheckState.PASSED,
                EnrolmentRoute.ATTENDED,
                self.house.clock(),
            )
            u.identity.add(check)
            await u.commit()
        prisoner = Actor(ActorKind.PRISONER, relationship.prisoner_id, booking.prison_id)
        return Visit(self, booking.id, actor, prisoner)

    async def until(self, condition: object, what: str) -> None:
        """Wait until the awaitable-giving `condition` gives something true."""
        async with asyncio.timeout(PATIENCE):
            while not await condition():  # type: ignore[operator]  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@dataclass
class Visit:
    """A booked visit and, once a worker has opened it, its call."""

    cluster: Cluster
    booking_id: str
    family: Actor
    prisoner: Actor

    async def call(self) -> Call | None:
        """Its row."""
        async with self.cluster.house.uow(read_only=True) as u:
            return await u.calls.find_of_booking(self.booking_id)

    async def call_id(self) -> CallId:
        """Wait for the call; its identifier."""
        await self.cluster.until(self.call, "the call is made")
        call = await self.call()
        assert call is not None
        return parse_call_id(call.id)

    async def ticket(self, actor: Actor) -> JoinPass:
        """A fresh ticket, with the place where the call is now."""
        station = None if actor.is_family else next(iter(self.cluster.sign_ins.stations.values()))
        return await self.cluster.house.services.calls.join_ticket(actor, self.booking_id, station_id=station)

    def party(self, actor: Actor) -> Party:
        """Somebody of the visit, not in the call yet."""
        return Party(self, actor)


class Party:
    """Somebody in a call: sends voice all the time, counts what comes, and comes back when the node is gone."""

    def __init__(self, visit: Visit, actor: Actor) -> None:
        self._visit = visit
        self._actor = actor
        self.client: MediaClient | None = None
        self.where = ""
        self.sent = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._joining = asyncio.Lock()
        self.clients: list[MediaClient] = []

    async def join(self, *, not_at: str = "") -> None:
        """Join where the call is, anywhere but `not_at`; tries again until it works, as the page does."""
        async with asyncio.timeout(PATIENCE), self._joining:
            while (self.where == not_at or self.client is None) and not await self._try(not_at):  # noqa: ASYNC110 (what is waited for is another process's)
                await asyncio.sleep(0.2)
        if not self._tasks:
            self._tasks = [asyncio.create_task(work) for work in (self._talk(), self._stay())]

    async def _try(self, not_at: str) -> bool:
        try:
            given = await self._visit.ticket(self._actor)
        except Exception as error:
            if getattr(error, "code", "") in ("unknown_call", "unavailable", "timeout", "call_not_open"):
                return False
            raise
        if given.media_url == not_at:
            return False
        client = MediaClient((("audio", "sendrecv"), ("video", "sendrecv")))
        headers = {
            "Authorization": f"Bearer {given.ticket}",
            "Content-Type": "application/sdp",
            "Origin": self._visit.cluster.page_origin,
        }
        address = f"{given.media_url}/media/whip/{given.call_id}"
        try:
            async with self._visit.cluster.http.post(address, data=client.offer(), headers=headers) as answer:
                if answer.status != 201:
                    await client.close()
                    return False
                sdp = await answer.text()
            await client.connect(sdp)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            await client.close()
            return False
        self.client, self.where = client, given.media_url
        self.clients.append(client)
        return True

    async def _stay(self) -> None:
        """As a page does: go where the call is, and come back where the node has closed the session."""
        while True:
            await asyncio.sleep(0.5)
            client = self.client
            async with self._joining:
                if client is self.client and client is not None:
                    with contextlib.suppress(Exception):
                        moved = (await self._visit.ticket(self._actor)).media_url != self.where
                        if moved or client.hung_up:
                            await self._try("")

    async def _talk(self) -> None:
        """A packet every 20 ms on every connection there is, also on those that are dead."""
        while True:
            for number, client in enumerate(self.clients):
                with contextlib.suppress(OSError):
                    client.send_rtp("audio", _VOICE + b"%d:%d" % (number, self.sent), self.sent * 960, level=30)
            self.sent += 1
            await asyncio.sleep(0.02)

    def heard(self, client: MediaClient | None = None) -> int:
        """How many packets of voice have come (to the present connection)."""
        chosen = client or self.client
        assert chosen is not None
        return len(chosen.received.of_kind("audio"))

    async def hears(self, more: int = 20) -> None:
        """Wait for so many more packets."""
        before = self.heard()
        async with asyncio.timeout(PATIENCE):
            while self.heard() < before + more:  # noqa: ASYNC110 (what is waited for comes by a socket)
                await asyncio.sleep(0.02)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self.clients:
            await client.close()


async def http_ticket(cluster: Cluster, api: Process, email: str, booking_id: str) -> dict[str, object]:
    """Sign in at the api process as a family member and ask for the ticket, as the page does."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(api.url, cookie_jar=jar, headers={"Origin": api.url}) as web:
        async with web.get("/signin") as page:
            token = _CSRF.search(await page.text())
        assert token is not None
        form = {"csrf_token": token[1], "email": email, "password": cluster.sign_ins.password}
        async with web.post("/signin", data=form) as signed_in:
            text = await signed_in.text()
            assert signed_in.status == 200, text
        found = re.search(r'name="csrf-token" content="([^"]+)"', text)
        assert found is not None, text
        async with web.post(f"/api/visits/{booking_id}/ticket", headers={"X-CSRF-Token": found[1]}) as answer:
            body: dict[str, object] = await answer.json()
            assert answer.status == 200, body
            return body


def settings_of(path: Path) -> Settings:
    """The settings of a process."""
    return load_settings(path)
