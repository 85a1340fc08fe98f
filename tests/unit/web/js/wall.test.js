import assert from "node:assert/strict";
import { test } from "node:test";
import { WallClient } from "../../../../web/static/js/protocol/wall.js";

/** A connection that remembers its transceivers and what their senders send. */
function connection() {
  const made = [];
  return {
    made,
    addTransceiver(kind, { direction }) {
      const transceiver = { kind, direction, sender: { sent: [], replaceTrack: async (track) => void transceiver.sender.sent.push(track) } };
      made.push(transceiver);
      return transceiver;
    },
  };
}

const options = { url: "https://prison.example/media/whep", ticket: async () => "t", videoSlots: 4, audioSlots: 2 };

test("an offer has the slots in order, and one line for the officer's voice at its end", () => {
  const wall = new WallClient(options);
  const fake = connection();
  wall.prepare(fake);
  assert.deepEqual(fake.made.map(({ kind, direction }) => `${kind} ${direction}`), [
    ...Array(4).fill("video recvonly"), ...Array(2).fill("audio recvonly"), "audio sendonly",
  ]);
});

test("the voice is sent on its line, with no new offer, and goes on in a connection made anew", async () => {
  const wall = new WallClient(options);
  const first = connection();
  wall.prepare(first);
  await wall.setVoice("voice");
  assert.deepEqual(first.made.at(-1).sender.sent, ["voice"]);
  const second = connection();
  wall.prepare(second);
  assert.deepEqual(second.made.at(-1).sender.sent, ["voice"]);
  await wall.setVoice(null);
  assert.deepEqual(second.made.at(-1).sender.sent, ["voice", null]);
  assert.equal(second.made.length, first.made.length);
});

test("the session's name is the last part of its address", () => {
  const wall = new WallClient(options);
  assert.equal(wall.sessionId, "");
  wall._resource.location = "https://prison.example/media/sessions/ses_1?x=y";
  assert.equal(wall.sessionId, "ses_1");
});
