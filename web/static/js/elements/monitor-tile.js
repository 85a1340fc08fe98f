// One call on the wall: what it is, how it goes, and (while it is watched) its two pictures. Knows nothing of connections.

import { clockText, make, setText } from "./dom.js";

/**
 * @typedef {object} TileHandlers
 * @property {() => void} choose
 * @property {() => void} watch
 * @property {() => void} sound
 */

const SILENT = 127;

export class MonitorTile {
  /**
   * @param {import("./monitor-api.js").Call} call
   * @param {import("./words.js").Words} words
   * @param {TileHandlers} on
   */
  constructor(call, words, on) {
    this.call = call;
    this.words = words;
    this._state = make("span", { class: "state-word" });
    this._left = make("span", { class: "left figures" });
    this._number = make("span", { class: "key", "aria-hidden": "true" });
    this._who = make("a", { href: `/staff/calls/${call.call_id}` });
    this._where = make("span", { class: "soft small" });
    this._flags = make("ul", { class: "flags" });
    this._pictures = make("div", { class: "pictures" });
    this._cover = make("p", { class: "cover" });
    this._choose = make("button", { type: "button", class: "button second", onclick: on.choose });
    this._watch = make("button", { type: "button", class: "button second", onclick: on.watch });
    this._sound = make("button", { type: "button", class: "button second", "aria-pressed": "false", onclick: on.sound });
    this._buttons = make("div", { class: "row tile-buttons" }, [this._choose]);
    if (!call.privileged) this._buttons.append(this._watch, this._sound);
    this.element = make("li", { class: "monitor-tile", "data-call": call.call_id }, [
      make("div", { class: "tile-head" }, [this._number, make("h2", {}, [this._who]), this._left]),
      make("div", { class: "tile-line" }, [this._state, this._where]),
      make("div", { class: "tile-picture" }, [this._pictures, this._cover]),
      this._flags,
      this._buttons,
    ]);
    /** @type {Map<string, {figure: HTMLElement, video: HTMLVideoElement, caption: HTMLElement, level: HTMLElement, meter: HTMLElement}>} */
    this._shown = new Map();
    /** @type {"off" | "connecting" | "watching" | "interrupted"} */
    this.watching = "off";
    this.sound = false;
    this.update(call, Date.now());
    this.setWatching("off");
  }

  /**
   * @param {import("./monitor-api.js").Call} call
   * @param {number} now milliseconds, the server's clock
   */
  update(call, now) {
    this.call = call;
    const who = [call.prisoner, ...call.visitors].join(" – ");
    setText(this._who, who);
    this.element.dataset["phase"] = call.phase;
    setText(this._state, this.words.say(`phase_${call.phase}`));
    setText(this._where, [call.station, call.wing].filter(Boolean).join(" · "));
    setText(this._choose, this.words.say("choose"));
    this._choose.setAttribute("aria-label", this.words.say("choose_this", { who }));
    this._setFlags(call);
    this.tick(now);
    this._setCover();
    for (const person of call.participants) this._setMuted(person);
  }

  /** @param {number} now milliseconds, the server's clock */
  tick(now) {
    const seconds = (Date.parse(this.call.ends_at) - now) / 1000;
    setText(this._left, seconds > 0 ? clockText(seconds) : this.words.say("over_time"));
    this._left.classList.toggle("soon", seconds < 120);
  }

  /** @param {number} number its key, 0 for none */
  setNumber(number) {
    setText(this._number, number > 0 ? String(number) : "");
    this._number.hidden = number === 0;
  }

  /** @param {boolean} chosen */
  setChosen(chosen) {
    this.element.classList.toggle("chosen", chosen);
    this._choose.setAttribute("aria-pressed", String(chosen));
  }

  focus() {
    this._choose.focus();
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** @param {"off" | "connecting" | "watching" | "interrupted"} watching */
  setWatching(watching) {
    this.watching = watching;
    this.element.dataset["watching"] = watching;
    setText(this._watch, this.words.say(watching === "off" ? "watch" : "stop_watching"));
    this._sound.hidden = watching === "off";
    if (watching === "off") this.setSound(false);
    this._setCover();
  }

  /** @param {boolean} on */
  setSound(on) {
    this.sound = on;
    this._sound.setAttribute("aria-pressed", String(on));
    setText(this._sound, this.words.say(on ? "sound_on" : "sound_off"));
  }

  /** @param {import("./call-view.js").Remote[]} remotes */
  setRemotes(remotes) {
    const wanted = new Set(remotes.map((remote) => remote.id));
    for (const [id, shown] of this._shown) {
      if (wanted.has(id)) continue;
      shown.video.srcObject = null;
      shown.figure.remove();
      this._shown.delete(id);
    }
    for (const remote of remotes) {
      const shown = this._shown.get(remote.id) ?? this._addPicture(remote.id);
      setText(shown.caption, remote.name);
      shown.figure.classList.toggle("no-picture", !remote.picture);
      if (shown.video.srcObject !== remote.stream) shown.video.srcObject = remote.stream;
      void shown.video.play().catch(() => {
        // A picture that was replaced while it began to play: the newer one plays by itself.
      });
    }
    for (const person of this.call.participants) this._setMuted(person);
    this._setCover();
  }

  /**
   * @param {string} id participant
   * @param {number} level -dBov, 127 is silence
   */
  setTalking(id, level) {
    const shown = this._shown.get(id);
    if (!shown) return;
    const part = level >= SILENT ? 0 : Math.max(0.05, 1 - level / 70);
    shown.level.style.setProperty("inline-size", `${Math.round(part * 100)}%`);
    shown.figure.classList.toggle("talking", part > 0);
  }

  /** @param {string} id */
  _addPicture(id) {
    const video = make("video", { autoplay: true, playsinline: true });
    video.muted = true; // the voice of the chosen call is played by the connection (monitor-line.js)
    const caption = make("span");
    const level = make("span", { class: "level" });
    const meter = make("span", { class: "meter", role: "img", "aria-label": this.words.say("level") }, [level]);
    const figure = make("figure", { "data-participant": id, "data-no-picture": this.words.say("no_picture") }, [video, make("figcaption", {}, [caption, meter])]);
    this._pictures.append(figure);
    const shown = { figure, video, caption, level, meter };
    this._shown.set(id, shown);
    return shown;
  }

  /** @param {import("./monitor-api.js").Person} person */
  _setMuted(person) {
    const figure = this._shown.get(person.participant_id)?.figure;
    if (!figure) return;
    figure.classList.toggle("muted", person.muted.includes("audio"));
    figure.dataset["muted"] = person.muted.map((kind) => this.words.say(`muted_${kind}`)).join(", ");
  }

  _setCover() {
    const cover = this._coverWords();
    this._cover.hidden = cover === "";
    setText(this._cover, cover);
  }

  _coverWords() {
    if (this.call.privileged) return this.words.say("privileged");
    if (this.watching === "off") return this.words.say(this.call.watchers > 0 ? "watched_by_others" : "not_watched");
    if (this.watching !== "watching") return this.words.say(this.watching);
    if (this.call.phase !== "live") return this.words.say("nothing_flows");
    return this._shown.size === 0 ? this.words.say("connecting") : "";
  }

  /** @param {import("./monitor-api.js").Call} call */
  _setFlags(call) {
    /** @type {[string, string][]} */
    const flags = [];
    if (call.watch_required) flags.push(call.watchers > 0 ? ["good", "flag_watched"] : ["bad", "flag_watch_required"]);
    else if (call.watchers > 0) flags.push(["note", "flag_watched"]);
    if (call.recorded) flags.push(recorderFlag(call));
    for (const person of call.participants) if (person.muted.length > 0) flags.push(["warn", "flag_muted"]);
    if (call.participants.some((person) => person.held)) flags.push(["warn", "flag_held"]);
    const key = flags.map(([, word]) => word).join(" ");
    if (this._flags.dataset["key"] === key) return;
    this._flags.dataset["key"] = key;
    const unique = [...new Map(flags.map((flag) => [flag[1], flag])).values()];
    this._flags.hidden = unique.length === 0;
    this._flags.replaceChildren(...unique.map(([kind, word]) => make("li", { class: `chip ${kind}`, text: this.words.say(word) })));
  }
}

/**
 * @param {import("./monitor-api.js").Call} call
 * @returns {[string, string]}
 */
function recorderFlag(call) {
  if (call.recorder === "attached") return ["good", "flag_recording"];
  return call.recorder === "failed" ? ["bad", "flag_recorder_failed"] : ["note", "flag_will_be_recorded"];
}
