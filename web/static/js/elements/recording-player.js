// <recording-player recording words>: opens a recording for a stated reason, and plays both sides by one clock.

import { Api } from "../protocol/api.js";
import { PlaybackClock, RATES, keepTime, nextTalk } from "../protocol/playback.js";
import { clockText, make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { RecordingTimeline } from "./recording-timeline.js";
import { csrfToken, wordsOf } from "./words.js";

/** @typedef {{number: number, side: string, url: string}} Source */
/** @typedef {{opening_id: string, tracks: Source[], timeline: import("./recording-timeline.js").Timeline}} Opened */

const EVERY = 100;
const HAVE_FUTURE_DATA = 3;

class RecordingPlayer extends HTMLElement {
  connectedCallback() {
    this._words = wordsOf(this);
    this._said = /** @type {HTMLElement} */ (this.querySelector("[data-said]"));
    const form = /** @type {HTMLFormElement | null} */ (this.querySelector("form"));
    form?.addEventListener("submit", (event) => {
      event.preventDefault();
      void this._open(form);
    });
  }

  disconnectedCallback() {
    clearInterval(this._timer);
  }

  get _say() {
    return /** @type {import("./words.js").Words} */ (this._words);
  }

  /** @param {HTMLFormElement} form */
  async _open(form) {
    const button = /** @type {HTMLButtonElement} */ (form.querySelector("button"));
    button.disabled = true;
    this._tell(this._say.say("opening"));
    try {
      const reason = String(new FormData(form).get("reason") ?? "");
      const api = new Api({ csrf: csrfToken(), timeout: 120_000 });
      /** @type {Opened} */
      const opened = await api.post(`/api/recordings/${this.getAttribute("recording")}/open`, { reason });
      form.hidden = true;
      this._tell("");
      this._build(opened);
    } catch (error) {
      button.disabled = false;
      this._tell(failureWords(this._say, error));
    }
  }

  /** @param {Opened} opened */
  _build({ tracks, timeline }) {
    const clock = new PlaybackClock(timeline.duration_ms);
    this._clock = clock;
    this._timeline = timeline;
    this._videos = tracks.map((track) => this._video(track));
    this._lanes = new RecordingTimeline(timeline, this._say, (position) => this._seek(position));
    this._slider = make("input", { type: "range", min: 0, max: timeline.duration_ms, step: 100, value: 0, "aria-label": this._say.say("position") });
    this._slider.addEventListener("input", () => this._seek(Number(this._slider?.value ?? 0)));
    this._time = make("span", { class: "figures" });
    this._play = this._button("play", () => this._toggle());
    const rate = make("select", { class: "plain-input", "aria-label": this._say.say("speed") }, RATES.map((each) => make("option", { value: each, text: `${each}×`, selected: each === 1 })));
    rate.addEventListener("change", () => {
      clock.rate = Number(rate.value);
      this._keep();
    });
    const controls = make("div", { class: "row player-controls", role: "group", "aria-label": this._say.say("controls") }, [
      this._play,
      this._button("frame_back", () => this._step(-1)),
      this._button("frame_forward", () => this._step(1)),
      this._button("back_ten", () => this._seek(clock.position - 10_000)),
      this._button("forward_ten", () => this._seek(clock.position + 10_000)),
      this._button("next_talk", () => this._toNextTalk()),
      make("label", {}, [`${this._say.say("speed")} `, rate]),
      this._time,
    ]);
    const figures = this._videos.map(({ figure }) => figure);
    const summary = this._say.say("gaps_summary", { count: timeline.gaps.count, packets: timeline.gaps.packets, recovered: timeline.gaps.recovered });
    this.append(
      make("div", { class: "player-sides" }, figures),
      controls,
      this._slider,
      this._lanes.lanes,
      make("p", { class: "small soft", text: timeline.interrupted ? `${this._say.say("interrupted")} ${summary}` : summary }),
      make("h2", { text: this._say.say("marks") }),
      this._lanes.list,
    );
    this.dataset["open"] = "yes";
    this._timer = setInterval(() => this._keep(), EVERY);
    this._keep();
    this._play.focus();
  }

  /** @param {Source} source */
  _video({ side, url, number }) {
    const video = make("video", { src: url, preload: "auto", playsinline: true, "data-track": number });
    video.addEventListener("error", () => this._tell(this._say.say("track_failed")));
    const sound = make("button", { type: "button", class: "button second", "aria-pressed": "true", text: this._say.say("sound") });
    sound.addEventListener("click", () => {
      video.muted = !video.muted;
      sound.setAttribute("aria-pressed", String(!video.muted));
      setText(sound, this._say.say(video.muted ? "sound_off" : "sound"));
    });
    const figure = make("figure", {}, [video, make("figcaption", { class: "row-between" }, [make("span", { text: this._say.say(`side_${side}`) }), sound])]);
    return { video, figure };
  }

  /**
   * @param {string} word
   * @param {() => void} act
   */
  _button(word, act) {
    return make("button", { type: "button", class: "button second", "data-do": word, text: this._say.say(word), onclick: act });
  }

  _toggle() {
    const clock = this._clock;
    if (!clock) return;
    this._wanted = !(this._wanted ?? false);
    if (this._wanted && clock.ended) clock.seek(0);
    if (!this._wanted) clock.stop();
    this._keep();
  }

  /** @param {number} position */
  _seek(position) {
    this._clock?.seek(position);
    this._keep();
  }

  /** @param {number} frames */
  _step(frames) {
    this._wanted = false;
    this._clock?.step(frames);
    this._keep();
  }

  _toNextTalk() {
    if (!this._clock || !this._timeline) return;
    const at = nextTalk(this._timeline.tracks.map((track) => track.speech), this._clock.position);
    if (at === null) this._tell(this._say.say("no_more_talk"));
    else this._seek(at);
  }

  /** The pictures follow the clock; the clock waits until every picture can go on. */
  _keep() {
    const clock = this._clock;
    if (!clock || !this._videos) return;
    const wanted = clock.position / 1000;
    const ready = this._videos.every(({ video }) => video.error !== null || video.readyState >= HAVE_FUTURE_DATA || past(video, wanted));
    if (clock.ended) this._wanted = false;
    if (this._wanted && ready) clock.start();
    else clock.stop();
    for (const { video } of this._videos) follow(video, wanted, clock);
    if (this._slider) {
      this._slider.value = String(Math.round(clock.position));
      this._slider.setAttribute("aria-valuetext", clockText(wanted));
    }
    this._lanes?.show(clock.position);
    if (this._time) setText(this._time, `${clockText(wanted)} / ${clockText(clock.duration / 1000)}`);
    if (this._play) setText(this._play, this._say.say(this._wanted ? "pause" : "play"));
    this.dataset["position"] = String(Math.round(clock.position));
  }

  /** @param {string} text */
  _tell(text) {
    if (this._said) setText(this._said, text);
  }
}

/**
 * @param {HTMLVideoElement} video
 * @param {number} wanted seconds
 */
function past(video, wanted) {
  return Number.isFinite(video.duration) && wanted >= video.duration - 0.1;
}

/**
 * @param {HTMLVideoElement} video
 * @param {number} wanted seconds
 * @param {PlaybackClock} clock
 */
function follow(video, wanted, clock) {
  if (video.readyState === 0 || video.seeking) return;
  const over = past(video, wanted);
  const { seek, rate } = keepTime(video.currentTime, over ? video.duration : wanted, clock.rate, clock.running && !over);
  if (seek !== null) video.currentTime = seek;
  if (video.playbackRate !== rate) video.playbackRate = rate;
  if (clock.running && !over && video.paused) {
    // Refused without a touch: then the pictures stay still, and the officer presses play again.
    void video.play().catch(() => clock.stop());
  } else if ((!clock.running || over) && !video.paused) {
    video.pause();
  }
}

customElements.define("recording-player", RecordingPlayer);
