// What the console asks of the server about calls. Every intervention names a reason; the server writes it down.

import { Api } from "../protocol/api.js";
import { csrfToken } from "./words.js";

/**
 * @typedef {object} Person a participant as the room sees it
 * @property {string} participant_id
 * @property {"family" | "prisoner" | "guest"} side
 * @property {string} name
 * @property {boolean} present
 * @property {boolean} connected
 * @property {("audio" | "video")[]} muted
 * @property {boolean} [held] paused alone
 * @property {string | null} microphone
 * @property {string | null} camera
 * @property {Health | null} quality
 *
 * @typedef {object} Health what the participant's browser measured over the last seconds
 * @property {number | null} rtt_ms
 * @property {number | null} loss 0..1
 * @property {number | null} kbit_in
 * @property {number | null} kbit_out
 * @property {number | null} height pixels of the picture it receives
 *
 * @typedef {object} Call
 * @property {string} call_id
 * @property {boolean} privileged
 * @property {string} phase
 * @property {string} cause
 * @property {string} starts_at
 * @property {string} ends_at
 * @property {number} connected_seconds
 * @property {string} prisoner
 * @property {string[]} visitors
 * @property {string} station
 * @property {string} wing
 * @property {boolean} watch_required
 * @property {number} watchers
 * @property {boolean} watched_by_me
 * @property {boolean} recorded
 * @property {string} recorder
 * @property {Person[]} participants
 *
 * @typedef {object} Wall
 * @property {string} now the server's time
 * @property {number} door how many people wait for an officer before their visit
 * @property {Call[]} calls
 *
 * @typedef {object} WatchGrant
 * @property {string} warrant
 * @property {string} whep
 * @property {string} wall where to offer for several calls of one media node
 * @property {string} channel
 * @property {string} expires_at
 * @property {RTCIceServer[]} ice_servers
 *
 * @typedef {{ground: "policy" | "sample" | "concern" | "authorisation", detail: string}} Ground
 */

export class MonitorApi {
  /** @param {Api} [api] */
  constructor(api = new Api({ csrf: csrfToken() })) {
    this._api = api;
  }

  /**
   * @param {string} query as in the page's address
   * @returns {Promise<Wall>}
   */
  wall(query) {
    return this._api.get(`/api/calls${query}`);
  }

  /**
   * @param {string} callId
   * @param {number} after sequence of the last event that is known
   * @returns {Promise<{now: string, call: Call, events: import("./monitor-events.js").CallEvent[]}>}
   */
  call(callId, after) {
    return this._api.get(`/api/calls/${callId}?after=${after}`);
  }

  /**
   * @param {string} callId
   * @param {Ground} ground
   * @returns {Promise<WatchGrant>}
   */
  watch(callId, ground) {
    return this._api.post(`/api/calls/${callId}/watch`, ground);
  }

  /**
   * A warrant to be heard in a call, to be used at once.
   * @param {string} callId
   * @param {"all" | "prisoner" | "family" | "guest"} to
   * @returns {Promise<{warrant: string, expires_at: string}>}
   */
  talk(callId, to) {
    return this._api.post(`/api/calls/${callId}/talk`, { to });
  }

  /**
   * @param {string} callId
   * @param {"hold" | "resume" | "mute" | "remove" | "terminate" | "bookmark" | "say"} what
   * @param {Record<string, unknown>} body
   * @returns {Promise<any>}
   */
  act(callId, what, body) {
    return this._api.post(`/api/calls/${callId}/${what}`, body);
  }
}
