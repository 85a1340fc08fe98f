// Camera, microphone and speaker, tried before the visit: what works, what does not, and what to do about it.

import { LevelMeter, fraction, playTone } from "../protocol/levels.js";
import { LIMITS, WORKING_EDGE, judge } from "../protocol/picture.js";
import { closeDevices, deviceFault, openDevices, rememberDevices, scaled } from "./devices.js";
import { make, setText } from "./dom.js";
import { wordsOf } from "./words.js";

/** Louder than a quiet room, softer than speech at arm's length (dBFS). */
const HEARD_ABOVE = -42;

class DeviceCheck extends HTMLElement {
  constructor() {
    super();
    /** @type {MediaStream | null} */
    this._stream = null;
    /** @type {LevelMeter | null} */
    this._meter = null;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._looker = undefined;
    this._heard = false;
    this._running = 0;
  }

  connectedCallback() {
    this._words = wordsOf(this);
    const words = this._words;
    this._video = make("video", { autoplay: true, playsinline: true, "aria-label": words.say("preview") });
    this._video.muted = true;
    this._empty = make("p", { text: words.say("no_preview") });
    this._level = make("meter", { hidden: true, min: "0", max: "1", low: "0.3", value: "0", "aria-label": words.say("level") });
    this._verdicts = {
      camera: this._verdict("camera"),
      microphone: this._verdict("microphone"),
      speaker: this._verdict("speaker"),
    };
    this._start = make("button", { type: "button", class: "button", text: words.say("start"), onclick: () => void this.start() });
    this._tone = make("button", { type: "button", class: "button second", text: words.say("play"), onclick: () => void this._play() });
    this._speakerAsk = make("span", { class: "row", hidden: true }, [
      make("button", { type: "button", class: "button second", text: words.say("heard_yes"), onclick: () => this._speaker(true) }),
      make("button", { type: "button", class: "button second", text: words.say("heard_no"), onclick: () => this._speaker(false) }),
    ]);
    this._choices = make("div", { class: "device-choices" });
    this.replaceChildren(
      make("div", { class: "device-grid" }, [
        make("div", { class: "preview" }, [this._video, this._empty]),
        make("div", { class: "stack" }, [
          make("p", { class: "row" }, [this._start]),
          this._verdicts.camera.row,
          this._verdicts.microphone.row,
          this._level,
          this._verdicts.speaker.row,
          make("p", { class: "row" }, [this._tone, this._speakerAsk]),
          this._choices,
        ]),
      ]),
    );
  }

  disconnectedCallback() {
    this.stop();
  }

  stop() {
    this._running += 1;
    clearInterval(this._looker);
    this._meter?.stop();
    this._meter = null;
    closeDevices(this._stream);
    this._stream = null;
  }

  /** Open both devices; where one is missing, try the other alone so that the verdict is about the right one. */
  async start() {
    this.stop();
    const run = this._running;
    this._heard = false;
    for (const name of /** @type {const} */ (["camera", "microphone"])) this._say(name, "wait", "asking");
    const stream = new MediaStream();
    for (const [name, wanted] of /** @type {const} */ ([["camera", { audio: false }], ["microphone", { video: false }]])) {
      try {
        const one = await openDevices(wanted);
        for (const track of one.getTracks()) stream.addTrack(track);
      } catch (error) {
        if (run === this._running) this._say(name, "bad", `${name}_${deviceFault(error)}`);
      }
    }
    if (run !== this._running || !this.isConnected) return closeDevices(stream);
    this._stream = stream;
    if (stream.getAudioTracks().length > 0) this._listen(stream);
    if (stream.getVideoTracks().length > 0) await this._look(stream);
    await this._offerChoices(run);
    this._start && setText(this._start, this._words?.say("again") ?? "");
  }

  /** @param {MediaStream} stream */
  _listen(stream) {
    this._say("microphone", "wait", "microphone_speak");
    if (this._level) this._level.hidden = false;
    this._meter = new LevelMeter(new MediaStream(stream.getAudioTracks()), (level) => {
      if (this._level) this._level.value = fraction(level);
      if (!this._heard && level > HEARD_ABOVE) {
        this._heard = true;
        this._say("microphone", "good", "microphone_good");
      }
    });
  }

  /** @param {MediaStream} stream */
  async _look(stream) {
    const video = this._video;
    if (!video) return;
    video.srcObject = new MediaStream(stream.getVideoTracks());
    if (this._empty) this._empty.hidden = true;
    try {
      await video.play();
    } catch {
      // Interrupted by a second start; that one plays.
      return;
    }
    const look = () => {
      if (video.videoWidth === 0) return;
      const canvas = scaled(video, video.videoWidth, video.videoHeight, WORKING_EDGE);
      const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height);
      if (!pixels) return;
      const [fault] = judge(pixels, Math.max(video.videoWidth, video.videoHeight), LIMITS.selfie).filter((one) => one !== "small");
      this._say("camera", fault ? "warn" : "good", fault ? `camera_${fault}` : "camera_good");
    };
    look();
    this._looker = setInterval(look, 1_500);
  }

  async _play() {
    if (this._tone) this._tone.disabled = true;
    this._say("speaker", "wait", "speaker_playing");
    try {
      await playTone();
      this._say("speaker", "wait", "speaker_ask");
      if (this._speakerAsk) this._speakerAsk.hidden = false;
    } catch {
      this._say("speaker", "bad", "speaker_fault");
    }
    if (this._tone) this._tone.disabled = false;
  }

  /** @param {boolean} heard */
  _speaker(heard) {
    this._say("speaker", heard ? "good" : "bad", heard ? "speaker_good" : "speaker_silent");
    if (this._speakerAsk) this._speakerAsk.hidden = true;
    this._tone?.focus();
  }

  /**
   * More than one camera or microphone: let the person choose. Labels are known only once permission was given.
   * @param {number} run
   */
  async _offerChoices(run) {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    if (run !== this._running || !this._choices || !this._words) return;
    const words = this._words;
    /** @type {HTMLElement[]} */
    const fields = [];
    for (const [name, kind] of /** @type {const} */ ([["camera", "videoinput"], ["microphone", "audioinput"]])) {
      const found = all.filter((device) => device.kind === kind && device.deviceId);
      if (found.length < 2) continue;
      const current = this._stream?.getTracks().find((track) => track.kind === kind.slice(0, 5))?.getSettings().deviceId;
      const select = make("select", {
        id: `device-${name}`,
        onchange: () => {
          rememberDevices({ [name]: select.value });
          void this.start();
        },
      }, found.map((device) => make("option", { value: device.deviceId, selected: device.deviceId === current, text: device.label || words.say(name) })));
      fields.push(make("div", { class: "field" }, [make("label", { for: select.id, text: words.say(`choose_${name}`) }), select]));
    }
    this._choices.replaceChildren(...fields);
  }

  /** @param {"camera" | "microphone" | "speaker"} name */
  _verdict(name) {
    const chip = make("span", { class: "chip", text: this._words?.say(name) ?? name });
    const text = make("span", { text: this._words?.say("not_tried") ?? "" });
    return { row: make("p", { class: "verdict", role: "status" }, [chip, " ", text]), chip, text };
  }

  /**
   * @param {"camera" | "microphone" | "speaker"} name
   * @param {"good" | "warn" | "bad" | "wait"} kind
   * @param {string} key
   */
  _say(name, kind, key) {
    const verdict = this._verdicts?.[name];
    if (!verdict || !this._words) return;
    verdict.chip.className = kind === "wait" ? "chip" : `chip ${kind}`;
    setText(verdict.text, this._words.say(key));
    this.dataset[name] = kind;
  }
}

customElements.define("device-check", DeviceCheck);
