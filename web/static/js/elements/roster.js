// Who is where: the connection's tracks by m-line, the server's word on who is in which, and the people by name.

/**
 * @typedef {object} Slot as the control channel tells it
 * @property {string} mid
 * @property {"audio" | "video"} kind
 * @property {string | null} participant_id
 * @property {string | null} name
 *
 * @typedef {object} Person
 * @property {string} participant_id
 * @property {string} name
 * @property {boolean} connected
 * @property {boolean} [present]
 * @property {boolean} [held]
 * @property {string | null} [microphone]
 * @property {string | null} [camera]
 *
 * What has happened to somebody since the last time; the names are those of sentences.
 * @typedef {{what: "came" | "broken" | "back" | "gone" | "held" | "released", name: string}} Change
 */

export class Roster {
  constructor() {
    this.me = "";
    /** @type {Map<string, MediaStreamTrack>} */
    this._tracks = new Map();
    /** @type {Slot[]} */
    this._slots = [];
    /** @type {Map<string, Person>} */
    this._people = new Map();
    /** @type {Map<string, MediaStream>} */
    this._streams = new Map();
    /** @type {Set<string>} who has been connected once */
    this._seen = new Set();
    /** @type {Set<string>} `participant kind` that an officer has turned off */
    this._muted = new Set();
    /** @type {Set<string>} whose line carries no picture */
    this._voiceOnly = new Set();
  }

  /** @param {Slot[]} slots */
  setSlots(slots) {
    this._slots = slots;
  }

  /**
   * @param {Person[]} people
   * @returns {Change[]} what is news of the others
   */
  setPeople(people) {
    const before = this._people;
    this._people = new Map(people.map((person) => [person.participant_id, person]));
    /** @type {Change[]} */
    const changes = [];
    for (const person of people) {
      const { participant_id: id, name } = person;
      if (id !== this.me) changes.push(...this._news(before.get(id), person).map((what) => ({ what, name })));
      if (person.connected) this._seen.add(id);
    }
    for (const [id, { name }] of before) if (id !== this.me && !this._people.has(id)) changes.push({ what: "gone", name });
    return changes;
  }

  /**
   * @param {Person | undefined} before
   * @param {Person} now
   * @returns {Change["what"][]}
   */
  _news(before, now) {
    /** @type {Change["what"][]} */
    const news = [];
    if (now.connected && !before?.connected) news.push(this._seen.has(now.participant_id) ? "back" : "came");
    if (!now.connected && before?.connected && now.present !== false) news.push("broken");
    if (isGone(now) && before !== undefined && !isGone(before)) news.push("gone");
    if (before !== undefined && (now.held ?? false) !== (before.held ?? false)) news.push(now.held ? "held" : "released");
    return news;
  }

  /** How many people take part, oneself among them. */
  get size() {
    return [...this._people.values()].filter((person) => !isGone(person)).length;
  }

  /** Whether an officer has paused one's own part. */
  get amHeld() {
    return this._people.get(this.me)?.held ?? false;
  }

  /**
   * @param {string} id
   * @param {string} kind
   * @param {boolean} muted
   */
  setMuted(id, kind, muted) {
    if (muted) this._muted.add(`${id} ${kind}`);
    else this._muted.delete(`${id} ${kind}`);
  }

  /** @param {{participant_id: string, kind: string}[]} all everything that officers have turned off */
  setAllMuted(all) {
    this._muted = new Set(all.map(({ participant_id, kind }) => `${participant_id} ${kind}`));
  }

  /**
   * @param {string} id
   * @param {boolean} voiceOnly their line to the prison carries no picture now
   */
  setVoiceOnly(id, voiceOnly) {
    if (voiceOnly) this._voiceOnly.add(id);
    else this._voiceOnly.delete(id);
  }

  /**
   * @param {Map<string, number>} heights by participant
   * @returns {Record<string, number>} by m-line; 0 for those who are not shown
   */
  view(heights) {
    const videos = this._slots.filter((slot) => slot.kind === "video");
    return Object.fromEntries(videos.map((slot) => [slot.mid, slot.participant_id === null ? 0 : (heights.get(slot.participant_id) ?? 0)]));
  }

  /**
   * @param {string} mid
   * @param {MediaStreamTrack} track
   */
  addTrack(mid, track) {
    this._tracks.set(mid, track);
  }

  /** Whether anybody is to be seen: somebody is in a video slot and has not turned the camera off. */
  get pictureExpected() {
    return this._slots.some((slot) => slot.kind === "video" && slot.participant_id !== null && this._missing(slot.participant_id) === "");
  }

  /**
   * @param {string} id
   * @returns {import("./call-tile.js").Missing} why the person is not to be seen
   */
  _missing(id) {
    const person = this._people.get(id);
    if (person === undefined) return "";
    if (person.held) return "held";
    if (!person.connected) return this._seen.has(id) ? "broken" : "coming";
    if (person.camera === "off" || person.camera === "missing") return "camera_off";
    if (this._muted.has(`${id} video`)) return "picture_off";
    return this._voiceOnly.has(id) ? "line" : "";
  }

  /** @param {string} id */
  _heard(id) {
    const microphone = this._people.get(id)?.microphone;
    return microphone !== "off" && microphone !== "missing" && !this._muted.has(`${id} audio`);
  }

  /**
   * @param {string} fallback name for somebody whose name the server has not said
   * @returns {import("./call-tile.js").Remote[]} in the order of the slots; the same MediaStream for the same person
   */
  remotes(fallback) {
    /** @type {Map<string, {name: string, tracks: MediaStreamTrack[], video: boolean}>} */
    const found = new Map();
    for (const slot of this._slots) {
      if (slot.participant_id === null || slot.participant_id === this.me) continue;
      const person = this._people.get(slot.participant_id);
      // Somebody who has gone keeps a slot until it is needed; one who has been removed is no longer among the people.
      if (this._people.size > 0 && (person === undefined || isGone(person))) continue;
      const entry = found.get(slot.participant_id) ?? { name: slot.name ?? fallback, tracks: [], video: false };
      found.set(slot.participant_id, entry);
      const track = this._tracks.get(slot.mid);
      if (track) entry.tracks.push(track);
      if (slot.kind === "video") entry.video = true;
    }
    return [...found].map(([id, { name, tracks, video }]) => {
      const missing = video ? this._missing(id) : "camera_off";
      return { id, name, missing, picture: missing === "", heard: this._heard(id), stream: this._stream(id, tracks) };
    });
  }

  /**
   * The person's stream: the same one while the tracks are the same. A new one when they change, because Chromium does
   * not reliably show a picture that is added to a stream that is playing sound already.
   * @param {string} id
   * @param {MediaStreamTrack[]} tracks
   */
  _stream(id, tracks) {
    const before = this._streams.get(id);
    const same = before?.getTracks().length === tracks.length && tracks.every((track) => before.getTracks().includes(track));
    const stream = before && same ? before : new MediaStream(tracks);
    this._streams.set(id, stream);
    return stream;
  }
}

/** @param {Person} person */
function isGone(person) {
  return !person.connected && person.present === false;
}
