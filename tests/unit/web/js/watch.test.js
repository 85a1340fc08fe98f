import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { MonitorWatch } from "../../../../web/static/js/elements/monitor-watch.js";
import { VisitError } from "../../../../web/static/js/protocol/errors.js";

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** Lets everything run that only waits for a promise. */
const settle = async () => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
};

/** A watch whose warrants last an hour, on a line that counts what it is shown; `places` are the nodes it is sent to. */
function watching(answers = [], places = []) {
  const asked = [];
  const api = {
    watch: async (callId, ground) => {
      asked.push([callId, ground.ground]);
      const answer = answers[asked.length - 1];
      if (answer instanceof Error) throw answer;
      const wall = places[asked.length - 1] ?? "/media/whep";
      return { warrant: `w${asked.length}`, wall, channel: "/channel", expires_at: new Date(Date.now() + HOUR).toISOString(), ice_servers: [] };
    },
  };
  const lines = new Map();
  const renewed = [];
  const line = (grant) => {
    const made = lines.get(grant.wall) ?? { on: new Set(), join: (one) => made.on.add(one), leave: (one) => made.on.delete(one), renew: (_, warrant) => renewed.push(warrant) };
    lines.set(grant.wall, made);
    return made;
  };
  const watch = new MonitorWatch(api, "call_1", { ground: "policy", detail: "" }, line);
  const heard = { status: [], errors: [] };
  watch.on("status", (status) => heard.status.push(status));
  watch.on("error", (error) => heard.errors.push(error.code));
  return { watch, asked, renewed, lines, heard };
}

test("a warrant is renewed before it ends, each time, and the line shows the new one", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const { watch, asked, renewed } = watching();
  await watch.start();
  assert.equal((await watch.grant()).warrant, "w1");
  mock.timers.tick(55 * MINUTE - 1);
  await settle();
  assert.equal(asked.length, 1);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual([asked.length, renewed], [2, ["w2"]]);
  assert.equal((await watch.grant()).warrant, "w2", "reconnections show the fresh one");
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.deepEqual([asked.length, renewed], [3, ["w2", "w3"]]);
  assert.deepEqual(asked.at(-1), ["call_1", "policy"]);
  await watch.stop();
  mock.timers.tick(3 * HOUR);
  await settle();
  assert.equal(asked.length, 3, "nobody renews a watch that is over");
});

test("a renewal that gets no answer is tried again, with the old warrant meanwhile; a refused one is not", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const away = new VisitError("offline");
  const refused = new VisitError("call_over", "", { status: 409 });
  const { watch, asked, renewed } = watching([undefined, away, undefined, refused]);
  await watch.start();
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.deepEqual([asked.length, renewed], [2, []]);
  assert.equal((await watch.grant()).warrant, "w1");
  mock.timers.tick(20_000);
  await settle();
  assert.deepEqual([asked.length, renewed], [3, ["w3"]]);
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.equal(asked.length, 4);
  mock.timers.tick(4 * MINUTE);
  await settle();
  assert.equal(asked.length, 4);
  await watch.stop();
});

test("a watch follows its call to another node, and leaves the line it was on", async () => {
  const { watch, lines, heard } = watching([], ["https://a.example/media/whep", "https://b.example/media/whep"]);
  await watch.start();
  await watch.follow();
  assert.deepEqual([...lines].map(([address, line]) => [address, line.on.size]), [["https://a.example/media/whep", 0], ["https://b.example/media/whep", 1]]);
  await watch.stop();
  assert.equal(lines.get("https://b.example/media/whep").on.size, 0);
  assert.deepEqual(heard, { status: ["connecting", "interrupted", "over"], errors: [] });
});

test("a call that is over for the server is over here, and says so; a server that is away is waited for", async () => {
  const { watch, heard } = watching([undefined, new VisitError("offline"), new VisitError("call_over", "", { status: 409 })]);
  await watch.start();
  await watch.follow();
  assert.equal(watch.over, false);
  await watch.follow();
  assert.equal(watch.over, true);
  assert.deepEqual(heard.errors, ["call_over"]);
  assert.equal(heard.status.at(-1), "failed");
});
