import assert from "node:assert/strict";
import { test } from "node:test";
import { iceCredentials, restartFragment, restartedAnswer, withVoiceRepair } from "../../../../web/static/js/protocol/sdp.js";

const OFFER = [
  "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111", "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=mid:0",
  "a=candidate:1 1 udp 2122 192.0.2.1 5000 typ host",
  "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=mid:1", "",
].join("\r\n");
const ANSWER = [
  "v=0", "a=ice-lite", "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=ice-ufrag:old1", "a=ice-pwd:oldoldoldoldoldoldold1",
  "a=candidate:1 1 udp 1 198.51.100.1 8189 typ host", "a=end-of-candidates", "a=fingerprint:sha-256 AA", "a=mid:0",
  "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=ice-ufrag:old1", "a=ice-pwd:oldoldoldoldoldoldold1", "a=mid:1", "",
].join("\r\n");

test("credentials are found with either line end, and missing ones are null", () => {
  assert.deepEqual(iceCredentials(OFFER), { ufrag: "abcd", pwd: "0123456789012345678901" });
  assert.deepEqual(iceCredentials(OFFER.replaceAll("\r\n", "\n")), { ufrag: "abcd", pwd: "0123456789012345678901" });
  assert.equal(iceCredentials("v=0\r\n"), null);
});

test("the restart fragment has the group, the first media, its mid, credentials and candidates, and nothing else", () => {
  assert.deepEqual(restartFragment(OFFER).split("\r\n"), [
    "a=ice-options:trickle ice2", "a=group:BUNDLE 0 1", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=ice-ufrag:abcd",
    "a=ice-pwd:0123456789012345678901", "a=candidate:1 1 udp 2122 192.0.2.1 5000 typ host", "",
  ]);
  assert.throws(() => restartFragment("v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n"), TypeError);
});

test("the restarted answer has the new credentials in every media, keeps the fingerprint, and swaps the candidates", () => {
  const fragment = "a=ice-ufrag:new1\r\na=ice-pwd:newnewnewnewnewnewnew1\r\na=candidate:2 1 udp 1 203.0.113.9 8189 typ host\r\n";
  const restarted = restartedAnswer(ANSWER, fragment);
  assert.equal(restarted.match(/a=ice-ufrag:new1/g).length, 2);
  assert.ok(!restarted.includes("old1"));
  assert.ok(restarted.includes("a=fingerprint:sha-256 AA"));
  assert.ok(restarted.includes("203.0.113.9"));
  assert.ok(!restarted.includes("198.51.100.1"));
});

test("a fragment without candidates keeps those of the answer", () => {
  const restarted = restartedAnswer(ANSWER, "a=ice-ufrag:n\r\na=ice-pwd:p\r\n");
  assert.ok(restarted.includes("198.51.100.1"));
  assert.throws(() => restartedAnswer(ANSWER, "a=ice-ufrag:n\r\n"), TypeError);
});

test("every voice line of an offer gets its repair once, and nothing else changes", () => {
  const offer = [
    "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=mid:0", "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1",
    "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=mid:1", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack",
    "m=audio 9 UDP/TLS/RTP/SAVPF 109", "a=mid:2", "a=rtpmap:109 opus/48000/2", "",
  ].join("\r\n");
  const repaired = withVoiceRepair(offer);
  assert.equal(repaired, offer
    .replace("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack")
    .replace("a=rtpmap:109 opus/48000/2", "a=rtpmap:109 opus/48000/2\r\na=rtcp-fb:109 nack"));
  assert.equal(withVoiceRepair(repaired), repaired);
  assert.equal(withVoiceRepair("v=0\r\n"), "v=0\r\n");
});
