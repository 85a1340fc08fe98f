import assert from "node:assert/strict";
import { test } from "node:test";

import { MediaPeer } from "../../../../web/static/js/protocol/peer.js";

const SDP = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n";
const FRAGMENT = "a=ice-ufrag:next\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n";

/** As much of a connection as a restart sees. It is connected from the answer on, and stays it. */
class Connection extends EventTarget {
  constructor(configuration) {
    super();
    this.configuration = configuration;
    this.connectionState = "new";
    this.signalingState = "stable";
    this.offers = [];
    Connection.made.push(this);
  }

  static made = [];

  getConfiguration() {
    return { ...this.configuration };
  }

  setConfiguration(configuration) {
    this.configuration = configuration;
  }

  async createOffer(options = {}) {
    this.offers.push(options);
    return { type: "offer", sdp: SDP };
  }

  async setLocalDescription(description) {
    this.localDescription = description;
    this.signalingState = "have-local-offer";
  }

  async setRemoteDescription(description) {
    this.currentRemoteDescription = description;
    this.signalingState = "stable";
    if (this.connectionState === "connected") return;
    this.connectionState = "connected";
    this.onconnectionstatechange?.();
  }

  close() {
    this.connectionState = "closed";
  }
}

class Peer extends MediaPeer {
  prepare() {}
}

function server() {
  const asked = [];
  const fetcher = async (url, { method }) => {
    asked.push(method);
    if (method === "POST") return new Response(SDP, { status: 201, headers: { location: "http://node/session/1", etag: '"1"' } });
    return method === "PATCH" ? new Response(FRAGMENT, { status: 200, headers: { etag: '"2"' } }) : new Response("");
  };
  return { asked, fetcher };
}

async function connected(options = {}) {
  const { asked, fetcher } = server();
  const peer = new Peer({ url: "http://node/whip", ticket: async () => "t", fetch: fetcher, peerConnection: Connection, ...options });
  const states = [];
  peer.on("state", (state) => states.push(state));
  await peer.start();
  return { peer, states, asked, connection: Connection.made.at(-1) };
}

test("a restart while the old path still works interrupts nobody", async () => {
  const { peer, states, asked, connection } = await connected();
  assert.deepEqual(states, ["connecting", "connected"]);
  peer.nudge();
  while (asked.length < 2) await new Promise(setImmediate);
  while (peer._mending) await new Promise(setImmediate);
  assert.deepEqual(asked, ["POST", "PATCH"]);
  assert.deepEqual(connection.offers, [{}, { iceRestart: true }]);
  assert.deepEqual(states, ["connecting", "connected"]);
  assert.equal(peer.state, "connected");
  await peer.close();
});

test("a restart after an interruption that has mended itself says that all is well", async () => {
  const { peer, states, asked, connection } = await connected({ patience: 1 });
  connection.connectionState = "disconnected";
  connection.onconnectionstatechange();
  assert.equal(peer.state, "interrupted");
  while (asked.length < 2) await new Promise(setImmediate);
  while (peer._mending) await new Promise(setImmediate);
  assert.deepEqual(states, ["connecting", "connected", "interrupted", "connected"]);
  await peer.close();
});

test("credentials of a relay are asked for before every try", async () => {
  let number = 0;
  const iceServers = async () => [{ urls: "turn:relay", username: `u${(number += 1)}`, credential: "c" }];
  const { peer, asked, connection } = await connected({ iceServers });
  assert.equal(connection.configuration.iceServers[0].username, "u1");
  peer.nudge();
  while (asked.length < 2) await new Promise(setImmediate);
  while (peer._mending) await new Promise(setImmediate);
  assert.equal(connection.configuration.iceServers[0].username, "u2");
  assert.equal(connection.configuration.bundlePolicy, "max-bundle");
  await peer.close();
});

test("whoever leaves while they are asked for leaves no connection behind", async () => {
  const before = Connection.made.length;
  const { fetcher, asked } = server();
  let give;
  const iceServers = () => new Promise((resolve) => (give = resolve));
  const peer = new Peer({ url: "http://node/whip", ticket: async () => "t", fetch: fetcher, peerConnection: Connection, iceServers });
  const starting = peer.start();
  await peer.close();
  give([]);
  await assert.rejects(starting);
  assert.equal(Connection.made.length, before);
  assert.deepEqual(asked, []);
});
