"""A page that is nothing but a WebRTC client, and the few routes it needs, for tests and for the join benchmark."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from signaling.media.leg import Side
from signaling.media.rooms import OrdinaryMediaRoom

PAGE = """<!doctype html><meta charset="utf-8"><title>media</title><link rel="icon" href="data:,"><script>
"use strict";
const slots = [];
let pc;
async function start(url, lines, configuration = {}) {
  pc = new RTCPeerConnection(configuration);
  const began = performance.now();
  const timing = {};
  let media = null;
  if (lines.some(line => line[1] === "sendrecv")) {
    media = await navigator.mediaDevices.getUserMedia({audio: true, video: {width: 640, height: 480, frameRate: 30}});
    timing.media = performance.now() - began;
  }
  for (const [kind, direction] of lines) {
    const track = media && direction === "sendrecv" ? media.getTracks().find(t => t.kind === kind) : null;
    const transceiver = pc.addTransceiver(track || kind, {direction});
    const element = document.createElement(kind);
    element.autoplay = true;
    element.muted = kind === "video";
    document.body.append(element);
    element.srcObject = new MediaStream([transceiver.receiver.track]);
    const slot = {kind, element, transceiver, frames: 0, firstFrame: null};
    if (kind === "video") {
      const count = () => {
        slot.frames += 1;
        if (slot.firstFrame === null) slot.firstFrame = performance.now() - timing.from;
        element.requestVideoFrameCallback(count);
      };
      element.requestVideoFrameCallback(count);
    }
    slots.push(slot);
  }
  timing.from = performance.now();
  await pc.setLocalDescription();
  const response = await fetch(url, {method: "POST", body: pc.localDescription.sdp});
  if (response.status !== 201) throw new Error(await response.text());
  await pc.setRemoteDescription({type: "answer", sdp: await response.text()});
  timing.answered = performance.now() - timing.from;
  return timing;
}
async function selected() {
  const reports = await pc.getStats();
  const transport = [...reports.values()].find(report => report.type === "transport");
  const pair = reports.get(transport?.selectedCandidatePairId);
  if (!pair) return null;
  const local = reports.get(pair.localCandidateId), remote = reports.get(pair.remoteCandidateId);
  return {
    type: local.candidateType, protocol: local.protocol, relay: local.relayProtocol ?? null,
    remote: `${remote.protocol} ${remote.address}:${remote.port}`,
  };
}
async function gathered(configuration) {
  const connection = new RTCPeerConnection(configuration);
  const found = {candidates: [], errors: []};
  connection.onicecandidate = event => event.candidate?.candidate && found.candidates.push(event.candidate.candidate);
  connection.onicecandidateerror = event => found.errors.push(event.errorCode);
  connection.createDataChannel("x");
  const done = new Promise(resolve => {
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
  });
  await connection.setLocalDescription();
  await done;
  connection.close();
  return found;
}
async function seen() {
  const found = [];
  for (const slot of slots) {
    const report = [...(await slot.transceiver.receiver.getStats()).values()].find(s => s.type === "inbound-rtp");
    found.push({
      kind: slot.kind, frames: slot.frames, firstFrame: slot.firstFrame,
      width: slot.element.videoWidth || 0, height: slot.element.videoHeight || 0,
      decoded: report ? report.framesDecoded || 0 : 0, lost: report ? report.packetsLost : 0,
      energy: report ? report.totalAudioEnergy || 0 : 0, packets: report ? report.packetsReceived : 0,
      concealed: report ? report.concealedSamples || 0 : 0, samples: report ? report.totalSamplesReceived || 0 : 0,
    });
  }
  return {state: pc ? pc.connectionState : "new", slots: found};
}
async function sending() {
  const found = {};
  for (const report of (await pc.getStats()).values()) {
    if (report.type === "outbound-rtp")
      found[report.kind] = {bytes: report.bytesSent, target: report.targetBitrate || 0};
    if (report.type === "candidate-pair" && report.nominated) found.available = report.availableOutgoingBitrate || 0;
    if (report.type === "transport") found.srtp = report.srtpCipher;
  }
  return found;
}
</script><body>"""


@asynccontextmanager
async def served(room: OrdinaryMediaRoom) -> AsyncIterator[str]:
    """Serve the page on the loopback, and give its URL. POST /publish/NAME/SIDE and /watch/NAME answer offers."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def publish(request: web.Request) -> web.Response:
        answer = await room.publish(request.match_info["name"], Side(request.match_info["side"]), await request.text())
        return web.Response(status=201, text=answer.sdp, content_type="application/sdp")

    async def watch(request: web.Request) -> web.Response:
        answer = await room.subscribe(request.match_info["name"], await request.text())
        return web.Response(status=201, text=answer.sdp, content_type="application/sdp")

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/publish/{name}/{side}", publish), web.post("/watch/{name}", watch)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
