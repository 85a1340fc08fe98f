import assert from "node:assert/strict";
import { test } from "node:test";
import { measure, sampleOf } from "../../../../web/static/js/protocol/stats.js";

const report = ({ received = 0, lost = 0, bytes = 0, frames = 0, out, rtt, concealed = 0, silent = 0, samples = 0 }) => [
  { type: "inbound-rtp", kind: "audio", packetsReceived: received, packetsLost: lost, bytesReceived: bytes, concealedSamples: concealed, silentConcealedSamples: silent, totalSamplesReceived: samples },
  { type: "inbound-rtp", kind: "video", bytesReceived: bytes, framesDecoded: frames, frameHeight: 480 },
  { type: "remote-inbound-rtp", fractionLost: out, roundTripTime: rtt },
  { type: "codec" },
];
const start = sampleOf(report({}), 0);
const after = (numbers, more) => measure(start, sampleOf(report({ bytes: 50_000, frames: 60, received: 150, ...numbers }), 3_000), more);

test("a clean line is good, with its numbers", () => {
  const seen = after({ rtt: 0.05 });
  assert.deepEqual([seen.quality, seen.loss, seen.roundTripMs, seen.kbps, seen.frameHeight], ["good", 0, 50, 267, 480]);
});
test("some loss either way is fair, much is poor", () => {
  assert.equal(after({ lost: 8 }).quality, "fair");
  assert.equal(after({ out: 0.06 }).quality, "fair");
  assert.equal(after({ lost: 30 }).quality, "poor");
  assert.equal(after({ out: 0.3 }).quality, "poor");
});
test("delay counts, too", () => {
  assert.equal(after({ rtt: 0.4 }).quality, "fair");
  assert.equal(after({ rtt: 0.8 }).quality, "poor");
});
test("made-up sound counts, made-up silence does not", () => {
  assert.equal(after({ samples: 144_000, concealed: 20_000 }).quality, "poor");
  assert.equal(after({ samples: 144_000, concealed: 20_000, silent: 20_000 }).quality, "good");
});
test("voice without a picture, unless none was to come", () => {
  assert.equal(after({ frames: 0 }).quality, "voice_only");
  assert.equal(after({ frames: 0 }, { pictureWanted: false }).quality, "good");
});
test("nothing at all is lost", () => assert.equal(after({ bytes: 0, frames: 0, received: 0 }).quality, "lost"));
test("counters that went back (a new stream) are no negative loss", () => {
  const before = sampleOf(report({ received: 500, lost: 50, bytes: 10 }), 0);
  const seen = measure(before, sampleOf(report({ received: 10, bytes: 900, frames: 5 }), 3_000));
  assert.ok(seen.loss >= 0 && seen.kbps >= 0);
});
