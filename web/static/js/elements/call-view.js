// What a call looks like. Knows nothing of connections: visit-call.js tells it what is so.

import { clockText, make, setText } from "./dom.js";

/** @typedef {"microphone" | "camera" | "sound"} Switch */

/**
 * @typedef {object} Remote
 * @property {string} id participant
 * @property {string} name
 * @property {MediaStream} stream
 * @property {boolean} picture whether a picture is to be expected
 */

const ICONS = new URL("../../img/icons.svg", import.meta.url).href;

export class CallView {
  /**
   * @param {import("./words.js").Words} words
   * @param {{whoSees: string}} options
   */
  constructor(words, { whoSees }) {
    this.words = words;
    /** @type {Map<string, {figure: HTMLElement, video: HTMLVideoElement, caption: HTMLElement}>} */
    this._remotes = new Map();
    this.onSwitch = (/** @type {Switch} */ _name) => {};
    this.onLeave = () => {};
    this.onTouch = () => {};

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
    this._stage = make("div", { class: "stage", "data-layout": "large" }, [this._remoteArea, this._own, this._overlay, this._notes]);

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
   * @param {Remote[]} remotes
   */
  setRemotes(remotes) {
    const wanted = new Set(remotes.map((remote) => remote.id));
    for (const [id, shown] of this._remotes) {
      if (wanted.has(id)) continue;
      shown.video.srcObject = null;
      shown.figure.remove();
      this._remotes.delete(id);
    }
    for (const remote of remotes) {
      const shown = this._remotes.get(remote.id) ?? this._addRemote(remote.id);
      setText(shown.caption, remote.name);
      shown.figure.classList.toggle("no-picture", !remote.picture);
      if (shown.video.srcObject !== remote.stream) shown.video.srcObject = remote.stream;
      void shown.video.play().catch((error) => {
        // Browsers want a touch before sound may play; other failures come with a new srcObject and play again.
        if (error instanceof DOMException && error.name === "NotAllowedError") this._askTouch();
      });
    }
  }

  /** @param {string} id */
  _addRemote(id) {
    const video = make("video", { autoplay: true, playsinline: true });
    const caption = make("figcaption");
    const figure = make("figure", { class: "remote", "data-participant": id, "data-no-picture": this.words.say("no_picture") }, [video, caption]);
    this._remoteArea.append(figure);
    const shown = { figure, video, caption };
    this._remotes.set(id, shown);
    return shown;
  }

  _askTouch() {
    this.overlay("touch_title", ["touch_text"], [["touch_button", () => this.onTouch()]]);
  }

  playAll() {
    for (const { video } of this._remotes.values()) void video.play().catch(() => this._askTouch());
  }

  /** @param {boolean} on */
  setSound(on) {
    for (const { video } of this._remotes.values()) video.muted = !on;
  }

  /**
   * @param {string} id
   * @param {boolean} talking
   */
  setTalking(id, talking) {
    this._remotes.get(id)?.figure.classList.toggle("talking", talking);
  }

  /**
   * @param {Switch} name
   * @param {boolean} on
   */
  setSwitch(name, on) {
    const button = this._switches[name];
    const icon = { microphone: "mic", camera: "camera", sound: "sound" }[name];
    button.setAttribute("aria-pressed", String(!on));
    button.querySelector("use")?.setAttribute("href", `${ICONS}#${icon}${on ? "" : "-off"}`);
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
   * @param {string} icon
   * @param {string} word
   * @param {() => void} act
   */
  _tool(icon, word, act) {
    const namespace = "http://www.w3.org/2000/svg";
    const picture = document.createElementNS(namespace, "svg");
    const use = document.createElementNS(namespace, "use");
    use.setAttribute("href", `${ICONS}#${icon}`);
    picture.setAttribute("aria-hidden", "true");
    picture.append(use);
    const button = make("button", { type: "button", class: "tool", onclick: act }, [make("span", { text: this.words.say(word) })]);
    button.prepend(picture);
    return button;
  }
}
