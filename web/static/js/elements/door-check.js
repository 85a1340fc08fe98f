// At the waiting room's door: a few fresh pictures, compared with the person's own template. Unsure means a person looks.

import { Api } from "../protocol/api.js";
import { pause } from "../protocol/backoff.js";
import { closeDevices, deviceFault, jpeg, openDevices, still } from "./devices.js";
import { make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { csrfToken, wordsOf } from "./words.js";

const FRAMES = 5;
const EVERY = 500;

class DoorCheck extends HTMLElement {
  constructor() {
    super();
    /** @type {MediaStream | null} */
    this._stream = null;
    this._stop = new AbortController();
    this._words = wordsOf(this);
  }

  connectedCallback() {
    this._words = wordsOf(this);
    const attended = this.hasAttribute("attended");
    this._video = make("video", { autoplay: true, playsinline: true, class: "mirrored", hidden: true, "aria-label": this._words.say("preview") });
    this._video.muted = true;
    this._status = make("p", { role: "status" });
    this._button = make("button", { type: "button", class: "button", text: this._words.say(attended ? "door_call_officer" : "door_check"), onclick: () => void this.check() });
    this.replaceChildren(
      make("h2", { text: this._words.say("door_title") }),
      make("p", { text: this._words.say(attended ? "door_attended" : "door_explain") }),
      this._video, this._status, make("p", {}, [this._button]),
    );
  }

  disconnectedCallback() {
    this._stop.abort();
    closeDevices(this._stream);
  }

  /** Take the pictures, send them, say what came of it; the waiting room hears it as a `door-checked` event. */
  async check() {
    if (!this._button || !this._status || this._button.disabled) return;
    this._button.disabled = true;
    try {
      const form = await this._frames();
      setText(this._status, this._words.say("door_comparing"));
      const answer = await new Api({ csrf: csrfToken(), timeout: 60_000 }).post(this.getAttribute("upload") ?? "", form, this._stop.signal);
      this.dataset["door"] = answer?.door ?? "";
      if (answer?.door === "retake") {
        setText(this._status, [this._words.say("door_retake"), ...(answer.words ?? [])].join(" "));
        this._button.disabled = false;
      }
      this.dispatchEvent(new CustomEvent("door-checked", { bubbles: true, detail: answer }));
    } catch (error) {
      setText(this._status, error instanceof DOMException ? this._words.say(`camera_${deviceFault(error)}`) : failureWords(this._words, error));
      this._button.disabled = false;
    } finally {
      closeDevices(this._stream);
      this._stream = null;
      if (this._video) this._video.hidden = true;
    }
  }

  /** @returns {Promise<FormData>} */
  async _frames() {
    const form = new FormData();
    const video = this._video;
    if (this.hasAttribute("attended") || !video) return form;
    this._stream = await openDevices({ audio: false });
    video.srcObject = this._stream;
    video.hidden = false;
    await video.play();
    if (this._status) setText(this._status, this._words.say("door_look"));
    // The first pictures of a camera are dark: give it a moment to find its exposure.
    await pause(800, this._stop.signal);
    for (let count = 0; count < FRAMES && !this._stop.signal.aborted; count += 1) {
      form.append("frame", await jpeg(still(video, 720)), `frame-${count}.jpg`);
      await pause(EVERY, this._stop.signal);
    }
    return form;
  }
}

customElements.define("door-check", DoorCheck);
