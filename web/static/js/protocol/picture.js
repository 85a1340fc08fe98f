// Is a picture good enough to send? Judged before it leaves the phone, so that nobody waits two days for "too blurred".
// It is guidance: the person may send the picture anyway, and a person at the prison decides.

/** @typedef {"dark" | "bright" | "blurred" | "glare" | "small"} Fault */

/**
 * @typedef {object} Pixels as of CanvasRenderingContext2D.getImageData
 * @property {Uint8ClampedArray} data RGBA
 * @property {number} width
 * @property {number} height
 */

/**
 * @typedef {object} Limits
 * @property {number} least the longer edge of the original picture in pixels
 * @property {number} dark mean luma below which it is too dark (0..255)
 * @property {number} bright mean luma above which it is washed out
 * @property {number} blur variance of the Laplacian below which it is blurred, at 480 px
 * @property {number} glare part of the picture (0..1) that may be burnt out in patches
 */

/** @type {Record<"document" | "selfie", Limits>} */
export const LIMITS = {
  // 18 px per character of a 44-character zone (TD3) that fills most of the width
  document: { least: 900, dark: 55, bright: 235, blur: 60, glare: 0.02 },
  selfie: { least: 400, dark: 45, bright: 240, blur: 25, glare: 0.25 },
};

/**
 * @param {Pixels} pixels the picture scaled to about 480 px (see `WORKING_EDGE`)
 * @param {number} originalEdge longer edge of the picture as taken
 * @param {Limits} limits
 * @returns {Fault[]} nothing: good
 */
export function judge(pixels, originalEdge, limits) {
  const luma = lumaOf(pixels);
  /** @type {Fault[]} */
  const faults = [];
  const mean = average(luma);
  if (originalEdge < limits.least) faults.push("small");
  if (mean < limits.dark) faults.push("dark");
  else if (mean > limits.bright) faults.push("bright");
  // Noise in the dark looks like sharpness, and darkness looks like blur: say the one that can be mended.
  else if (sharpness(luma, pixels.width, pixels.height) < limits.blur) faults.push("blurred");
  if (!faults.includes("bright") && burntOut(luma, pixels.width, pixels.height) > limits.glare) faults.push("glare");
  return faults;
}

export const WORKING_EDGE = 480;

/**
 * @param {Pixels} pixels
 * @returns {Float32Array} luma 0..255 (ITU-R BT.601)
 */
export function lumaOf({ data, width, height }) {
  const luma = new Float32Array(width * height);
  for (let index = 0; index < luma.length; index += 1) {
    const at = index * 4;
    luma[index] = 0.299 * (data[at] ?? 0) + 0.587 * (data[at + 1] ?? 0) + 0.114 * (data[at + 2] ?? 0);
  }
  return luma;
}

/** @param {Float32Array} values */
function average(values) {
  let sum = 0;
  for (const value of values) sum += value;
  return values.length > 0 ? sum / values.length : 0;
}

/**
 * Variance of the 4-neighbour Laplacian: little of it means few edges, so blur.
 * @param {Float32Array} luma
 * @param {number} width
 * @param {number} height
 */
export function sharpness(luma, width, height) {
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (let y = 1; y < height - 1; y += 1) {
    for (let x = 1; x < width - 1; x += 1) {
      const at = y * width + x;
      const value = at4(luma, at, width);
      sum += value;
      squares += value * value;
      count += 1;
    }
  }
  if (count === 0) return 0;
  const mean = sum / count;
  return squares / count - mean * mean;
}

/**
 * @param {Float32Array} luma
 * @param {number} at
 * @param {number} width
 */
function at4(luma, at, width) {
  const around = (luma[at - 1] ?? 0) + (luma[at + 1] ?? 0) + (luma[at - width] ?? 0) + (luma[at + width] ?? 0);
  return around - 4 * (luma[at] ?? 0);
}

/**
 * The part of 8×8 blocks that are burnt out (almost all pixels above 250): a lamp's reflection, not white paper.
 * White paper under even light stays below 250 on a camera that exposes for it.
 * @param {Float32Array} luma
 * @param {number} width
 * @param {number} height
 */
export function burntOut(luma, width, height) {
  let blocks = 0;
  let burnt = 0;
  for (let top = 0; top + 8 <= height; top += 8) {
    for (let left = 0; left + 8 <= width; left += 8) {
      blocks += 1;
      let high = 0;
      for (let y = 0; y < 8; y += 1) {
        for (let x = 0; x < 8; x += 1) if ((luma[(top + y) * width + left + x] ?? 0) > 250) high += 1;
      }
      if (high >= 60) burnt += 1;
    }
  }
  return blocks > 0 ? burnt / blocks : 0;
}
