import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Backoff, pause } from "../../../../web/static/js/protocol/backoff.js";
import { Emitter } from "../../../../web/static/js/protocol/emitter.js";
import { VisitError } from "../../../../web/static/js/protocol/errors.js";
import { decibels, fraction } from "../../../../web/static/js/protocol/levels.js";

test("waits double up to the most, stay within half and all of a step, and end", () => {
  const low = new Backoff({ first: 100, most: 1000, tries: 6, random: () => 0 });
  const high = new Backoff({ first: 100, most: 1000, tries: 6, random: () => 1 });
  const waits = (backoff) => Array.from({ length: 7 }, () => backoff.next());
  assert.deepEqual(waits(low), [50, 100, 200, 400, 500, 500, null]);
  assert.deepEqual(waits(high), [100, 200, 400, 800, 1000, 1000, null]);
  low.reset();
  assert.equal(low.next(), 50);
});

test("a pause ends at once when it is called off, before or during", async () => {
  const stop = new AbortController();
  const pending = pause(1e9, stop.signal);
  stop.abort();
  await pending;
  await pause(1e9, stop.signal);
});

test("a listener that throws is reported and does not stop the others", () => {
  const reported = mock.method(console, "error", () => {});
  const emitter = new Emitter();
  const heard = [];
  emitter.on("x", () => {
    throw new Error("no");
  });
  const off = emitter.on("x", (value) => heard.push(value));
  emitter.emit("x", 1);
  off();
  emitter.emit("x", 2);
  assert.deepEqual(heard, [1]);
  assert.equal(reported.mock.callCount(), 2);
  reported.mock.restore();
});

test("an error is passing without an answer, when too busy, and on the server's trouble", () => {
  const passing = (status) => new VisitError("c", "", { status }).passing;
  assert.deepEqual([0, 401, 404, 409, 429, 500, 503].map(passing), [true, false, false, false, true, true, true]);
});

test("levels: full scale sine is -3 dB, silence the floor", () => {
  const sine = Float32Array.from({ length: 4800 }, (_, n) => Math.sin((2 * Math.PI * n) / 48));
  assert.ok(Math.abs(decibels(sine) + 3.01) < 0.05);
  assert.equal(decibels(new Float32Array(100)), -60);
  assert.equal(fraction(-60), 0);
  assert.equal(fraction(0), 1);
});
