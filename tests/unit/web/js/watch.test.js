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

/** A watch whose warrants last an hour, with a channel that counts how often it says hello again. */
function watching(answers = []) {
  const asked = [];
  const api = {
    watch: async (callId, ground) => {
      asked.push([callId, ground.ground]);
      const answer = answers[asked.length - 1];
      if (answer instanceof Error) throw answer;
      return { warrant: `w${asked.length}`, whep: "/whep", channel: "/channel", expires_at: new Date(Date.now() + HOUR).toISOString(), ice_servers: [] };
    },
  };
  const watch = new MonitorWatch(api, "call_1", { ground: "policy", detail: "" });
  const hellos = [];
  watch._channel = { again: () => hellos.push(true), close: () => {} };
  return { watch, asked, hellos };
}

test("a warrant is renewed before it ends, each time, and the channel shows the new one", async (t) => {
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.after(() => mock.timers.reset());
  const { watch, asked, hellos } = watching();
  assert.equal((await watch._getGrant()).warrant, "w1");
  mock.timers.tick(55 * MINUTE - 1);
  await settle();
  assert.equal(asked.length, 1);
  mock.timers.tick(1);
  await settle();
  assert.deepEqual([asked.length, hellos.length], [2, 1]);
  assert.equal((await watch._getGrant()).warrant, "w2", "reconnections show the fresh one");
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.deepEqual([asked.length, hellos.length], [3, 2]);
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
  const { watch, asked, hellos } = watching([undefined, away, undefined, refused]);
  await watch._getGrant();
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.deepEqual([asked.length, hellos.length], [2, 0]);
  assert.equal((await watch._getGrant()).warrant, "w1");
  mock.timers.tick(20_000);
  await settle();
  assert.deepEqual([asked.length, hellos.length], [3, 1]);
  mock.timers.tick(55 * MINUTE);
  await settle();
  assert.equal(asked.length, 4);
  mock.timers.tick(4 * MINUTE);
  await settle();
  assert.equal(asked.length, 4);
  await watch.stop();
});
