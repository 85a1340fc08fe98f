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
 * @property {string | null} [camera]
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
  }

  /** @param {Slot[]} slots */
  setSlots(slots) {
    this._slots = slots;
  }

  /** @param {Person[]} people */
  setPeople(people) {
    this._people = new Map(people.map((person) => [person.participant_id, person]));
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
    return this._slots.some((slot) => slot.kind === "video" && slot.participant_id !== null && this._hasPicture(slot.participant_id));
  }

  /** @param {string} id */
  _hasPicture(id) {
    const camera = this._people.get(id)?.camera;
    return camera !== "off" && camera !== "missing";
  }

  /**
   * @param {string} fallback name for somebody whose name the server has not said
   * @returns {import("./call-view.js").Remote[]} in the order of the slots; the same MediaStream for the same person
   */
  remotes(fallback) {
    /** @type {Map<string, {name: string, tracks: MediaStreamTrack[], video: boolean}>} */
    const found = new Map();
    for (const slot of this._slots) {
      if (slot.participant_id === null || slot.participant_id === this.me) continue;
      const entry = found.get(slot.participant_id) ?? { name: slot.name ?? fallback, tracks: [], video: false };
      found.set(slot.participant_id, entry);
      const track = this._tracks.get(slot.mid);
      if (track) entry.tracks.push(track);
      if (slot.kind === "video") entry.video = true;
    }
    return [...found].map(([id, { name, tracks, video }]) => ({
      id, name, picture: video && this._hasPicture(id), stream: this._stream(id, tracks),
    }));
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
