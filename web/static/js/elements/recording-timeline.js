// A recording's time line: a lane per side with speech and gaps, marks, and the same as a list that can be read.

import { clockText, make } from "./dom.js";

/**
 * @typedef {object} Track one participant
 * @property {number} number
 * @property {string} participant_id
 * @property {string} side
 * @property {string[]} kinds
 * @property {[number, number][]} speech
 * @property {number} packets
 * @property {number} lost
 *
 * @typedef {object} Timeline docs/recording-format.md; times in ms of the recording
 * @property {number} duration_ms
 * @property {string} started_at
 * @property {boolean} interrupted
 * @property {Track[]} tracks
 * @property {{at_ms: number, type: string, cause?: string, data?: Record<string, any>, actor?: {kind: string, id: string}}[]} events
 * @property {{at_ms: number, note: string}[]} bookmarks
 * @property {{from_ms: number, to_ms: number, cause: string}[]} pauses
 * @property {{count: number, packets: number, recovered: number, list: {at_ms: number, kind: string, packets: number, participant_id: string}[]}} gaps
 */

const WIDTH = 1000;
const HEIGHT = 28;
const SVG = "http://www.w3.org/2000/svg";
/** Events that are worth a line of the list; the others are connections and signs of life. */
const TOLD = new Set([
  "live", "held", "waiting_monitor", "reconnecting", "ending", "monitor_joined", "monitor_left", "muted", "said",
  "recorder_attached", "recorder_failed", "bookmark", "hold_placed", "hold_lifted", "terminated",
]);

export class RecordingTimeline {
  /**
   * @param {Timeline} timeline
   * @param {import("./words.js").Words} words
   * @param {(position: number) => void} seek milliseconds
   */
  constructor(timeline, words, seek) {
    this._timeline = timeline;
    this._words = words;
    this._seek = seek;
    this._lines = timeline.tracks.map((track) => this._lane(track));
    this.lanes = make("div", { class: "lanes" }, this._lines.map((lane) => lane.row));
    this.list = make("ol", { class: "marks plain-list" }, this._marks());
  }

  /** @param {number} position milliseconds */
  show(position) {
    const x = String(this._x(position));
    for (const { needle } of this._lines) {
      needle.setAttribute("x1", x);
      needle.setAttribute("x2", x);
    }
  }

  /** @param {Track} track */
  _lane(track) {
    const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    for (const { from_ms, to_ms } of this._timeline.pauses) picture.append(this._bar("pause", from_ms, to_ms, 0, HEIGHT));
    for (const [from, to] of track.speech) picture.append(this._bar("speech", from, to, 6, HEIGHT - 12));
    for (const gap of this._timeline.gaps.list) {
      if (gap.participant_id === track.participant_id) picture.append(this._bar("gap", gap.at_ms, gap.at_ms, 0, HEIGHT));
    }
    for (const mark of this._timeline.bookmarks) picture.append(this._bar("mark", mark.at_ms, mark.at_ms, 0, HEIGHT));
    const needle = shape("line", { class: "needle", x1: 0, x2: 0, y1: 0, y2: HEIGHT });
    picture.append(needle);
    picture.addEventListener("click", (event) => {
      const box = picture.getBoundingClientRect();
      this._seek(((event.clientX - box.left) / Math.max(1, box.width)) * this._timeline.duration_ms);
    });
    const talked = track.speech.reduce((sum, [from, to]) => sum + to - from, 0);
    const note = this._words.say("lane_note", { talked: clockText(talked / 1000), lost: track.lost, packets: track.packets });
    const label = make("p", { class: "small" }, [make("strong", { text: this._words.say(`side_${track.side}`) }), ` ${note}`]);
    const row = make("div", { class: "lane" }, [label]);
    row.append(picture);
    return { row, needle };
  }

  /**
   * @param {string} kind
   * @param {number} from
   * @param {number} to
   * @param {number} y
   * @param {number} height
   */
  _bar(kind, from, to, y, height) {
    return shape("rect", { class: kind, x: this._x(from), y, width: Math.max(2, this._x(to) - this._x(from)), height });
  }

  /** @param {number} position */
  _x(position) {
    return Math.round((position / Math.max(1, this._timeline.duration_ms)) * WIDTH * 10) / 10;
  }

  _marks() {
    const { bookmarks, events, gaps } = this._timeline;
    const marks = [
      ...bookmarks.map(({ at_ms, note }) => ({ at: at_ms, kind: "mark", text: note || this._words.say("event_bookmark") })),
      ...events.filter(({ type }) => TOLD.has(type) && type !== "bookmark").map((event) => ({ at: event.at_ms, kind: "event", text: this._eventText(event) })),
      ...gaps.list.map((gap) => ({ at: gap.at_ms, kind: "gap", text: this._words.count(`gap_${gap.kind}`, gap.packets) })),
    ].sort((one, other) => one.at - other.at);
    if (marks.length === 0) return [make("li", { text: this._words.say("no_marks") })];
    return marks.map(({ at, kind, text }) =>
      make("li", { class: kind }, [
        make("button", { type: "button", class: "button plain figures", text: clockText(at / 1000), "aria-label": this._words.say("jump_to", { time: clockText(at / 1000) }), onclick: () => this._seek(at) }),
        make("span", { text }),
      ]),
    );
  }

  /** @param {Timeline["events"][number]} event */
  _eventText({ type, data = {} }) {
    if (type === "muted") return this._words.say(`event_${data["muted"] ? "muted" : "unmuted"}_${data["kind"]}`);
    const title = this._words.has(`event_${type}`) ? this._words.say(`event_${type}`) : type;
    const more = String(data["text"] ?? data["reason"] ?? "");
    return more ? `${title}: ${more}` : title;
  }
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  return element;
}
