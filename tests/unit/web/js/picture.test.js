import assert from "node:assert/strict";
import { test } from "node:test";
import { LIMITS, judge } from "../../../../web/static/js/protocol/picture.js";

/** A picture of `width`×`height` whose luma is `value(x, y)`. */
function picture(value, width = 160, height = 120) {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) data.fill(value(x, y), (y * width + x) * 4, (y * width + x) * 4 + 3);
  }
  return { data, width, height };
}

const print = (x, y) => ((x >> 1) + (y >> 1)) % 2 === 0 ? 90 : 170; // fine detail, like print
const smooth = (x) => 100 + x / 4;
const faults = (value, edge = 1600) => judge(picture(value), edge, LIMITS.document);

test("sharp, light and large is good", () => assert.deepEqual(faults(print), []));
test("darkness is said, and not mistaken for blur", () => assert.deepEqual(faults((x, y) => print(x, y) / 6), ["dark"]));
test("washed out", () => assert.deepEqual(faults(() => 245), ["bright"]));
test("no edges is blur", () => assert.deepEqual(faults(smooth), ["blurred"]));
test("too few pixels", () => assert.deepEqual(faults(print, 640), ["small"]));
test("a burnt-out patch is glare; the same pixels scattered are not", () => {
  assert.deepEqual(faults((x, y) => (x > 80 && x < 112 && y > 30 && y < 70 ? 255 : print(x, y))), ["glare"]);
  assert.deepEqual(faults((x, y) => (x % 4 === 0 && y % 2 === 0 ? 255 : print(x, y))), []);
});
test("a face may be softer and smaller than a document", () => {
  const soft = (x, y) => 120 + 60 * Math.sin(x / 2) * Math.sin(y / 2);
  assert.deepEqual(judge(picture(soft), 640, LIMITS.selfie), []);
});
