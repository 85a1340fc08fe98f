// <monitor-wall words query>: up to sixteen live calls, and one bar of controls for the one that is chosen.
// A watch begins when the officer asks for it and states a ground; sound is off until it is chosen, for one call at a time.
// All pictures come in one connection per media node (monitor-lines.js).

import { setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { CallActions } from "./monitor-actions.js";
import { MonitorApi } from "./monitor-api.js";
import { Keys } from "./monitor-keys.js";
import { MonitorLines } from "./monitor-lines.js";
import { OfficerTalk } from "./monitor-speech.js";
import { MonitorTile } from "./monitor-tile.js";
import { wordsOf } from "./words.js";

const EVERY = 2_000;
const EVERY_WATCHED = 10_000; // where every call says by itself what happens to it
const MOST = 16; // calls
/** @type {Record<string, import("./monitor-actions.js").Act>} */
const KEYS = { p: "hold", m: "mute", t: "terminate", b: "bookmark", n: "note", s: "say" };

class MonitorWall extends HTMLElement {
  constructor() {
    super();
    this._api = new MonitorApi();
    /** @type {Map<string, MonitorTile>} */
    this._tiles = new Map();
    this._lines = new MonitorLines(this._api, 2 * MOST);
    /** @type {Map<string, import("./monitor-watch.js").MonitorWatch>} */
    this._watches = new Map();
    /** @type {string | null} */
    this._chosen = null;
    this._skew = 0;
    this._asked = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._soon = undefined;
  }

  connectedCallback() {
    this._words = wordsOf(this);
    this._list = /** @type {HTMLElement} */ (this.querySelector("[data-tiles]"));
    this._empty = /** @type {HTMLElement} */ (this.querySelector("[data-empty]"));
    this._said = /** @type {HTMLElement} */ (this.querySelector("[data-said]"));
    this._about = /** @type {HTMLElement} */ (this.querySelector("[data-about]"));
    this._bar = /** @type {HTMLElement} */ (this.querySelector("[data-bar]"));
    this._actions = new CallActions(this._api, this._words, (text, kind) => this._tell(text, kind));
    for (const button of this._bar.querySelectorAll("button[data-act]")) {
      button.addEventListener("click", () => void this._act(button.getAttribute("data-act") ?? ""));
    }
    this._keys = new Keys((key) => this._key(key), this.querySelector("input[data-keys]"));
    this._talk = new OfficerTalk(this._bar, {
      api: this._api, lines: this._lines, words: this._words,
      tell: (text, kind) => this._tell(text, kind),
      call: () => {
        const tile = this._tiles.get(this._chosen ?? "");
        return tile !== undefined && this._watches.has(tile.call.call_id) ? tile.call : null;
      },
    });
    this._lines.on("error", (error) => this._tell(failureWords(this._say, error), "bad"));
    this._timer = setInterval(() => this._tick(), 1_000);
    this._leaving = () => this._stopAll();
    window.addEventListener("pagehide", this._leaving);
    void this._load();
  }

  disconnectedCallback() {
    clearInterval(this._timer);
    clearTimeout(this._next);
    clearTimeout(this._soon);
    this._keys?.stop();
    this._talk?.close();
    window.removeEventListener("pagehide", this._leaving ?? (() => {}));
    this._stopAll();
  }

  /**
   * Ask for the wall, and again a while after the answer. Only the newest question's answer counts: one asked before an
   * officer's act may come in after it, and would show the call as it was.
   */
  async _load() {
    clearTimeout(this._next);
    const asked = ++this._asked;
    try {
      const wall = await this._api.wall(this.getAttribute("query") ?? "");
      if (asked !== this._asked) return;
      this._skew = Date.parse(wall.now) - Date.now();
      this._show(wall.calls);
      this._showDoor(wall.door);
      this.dataset["loaded"] = "yes";
      this.classList.remove("stale");
      if (this._lost) this._tell("", "good");
      this._lost = false;
    } catch (error) {
      if (asked !== this._asked) return;
      this.classList.add("stale");
      if (!this._lost) this._tell(failureWords(this._say, error), "bad");
      this._lost = true;
    }
    if (this.isConnected) this._next = setTimeout(() => void this._load(), this._allWatched ? EVERY_WATCHED : EVERY);
  }

  /** Whether there is nothing on the wall that would not say by itself what happens to it; but new calls come, too. */
  get _allWatched() {
    const tiles = [...this._tiles.values()];
    return tiles.length > 0 && tiles.every((tile) => tile.watching === "watching");
  }

  /** A watched call has said that something happened to it: ask for the rest. Several words at once are one question. */
  _loadSoon() {
    this._asked += 1; // an answer that is on its way is older than this
    clearTimeout(this._next);
    this._soon ??= setTimeout(() => {
      this._soon = undefined;
      if (this.isConnected) void this._load();
    }, 100);
  }

  get _say() {
    return /** @type {import("./words.js").Words} */ (this._words);
  }

  /** @param {import("./monitor-api.js").Call[]} calls */
  _show(calls) {
    const now = Date.now() + this._skew;
    const ids = new Set(calls.map((call) => call.call_id));
    for (const [id, tile] of this._tiles) {
      if (ids.has(id)) continue;
      void this._watches.get(id)?.stop();
      this._watches.delete(id);
      tile.element.remove();
      this._tiles.delete(id);
    }
    calls.forEach((call, index) => {
      const tile = this._tiles.get(call.call_id);
      if (tile) tile.update(call, now);
      else this._add(call);
      this._tiles.get(call.call_id)?.setNumber(index < 9 ? index + 1 : 0);
    });
    this._order(calls);
    this._showLines();
    if (this._empty) this._empty.hidden = calls.length > 0;
    if (this._chosen !== null && !ids.has(this._chosen)) this._choose(null);
    if (this._chosen === null && calls[0]) this._choose(calls[0].call_id);
    this._setBar();
  }

  /** @param {number} waiting people whom an officer must look at before their visit */
  _showDoor(waiting) {
    const link = this.querySelector("a[data-door]");
    if (!(link instanceof HTMLElement)) return;
    link.hidden = waiting === 0;
    setText(link, waiting === 0 ? "" : this._say.count("door", waiting));
  }

  /** @param {import("./monitor-api.js").Call} call */
  _add(call) {
    const id = call.call_id;
    const tile = new MonitorTile(call, this._say, {
      choose: () => this._choose(id),
      watch: () => void this._watch(id),
      sound: () => this._sound(id),
    });
    this._tiles.set(id, tile);
    this._list?.append(tile.element);
  }

  /**
   * Put the tiles into the server's order; one that stands right is not moved, so focus and pictures stay.
   * @param {import("./monitor-api.js").Call[]} calls
   */
  _order(calls) {
    calls.forEach((call, index) => {
      const element = this._tiles.get(call.call_id)?.element;
      const there = this._list?.children[index];
      if (element && there !== element) this._list?.insertBefore(element, there ?? null);
    });
  }

  /** @param {string | null} id */
  _choose(id) {
    if (id !== this._chosen) this._talk?.stop();
    this._chosen = id;
    for (const [other, tile] of this._tiles) tile.setChosen(other === id);
    this._setBar();
  }

  _setBar() {
    const tile = this._tiles.get(this._chosen ?? "");
    const bar = this._bar;
    if (!bar || !this._about) return;
    bar.classList.toggle("none", tile === undefined);
    setText(this._about, tile ? [tile.call.prisoner, ...tile.call.visitors].join(" – ") : this._say.say("none_chosen"));
    for (const button of bar.querySelectorAll("button[data-act]")) {
      const act = button.getAttribute("data-act") ?? "";
      const impossible = tile === undefined || (tile.call.privileged && button.hasAttribute("data-ordinary"));
      button.toggleAttribute("disabled", impossible);
      if (act === "hold") setText(/** @type {Element} */ (button.querySelector("[data-label]")), this._say.say(tile?.call.phase === "held" ? "resume" : "hold"));
    }
    this._talk?.update();
    const open = bar.querySelector("a[data-open]");
    if (open instanceof HTMLAnchorElement) {
      open.hidden = tile === undefined;
      open.href = tile ? `/staff/calls/${tile.call.call_id}` : "/staff/wall";
    }
  }

  /** @param {string} key */
  _key(key) {
    if (/^[1-9]$/.test(key)) {
      const tile = [...this._tiles.values()].find((one) => one.element === this._list?.children[Number(key) - 1]);
      if (!tile) return false;
      this._choose(tile.call.call_id);
      tile.focus();
      return true;
    }
    if (key === "w" && this._chosen) void this._watch(this._chosen);
    else if (key === "a" && this._chosen) this._sound(this._chosen);
    else if (key in KEYS) void this._act(KEYS[key] ?? "");
    else return false;
    return true;
  }

  /** @param {string} act */
  async _act(act) {
    const tile = this._tiles.get(this._chosen ?? "");
    if (!tile) return;
    const button = this._bar?.querySelector(`button[data-act="${act}"]`);
    if (button?.hasAttribute("disabled")) return;
    await this._actions?.run(tile.call, /** @type {import("./monitor-actions.js").Act} */ (act));
    await this._load();
  }

  /** @param {string} id */
  async _watch(id) {
    const tile = this._tiles.get(id);
    if (!tile || tile.call.privileged) return;
    const running = this._watches.get(id);
    if (running) {
      this._watches.delete(id);
      return running.stop();
    }
    const ground = await this._actions?.ground(tile.call);
    if (!ground || !this._tiles.has(id) || this._watches.has(id)) return;
    const watch = this._lines.watch(id, ground);
    this._watches.set(id, watch);
    watch.on("status", (status) => this._watchStatus(id, tile, status));
    watch.on("remotes", (remotes) => tile.setRemotes(remotes));
    watch.on("talking", ({ participant_id, level }) => tile.setTalking(participant_id, level));
    watch.on("state", (state) => this._stated(tile, state));
    watch.on("event", () => this._loadSoon());
    watch.on("speech", (speech) => this._talk?.heard(speech));
    watch.on("error", (error) => this._tell(failureWords(this._say, error), "bad"));
    try {
      await watch.start();
    } catch (error) {
      this._watches.delete(id);
      tile.setWatching("off");
      this._tell(failureWords(this._say, error), "bad");
    }
    void this._load();
  }

  /**
   * The server says the call's phase at once; the rest of what is known of it comes with the next answer.
   * @param {MonitorTile} tile
   * @param {any} state
   */
  _stated(tile, state) {
    if (tile.call.phase !== state.state) tile.update({ ...tile.call, phase: state.state }, Date.now() + this._skew);
    this._setBar();
    this._loadSoon();
  }

  /**
   * @param {string} id
   * @param {MonitorTile} tile
   * @param {import("./monitor-watch.js").WatchEvents["status"]} status
   */
  _watchStatus(id, tile, status) {
    if (status === "over" || status === "failed") {
      this._watches.delete(id);
      tile.setWatching("off");
    } else {
      tile.setWatching(status);
    }
    if (status !== "watching" && id === this._chosen) this._talk?.stop();
    this._showLines();
    this._setBar();
  }

  /** Tell the connections in which order the tiles stand and which call is heard. */
  _showLines() {
    const order = [...(this._list?.children ?? [])].map((element) => element.getAttribute("data-call") ?? "");
    const heard = [...this._tiles.values()].find((tile) => tile.sound)?.call.call_id ?? null;
    this._lines.show(order, heard, heard !== null);
  }

  /** One voice at a time: two calls at once cannot be understood. @param {string} id */
  _sound(id) {
    const chosen = this._tiles.get(id);
    if (!chosen || chosen.watching === "off") return;
    const on = !chosen.sound;
    for (const tile of this._tiles.values()) if (tile.sound) tile.setSound(false);
    chosen.setSound(on);
    this._showLines();
  }

  _tick() {
    for (const tile of this._tiles.values()) tile.tick(Date.now() + this._skew);
  }

  _stopAll() {
    this._talk?.stop();
    for (const watch of this._watches.values()) void watch.stop();
    this._watches.clear();
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

customElements.define("monitor-wall", MonitorWall);
