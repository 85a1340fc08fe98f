// The clock of a recording's playback, and how several pictures keep to it. No DOM, no media.

/** Times on the recording's time line, in milliseconds. @typedef {[number, number]} Span */

/** A picture that is further off than this (s) is set anew; nearer, it is led back by its speed. */
const JUMP = 0.3;
/** Nearer than this (s) it is right: a frame and a half. */
const RIGHT = 0.05;

export const RATES = [0.5, 1, 1.5, 2, 3, 4];
/** One frame at 30 a second. */
export const FRAME_MS = 1000 / 30;

export class PlaybackClock {
  /**
   * @param {number} duration milliseconds
   * @param {() => number} [now] monotonic milliseconds
   */
  constructor(duration, now = () => performance.now()) {
    this.duration = duration;
    this._now = now;
    this._at = 0;
    this._since = 0;
    this._rate = 1;
    this.running = false;
  }

  /** @returns {number} milliseconds, 0..duration */
  get position() {
    const passed = this.running ? (this._now() - this._since) * this._rate : 0;
    return Math.min(this.duration, Math.max(0, this._at + passed));
  }

  get rate() {
    return this._rate;
  }

  set rate(rate) {
    this._fix();
    this._rate = Math.min(4, Math.max(0.5, rate));
  }

  get ended() {
    return this.position >= this.duration;
  }

  start() {
    if (this.running) return;
    if (this.ended) this._at = 0;
    this._since = this._now();
    this.running = true;
  }

  stop() {
    this._fix();
    this.running = false;
  }

  /** @param {number} position milliseconds; what lies outside is brought to the nearer end */
  seek(position) {
    this._at = Math.min(this.duration, Math.max(0, position));
    this._since = this._now();
  }

  /** @param {number} frames back when negative; stops the clock, as one does to look */
  step(frames) {
    this.stop();
    this.seek(this._at + frames * FRAME_MS);
  }

  _fix() {
    this._at = this.position;
    this._since = this._now();
  }
}

/**
 * What a picture has to do to keep to the clock.
 * @param {number} shown seconds: where the picture is
 * @param {number} wanted seconds: where the clock is
 * @param {number} rate the clock's
 * @param {boolean} running
 * @returns {{seek: number | null, rate: number}} where to set it (null: leave it), and its speed
 */
export function keepTime(shown, wanted, rate, running) {
  const ahead = shown - wanted;
  if (!running) return { seek: Math.abs(ahead) > 0.001 ? wanted : null, rate };
  if (Math.abs(ahead) > JUMP * Math.max(1, rate)) return { seek: wanted, rate };
  if (Math.abs(ahead) < RIGHT) return { seek: null, rate };
  // A second's difference is made up in ten: nobody hears a tenth.
  return { seek: null, rate: rate * (1 - Math.max(-0.1, Math.min(0.1, ahead))) };
}

/**
 * Where somebody begins to talk next.
 * @param {Span[][]} sides each side's stretches of speech, in order
 * @param {number} after milliseconds
 * @returns {number | null}
 */
export function nextTalk(sides, after) {
  const starts = sides.flatMap((spans) => spans.map(([from]) => from)).filter((from) => from > after + 1);
  return starts.length > 0 ? Math.min(...starts) : null;
}
