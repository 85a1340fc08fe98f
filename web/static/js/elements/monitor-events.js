// A call's events as lines of a timeline.

import { make } from "./dom.js";

/**
 * @typedef {object} CallEvent
 * @property {number} sequence
 * @property {string} at
 * @property {string} type
 * @property {string} actor who, as the server says it: a name, or a word for the system
 * @property {string} cause
 * @property {Record<string, any>} data
 */

/** Events whose type alone says nothing that the others do not. */
const QUIET = new Set(["ready", "not_ready", "clock"]);

export class EventList {
  /**
   * @param {HTMLElement} list an <ol>
   * @param {import("./words.js").Words} words
   * @param {string} zone the prison's
   */
  constructor(list, words, zone) {
    this._list = list;
    this._words = words;
    this._clock = new Intl.DateTimeFormat(words.locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone });
    /** Sequence of the last event that is shown. */
    this.last = 0;
  }

  /** @param {CallEvent[]} events in order; those that are shown already are left out */
  add(events) {
    for (const event of events) {
      if (event.sequence <= this.last) continue;
      this.last = event.sequence;
      if (QUIET.has(event.type)) continue;
      this._list.prepend(this._line(event));
    }
  }

  /** @param {CallEvent} event */
  _line(event) {
    const parts = [make("span", { text: this._title(event) })];
    const more = [...new Set([event.actor, this._more(event)])].filter(Boolean).join(" · ");
    if (more) parts.push(make("span", { class: "soft small", text: more }));
    return make("li", { "data-type": event.type }, [
      make("time", { class: "figures", datetime: event.at, text: this._clock.format(new Date(event.at)) }),
      make("span", { class: "what" }, parts),
    ]);
  }

  /** @param {CallEvent} event */
  _title({ type, data }) {
    if (type === "muted") return this._words.say(`event_${data["muted"] ? "muted" : "unmuted"}_${data["kind"]}`);
    return this._words.has(`event_${type}`) ? this._words.say(`event_${type}`) : type;
  }

  /** @param {CallEvent} event */
  _more({ type, cause, data }) {
    if (type === "bookmark") return String(data["note"] ?? "");
    if (type === "said") return String(data["text"] ?? "");
    if (type === "notice") return this._words.count("minutes", Number(data["minutes"] ?? 0));
    if (type === "talk_started") return /** @type {string[]} */ (data["sides"] ?? []).map((side) => this._words.say(`side_${side}`)).join(", ");
    if (["joined", "left", "connected", "disconnected", "replaced", "muted", "participant_held", "participant_resumed", "participant_removed"].includes(type)) return String(data["name"] ?? data["side"] ?? "");
    return String(data["reason"] ?? data["words"] ?? "") || (this._words.has(`cause_${cause}`) ? this._words.say(`cause_${cause}`) : "");
  }
}
