import assert from "node:assert/strict";
import { test } from "node:test";
import { FRAME_MS, PlaybackClock, keepTime, nextTalk } from "../../../../web/static/js/protocol/playback.js";

function clockAt(duration = 10_000) {
  const time = { now: 5_000 };
  return { time, clock: new PlaybackClock(duration, () => time.now) };
}

test("the clock runs at its rate, stops, and stays within the recording", () => {
  const { time, clock } = clockAt();
  assert.equal(clock.position, 0);
  clock.start();
  time.now += 1_000;
  assert.equal(clock.position, 1_000);
  clock.rate = 2;
  time.now += 1_000;
  assert.equal(clock.position, 3_000);
  clock.stop();
  time.now += 9_000;
  assert.equal(clock.position, 3_000);
  clock.start();
  time.now += 60_000;
  assert.equal(clock.position, 10_000);
  assert.ok(clock.ended);
});

test("starting at the end starts anew; rates beyond 0.5 to 4 are brought back", () => {
  const { time, clock } = clockAt();
  clock.seek(99_999);
  assert.equal(clock.position, 10_000);
  clock.start();
  assert.equal(clock.position, 0);
  clock.rate = 100;
  assert.equal(clock.rate, 4);
  clock.rate = 0.1;
  assert.equal(clock.rate, 0.5);
  clock.seek(-5);
  time.now += 100;
  assert.equal(clock.position, 50);
});

test("a step is one frame, and stops", () => {
  const { time, clock } = clockAt();
  clock.seek(1_000);
  clock.start();
  clock.step(1);
  time.now += 500;
  assert.equal(clock.running, false);
  assert.ok(Math.abs(clock.position - (1_000 + FRAME_MS)) < 0.01);
  clock.step(-1);
  assert.ok(Math.abs(clock.position - 1_000) < 0.01);
});

test("a picture far off is set, a little off is led back, right is left alone", () => {
  assert.deepEqual(keepTime(3, 1, 1, true), { seek: 1, rate: 1 });
  assert.deepEqual(keepTime(1.02, 1, 1, true), { seek: null, rate: 1 });
  const ahead = keepTime(1.2, 1, 1, true);
  assert.equal(ahead.seek, null);
  assert.ok(ahead.rate < 1 && ahead.rate >= 0.9);
  const behind = keepTime(0.9, 1, 2, true);
  assert.ok(behind.rate > 2 && behind.rate <= 2.2);
});

test("standing still, a picture shows exactly the clock's frame", () => {
  assert.deepEqual(keepTime(1.01, 1, 1, false), { seek: 1, rate: 1 });
  assert.deepEqual(keepTime(1, 1, 1, false), { seek: null, rate: 1 });
});

test("two pictures that drift apart come together again", () => {
  let shown = 10.25;
  let wanted = 10;
  for (let tick = 0; tick < 100; tick += 1) {
    const { seek, rate } = keepTime(shown, wanted, 1, true);
    shown = seek ?? shown + 0.1 * rate;
    wanted += 0.1;
  }
  assert.ok(Math.abs(shown - wanted) < 0.06, `${shown - wanted}`);
});

test("the next talk is the nearest beginning on either side", () => {
  const sides = [[[0, 900], [5_000, 6_000]], [[2_000, 3_000]]];
  assert.equal(nextTalk(sides, 0), 2_000);
  assert.equal(nextTalk(sides, 2_000), 5_000);
  assert.equal(nextTalk(sides, 5_000), null);
  assert.equal(nextTalk([], 0), null);
});
