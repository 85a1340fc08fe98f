"""The product's own media client in a page without anything else, and a server for it: for benchmarks in Chromium.

The page uses web/static/js/protocol: what is measured is what families and officers have. POST /publish/NAME/SIDE,
/watch/NAME and /wall/NAME answer offers; /session/ID takes PATCH and DELETE; POST /show/NAME/ROOM says what a wall
shows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from signaling.ids import OrdinaryCallId
from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.wall import MediaWall
from tests.fixtures.requirements import REPOSITORY
from tests.support.lossy_link import LossyLink

PAGE = """<!doctype html><meta charset="utf-8"><title>media</title><link rel="icon" href="data:,">
<script type="module">
import { WhipClient } from "/js/protocol/whip.js";
import { WallClient } from "/js/protocol/wall.js";

const slots = [];
let peer;

function watched(kind, track) {
  const element = document.createElement(kind);
  element.autoplay = true;
  element.muted = kind === "video";
  element.srcObject = new MediaStream([track]);
  document.body.append(element);
  const slot = { kind, element, frames: 0, first: null };
  if (kind === "video") {
    const count = () => {
      slot.frames += 1;
      slot.first ??= performance.now() - globalThis.began;
      element.requestVideoFrameCallback(count);
    };
    element.requestVideoFrameCallback(count);
  }
  slots.push(slot);
}

function listen(made) {
  peer = made;
  peer.on("track", ({ track, kind }) => watched(kind, track));
}

globalThis.camera = async (width, height) => {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: 30 };
  globalThis.stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
};
globalThis.publish = async (name, side) => {
  listen(new WhipClient({ url: `/publish/${name}/${side}`, ticket: async () => "-", stream: globalThis.stream }));
  globalThis.began = performance.now();
  await peer.start();
};
globalThis.watch = async (url, videoSlots) => {
  listen(new WallClient({ url, ticket: async () => "-", videoSlots, audioSlots: 2 }));
  globalThis.began = performance.now();
  await peer.start();
};
globalThis.slots = slots;
globalThis.nudge = () => { peer.nudge(); };
globalThis.peerState = () => peer.state;
globalThis.peerStats = () => peer.connection.getStats();
globalThis.firstFrame = () => Math.min(...slots.filter((s) => s.first !== null).map((s) => s.first), Infinity);
globalThis.pair = async () => {
  const reports = [...(await peer.connection.getStats()).values()];
  const transport = reports.find((one) => one.type === "transport");
  const pair = reports.find((one) => one.id === transport.selectedCandidatePairId);
  const local = pair && reports.find((one) => one.id === pair.localCandidateId);
  return { id: transport.selectedCandidatePairId, received: pair ? pair.packetsReceived || pair.bytesReceived : 0,
           port: local ? local.port : null, ufrag: local ? local.usernameFragment : null };
};
globalThis.inbound = async () => {
  const found = { audio: {}, video: {} };
  for (const one of (await peer.connection.getStats()).values()) {
    if (one.type !== "inbound-rtp" || !one.packetsReceived) continue;
    const sum = found[one.kind];
    for (const [name, value] of Object.entries(one))
      if (typeof value === "number") sum[name] = (sum[name] || 0) + value;
  }
  return found;
};
globalThis.outbound = async () => {
  const found = { audio: {}, video: {} };
  let available = 0;
  for (const one of (await peer.connection.getStats()).values()) {
    if (one.type === "candidate-pair" && one.nominated) available = one.availableOutgoingBitrate || available;
    if (one.type !== "outbound-rtp") continue;
    const sum = found[one.kind];
    for (const name of ["packetsSent", "retransmittedPacketsSent", "bytesSent", "framesSent", "nackCount", "pliCount"])
      sum[name] = (sum[name] || 0) + (one[name] || 0);
    sum.frameHeight = Math.max(sum.frameHeight || 0, one.frameHeight || 0);
  }
  return { ...found, available };
};
globalThis.ready = true;
</script><body>"""


@dataclass
class MediaPage:
    """`base` is the page's URL. Participants named in `links` are behind a bad network."""

    node: MediaNode
    rooms: Mapping[str, OrdinaryMediaRoom]
    links: Mapping[str, LossyLink] = field(default_factory=dict)
    base: str = ""
    walls: dict[str, MediaWall] = field(default_factory=dict)
    linked: dict[str, LossyLink] = field(default_factory=dict)  # by session

    def _answered(self, name: str, session_id: str, etag: str, sdp: str) -> web.Response:
        link = self.links.get(name)
        if link is not None:
            self.linked[session_id] = link
            sdp = link.redirect(sdp)
        headers = {"Location": f"/session/{session_id}", "ETag": f'"{etag}"'}
        return web.Response(status=201, text=sdp, content_type="application/sdp", headers=headers)

    def _room(self, name: str) -> OrdinaryMediaRoom:
        """Names are ROOM.PERSON, or PERSON in the only room."""
        return self.rooms[name.partition(".")[0]] if "." in name else next(iter(self.rooms.values()))

    async def publish(self, request: web.Request) -> web.Response:
        """A party's offer."""
        name = request.match_info["name"]
        answer = await self._room(name).publish(name, Side(request.match_info["side"]), await request.text())
        return self._answered(name, answer.session_id, answer.etag, answer.sdp)

    async def watch(self, request: web.Request) -> web.Response:
        """An officer's offer for one call."""
        name = request.match_info["name"]
        answer = await self._room(name).subscribe(name, await request.text())
        return self._answered(name, answer.session_id, answer.etag, answer.sdp)

    async def wall(self, request: web.Request) -> web.Response:
        """An officer's offer for all calls; none is shown yet."""
        name = request.match_info["name"]
        wall = self.walls[name] = self.node.open_wall(name, await request.text())
        for room in self.rooms.values():
            wall.watch(room)
        return self._answered(name, wall.session_id, wall.answer.etag, wall.answer.sdp)

    async def show(self, request: web.Request) -> web.Response:
        """What a wall shows, and lets hear: one room."""
        call_id = self.rooms[request.match_info["room"]].call_id
        assert isinstance(call_id, OrdinaryCallId)
        self.walls[request.match_info["name"]].show([call_id], call_id)
        return web.Response()

    async def patch(self, request: web.Request) -> web.Response:
        """An ICE restart."""
        session_id = request.match_info["id"]
        room = self.node.room_of_session(session_id)
        fragment = await request.text()
        if room is None:
            return web.Response(status=404)
        answer = await room.patch(session_id, request.headers.get("If-Match"), fragment)
        if answer.fragment is None:
            return web.Response(status=204)
        link = self.linked.get(session_id)
        text = link.redirect(answer.fragment) if link is not None else answer.fragment
        kind = "application/trickle-ice-sdpfrag"
        return web.Response(text=text, content_type=kind, headers={"ETag": f'"{answer.etag}"'})

    async def delete(self, request: web.Request) -> web.Response:
        """The end of a session."""
        session_id = request.match_info["id"]
        room = self.node.room_of_session(session_id)
        if room is not None:
            await room.close_session(session_id)
        for name, wall in list(self.walls.items()):
            if wall.session_id == session_id:
                await self.walls.pop(name).close()
        return web.Response()


async def _page(_: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


@asynccontextmanager
async def served(
    node: MediaNode, rooms: Mapping[str, OrdinaryMediaRoom], links: Mapping[str, LossyLink] | None = None
) -> AsyncIterator[MediaPage]:
    """Serve the page on the loopback."""
    page = MediaPage(node, rooms, links or {})
    app = web.Application()
    app.add_routes(
        [
            web.get("/", _page),
            web.post("/publish/{name}/{side}", page.publish),
            web.post("/watch/{name}", page.watch),
            web.post("/wall/{name}", page.wall),
            web.post("/show/{name}/{room}", page.show),
            web.patch("/session/{id}", page.patch),
            web.delete("/session/{id}", page.delete),
            web.static("/js", REPOSITORY / "web" / "static" / "js"),
        ]
    )
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    page.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield page
    finally:
        await runner.cleanup()
