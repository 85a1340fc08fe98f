// The buttons with which an officer speaks in a call, and what is said about it.

import { setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { MonitorTalk } from "./monitor-talk.js";

const SPEAKABLE = new Set(["live", "held", "waiting_monitor", "reconnecting"]);

/**
 * @typedef {object} SpeechOptions
 * @property {import("./monitor-api.js").MonitorApi} api
 * @property {import("./monitor-lines.js").MonitorLines} lines
 * @property {import("./words.js").Words} words
 * @property {() => import("./monitor-api.js").Call | null} call the chosen call, if the officer watches it
 * @property {(text: string, kind: "good" | "bad") => void} tell
 */

export class OfficerTalk {
  /**
   * @param {HTMLElement} bar with buttons that have `data-talk`, and a place `data-speaking`
   * @param {SpeechOptions} options
   */
  constructor(bar, options) {
    this._options = options;
    this._buttons = /** @type {HTMLButtonElement[]} */ ([...bar.querySelectorAll("button[data-talk]")]);
    this._speaking = bar.querySelector("[data-speaking]");
    this._talk = new MonitorTalk(this._buttons, {
      api: options.api,
      lines: options.lines,
      call: () => this._possible()?.call_id ?? null,
      changed: (to) => this._changed(to),
      failed: (error) => options.tell(failureWords(options.words, error), "bad"),
    });
    options.lines.on("refused", ({ request, error }) => {
      if (request === "talk") this._talk.stop();
      options.tell(failureWords(options.words, error), "bad");
    });
  }

  /** Something about the chosen call has changed. */
  update() {
    const possible = this._possible() !== null;
    for (const button of this._buttons) button.disabled = !possible;
    if (!possible) this._talk.stop();
  }

  stop() {
    this._talk.stop();
  }

  close() {
    this._talk.close();
  }

  /** @param {any} speech the server's word on who hears the officer */
  heard(speech) {
    if (!speech.talking) {
      if (speech.cause !== "officer") this._talk.stop();
      return;
    }
    if (speech.unheard_by.length === 0) return;
    const people = this._options.call()?.participants ?? [];
    const names = people.filter((person) => speech.unheard_by.includes(person.participant_id)).map((person) => person.name);
    if (names.length > 0) this._options.tell(this._options.words.say("not_heard", { names: names.join(", ") }), "bad");
  }

  _possible() {
    const call = this._options.call();
    return call !== null && !call.privileged && SPEAKABLE.has(call.phase) ? call : null;
  }

  /** @param {import("./monitor-talk.js").To | null} to */
  _changed(to) {
    for (const button of this._buttons) button.setAttribute("aria-pressed", String(button.dataset["talk"] === to));
    if (this._speaking) setText(this._speaking, to === null ? "" : this._options.words.say(`speaking_${to}`));
  }
}
