// The officer's own voice: hold a button to speak to all or to one side, or tap it and it stays on until the next tap.
// The microphone is asked for at the first word, and let go a while after the last.

import { VisitError } from "../protocol/errors.js";

/** A press shorter than this is a tap. */
const TAP = 400;
const KEEP_MICROPHONE = 30_000;

/** @typedef {"all" | "prisoner" | "family" | "guest"} To */

/**
 * @typedef {object} TalkOptions
 * @property {import("./monitor-api.js").MonitorApi} api
 * @property {import("./monitor-lines.js").MonitorLines} lines
 * @property {() => string | null} call the call that is chosen, if it is watched
 * @property {(to: To | null) => void} changed to whom the officer speaks now; null: to nobody
 * @property {(error: unknown) => void} failed
 */

export class MonitorTalk {
  /**
   * @param {Iterable<HTMLButtonElement>} buttons with `data-talk`
   * @param {TalkOptions} options
   */
  constructor(buttons, options) {
    this._options = options;
    /** @type {{to: To, call: string, line: import("./monitor-line.js").MonitorLine | null} | null} */
    this._now = null;
    /** @type {Promise<void>} one thing after the other: a release never overtakes its press */
    this._queue = Promise.resolve();
    /** @type {MediaStream | null} */
    this._microphone = null;
    this._since = 0;
    this._latched = false;
    this._listening = new AbortController();
    for (const button of buttons) this._listen(button);
    const { signal } = this._listening;
    // Whoever looks elsewhere must not be heard without knowing.
    window.addEventListener("blur", () => this.stop(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden && this.stop(), { signal });
  }

  /** Be silent, and let go of everything. */
  close() {
    this._listening.abort();
    this.stop();
    this._letGo();
  }

  /** Be silent now. */
  stop() {
    const now = this._now;
    if (now === null) return;
    this._now = null;
    this._latched = false;
    this._options.changed(null);
    this._then(async () => {
      await now.line?.hush();
      this._idle = setTimeout(() => this._letGo(), KEEP_MICROPHONE);
    });
  }

  /** @param {HTMLButtonElement} button */
  _listen(button) {
    const { signal } = this._listening;
    const to = /** @type {To} */ (button.dataset["talk"]);
    let pressed = false;
    const press = () => {
      pressed = true;
      this._press(to);
    };
    const release = () => {
      if (pressed) this._release();
      pressed = false;
    };
    button.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || button.disabled) return;
      button.setPointerCapture(event.pointerId);
      press();
    }, { signal });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, release, { signal });
    button.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      if (!event.repeat) press();
    }, { signal });
    button.addEventListener("keyup", (event) => {
      if (event.key === " " || event.key === "Enter") release();
    }, { signal });
    // Assistive technology may press with no pointer and no key: that is a tap.
    button.addEventListener("click", (event) => {
      if (event.detail !== 0 || pressed) return;
      this._press(to);
      this._since = Number.POSITIVE_INFINITY;
      this._release();
    }, { signal });
    button.addEventListener("contextmenu", (event) => event.preventDefault(), { signal });
  }

  /** @param {To} to */
  _press(to) {
    const same = this._now?.to === to && this._latched;
    if (this._now !== null) this.stop();
    this._since = Date.now();
    if (same) return;
    const call = this._options.call();
    if (call === null) return;
    const now = { to, call, line: /** @type {import("./monitor-line.js").MonitorLine | null} */ (null) };
    this._now = now;
    this._options.changed(to);
    this._then(() => this._start(now));
  }

  _release() {
    if (this._now === null) return;
    if (Date.now() - this._since >= TAP) this.stop();
    else this._latched = true;
  }

  /** @param {{to: To, call: string, line: import("./monitor-line.js").MonitorLine | null}} now */
  async _start(now) {
    try {
      clearTimeout(this._idle);
      this._microphone ??= await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true }, video: false });
      if (this._now !== now) return;
      const { warrant } = await this._options.api.talk(now.call, now.to);
      const line = this._options.lines.of(now.call);
      const [voice] = this._microphone.getAudioTracks();
      if (this._now !== now || line === null || voice === undefined) return;
      now.line = line;
      await line.talk(warrant, voice);
    } catch (error) {
      if (this._now === now) this.stop();
      this._options.failed(error instanceof DOMException ? new VisitError("microphone", "", { cause: error }) : error);
    }
  }

  /** @param {() => Promise<void>} act */
  _then(act) {
    this._queue = this._queue.then(act).catch((error) => this._options.failed(error));
  }

  _letGo() {
    if (this._now !== null) return;
    for (const track of this._microphone?.getTracks() ?? []) track.stop();
    this._microphone = null;
  }
}
