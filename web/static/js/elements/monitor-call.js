// <monitor-call call words zone>: one call, large. Both sides, sound, controls, messages, health, and what has happened.

import { make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { CallActions } from "./monitor-actions.js";
import { MonitorApi } from "./monitor-api.js";
import { EventList } from "./monitor-events.js";
import { Keys } from "./monitor-keys.js";
import { MonitorLines } from "./monitor-lines.js";
import { OfficerTalk } from "./monitor-speech.js";
import { MonitorTile } from "./monitor-tile.js";
import { wordsOf } from "./words.js";

const EVERY = 2_000;
const PEOPLE = 5; // in one call
const OVER = new Set(["ended", "terminated", "no_show", "failed"]);
/** @type {Record<string, import("./monitor-actions.js").Act>} */
const KEYS = { p: "hold", m: "mute", t: "terminate", b: "bookmark", n: "note", s: "say" };

class MonitorCall extends HTMLElement {
  constructor() {
    super();
    this._api = new MonitorApi();
    /** @type {MonitorTile | null} */
    this._tile = null;
    this._lines = new MonitorLines(this._api, PEOPLE);
    /** @type {import("./monitor-watch.js").MonitorWatch | null} */
    this._watch = null;
    this._skew = 0;
    this._asked = 0;
  }

  connectedCallback() {
    this._words = wordsOf(this);
    this._said = /** @type {HTMLElement} */ (this.querySelector("[data-said]"));
    this._health = /** @type {HTMLElement} */ (this.querySelector("[data-health]"));
    this._stage = /** @type {HTMLElement} */ (this.querySelector("[data-stage]"));
    this._bar = /** @type {HTMLElement} */ (this.querySelector("[data-bar]"));
    this._events = new EventList(/** @type {HTMLElement} */ (this.querySelector("[data-events]")), this._words, this.getAttribute("zone") ?? "UTC");
    this._actions = new CallActions(this._api, this._words, (text, kind) => this._tell(text, kind));
    for (const button of this.querySelectorAll("button[data-act]")) {
      button.addEventListener("click", () => void this._act(button.getAttribute("data-act") ?? ""));
    }
    this._messages();
    this._keys = new Keys((key) => this._key(key), this.querySelector("input[data-keys]"));
    this._talk = new OfficerTalk(this._bar, {
      api: this._api, lines: this._lines, words: this._words,
      tell: (text, kind) => this._tell(text, kind),
      call: () => (this._watch !== null && this._tile !== null ? this._tile.call : null),
    });
    this._lines.on("error", (error) => this._tell(failureWords(this._say, error), "bad"));
    this._timer = setInterval(() => this._tile?.tick(Date.now() + this._skew), 1_000);
    this._leaving = () => void this._watch?.stop();
    window.addEventListener("pagehide", this._leaving);
    void this._load();
  }

  disconnectedCallback() {
    clearInterval(this._timer);
    clearTimeout(this._next);
    this._keys?.stop();
    this._talk?.close();
    window.removeEventListener("pagehide", this._leaving ?? (() => {}));
    void this._watch?.stop();
  }

  get _say() {
    return /** @type {import("./words.js").Words} */ (this._words);
  }

  /** Ask how the call is, and again a while after the answer. Only the newest question's answer counts. */
  async _load() {
    clearTimeout(this._next);
    const asked = ++this._asked;
    try {
      const { now, call, events } = await this._api.call(this.getAttribute("call") ?? "", this._events?.last ?? 0);
      if (asked !== this._asked) return;
      this._skew = Date.parse(now) - Date.now();
      this._show(call);
      this._events?.add(events);
      this.dataset["loaded"] = "yes";
      this.classList.remove("stale");
      if (OVER.has(call.phase)) {
        await this._watch?.stop();
        return;
      }
    } catch (error) {
      if (asked !== this._asked) return;
      this.classList.add("stale");
      this._tell(failureWords(this._say, error), "bad");
    }
    if (this.isConnected) this._next = setTimeout(() => void this._load(), EVERY);
  }

  /** @param {import("./monitor-api.js").Call} call */
  _show(call) {
    if (this._tile === null) {
      this._tile = new MonitorTile(call, this._say, { choose: () => {}, watch: () => void this._toggleWatch(), sound: () => this._sound() });
      this._tile.setNumber(0);
      const list = make("ul", { class: "plain-list focus-tile" }, [this._tile.element]);
      this._stage?.append(list);
    }
    this._tile.update(call, Date.now() + this._skew);
    for (const button of this._bar?.querySelectorAll("button[data-act]") ?? []) {
      button.toggleAttribute("disabled", OVER.has(call.phase) || (call.privileged && button.hasAttribute("data-ordinary")));
      const label = button.querySelector("[data-label]");
      if (button.getAttribute("data-act") === "hold" && label) setText(label, this._say.say(call.phase === "held" ? "resume" : "hold"));
    }
    this._talk?.update();
    this._showHealth(call.participants);
  }

  /** @param {import("./monitor-api.js").Person[]} people */
  _showHealth(people) {
    const rows = people.map((person) => {
      const quality = person.quality;
      const cells = [
        this._say.say(`side_${person.side}`),
        this._say.say(person.connected ? "connected" : person.present ? "present" : "gone"),
        [this._say.say(`microphone_${person.microphone ?? "unknown"}`), this._say.say(`camera_${person.camera ?? "unknown"}`)].join(", "),
        number(quality?.rtt_ms, "ms"),
        quality?.loss === null || quality?.loss === undefined ? "–" : `${Math.round(quality.loss * 1000) / 10} %`,
        number(quality?.kbit_in, "kbit/s"),
        number(quality?.kbit_out, "kbit/s"),
        number(quality?.height, "px"),
      ];
      return make("tr", {}, [make("th", { scope: "row", text: person.name }), ...cells.map((text) => make("td", { text }))]);
    });
    if (rows.length === 0) rows.push(make("tr", {}, [make("td", { colspan: 9, text: this._say.say("nobody_there") })]));
    this._health?.replaceChildren(...rows);
  }

  /** Canned messages and own words, in the page beside the picture. */
  _messages() {
    const form = this.querySelector("form[data-say]");
    if (!(form instanceof HTMLFormElement)) return;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = String(new FormData(form).get("text") ?? "").trim();
      if (text) void this._sayText(text).then((sent) => sent && form.reset());
    });
    for (const button of form.querySelectorAll("button[data-canned]")) {
      button.addEventListener("click", () => void this._sayText(button.textContent?.trim() ?? ""));
    }
  }

  /** @param {string} text */
  async _sayText(text) {
    if (!this._tile) return false;
    const sent = (await this._actions?.say(this._tile.call, text)) ?? false;
    await this._load();
    return sent;
  }

  /** @param {string} key */
  _key(key) {
    if (key === "w") void this._toggleWatch();
    else if (key === "a") this._sound();
    else if (key in KEYS) void this._act(KEYS[key] ?? "");
    else return false;
    return true;
  }

  /** @param {string} act */
  async _act(act) {
    if (!this._tile) return;
    const button = this._bar?.querySelector(`button[data-act="${act}"]`);
    if (button?.hasAttribute("disabled")) return;
    await this._actions?.run(this._tile.call, /** @type {import("./monitor-actions.js").Act} */ (act));
    await this._load();
  }

  async _toggleWatch() {
    const tile = this._tile;
    if (!tile || tile.call.privileged) return;
    if (this._watch) return this._watch.stop();
    const ground = await this._actions?.ground(tile.call);
    if (!ground || this._watch) return;
    const watch = this._lines.watch(tile.call.call_id, ground);
    this._watch = watch;
    this._showLine();
    watch.on("status", (status) => {
      if (status === "over" || status === "failed") this._watch = null;
      tile.setWatching(status === "over" || status === "failed" ? "off" : status);
      if (status !== "watching") this._talk?.stop();
      this._talk?.update();
    });
    watch.on("remotes", (remotes) => tile.setRemotes(remotes));
    watch.on("talking", ({ participant_id, level }) => tile.setTalking(participant_id, level));
    watch.on("event", () => void this._load());
    watch.on("speech", (speech) => this._talk?.heard(speech));
    watch.on("error", (error) => this._tell(failureWords(this._say, error), "bad"));
    try {
      await watch.start();
    } catch (error) {
      this._watch = null;
      tile.setWatching("off");
      this._tell(failureWords(this._say, error), "bad");
    }
    void this._load();
  }

  _sound() {
    if (!this._tile || this._tile.watching === "off") return;
    this._tile.setSound(!this._tile.sound);
    this._showLine();
  }

  /** One call, large. */
  _showLine() {
    const id = this._tile?.call.call_id ?? "";
    this._lines.show([id], id, this._tile?.sound ?? false);
  }

  /**
   * @param {string} text
   * @param {"good" | "bad"} kind
   */
  _tell(text, kind) {
    if (!this._said) return;
    this._said.dataset["kind"] = kind;
    setText(this._said, text);
  }
}

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 */
function number(value, unit) {
  return value === null || value === undefined ? "–" : `${Math.round(value)} ${unit}`;
}

customElements.define("monitor-call", MonitorCall);
