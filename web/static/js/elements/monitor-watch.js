// One officer's watch of one call: a warrant, a receive-only connection, the control channel. No DOM.

import { Channel, channelUrl } from "../protocol/channel.js";
import { Emitter } from "../protocol/emitter.js";
import { VisitError } from "../protocol/errors.js";
import { WhepClient } from "../protocol/whep.js";
import { Roster } from "./roster.js";

/** A warrant with less life left than this is asked for anew before it is shown again. */
const FRESH = 30_000;
/** How long before its end a warrant is renewed, so that neither clocks that differ nor a short fault break the watch. */
const RENEW_BEFORE = 5 * 60_000;
const RENEW_AGAIN = 20_000;

/**
 * @typedef {object} WatchEvents
 * @property {"connecting" | "watching" | "interrupted" | "over" | "failed"} status
 * @property {import("./call-view.js").Remote[]} remotes who is to be seen and heard
 * @property {{participant_id: string, level: number}} talking -dBov: 0 loudest, 127 silence (RFC 6464)
 * @property {any} event an event of the call
 * @property {VisitError} error
 */

/** @extends {Emitter<WatchEvents>} */
export class MonitorWatch extends Emitter {
  /**
   * @param {import("./monitor-api.js").MonitorApi} api
   * @param {string} callId
   * @param {import("./monitor-api.js").Ground} ground
   */
  constructor(api, callId, ground) {
    super();
    this._api = api;
    this._callId = callId;
    this._ground = ground;
    /** @type {Promise<import("./monitor-api.js").WatchGrant> | null} */
    this._grant = null;
    this._roster = new Roster();
    /** @type {WhepClient | null} */
    this.whep = null;
    /** @type {Channel | null} */
    this._channel = null;
    this._over = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._renewal = undefined;
  }

  /**
   * Ask for the warrant and connect.
   * @throws {VisitError} when the server gives no warrant, or does not answer the offer
   */
  async start() {
    this.emit("status", "connecting");
    const grant = await this._getGrant();
    const ticket = async () => (await this._getGrant()).warrant;
    this._listen(new Channel({ url: channelUrl(grant.channel, location.href), ticket, callId: this._callId }));
    const whep = new WhepClient({ url: grant.whep, ticket, iceServers: grant.ice_servers });
    this.whep = whep;
    whep.on("track", ({ mid, track }) => this._show(() => this._roster.addTrack(mid, track)));
    whep.on("state", (state) => {
      if (state === "connected") this.emit("status", "watching");
      if (state === "interrupted") this.emit("status", "interrupted");
      if (state === "failed") this._fail(new VisitError("media"));
    });
    try {
      await whep.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * End the watch on both sides.
   * @param {{gone?: boolean}} [how] `gone`: the call is over and its sessions with it, so there is nothing to tell the server
   */
  async stop({ gone = false } = {}) {
    if (this._over) return;
    this._over = true;
    clearTimeout(this._renewal);
    this._channel?.close();
    this.emit("remotes", []);
    this.emit("status", "over");
    await this.whep?.close({ gone });
  }

  /** @param {Channel} channel */
  _listen(channel) {
    this._channel = channel;
    channel.on("welcome", (message) =>
      this._show(() => {
        this._roster.setPeople(message.participants);
        this._roster.setSlots(message.slots);
      }),
    );
    channel.on("slots", (message) => this._show(() => this._roster.setSlots(message.slots)));
    channel.on("participants", (message) => this._show(() => this._roster.setPeople(message.participants)));
    channel.on("talking", (message) => this.emit("talking", { participant_id: message.participant_id, level: message.level }));
    channel.on("event", (message) => this.emit("event", message.event));
    channel.on("ended", () => void this.stop({ gone: true }));
    channel.on("status", (status) => {
      if (status === "failed") this._fail(new VisitError("channel"));
    });
    void channel.run();
  }

  /** @param {VisitError} error */
  _fail(error) {
    if (this._over) return;
    this.emit("error", error);
    this.emit("status", "failed");
    void this.stop();
  }

  /** @param {() => void} change */
  _show(change) {
    change();
    this.emit("remotes", this._roster.remotes(""));
  }

  /** @returns {Promise<import("./monitor-api.js").WatchGrant>} */
  async _getGrant() {
    const kept = this._grant === null ? null : await this._grant.catch(() => null);
    if (kept !== null && Date.parse(kept.expires_at) - Date.now() > FRESH) return kept;
    return this._newGrant();
  }

  /** @returns {Promise<import("./monitor-api.js").WatchGrant>} */
  async _newGrant() {
    this._grant = this._api.watch(this._callId, this._ground);
    const grant = await this._grant;
    this._renewIn(Date.parse(grant.expires_at) - Date.now() - RENEW_BEFORE);
    return grant;
  }

  /** @param {number} wait milliseconds */
  _renewIn(wait) {
    clearTimeout(this._renewal);
    if (!this._over) this._renewal = setTimeout(() => void this._renew(), Math.max(RENEW_AGAIN, wait));
  }

  /** A new warrant, said on the channel: the server then lets the connection go on under it. */
  async _renew() {
    const kept = this._grant;
    try {
      await this._newGrant();
      this._channel?.again();
    } catch (error) {
      this._grant = kept;
      // What the server refuses (a call that is over, an officer who may no longer) ends when the warrant does.
      if (!(error instanceof VisitError) || error.passing) this._renewIn(RENEW_AGAIN);
    }
  }
}
