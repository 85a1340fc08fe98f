// A foreign WebRTC stack as a party of a call (WHIP) or as an officer (WHEP): node client.mjs SPEC
//
// SPEC is JSON: {stack: "werift" | "node-datachannel", url, ticket, lines: [[kind, direction], ...],
// footage: file of made media (null: send nothing)}. It prints one JSON line twice a second: {state, sent, slots:
// [{kind, packets, ssrcs, payloads (the newest, hexadecimal)}]}. When its input ends it leaves: DELETE, then the DTLS close.

import { readFileSync } from "node:fs";
import process from "node:process";

const spec = JSON.parse(process.argv[2]);
const PAYLOAD_TYPES = { audio: 111, video: 96 };

/** One per m-line: what has come on it. */
const slots = spec.lines.map(([kind]) => ({ kind, packets: 0, ssrcs: new Set(), payloads: [] }));
let state = "new";
let sent = 0;

/** @param {number} line @param {Buffer} packet */
function received(line, packet) {
  if (packet.length < 12 || (packet[1] >= 192 && packet[1] <= 223)) return;
  const slot = slots[line];
  let start = 12 + 4 * (packet[0] & 0x0f);
  if (packet[0] & 0x10) start += 4 + 4 * packet.readUInt16BE(start + 2);
  slot.packets += 1;
  slot.ssrcs.add(packet.readUInt32BE(8));
  slot.payloads.push(packet.subarray(start, start + 12).toString("hex"));
  if (slot.payloads.length > 50) slot.payloads.shift();
}

/** RTP packets of the made media, in its own rhythm and over and over. @param {(line: number, packet: Buffer) => void} send */
function play(send) {
  if (!spec.footage) return;
  const footage = JSON.parse(readFileSync(spec.footage, "utf8"));
  const lines = { audio: -1, video: -1 };
  spec.lines.forEach(([kind, direction], line) => {
    if (direction.startsWith("send") && lines[kind] < 0) lines[kind] = line;
  });
  const numbers = { audio: 65000, video: 100 };
  const began = Date.now();
  let next = 0;
  let round = 0;
  setInterval(() => {
    while (state === "connected") {
      const packet = footage.packets[next];
      const at = packet.at + round * footage.length;
      if (Date.now() - began < at) return;
      const rate = packet.kind === "audio" ? 48 : 90;
      const header = Buffer.alloc(12);
      header[0] = 0x80;
      header[1] = PAYLOAD_TYPES[packet.kind] | (packet.marker ? 0x80 : 0);
      header.writeUInt16BE(numbers[packet.kind]++ & 0xffff, 2);
      header.writeUInt32BE(Math.round(at * rate) % 2 ** 32, 4);
      header.writeUInt32BE(packet.kind === "audio" ? 0x0a0a0a0a : 0x0b0b0b0b, 8);
      send(lines[packet.kind], Buffer.concat([header, Buffer.from(packet.payload, "base64")]));
      sent += 1;
      next = (next + 1) % footage.packets.length;
      if (next === 0) round += 1;
    }
  }, 5);
}

/** POST the offer (RFC 9725 section 4.2). @param {string} offer */
async function exchange(offer) {
  const response = await fetch(spec.url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", Authorization: `Bearer ${spec.ticket}` },
    body: offer,
  });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`${response.status} ${answer}`);
  const session = new URL(response.headers.get("location"), spec.url);
  const end = () => fetch(session, { method: "DELETE", headers: { Authorization: `Bearer ${spec.ticket}` } });
  return { answer, end };
}

async function werift() {
  const { MediaStreamTrack, RTCPeerConnection, RtpPacket, useNACK, useOPUS, usePLI, useREMB, useVP8 } = await import("werift");
  const video = useVP8({ payloadType: PAYLOAD_TYPES.video, rtcpFeedback: [useNACK(), usePLI(), useREMB()] });
  const connection = new RTCPeerConnection({
    iceServers: [],
    bundlePolicy: "max-bundle",
    codecs: { audio: [useOPUS({ payloadType: PAYLOAD_TYPES.audio })], video: [video] },
    iceAdditionalHostAddresses: ["127.0.0.1"],
  });
  const tracks = spec.lines.map(([kind, direction], line) => {
    const own = direction.startsWith("send") ? new MediaStreamTrack({ kind }) : kind;
    const transceiver = connection.addTransceiver(own, { direction });
    transceiver.onTrack.subscribe((track) =>
      track.onReceiveRtp.subscribe((packet) => received(line, packet.serialize())),
    );
    return own;
  });
  connection.connectionStateChange.subscribe((now) => (state = now));
  await connection.setLocalDescription(await connection.createOffer());
  const { answer, end } = await exchange(connection.localDescription.sdp);
  await connection.setRemoteDescription({ type: "answer", sdp: answer });
  play((line, packet) => tracks[line].writeRtp(RtpPacket.deSerialize(packet)));
  return async () => {
    await end();
    await connection.close();
  };
}

async function nodeDatachannel() {
  const { default: library } = await import("node-datachannel");
  const connection = new library.PeerConnection("visit", { iceServers: [], disableAutoNegotiation: true });
  const directions = { sendrecv: "SendRecv", sendonly: "SendOnly", recvonly: "RecvOnly" };
  const tracks = spec.lines.map(([kind, direction], line) => {
    const media = kind === "audio" ? new library.Audio(`${line}`, directions[direction]) : new library.Video(`${line}`, directions[direction]);
    if (kind === "audio") media.addOpusCodec(PAYLOAD_TYPES.audio);
    else media.addVP8Codec(PAYLOAD_TYPES.video);
    if (direction.startsWith("send")) media.addSSRC(kind === "audio" ? 0x0a0a0a0a : 0x0b0b0b0b, "foreign");
    const track = connection.addTrack(media);
    track.setMediaHandler(new library.RtcpReceivingSession()); // it reports on what it receives
    track.onMessage((packet) => received(line, Buffer.from(packet)));
    return track;
  });
  connection.onStateChange((now) => (state = now));
  const gathered = new Promise((resolve) => connection.onGatheringStateChange((now) => now === "complete" && resolve()));
  connection.setLocalDescription("offer");
  await gathered;
  const { answer, end } = await exchange(connection.localDescription().sdp);
  connection.setRemoteDescription(answer, "answer");
  play((line, packet) => tracks[line].isOpen() && tracks[line].sendMessageBinary(packet));
  return async () => {
    await end();
    connection.close();
    library.cleanup();
  };
}

const leave = await { werift, "node-datachannel": nodeDatachannel }[spec.stack]();
setInterval(() => {
  const seen = slots.map(({ kind, packets, ssrcs, payloads }) => ({ kind, packets, ssrcs: [...ssrcs], payloads }));
  console.log(JSON.stringify({ state, sent, slots: seen }));
}, 500);
process.stdin.resume();
process.stdin.on("end", async () => {
  await leave();
  process.exit(0);
});
