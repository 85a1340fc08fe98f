// One other person in a call: picture, name, whether they speak, and in words why there is no picture.

import { icon, make, setText } from "./dom.js";

/**
 * Why a person's picture is not to be seen; empty: it is.
 * @typedef {"" | "coming" | "broken" | "held" | "camera_off" | "picture_off" | "line"} Missing
 *
 * @typedef {object} Remote
 * @property {string} id participant
 * @property {string} name
 * @property {MediaStream} stream
 * @property {Missing} missing
 * @property {boolean} picture whether a picture is to be expected: nothing is missing
 * @property {boolean} heard whether their microphone is on
 */

export class CallTile {
  /**
   * @param {string} id participant
   * @param {import("./words.js").Words} words
   */
  constructor(id, words) {
    this._say = words;
    this.video = make("video", { autoplay: true, playsinline: true });
    this._why = make("p", { class: "tile-why", hidden: true });
    this._name = make("figcaption");
    this._silent = mark("mic-off", words.say("mark_silent"));
    this._speaks = mark("sound", words.say("mark_speaks"));
    const marks = make("div", { class: "marks" }, [this._speaks, this._silent]);
    this.figure = make("figure", { class: "remote", "data-participant": id }, [this.video, this._why, marks, this._name]);
  }

  /** @param {Remote} remote */
  show(remote) {
    setText(this._name, remote.name);
    setText(this._why, remote.missing === "" ? "" : this._say.say(`tile_${remote.missing}`, { name: remote.name }));
    this._why.hidden = remote.missing === "";
    this.figure.dataset["missing"] = remote.missing;
    this.figure.classList.toggle("no-picture", remote.missing !== "");
    this._silent.hidden = remote.heard;
    if (this.video.srcObject !== remote.stream) this.video.srcObject = remote.stream;
  }

  /** @param {boolean} talking */
  set talking(talking) {
    this.figure.classList.toggle("talking", talking);
  }

  /** @param {boolean} speaker */
  set speaker(speaker) {
    this.figure.classList.toggle("speaker", speaker);
    this._speaks.hidden = !speaker;
  }

  /** How high the picture is shown, in device pixels; pictures are taken to be no wider than 4:3. */
  get height() {
    const { width, height } = this.video.getBoundingClientRect();
    return Math.round(Math.min(height, (width * 3) / 4) * devicePixelRatio);
  }

  remove() {
    this.video.srcObject = null;
    this.figure.remove();
  }
}

/**
 * @param {string} name of the icon
 * @param {string} text for those who do not see it
 */
function mark(name, text) {
  const element = make("span", { class: "mark", hidden: true, title: text }, [make("span", { class: "visually-hidden", text })]);
  element.prepend(icon(name));
  return element;
}
