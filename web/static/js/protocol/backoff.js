// How long to wait before trying again: doubling, with jitter so that a hundred pages do not come back in one instant.

/**
 * @typedef {object} BackoffOptions
 * @property {number} [first] milliseconds before the first repeat
 * @property {number} [most] milliseconds at most between two tries
 * @property {number} [tries] after so many repeats there is no next one
 * @property {() => number} [random] 0..1, for tests
 */

export class Backoff {
  /** @param {BackoffOptions} [options] */
  constructor({ first = 500, most = 8_000, tries = 20, random = Math.random } = {}) {
    this._first = first;
    this._most = most;
    this._limit = tries;
    this._random = random;
    this.tries = 0;
  }

  /** @returns {number | null} milliseconds to wait (between half and all of the doubled step), null when it is time to give up */
  next() {
    if (this.tries >= this._limit) return null;
    const step = Math.min(this._most, this._first * 2 ** this.tries);
    this.tries += 1;
    return step / 2 + (step / 2) * this._random();
  }

  /** What was lost is back: start from the first step next time. */
  reset() {
    this.tries = 0;
  }
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>} resolves after the time; at once when `signal` aborts
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal?.addEventListener("abort", done, { once: true });
  });
}
