// Pictures for the enrolment: one of the document, five of the face. Bad ones are noticed before they are sent.

import { Api } from "../protocol/api.js";
import { pause } from "../protocol/backoff.js";
import { LIMITS, WORKING_EDGE, judge } from "../protocol/picture.js";
import { closeDevices, deviceFault, jpeg, openDevices, scaled, still } from "./devices.js";
import { make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { csrfToken, wordsOf } from "./words.js";

const LONGEST = { document: 2400, selfie: 960 };
/** What the person is asked to do, one for each of the five frames; which way is asked first is up to chance. */
const TURNS = [["straight", "left", "straight", "right", "closer"], ["straight", "right", "straight", "left", "closer"]];
const FRAME_EVERY = 1_600;

class PhotoCapture extends HTMLElement {
  constructor() {
    super();
    /** @type {MediaStream | null} */
    this._stream = null;
    /** @type {Blob[]} */
    this._taken = [];
    /** @type {string[]} what was asked for in each frame */
    this._asked = [];
    this._stop = new AbortController();
    this._words = wordsOf(this);
    /** @type {"document" | "selfie"} */
    this._purpose = "document";
  }

  connectedCallback() {
    this._words = wordsOf(this);
    this._purpose = this.getAttribute("purpose") === "selfie" ? "selfie" : "document";
    const words = this._words;
    const selfie = this._purpose === "selfie";
    this._video = make("video", { autoplay: true, playsinline: true, hidden: true, class: selfie ? "mirrored" : "", "aria-label": words.say("preview") });
    this._video.muted = true;
    this._shown = make("div", { class: "taken" });
    this._prompt = make("p", { class: "prompt", role: "status" });
    this._advice = make("div", { class: "notice warn", role: "status", hidden: true });
    this._open = make("button", { type: "button", class: "button", text: words.say("open_camera"), onclick: () => void this._openCamera() });
    this._shoot = make("button", { type: "button", class: "button", text: words.say(selfie ? "take_five" : "take"), hidden: true, onclick: () => void this._take() });
    this._send = make("button", { type: "button", class: "button", text: words.say("send"), hidden: true, onclick: () => void this._upload() });
    this._again = make("button", { type: "button", class: "button second", text: words.say("again"), hidden: true, onclick: () => void this._openCamera() });
    this._on = make("button", { type: "button", class: "button second", text: words.say("go_on"), hidden: true, onclick: () => this._goOn() });
    this._bar = make("progress", { max: "1", value: "0", hidden: true, "aria-label": words.say("sending") });
    const buttons = make("div", { class: "row" }, [this._open, this._shoot, this._send, this._again, this._on]);
    if (!selfie) buttons.append(this._fileButton());
    this.replaceChildren(
      make("div", { class: `finder ${this._purpose}` }, [this._video, this._shown]),
      this._prompt, this._advice, this._bar, buttons,
    );
  }

  disconnectedCallback() {
    this._stop.abort();
    closeDevices(this._stream);
  }

  /** A picture from the phone's own camera page or from a file: better optics, and it works where the browser's camera does not. */
  _fileButton() {
    const input = make("input", {
      type: "file", accept: "image/*", id: "photo-file", class: "visually-hidden",
      onchange: () => void this._fromFile(input),
    });
    return make("span", { class: "file-button" }, [
      input, make("label", { for: "photo-file", class: "button second", text: this._words.say("from_file") }),
    ]);
  }

  /** @param {HTMLInputElement} input */
  async _fromFile(input) {
    const file = input.files?.[0];
    if (!file) return;
    try {
      const bitmap = await createImageBitmap(file);
      closeDevices(this._stream);
      await this._offer([scaled(bitmap, bitmap.width, bitmap.height, LONGEST[this._purpose])], Math.max(bitmap.width, bitmap.height));
    } catch {
      this._tell([this._words.say("no_picture")]);
    }
    input.value = "";
  }

  async _openCamera() {
    this._show({ shoot: false, send: false });
    this._tell([]);
    closeDevices(this._stream);
    try {
      const facing = this._purpose === "selfie" ? "user" : "environment";
      const height = this._purpose === "selfie" ? 720 : 1080;
      this._stream = await openDevices({ audio: false, facing, height });
      if (!this._video) return;
      this._video.srcObject = this._stream;
      this._video.hidden = false;
      this._shown?.replaceChildren();
      await this._video.play();
      this._show({ shoot: true });
      this._say(this._purpose === "selfie" ? "hold_selfie" : "hold_document");
      this._shoot?.focus();
    } catch (error) {
      this._show({ open: true });
      this._tell([this._words.say(`camera_${deviceFault(error)}`)]);
    }
  }

  async _take() {
    const video = this._video;
    if (!video || video.videoWidth === 0) return;
    const edge = Math.max(video.videoWidth, video.videoHeight);
    this._show({});
    if (this._purpose === "document") return this._offer([still(video, LONGEST.document)], edge);
    const turns = TURNS[Math.random() < 0.5 ? 0 : 1] ?? [];
    /** @type {HTMLCanvasElement[]} */
    const frames = [];
    for (const turn of turns) {
      this._say(`turn_${turn}`);
      await pause(FRAME_EVERY, this._stop.signal);
      if (this._stop.signal.aborted) return;
      frames.push(still(video, LONGEST.selfie));
    }
    this._asked = turns;
    await this._offer(frames, edge);
  }

  /**
   * Show what was taken, say what could be better, and let the person decide.
   * @param {HTMLCanvasElement[]} frames
   * @param {number} edge longer edge as taken
   */
  async _offer(frames, edge) {
    closeDevices(this._stream);
    this._stream = null;
    if (this._video) this._video.hidden = true;
    const faults = new Set(frames.flatMap((frame) => judgeCanvas(frame, edge, this._purpose)));
    this._taken = await Promise.all(frames.map(jpeg));
    const label = this._words.say("taken");
    for (const frame of frames) {
      frame.setAttribute("role", "img");
      frame.setAttribute("aria-label", label);
    }
    this._shown?.replaceChildren(...frames);
    this._tell([...faults].map((fault) => this._words.say(`fault_${fault}`)), faults.size > 0);
    this._say(faults.size > 0 ? "better" : "looks_good");
    if (this._send) setText(this._send, this._words.say(faults.size > 0 ? "send_anyway" : "send"));
    this._show({ send: true, again: true });
    this.dataset["faults"] = [...faults].join(" ");
  }

  async _upload() {
    const form = new FormData();
    const field = this._purpose === "document" ? "image" : "frame";
    for (const prompt of this._asked) form.append("prompt", prompt);
    this._taken.forEach((blob, index) => form.append(field, blob, `${field}-${index}.jpg`));
    this._show({});
    this._say("sending");
    if (this._bar) {
      this._bar.hidden = false;
      this._bar.removeAttribute("value");
    }
    try {
      const answer = await new Api({ csrf: csrfToken(), timeout: 60_000 }).post(this.getAttribute("upload") ?? "", form, this._stop.signal);
      const problems = /** @type {string[]} */ (answer?.retake ?? []);
      if (problems.length === 0) return this._goOn();
      this._tell(problems, true);
      this._say("better");
      this._show({ again: true, goOn: true });
    } catch (error) {
      this._tell([failureWords(this._words, error)]);
      this._show({ send: true, again: true });
      this._say("kept");
    } finally {
      if (this._bar) this._bar.hidden = true;
    }
  }

  /** @param {string} key */
  _say(key) {
    if (this._prompt) setText(this._prompt, this._words.say(key));
  }

  /**
   * @param {string[]} sentences nothing: hide the advice
   * @param {boolean} [may] the person may go on all the same
   */
  _tell(sentences, may = false) {
    if (!this._advice) return;
    this._advice.hidden = sentences.length === 0;
    this._advice.replaceChildren(
      ...(sentences.length > 0 ? [make("p", { text: this._words.say(may ? "advice" : "problem") })] : []),
      ...sentences.map((sentence) => make("p", { text: sentence })),
    );
  }

  /** The pictures have arrived; the page says what comes next. */
  _goOn() {
    location.assign(this.getAttribute("next") ?? location.href);
  }

  /** @param {{open?: boolean, shoot?: boolean, send?: boolean, again?: boolean, goOn?: boolean}} wanted */
  _show({ open = false, shoot = false, send = false, again = false, goOn = false }) {
    if (this._open) this._open.hidden = !open;
    if (this._shoot) this._shoot.hidden = !shoot;
    if (this._send) this._send.hidden = !send;
    if (this._again) this._again.hidden = !again;
    if (this._on) this._on.hidden = !goOn;
  }
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {number} edge
 * @param {"document" | "selfie"} purpose
 */
function judgeCanvas(canvas, edge, purpose) {
  const small = scaled(canvas, canvas.width, canvas.height, WORKING_EDGE);
  const pixels = small.getContext("2d")?.getImageData(0, 0, small.width, small.height);
  return pixels ? judge(pixels, edge, LIMITS[purpose]) : [];
}

customElements.define("photo-capture", PhotoCapture);
