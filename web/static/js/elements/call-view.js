// What a call looks like. Knows nothing of connections: visit-call.js tells it what is so.

import { CallTile } from "./call-tile.js";
import { clockText, icon, iconAddress, make, setText } from "./dom.js";

/** @typedef {"microphone" | "camera" | "sound"} Switch */

/** @typedef {import("./call-tile.js").Remote} Remote */

export class CallView {
  /**
   * @param {import("./words.js").Words} words
   * @param {{whoSees: string}} options
   */
  constructor(words, { whoSees }) {
    this.words = words;
    /** @type {Map<string, CallTile>} */
    this._tiles = new Map();
    /** @type {string | null} */
    this._speaker = null;
    this.me = "";
    this.onSwitch = (/** @type {Switch} */ _name) => {};
    this.onLeave = () => {};
    this.onTouch = () => {};
    /** Somebody is shown larger or smaller now. */
    this.onResize = () => {};

    this._net = make("span", { class: "net", role: "status" });
    this._left = make("span", { class: "left figures", role: "timer", "aria-live": "off" });
    this._watching = make("span", { role: "status" });
    const head = make("div", { class: "call-head" }, [make("p", { class: "who-sees", text: whoSees }), this._watching, this._net, this._left]);

    this._remoteArea = make("div", { class: "remotes" });
    this._ownVideo = make("video", { autoplay: true, playsinline: true, "aria-label": words.say("own_picture") });
    this._ownVideo.muted = true;
    this._own = make("figure", { class: "own" }, [this._ownVideo, make("figcaption", { text: words.say("you") })]);
    this._overlayTitle = make("h2");
    this._overlayText = make("div");
    this._overlayButtons = make("div");
    this._overlay = make("div", { class: "overlay", role: "status" }, [make("div", {}, [this._overlayTitle, this._overlayText, this._overlayButtons])]);
    this._notes = make("div", { class: "call-notes", role: "log", "aria-label": words.say("messages") });
    this._line = make("p", { class: "own-line", role: "status" });
    this._caption = make("p", { class: "caption", role: "status" });
    this._said = make("p", { class: "visually-hidden", role: "status" });
    // An officer's voice: heard whatever the person has done to the sound of the others.
    this._talk = make("audio", { class: "talk", autoplay: true });
    this._stage = make("div", { class: "stage", "data-layout": "large", "data-count": "0" }, [
      this._remoteArea, this._own, this._line, this._overlay, this._caption, this._notes, this._said, this._talk,
    ]);
    new ResizeObserver(() => this.onResize()).observe(this._remoteArea);

    this._switches = {
      microphone: this._tool("mic", "microphone", () => this.onSwitch("microphone")),
      camera: this._tool("camera", "camera", () => this.onSwitch("camera")),
      sound: this._tool("sound", "sound", () => this.onSwitch("sound")),
    };
    const layout = this._tool("layout", "layout", () => {
      const side = this._stage.dataset["layout"] !== "side";
      this._stage.dataset["layout"] = side ? "side" : "large";
    });
    const leave = this._tool("leave", "leave", () => this._dialog.showModal());
    leave.classList.add("leave");
    const bar = make("div", { class: "call-bar", role: "toolbar", "aria-label": words.say("controls") }, [...Object.values(this._switches), layout, leave]);
    this._dialog = make("dialog", { class: "ask", "aria-labelledby": "leave-title" }, [
      make("h2", { id: "leave-title", text: words.say("leave_title") }),
      make("p", { text: words.say("leave_text") }),
      make("div", { class: "row" }, [
        make("button", { type: "button", class: "button stop", text: words.say("leave_yes"), onclick: () => this.onLeave() }),
        make("button", { type: "button", class: "button second", text: words.say("leave_no"), onclick: () => this._dialog.close() }),
      ]),
    ]);
    this.parts = [head, this._stage, bar, this._dialog];
  }

  /** @param {MediaStream | null} stream */
  setOwn(stream) {
    if (this._ownVideo.srcObject !== stream) this._ownVideo.srcObject = stream;
  }

  /** @param {boolean} on */
  setOwnPicture(on) {
    this._own.hidden = !on;
  }

  /**
   * Show exactly these people; videos of those who stay are not touched.
   * @param {import("./call-tile.js").Remote[]} remotes
   */
  setRemotes(remotes) {
    const wanted = new Set(remotes.map((remote) => remote.id));
    for (const [id, tile] of this._tiles) {
      if (wanted.has(id)) continue;
      tile.remove();
      this._tiles.delete(id);
    }
    this._stage.dataset["count"] = String(remotes.length);
    for (const remote of remotes) {
      const tile = this._tiles.get(remote.id) ?? this._addTile(remote.id);
      tile.show(remote);
      this._play(tile.video);
    }
    this.onResize();
  }

  /** @param {string} id */
  _addTile(id) {
    const tile = new CallTile(id, this.words);
    tile.speaker = id === this._speaker;
    this._remoteArea.append(tile.figure);
    this._tiles.set(id, tile);
    return tile;
  }

  /** @param {HTMLMediaElement} element */
  _play(element) {
    void element.play().catch((error) => {
      // Browsers want a touch before sound may play; other failures come with a new srcObject and play again.
      if (error instanceof DOMException && error.name === "NotAllowedError") this._askTouch();
    });
  }

  _askTouch() {
    this.overlay("touch_title", ["touch_text"], [["touch_button", () => this.onTouch()]]);
  }

  playAll() {
    for (const { video } of this._tiles.values()) this._play(video);
    if (this._talk.srcObject !== null) this._play(this._talk);
  }

  /** @param {boolean} on */
  setSound(on) {
    for (const { video } of this._tiles.values()) video.muted = !on;
  }

  /** @param {MediaStreamTrack} track an officer's voice, silent most of the time */
  setTalk(track) {
    this._talk.srcObject = new MediaStream([track]);
    this._play(this._talk);
  }

  /** @returns {Map<string, number>} how high everybody is shown, by participant, in device pixels */
  heights() {
    return new Map([...this._tiles].map(([id, tile]) => [id, tile.height]));
  }

  /**
   * @param {string} id
   * @param {boolean} talking
   */
  setTalking(id, talking) {
    const tile = this._tiles.get(id);
    if (tile) tile.talking = talking;
  }

  /** @param {string | null} id who speaks, or spoke last */
  setSpeaker(id) {
    this._speaker = id;
    for (const [name, tile] of this._tiles) tile.speaker = name === id;
    this._own.classList.toggle("speaker", id !== null && id === this.me);
  }

  /** @param {string} text about one's own line; empty: nothing to say */
  setLine(text) {
    setText(this._line, text);
  }

  /** @param {string | null} text a caption for what is heard now, as long as it is heard */
  caption(text) {
    setText(this._caption, text ?? "");
  }

  /** @param {string} text said once to those who listen to the page instead of looking at it */
  announce(text) {
    setText(this._said, text);
  }

  /**
   * @param {Switch} name
   * @param {boolean} on
   */
  setSwitch(name, on) {
    const button = this._switches[name];
    const picture = { microphone: "mic", camera: "camera", sound: "sound" }[name];
    button.setAttribute("aria-pressed", String(!on));
    button.querySelector("use")?.setAttribute("href", iconAddress(`${picture}${on ? "" : "-off"}`));
    const label = button.querySelector("span");
    if (label) setText(label, this.words.say(on ? name : `${name}_off`));
    button.title = this.words.say(on ? `${name}_turn_off` : `${name}_turn_on`);
  }

  /** @param {import("../protocol/stats.js").Quality} quality */
  setQuality(quality) {
    this._net.dataset["quality"] = quality;
    setText(this._net, this.words.say(`quality_${quality}`));
  }

  /** @param {number} seconds until the end */
  setLeft(seconds) {
    const minutes = Math.ceil(seconds / 60);
    setText(this._left, seconds < 120 ? this.words.say("left_clock", { time: clockText(seconds) }) : this.words.count("left", minutes));
    this._left.classList.toggle("soon", seconds <= 300);
  }

  /** @param {boolean | null} watching null: policy does not say */
  setWatching(watching) {
    setText(this._watching, watching === null ? "" : this.words.say(watching ? "watching_now" : "watching_nobody"));
  }

  /**
   * @param {string} title key, or a sentence when it is no key
   * @param {string[]} lines keys or sentences; empty ones are left out
   * @param {[string, () => void][]} [buttons] key and what it does
   */
  overlay(title, lines, buttons = []) {
    const said = (/** @type {string} */ text) => (this.words.has(text) ? this.words.say(text) : text);
    this._overlay.hidden = false;
    this._overlay.dataset["why"] = title;
    setText(this._overlayTitle, said(title));
    const sentences = lines.filter(Boolean).map(said);
    if (this._overlayText.dataset["said"] !== sentences.join("\n")) {
      this._overlayText.dataset["said"] = sentences.join("\n");
      this._overlayText.replaceChildren(...sentences.map((text) => make("p", { text })));
    }
    const keys = buttons.map(([key]) => key).join(" ");
    if (this._overlayButtons.dataset["keys"] === keys) return;
    this._overlayButtons.dataset["keys"] = keys;
    this._overlayButtons.replaceChildren(...buttons.map(([key, act]) => make("button", { type: "button", class: "button second", text: said(key), onclick: act })));
  }

  hideOverlay() {
    this._overlay.hidden = true;
    delete this._overlay.dataset["why"];
  }

  /** Why the picture is covered now; empty: it is not. */
  get covered() {
    return this._overlay.hidden ? "" : (this._overlay.dataset["why"] ?? "");
  }

  /**
   * @param {string} text
   * @param {{keep?: boolean}} [more] keep it until the person puts it away
   */
  note(text, { keep = false } = {}) {
    const card = make("div", { class: "note-card" }, [make("p", { text })]);
    if (keep) card.append(make("button", { type: "button", class: "button second", text: this.words.say("understood"), onclick: () => card.remove() }));
    else setTimeout(() => card.remove(), 12_000);
    this._notes.append(card);
  }

  /** Put the question about leaving away. */
  closeDialog() {
    this._dialog.close();
  }

  /**
   * @param {string} name of the icon
   * @param {string} word
   * @param {() => void} act
   */
  _tool(name, word, act) {
    return make("button", { type: "button", class: "tool", onclick: act }, [icon(name), make("span", { text: this.words.say(word) })]);
  }
}
