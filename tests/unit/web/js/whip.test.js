import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../../web/static/js/protocol/backoff.js";
import { VisitError } from "../../../../web/static/js/protocol/errors.js";
import { layersOf } from "../../../../web/static/js/protocol/layers.js";
import { MediaPeer } from "../../../../web/static/js/protocol/peer.js";
import { MediaResource } from "../../../../web/static/js/protocol/resource.js";
import { WhipClient } from "../../../../web/static/js/protocol/whip.js";

const sdp = (ufrag) => `v=0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:${ufrag}\r\na=ice-pwd:${ufrag}-pwd\r\n`;

/** As much of an RTCPeerConnection as the client touches; the test drives `become`. */
class Connection extends EventTarget {
  static all = [];
  constructor(configuration) {
    super();
    this.configuration = configuration;
    this.connectionState = "new";
    this.signalingState = "stable";
    this.transceivers = [];
    this.offers = 0;
    this.closed = false;
    Connection.all.push(this);
  }
  addTransceiver(trackOrKind, init) {
    const kind = typeof trackOrKind === "string" ? trackOrKind : trackOrKind.kind;
    const transceiver = { kind, ...init, mid: String(this.transceivers.length), sender: { replaceTrack: async (track) => (transceiver.sent = track) }, receiver: { track: { kind } } };
    this.transceivers.push(transceiver);
    return transceiver;
  }
  getTransceivers() {
    return this.transceivers;
  }
  async createOffer({ iceRestart = false } = {}) {
    this.offers += 1;
    return { type: "offer", sdp: sdp(iceRestart ? `restart${this.offers}` : "first") };
  }
  async setLocalDescription(description) {
    if (description.type === "rollback") this.signalingState = "stable";
    else {
      this.localDescription = description;
      this.signalingState = "have-local-offer";
    }
  }
  async setRemoteDescription(description) {
    this.currentRemoteDescription = description;
    this.signalingState = "stable";
  }
  become(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
    this.dispatchEvent(new Event("connectionstatechange"));
  }
  close() {
    this.closed = true;
    this.connectionState = "closed";
  }
}

/** A WHIP server in memory. */
class Server {
  constructor() {
    this.requests = [];
    this.patch = () => new Response(sdp("server2"), { status: 200, headers: { etag: '"2"' } });
    this.post = () => new Response(sdp("server1"), { status: 201, headers: { location: "/media/sessions/s1", etag: '"1"' } });
    this.fetch = async (url, init) => {
      this.requests.push({ method: init.method, url: String(url), ...init });
      if (init.method === "POST") return this.post();
      if (init.method === "PATCH") return this.patch();
      return new Response(null, { status: 200 });
    };
  }
  get methods() {
    return this.requests.map((request) => request.method);
  }
}

const settle = (time = 5) => new Promise((resolve) => setTimeout(resolve, time));

/** Wait until something is so; a busy machine may need long. */
async function until(holds, what) {
  for (const began = Date.now(); !holds(); await settle()) assert.ok(Date.now() - began < 30_000, what);
}
const stream = { getTracks: () => [{ kind: "audio" }, { kind: "video" }], addTrack() {}, removeTrack() {} };
function client(server, more = {}) {
  Connection.all = [];
  return new WhipClient({
    url: "https://v.example/media/whip/call_1", ticket: async () => "tick", stream, fetch: server.fetch, peerConnection: Connection,
    patience: 5, backoff: new Backoff({ first: 1, most: 1, tries: 2 }), ...more,
  });
}

test("one offer: own audio and video first, then receive-only pairs; the ticket goes in the header", async () => {
  const server = new Server();
  const whip = client(server, { moreSlots: 2 });
  await whip.start();
  const [connection] = Connection.all;
  assert.deepEqual(connection.transceivers.map((one) => `${one.kind} ${one.direction}`), [
    "audio sendrecv", "video sendrecv", "audio recvonly", "video recvonly", "audio recvonly", "video recvonly",
  ]);
  const [post] = server.requests;
  assert.equal(post.headers.Authorization, "Bearer tick");
  assert.equal(post.headers["Content-Type"], "application/sdp");
  assert.ok(!post.url.includes("tick"));
  assert.equal(connection.currentRemoteDescription.sdp, sdp("server1"));
});

test("the line for an officer's voice is the last of the offer", async () => {
  const whip = client(new Server(), { moreSlots: 1, talk: true });
  await whip.start();
  const [connection] = Connection.all;
  assert.deepEqual(connection.transceivers.map((one) => `${one.kind} ${one.direction}`), [
    "audio sendrecv", "video sendrecv", "audio recvonly", "video recvonly", "audio recvonly",
  ]);
  assert.equal(whip.talkLine, connection.transceivers.at(-1));
});

test("a call that has moved to another media node is joined there, without a restart at the old one", async () => {
  const server = new Server();
  let node = "https://n1.example";
  const whip = client(server, { url: async () => `${node}/media/whip/call_1` });
  await whip.start();
  Connection.all[0].become("connected");
  node = "https://n2.example";
  Connection.all[0].become("failed");
  await until(() => Connection.all.length === 2 && Connection.all[1].currentRemoteDescription, "a new session");
  assert.deepEqual(server.requests.filter((one) => one.method !== "DELETE").map((one) => `${one.method} ${new URL(one.url).origin}`), [
    "POST https://n1.example", "POST https://n2.example",
  ]);
  Connection.all.at(-1).become("connected");
  await settle();
  assert.equal(whip.state, "connected");
  await whip.close();
  assert.equal(server.requests.at(-1).url, "https://n2.example/media/sessions/s1");
});

test("while the call is between two nodes the old one is asked, and then the new one", async () => {
  const server = new Server();
  let answers = ["https://n1.example", null, "https://n2.example"];
  const ask = async () => {
    const node = answers.length > 1 ? answers.shift() : answers[0];
    if (node === null) throw new VisitError("unknown_call", "", { status: 404 });
    return `${node}/media/whip/call_1`;
  };
  const whip = client(server, { url: ask });
  await whip.start();
  Connection.all[0].become("connected");
  server.patch = () => {
    throw new TypeError("connection refused");
  };
  Connection.all[0].become("failed");
  await until(() => new URL(server.requests.at(-1).url).origin === "https://n2.example", "the new node is asked");
  assert.ok(server.methods.includes("PATCH"));
});

test("closing deletes the session at its own address, so that it survives the page", async () => {
  const server = new Server();
  const whip = client(server);
  await whip.start();
  Connection.all[0].become("connected");
  await whip.close();
  assert.equal(server.requests.at(-1).method, "DELETE");
  assert.equal(server.requests.at(-1).url, "https://v.example/media/sessions/s1");
  assert.equal(server.requests.at(-1).keepalive, true);
  assert.equal(whip.state, "closed");
  assert.ok(Connection.all[0].closed);
});

test("a disconnected line is mended by an ICE restart on the same connection", async () => {
  const server = new Server();
  const whip = client(server);
  await whip.start();
  const [connection] = Connection.all;
  connection.become("connected");
  connection.become("disconnected");
  assert.equal(whip.state, "interrupted");
  await until(() => connection.currentRemoteDescription.sdp.includes("a=ice-ufrag:server2"), "the answer to the restart");
  const patch = server.requests.at(-1);
  assert.equal(patch.method, "PATCH");
  assert.equal(patch.headers["If-Match"], '"*"');
  assert.equal(patch.headers["Content-Type"], "application/trickle-ice-sdpfrag");
  assert.ok(patch.body.includes("a=ice-ufrag:restart2"));
  assert.ok(connection.currentRemoteDescription.sdp.includes("a=ice-ufrag:server2"));
  connection.become("connected");
  await settle();
  assert.equal(whip.state, "connected");
  assert.equal(Connection.all.length, 1);
  await whip.close();
});

test("a short wobble is left alone", async () => {
  const server = new Server();
  const whip = client(server, { patience: 30 });
  await whip.start();
  Connection.all[0].become("connected");
  Connection.all[0].become("disconnected");
  Connection.all[0].become("connected");
  await settle(50);
  assert.deepEqual(server.methods, ["POST"]);
  await whip.close();
});

test("a session that the server has forgotten is made anew", async () => {
  const server = new Server();
  server.patch = () => new Response("{}", { status: 404, headers: { "content-type": "application/problem+json" } });
  const whip = client(server);
  await whip.start();
  Connection.all[0].become("connected");
  Connection.all[0].become("failed");
  await until(() => Connection.all.length === 2 && Connection.all[1].currentRemoteDescription, "a new session");
  assert.equal(Connection.all.length, 2);
  assert.ok(Connection.all[0].closed);
  Connection.all[1].become("connected");
  await settle();
  assert.equal(whip.state, "connected");
  await whip.close();
});

test("when nothing helps it gives up, once, with the last error", async () => {
  const server = new Server();
  const whip = client(server);
  const states = [];
  whip.on("state", (state) => states.push(state));
  await whip.start();
  Connection.all[0].become("connected");
  server.patch = server.post = () => new Response("", { status: 503 });
  Connection.all[0].become("failed");
  await until(() => whip.state === "failed", "it gives up");
  assert.equal(states.filter((state) => state === "failed").length, 1);
  assert.equal(server.methods.filter((method) => method === "PATCH").length, 3);
});

test("a refused offer is an error with the server's code", async () => {
  const server = new Server();
  server.post = () => new Response('{"code":"ticket_expired"}', { status: 403, headers: { "content-type": "application/problem+json" } });
  const whip = client(server);
  const error = await whip.start().catch((caught) => caught);
  assert.equal(error.code, "ticket_expired");
  assert.equal(whip.state, "failed");
});

test("an answer without 201 and Location is refused", async () => {
  const resource = new MediaResource({ url: "https://v.example/w", ticket: async () => "t", fetch: async () => new Response("v=0", { status: 200 }) });
  assert.equal((await resource.create("v=0").catch((caught) => caught)).code, "bad_answer");
});

test("closing before the answer leaves no session behind", async () => {
  const server = new Server();
  let release = () => {};
  const gate = new Promise((resolve) => (release = resolve));
  const whip = client(server, { ticket: async () => { await gate; return "t"; } });
  const starting = whip.start().catch((caught) => caught);
  await settle();
  await whip.close();
  release();
  assert.equal((await starting).code, "closed");
  assert.deepEqual(server.methods, ["POST", "DELETE"]);
});

test("remote tracks are told by kind, index among their kind, and m-line", async () => {
  const whip = client(new Server(), { moreSlots: 1 });
  const tracks = [];
  whip.on("track", ({ kind, index, mid }) => tracks.push([kind, index, mid]));
  await whip.start();
  const [connection] = Connection.all;
  const transceiver = connection.transceivers[3];
  connection.ontrack({ track: { kind: "video" }, transceiver });
  assert.deepEqual(tracks, [["video", 1, "3"]]);
  await whip.close();
});

test("a camera can be taken away and given back without a new offer", async () => {
  const server = new Server();
  const whip = client(server);
  await whip.start();
  await whip.replace("video", null);
  assert.equal(Connection.all[0].transceivers[1].sent, null);
  assert.deepEqual(server.methods, ["POST"]);
  await whip.close();
});

test("a peer must say what it sends", () => {
  assert.throws(() => new MediaPeer({ url: "x", ticket: async () => "" }).prepare({}), TypeError);
});

const camera = (width, height) => ({ kind: "video", getSettings: () => ({ width, height }) });

test("the picture is sent in as many layers as its size is worth", () => {
  const rids = (width, height) => layersOf(camera(width, height)).map((one) => one.rid ?? "");
  assert.deepEqual(rids(1280, 720), ["q", "h", "f"]);
  assert.deepEqual(rids(720, 1280), ["q", "h", "f"]);
  assert.deepEqual(rids(640, 480), ["h", "f"]);
  assert.deepEqual(rids(320, 240), [""]);
  assert.equal(layersOf(undefined).length, 1);
  assert.equal(layersOf({ kind: "video" }).length, 1);
});

test("a browser that refuses layers sends one picture", () => {
  class Plain extends Connection {
    addTransceiver(trackOrKind, init) {
      if ((init?.sendEncodings?.length ?? 0) > 1) throw new TypeError("no layers here");
      return super.addTransceiver(trackOrKind, init);
    }
  }
  const stream = { getTracks: () => [camera(1280, 720)] };
  const client = new WhipClient({ url: "", ticket: async () => "", stream, peerConnection: Plain });
  const connection = new Plain();
  client.prepare(connection);
  assert.equal(connection.transceivers.length, 2);
  assert.equal(connection.transceivers[1].sendEncodings.length, 1);
  assert.equal(connection.transceivers[1].sendEncodings[0].rid, undefined);
});

test("a line that carries no picture is left to the voice", async () => {
  const stream = { getTracks: () => [camera(1280, 720)] };
  const client = new WhipClient({ url: "", ticket: async () => "", stream, peerConnection: Connection });
  const connection = new Connection();
  client.prepare(connection);
  await client.sendPicture(false); // a sender that cannot be asked for its layers
  const set = [];
  const encodings = [{ rid: "h", active: true }, { rid: "f", active: true }];
  Object.assign(connection.transceivers[1].sender, { getParameters: () => ({ encodings }), setParameters: async (one) => set.push(one) });
  await client.sendPicture(false);
  await client.sendPicture(true);
  assert.equal(set.length, 2);
  assert.ok(set[1].encodings.every((one) => one.active));
});
