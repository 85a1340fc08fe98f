// The HTTP side of WHIP (RFC 9725) and WHEP: POST an offer, PATCH the session, DELETE it.

import { limited } from "./api.js";
import { VisitError, errorOf } from "./errors.js";

/**
 * An address, or how to ask for it: a call may have moved to another media node, at another origin, since the last time.
 * @typedef {string | (() => Promise<string>)} Place
 */

/**
 * @param {Place} place
 * @returns {Promise<string>}
 */
export async function addressOf(place) {
  return typeof place === "string" ? place : place();
}

/**
 * @typedef {object} ResourceOptions
 * @property {Place} url endpoint for the offer
 * @property {() => Promise<string>} ticket gives a valid signed ticket; asked before every offer
 * @property {typeof fetch} [fetch]
 * @property {number} [timeout] milliseconds
 */

export class MediaResource {
  /** @param {ResourceOptions} options */
  constructor({ url, ticket, fetch: fetcher = (...args) => fetch(...args), timeout = 10_000 }) {
    this._url = url;
    this._ticket = ticket;
    this._fetch = fetcher;
    this._timeout = timeout;
    this._bearer = "";
    /** Where the session was made. */
    this._made = "";
    /** @type {string | null} where the session lives, once answered */
    this.location = null;
    /** @type {string | null} */
    this.etag = null;
  }

  /**
   * @param {string} offer SDP
   * @returns {Promise<string>} the answer, SDP
   * @throws {VisitError}
   */
  async create(offer) {
    const url = await addressOf(this._url);
    this._bearer = await this._ticket();
    const response = await this._send("POST", url, offer, "application/sdp");
    const location = response.headers.get("location");
    if (response.status !== 201 || !location) throw new VisitError("bad_answer", "", { status: response.status });
    this.location = new URL(location, new URL(url, pageUrl())).href;
    this._made = url;
    this.etag = response.headers.get("etag");
    return response.text();
  }

  /**
   * Whether the call is at another address than this session. Where that cannot be found out now, it is not.
   * @returns {Promise<boolean>}
   */
  async moved() {
    if (this.location === null || typeof this._url === "string") return false;
    try {
      return (await this._url()) !== this._made;
    } catch {
      return false;
    }
  }

  /**
   * ICE restart. RFC 9725 section 4.3.3 wants `If-Match: "*"`; the answer's ETag is the new ICE session's.
   * @param {string} fragment
   * @returns {Promise<string>} the server's fragment
   * @throws {VisitError} status 404 when the session is gone: make a new one
   */
  async restart(fragment) {
    const response = await this._send("PATCH", this._here(), fragment, "application/trickle-ice-sdpfrag", {
      "If-Match": '"*"',
    });
    this.etag = response.headers.get("etag") ?? this.etag;
    return response.text();
  }

  /**
   * End the session. Sent so that it survives the page; a session that is gone already is no error.
   * @returns {Promise<void>}
   */
  async remove() {
    const location = this.location;
    if (location === null) return;
    this.location = null;
    const headers = { Authorization: `Bearer ${this._bearer}` };
    const init = { method: "DELETE", headers, keepalive: true };
    const response = await limited(this._fetch, location, init, this._timeout);
    if (!response.ok && response.status !== 404 && response.status !== 410) throw await errorOf(response);
  }

  /** @returns {string} */
  _here() {
    if (this.location === null) throw new VisitError("closed");
    return this.location;
  }

  /**
   * @param {string} method
   * @param {string} url
   * @param {string} body
   * @param {string} type
   * @param {Record<string, string>} [more]
   */
  async _send(method, url, body, type, more = {}) {
    const headers = { Authorization: `Bearer ${this._bearer}`, "Content-Type": type, ...more };
    const response = await limited(this._fetch, url, { method, headers, body }, this._timeout);
    if (!response.ok) throw await errorOf(response);
    return response;
  }
}

/** @returns {string | undefined} the page's address, where there is a page */
function pageUrl() {
  return globalThis.location?.href;
}
