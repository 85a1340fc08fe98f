// One officer's watch of one call: its warrant, renewed in time, and who of the call is to be seen. No DOM, no connection:
// that is the line's (monitor-line.js), which several watches share.

import { Emitter } from "../protocol/emitter.js";
import { VisitError } from "../protocol/errors.js";
import { Roster } from "./roster.js";

/** A warrant with less life left than this is asked for anew before it is shown again. */
const FRESH = 30_000;
/** How long before its end a warrant is renewed, so that neither clocks that differ nor a short fault break the watch. */
const RENEW_BEFORE = 5 * 60_000;
const RENEW_AGAIN = 20_000;

/**
 * @typedef {import("./roster.js").Slot & {call_id: string | null}} WallSlot
 *
 * @typedef {object} Line what a watch needs of the connection it is on
 * @property {(watch: MonitorWatch) => void} join
 * @property {(watch: MonitorWatch) => void} leave
 * @property {(watch: MonitorWatch, warrant: string) => void} renew
 *
 * @typedef {object} WatchEvents
 * @property {"connecting" | "watching" | "interrupted" | "over" | "failed"} status
 * @property {import("./call-tile.js").Remote[]} remotes who is to be seen
 * @property {{participant_id: string, level: number}} talking -dBov: 0 loudest, 127 silence (RFC 6464)
 * @property {any} state the call's phase has changed
 * @property {any} event an event of the call
 * @property {any} speech who hears the officer's own voice
 * @property {VisitError} error
 */

/** @extends {Emitter<WatchEvents>} */
export class MonitorWatch extends Emitter {
  /**
   * @param {import("./monitor-api.js").MonitorApi} api
   * @param {string} callId
   * @param {import("./monitor-api.js").Ground} ground
   * @param {(grant: import("./monitor-api.js").WatchGrant) => Line} lineFor the connection to the node that a grant names
   */
  constructor(api, callId, ground, lineFor) {
    super();
    this._api = api;
    this.callId = callId;
    this._ground = ground;
    this._lineFor = lineFor;
    /** @type {Promise<import("./monitor-api.js").WatchGrant> | null} */
    this._grant = null;
    this._roster = new Roster();
    /** @type {Line | null} */
    this._line = null;
    this._over = false;
    this._told = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._renewal = undefined;
  }

  /**
   * Ask for the warrant and join the connection.
   * @throws {VisitError} when the server gives no warrant
   */
  async start() {
    this._say("connecting");
    const grant = await this.grant();
    if (!this._over) this._join(grant);
  }

  /**
   * End the watch on both sides.
   * @param {{failed?: VisitError}} [how] why, if it was not to end
   */
  async stop({ failed } = {}) {
    if (this._over) return;
    this._over = true;
    clearTimeout(this._renewal);
    this.emit("remotes", []);
    if (failed) this.emit("error", failed);
    this._say(failed ? "failed" : "over");
    this._line?.leave(this);
    this._line = null;
  }

  get over() {
    return this._over;
  }

  /** The call has moved to another media node, or this one has lost it: ask anew where it is. */
  async follow() {
    if (this._over) return;
    this._say("interrupted");
    try {
      const grant = await this._newGrant();
      if (!this._over) this._join(grant);
    } catch (error) {
      const failed = error instanceof VisitError ? error : new VisitError("media", "", { cause: error });
      if (!failed.passing) await this.stop({ failed });
    }
  }

  /** @param {import("./monitor-api.js").WatchGrant} grant */
  _join(grant) {
    const line = this._lineFor(grant);
    if (this._line !== null && this._line !== line) this._line.leave(this);
    this._line = line;
    line.join(this);
  }

  // What the line hears

  /** @param {"connecting" | "watching" | "interrupted"} status */
  setStatus(status) {
    if (!this._over) this._say(status);
  }

  /** @param {import("../protocol/channel.js").Message} message one of the call's own (docs/channel.md) */
  take(message) {
    if (this._over) return;
    if (message.type === "welcome") {
      this._show(() => {
        this._roster.setPeople(message.participants);
        this._roster.setAllMuted(message.muted ?? []);
      });
      this.emit("state", message.state);
    } else if (message.type === "muted") this._show(() => this._roster.setMuted(message.participant_id, message.kind, message.muted));
    else if (message.type === "line" && message.direction === "up") this._show(() => this._roster.setVoiceOnly(message.participant_id, message.line === "voice_only"));
    else if (message.type === "participants") this._show(() => this._roster.setPeople(message.participants));
    else if (message.type === "talking") this.emit("talking", { participant_id: message.participant_id, level: message.level });
    else if (message.type === "state") this.emit("state", message);
    else if (message.type === "event") this.emit("event", message.event);
    else if (message.type === "ended") void this.stop();
  }

  /**
   * @param {WallSlot[]} slots the call's own
   * @param {Map<string, MediaStreamTrack>} tracks by m-line
   */
  place(slots, tracks) {
    // A tile is a picture; whose voice is heard is the line's business, so that choosing it does not touch the picture.
    const pictures = slots.filter((slot) => slot.kind === "video");
    this._show(() => {
      for (const slot of pictures) {
        const track = tracks.get(slot.mid);
        if (track) this._roster.addTrack(slot.mid, track);
      }
      this._roster.setSlots(pictures);
    });
  }

  /** @param {() => void} change */
  _show(change) {
    change();
    if (!this._over) this.emit("remotes", this._roster.remotes(""));
  }

  /** @param {WatchEvents["status"]} status */
  _say(status) {
    if (this._told === status) return;
    this._told = status;
    this.emit("status", status);
  }

  // The warrant

  /** @returns {Promise<import("./monitor-api.js").WatchGrant>} one with life left */
  async grant() {
    const kept = this._grant === null ? null : await this._grant.catch(() => null);
    if (kept !== null && Date.parse(kept.expires_at) - Date.now() > FRESH) return kept;
    return this._newGrant();
  }

  /** @returns {Promise<import("./monitor-api.js").WatchGrant>} */
  async _newGrant() {
    this._grant = this._api.watch(this.callId, this._ground);
    const grant = await this._grant;
    this._renewIn(Date.parse(grant.expires_at) - Date.now() - RENEW_BEFORE);
    return grant;
  }

  /** @param {number} wait milliseconds */
  _renewIn(wait) {
    clearTimeout(this._renewal);
    if (!this._over) this._renewal = setTimeout(() => void this._renew(), Math.max(RENEW_AGAIN, wait));
  }

  /** A new warrant, shown on the channel: the server then lets the watch go on under it. */
  async _renew() {
    const kept = this._grant;
    try {
      const grant = await this._newGrant();
      this._line?.renew(this, grant.warrant);
    } catch (error) {
      this._grant = kept;
      // What the server refuses (a call that is over, an officer who may no longer) ends when the warrant does.
      if (!(error instanceof VisitError) || error.passing) this._renewIn(RENEW_AGAIN);
    }
  }
}
