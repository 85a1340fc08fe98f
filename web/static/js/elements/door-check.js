// At the waiting room's door: a few fresh pictures, compared with the person's own template. Unsure means a person looks.
// `attended`: nothing is compared. The same pictures, and one of the person with their document, are for an officer.

import { Api } from "../protocol/api.js";
import { pause } from "../protocol/backoff.js";
import { closeDevices, deviceFault, jpeg, openDevices, still } from "./devices.js";
import { make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { csrfToken, wordsOf } from "./words.js";

const FRAMES = 5;
const FRAMES_FOR_OFFICER = 3;
const FACE_EDGE = 720;
const DOCUMENT_EDGE = 1920; // its print is small
const EVERY = 500;

class DoorCheck extends HTMLElement {
  constructor() {
    super();
    /** @type {MediaStream | null} */
    this._stream = null;
    /** @type {FormData | null} the faces, while the picture with the document is still to come */
    this._faces = null;
    this._stop = new AbortController();
    this._words = wordsOf(this);
  }

  connectedCallback() {
    this._words = wordsOf(this);
    this._video = make("video", { autoplay: true, playsinline: true, class: "mirrored", hidden: true, "aria-label": this._words.say("preview") });
    this._video.muted = true;
    this._status = make("p", { role: "status" });
    this._button = make("button", { type: "button", class: "button", text: this._words.say(this._first()), onclick: () => void this.check() });
    this.replaceChildren(
      make("h2", { text: this._words.say("door_title") }),
      make("p", { text: this._words.say(this._attended() ? "door_attended" : "door_explain") }),
      this._video, this._status, make("p", {}, [this._button]),
    );
  }

  disconnectedCallback() {
    this._stop.abort();
    closeDevices(this._stream);
  }

  _attended() {
    return this.hasAttribute("attended");
  }

  /** The button's words at the beginning. */
  _first() {
    return this._attended() ? "door_photos" : "door_check";
  }

  /** Take the pictures, send them, say what came of it; the waiting room hears it as a `door-checked` event. */
  async check() {
    if (!this._button || !this._status || this._button.disabled) return;
    this._button.disabled = true;
    try {
      const form = this._faces ?? await this._frames();
      if (this._faces) form.append("document", await this._picture(DOCUMENT_EDGE), "document.jpg");
      else if (this._attended()) return this._askForDocument(form);
      this._rest();
      setText(this._status, this._words.say(this._attended() ? "door_sending" : "door_comparing"));
      const answer = await new Api({ csrf: csrfToken(), timeout: 60_000 }).post(this.getAttribute("upload") ?? "", form, this._stop.signal);
      this.dataset["door"] = answer?.door ?? "";
      if (answer?.door === "retake") {
        setText(this._status, [this._words.say("door_retake"), ...(answer.words ?? [])].join(" "));
        this._button.disabled = false;
      }
      this.dispatchEvent(new CustomEvent("door-checked", { bubbles: true, detail: answer }));
    } catch (error) {
      this._rest();
      setText(this._status, error instanceof DOMException ? this._words.say(`camera_${deviceFault(error)}`) : failureWords(this._words, error));
      this._button.disabled = false;
    }
  }

  /** The faces are there; the camera stays on, and the person takes the next picture when they are ready. @param {FormData} form */
  _askForDocument(form) {
    this._faces = form;
    this.dataset["step"] = "document";
    if (this._status) setText(this._status, this._words.say("door_document"));
    if (!this._button) return;
    this._button.textContent = this._words.say("door_take_document");
    this._button.disabled = false;
    this._button.focus();
  }

  /** The camera goes off, and the next attempt begins from the start. */
  _rest() {
    closeDevices(this._stream);
    this._stream = this._faces = null;
    delete this.dataset["step"];
    if (this._video) this._video.hidden = true;
    if (this._button) this._button.textContent = this._words.say(this._first());
  }

  /** @returns {Promise<FormData>} */
  async _frames() {
    const form = new FormData();
    const video = this._video;
    if (!video) return form;
    this._stream = await openDevices({ audio: false, height: this._attended() ? 1080 : 720 });
    video.srcObject = this._stream;
    video.hidden = false;
    await video.play();
    if (this._status) setText(this._status, this._words.say("door_look"));
    // The first pictures of a camera are dark: give it a moment to find its exposure.
    await pause(800, this._stop.signal);
    const frames = this._attended() ? FRAMES_FOR_OFFICER : FRAMES;
    for (let count = 0; count < frames && !this._stop.signal.aborted; count += 1) {
      form.append("frame", await this._picture(FACE_EDGE), `frame-${count}.jpg`);
      await pause(EVERY, this._stop.signal);
    }
    return form;
  }

  /** @param {number} edge the longer edge at most, pixels @returns {Promise<Blob>} the camera's picture of now */
  async _picture(edge) {
    if (!this._video?.videoWidth) throw new DOMException("no picture", "NotReadableError");
    return jpeg(still(this._video, edge));
  }
}

customElements.define("door-check", DoorCheck);
