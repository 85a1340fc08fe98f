// An officer's connections: one to each media node on which a watched call lives. On most walls there is one.

import { Emitter } from "../protocol/emitter.js";
import { MonitorLine } from "./monitor-line.js";
import { MonitorWatch } from "./monitor-watch.js";

/** @extends {Emitter<{error: import("../protocol/errors.js").VisitError, refused: import("./monitor-line.js").LineEvents["refused"]}>} */
export class MonitorLines extends Emitter {
  /**
   * @param {import("./monitor-api.js").MonitorApi} api
   * @param {number} videoSlots in each connection: two for each call that may be watched
   */
  constructor(api, videoSlots) {
    super();
    this._api = api;
    this._videoSlots = videoSlots;
    /** @type {Map<string, MonitorLine>} by address */
    this._lines = new Map();
    /** @type {{order: string[], focus: string | null, sound: boolean}} */
    this._wanted = { order: [], focus: null, sound: false };
  }

  /**
   * A watch of a call; it begins with its `start`.
   * @param {string} callId
   * @param {import("./monitor-api.js").Ground} ground
   */
  watch(callId, ground) {
    return new MonitorWatch(this._api, callId, ground, (grant) => this._line(grant));
  }

  /**
   * @param {string[]} order the calls in the order of the tiles
   * @param {string | null} focus the call that is large, and heard if there is sound
   * @param {boolean} sound
   */
  show(order, focus, sound) {
    const wanted = { order, focus, sound };
    if (JSON.stringify(wanted) === JSON.stringify(this._wanted)) return;
    this._wanted = wanted;
    for (const line of this._lines.values()) line.show(order, focus, sound);
  }

  /**
   * @param {string} callId
   * @returns {MonitorLine | null} the connection in which the call is watched
   */
  of(callId) {
    return [...this._lines.values()].find((line) => line.has(callId)) ?? null;
  }

  closeAll() {
    for (const line of [...this._lines.values()]) void line.close();
  }

  /** @param {import("./monitor-api.js").WatchGrant} grant */
  _line(grant) {
    const address = new URL(grant.wall, location.href).href;
    const known = this._lines.get(address);
    if (known) return known;
    const line = new MonitorLine(grant, this._videoSlots);
    this._lines.set(address, line);
    line.on("empty", () => {
      if (this._lines.get(address) === line) this._lines.delete(address);
    });
    line.on("error", (error) => this.emit("error", error));
    line.on("refused", (refused) => this.emit("refused", refused));
    line.show(this._wanted.order, this._wanted.focus, this._wanted.sound);
    return line;
  }
}
