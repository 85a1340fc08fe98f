import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../../web/static/js/protocol/backoff.js";
import { Channel, channelUrl } from "../../../../web/static/js/protocol/channel.js";
import { VisitError } from "../../../../web/static/js/protocol/errors.js";

/** A WebSocket in memory; the newest one is `Socket.last`. */
class Socket {
  static all = [];
  static get last() {
    return Socket.all.at(-1);
  }
  constructor(url) {
    this.url = url;
    this.sent = [];
    this.readyState = 0;
    Socket.all.push(this);
    queueMicrotask(() => {
      this.readyState = 1;
      this.onopen?.();
    });
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
    queueMicrotask(() => this.onclose?.());
  }
  say(message) {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 5));
function channel(options = {}) {
  Socket.all = [];
  const made = new Channel({
    url: "wss://h/media/channel", ticket: async () => "t1", webSocket: Socket,
    backoff: new Backoff({ first: 1, most: 1, tries: 3 }), ...options,
  });
  const heard = { status: [], any: [], failures: [] };
  made.on("status", (status) => heard.status.push(status));
  made.on("any", (message) => heard.any.push(message.type));
  made.on("failure", (error) => heard.failures.push(error.code));
  return { made, heard, done: made.run() };
}

test("hello carries the ticket, the address does not; welcome opens", async () => {
  const { made, heard } = channel();
  await settle();
  assert.deepEqual(Socket.last.sent, [{ type: "hello", ticket: "t1" }]);
  assert.ok(!Socket.last.url.includes("t1"));
  assert.equal(made.send({ type: "device" }), false);
  Socket.last.say({ type: "welcome" });
  assert.equal(made.status, "open");
  assert.equal(made.send({ type: "device" }), true);
  made.close();
  assert.deepEqual(heard.status, ["connecting", "open"]);
});

test("a lost connection comes back with a fresh ticket, and messages go by their type", async () => {
  let asked = 0;
  const { made, heard } = channel({ ticket: async () => `t${(asked += 1)}` });
  const states = [];
  made.on("state", (message) => states.push(message.state));
  await settle();
  Socket.last.say({ type: "welcome" });
  Socket.last.say({ type: "state", state: "live" });
  Socket.last.close();
  await settle();
  await settle();
  assert.equal(Socket.all.length, 2);
  assert.deepEqual(Socket.last.sent[0], { type: "hello", ticket: "t2" });
  assert.deepEqual(states, ["live"]);
  assert.deepEqual(heard.failures, ["offline"]);
  made.close();
});

test("said again, hello goes out on a new connection with the ticket of now", async () => {
  let asked = 0;
  const { made } = channel({ ticket: async () => `t${(asked += 1)}` });
  await settle();
  Socket.last.say({ type: "welcome" });
  made.again();
  await settle();
  await settle();
  assert.equal(Socket.all.length, 2);
  assert.deepEqual(Socket.last.sent[0], { type: "hello", ticket: "t2" });
  made.close();
});

test("it gives up after the limit and says so", async () => {
  const { made, heard, done } = channel();
  const poke = setInterval(() => Socket.last?.close(), 1);
  await done;
  clearInterval(poke);
  assert.equal(made.status, "failed");
  assert.equal(Socket.all.length, 4); // the first and three repeats
  assert.equal(heard.status.at(-1), "failed");
});

test("a refused ticket is not asked for again; a server in trouble is", async () => {
  let asked = 0;
  const refused = channel({ ticket: async () => { asked += 1; throw new VisitError("door", "", { status: 409 }); } });
  await refused.done;
  assert.equal(asked, 1);
  assert.equal(refused.made.status, "failed");

  let tries = 0;
  const busy = channel({ ticket: async () => { tries += 1; throw new VisitError("busy", "", { status: 503 }); } });
  await busy.done;
  assert.equal(tries, 4);
});

test("the server's refusal of the hello is final, with its code", async () => {
  const { heard, done } = channel();
  await settle();
  Socket.last.say({ type: "error", code: "ticket_expired", detail: "old" });
  Socket.last.close();
  await done;
  assert.deepEqual(heard.failures, ["ticket_expired"]);
  assert.equal(Socket.all.length, 1);
});

for (const type of ["ended", "replaced"]) {
  test(`nobody comes back after ${type}`, async () => {
    const { made, done } = channel();
    await settle();
    Socket.last.say({ type: "welcome" });
    Socket.last.say({ type, cause: "x" });
    await done;
    assert.equal(Socket.all.length, 1);
    assert.equal(made.status, "closed");
    assert.equal(made.last.type, type);
  });
}

test("an unanswered ping is a dead connection", async () => {
  const { made, heard } = channel({ pingEvery: 4 });
  await settle();
  Socket.last.say({ type: "welcome" });
  const first = Socket.last;
  for (let waited = 0; waited < 1000 && !heard.failures.includes("timeout"); waited += 1) await settle();
  assert.ok(first.sent.some((message) => message.type === "ping"));
  assert.ok(heard.failures.includes("timeout"));
  made.close();
});

test("what is no message is passed over", async () => {
  const { made, heard } = channel();
  await settle();
  for (const junk of ["{", "null", "[]", '"x"', "{}", '{"type":5}']) Socket.last.say(junk);
  assert.deepEqual(heard.any, []);
  made.close();
});

test("the address follows the page's own scheme", () => {
  assert.equal(channelUrl("/media/channel", "https://v.example/x?y#z"), "wss://v.example/media/channel");
  assert.equal(channelUrl("/media/channel", "http://localhost:8080/"), "ws://localhost:8080/media/channel");
});
