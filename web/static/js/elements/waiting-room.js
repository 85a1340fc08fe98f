// Who is here, who is awaited, how long until it starts. Asks the server every few seconds and goes in when it may.

import { Api } from "../protocol/api.js";
import { Backoff, pause } from "../protocol/backoff.js";
import { VisitError } from "../protocol/errors.js";
import { clockText, make, setText } from "./dom.js";
import { csrfToken, wordsOf } from "./words.js";

const ASK_EVERY = 3_000;
const ASK_EVERY_HIDDEN = 15_000;

/**
 * @typedef {object} VisitState as GET /api/visits/{id}/state answers
 * @property {string} phase too_early | lobby | live | over | cancelled
 * @property {string} door needed | checking | review | passed | refused
 * @property {boolean} may_enter
 * @property {{who: string, here: boolean}[]} awaiting
 * @property {string} starts_at
 * @property {string} lobby_opens_at
 * @property {string} now
 * @property {string} words a sentence of the prison, or empty
 */

class WaitingRoom extends HTMLElement {
  constructor() {
    super();
    this._stop = new AbortController();
    this._words = wordsOf(this);
    /** Server's clock minus this one, milliseconds. */
    this._skew = 0;
    this._starts = 0;
    this._entering = false;
    /** @type {HTMLButtonElement | null} */
    this._enter = null;
    this._wake = new AbortController();
  }

  connectedCallback() {
    this._words = wordsOf(this);
    this._starts = new Date(this.getAttribute("starts") ?? "").getTime();
    this._headline = make("p", { class: "headline", role: "status" });
    this._clock = make("p", { class: "countdown figures", role: "timer", "aria-live": "off" });
    this._people = make("ul", { class: "awaited plain-list", "aria-label": this._words.say("people") });
    this._net = make("p", { class: "notice warn", role: "status", hidden: true });
    // At a terminal nobody's camera goes on by itself: the prisoner starts the visit by hand.
    const byHand = this.getAttribute("by-hand");
    this._enter = byHand ? make("button", { type: "button", class: "button", text: byHand, hidden: true, onclick: () => this._go() }) : null;
    this.prepend(make("div", { class: "card lit stack" }, [this._headline, this._clock, this._people, this._net, ...(this._enter ? [this._enter] : [])]));
    this.addEventListener("door-checked", () => this._wake.abort());
    document.addEventListener("visibilitychange", () => this._wake.abort(), { signal: this._stop.signal });
    this._ticker = setInterval(() => this._tick(), 1_000);
    this._tick();
    void this._watch();
  }

  disconnectedCallback() {
    this._stop.abort();
    clearInterval(this._ticker);
  }

  async _watch() {
    const api = new Api({ csrf: csrfToken(), timeout: 10_000 });
    const backoff = new Backoff({ first: 1_000, most: 15_000, tries: Infinity });
    while (!this._stop.signal.aborted && !this._entering) {
      let wait = document.hidden ? ASK_EVERY_HIDDEN : ASK_EVERY;
      try {
        this._show(await api.get(this.getAttribute("state") ?? "", this._stop.signal));
        backoff.reset();
        if (this._net) this._net.hidden = true;
      } catch (error) {
        if (this._stop.signal.aborted) return;
        if (error instanceof VisitError && (error.status === 401 || error.status === 404)) return location.reload();
        wait = backoff.next() ?? ASK_EVERY_HIDDEN;
        if (this._net) {
          this._net.hidden = false;
          setText(this._net, this._words.say("error_offline"));
        }
      }
      this._wake = new AbortController();
      const wake = this._wake;
      this._stop.signal.addEventListener("abort", () => wake.abort(), { once: true });
      await pause(wait, wake.signal);
    }
  }

  /** @param {VisitState} state */
  _show(state) {
    this._skew = new Date(state.now).getTime() - Date.now();
    this._starts = new Date(state.starts_at).getTime();
    this.dataset["phase"] = state.phase;
    this.dataset["door"] = state.door;
    if (state.phase === "over" || state.phase === "cancelled") {
      this._entering = true;
      location.assign(this.getAttribute("after") ?? "/visits");
      return;
    }
    const door = this.querySelector("door-check");
    if (door instanceof HTMLElement) {
      const shut = state.phase === "too_early" || !["needed", "retake"].includes(state.door);
      if (!door.contains(document.activeElement) || shut) door.hidden = shut;
    }
    if (this._headline) setText(this._headline, this._headlineOf(state));
    this._people?.replaceChildren(
      ...state.awaiting.map(({ who, here }) =>
        make("li", {}, [
          make("span", { class: here ? "chip good" : "chip warn", text: this._words.say(here ? "here" : "awaited") }),
          ` ${this._words.has(`who_${who}`) ? this._words.say(`who_${who}`) : who}`,
        ]),
      ),
    );
    if (state.may_enter && this._enter === null) this._go();
    if (this._enter) this._enter.hidden = !state.may_enter;
  }

  _go() {
    this._entering = true;
    location.assign(this.getAttribute("call") ?? "");
  }

  /** @param {VisitState} state */
  _headlineOf(state) {
    if (state.words) return state.words;
    if (state.phase === "too_early") return this._words.say("too_early");
    if (state.may_enter) return this._words.say("entering");
    return this._words.say(`door_state_${state.door}`);
  }

  _tick() {
    if (!this._clock || Number.isNaN(this._starts)) return;
    const seconds = (this._starts - Date.now() - this._skew) / 1000;
    setText(this._clock, seconds > 0 ? this._words.say("starts_in", { time: clockText(seconds) }) : this._words.say("started"));
  }
}

customElements.define("waiting-room", WaitingRoom);
