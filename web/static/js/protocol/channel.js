// The control channel of one call: a WebSocket whose first message carries the ticket (never the address).
// It reconnects by itself with growing waits and gives up after a limit; messages are those of docs/channel.md.

import { Backoff, pause } from "./backoff.js";
import { Emitter } from "./emitter.js";
import { VisitError } from "./errors.js";
import { addressOf } from "./resource.js";

/** @typedef {"idle" | "connecting" | "open" | "waiting" | "closed" | "failed"} ChannelState */

/** @typedef {{type: string} & Record<string, any>} Message */

/**
 * @typedef {object} ChannelEvents
 * @property {ChannelState} status
 * @property {Message} any every message of the server; each comes under its own type as well
 * @property {VisitError} failure why a connection failed; with status `failed` the last word
 */

/**
 * @typedef {object} ChannelOptions
 * @property {import("./resource.js").Place} url ws: or wss: address
 * @property {() => Promise<string>} ticket asked before every hello
 * @property {string} [callId] officers only: which of the warrant's calls
 * @property {() => Promise<string>} [session] walls only: the media session that the channel is for, asked before every hello
 * @property {typeof WebSocket} [webSocket]
 * @property {number} [pingEvery] milliseconds; an answer that has not come by the next ping is a dead connection
 * @property {Backoff} [backoff]
 */

/** Messages after which coming back would be wrong. */
const LAST = new Set(["ended", "replaced", "removed"]);

/** @extends {Emitter<ChannelEvents & Record<string, any>>} */
export class Channel extends Emitter {
  /** @param {ChannelOptions} options */
  constructor({ url, ticket, callId, session, webSocket = globalThis.WebSocket, pingEvery = 10_000, backoff = new Backoff() }) {
    super();
    this._url = url;
    this._ticket = ticket;
    this._callId = callId;
    this._session = session;
    this._WebSocket = webSocket;
    this._pingEvery = pingEvery;
    this._backoff = backoff;
    this._stopped = new AbortController();
    /** @type {WebSocket | null} */
    this._socket = null;
    /** @type {ChannelState} */
    this.status = "idle";
    /** @type {Message | null} the message after which the server wants nobody back */
    this.last = null;
  }

  /** Connect and stay connected until close(), a last word of the server, or the limit of tries. */
  async run() {
    while (!this._stopped.signal.aborted) {
      this._set("connecting");
      const failure = await this._once();
      if (this._stopped.signal.aborted) break;
      this.emit("failure", failure);
      const wait = failure.passing ? this._backoff.next() : null;
      if (wait === null) return this._set("failed");
      this._set("waiting");
      await pause(wait, this._stopped.signal);
    }
    this._set("closed");
  }

  /**
   * @param {Message} message
   * @returns {boolean} false when there is no connection; nothing is kept for later
   */
  send(message) {
    const socket = this._socket;
    if (socket === null || socket.readyState !== 1 || this.status !== "open") return false;
    socket.send(JSON.stringify(message));
    return true;
  }

  /** Say hello again, with whatever ticket there is now. Nothing happens while there is no connection: the next one does. */
  again() {
    this._socket?.close(1000);
  }

  close() {
    this._stopped.abort();
    this._socket?.close(1000);
  }

  /** @returns {Promise<VisitError>} why the connection ended */
  async _once() {
    /** @type {string} */
    let ticket;
    /** @type {string} */
    let url;
    /** @type {string | undefined} */
    let session;
    try {
      session = await this._session?.();
      url = await addressOf(this._url);
      ticket = await this._ticket();
    } catch (error) {
      return error instanceof VisitError ? error : new VisitError("ticket", "", { cause: error });
    }
    if (this._stopped.signal.aborted) return new VisitError("closed");
    const socket = new this._WebSocket(url);
    this._socket = socket;
    return new Promise((resolve) => {
      /** @type {VisitError | null} */
      let refusal = null;
      let answered = true;
      /** @type {ReturnType<typeof setInterval> | undefined} */
      let pinger;
      const welcomeLimit = setTimeout(() => socket.close(), 10_000);
      /** @param {VisitError} why */
      const finish = (why) => {
        clearTimeout(welcomeLimit);
        clearInterval(pinger);
        socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
        if (this._socket === socket) this._socket = null;
        resolve(why);
      };
      const ping = () => {
        if (!answered) {
          socket.close();
          return finish(new VisitError("timeout")); // a dead network lets close() hang for a minute
        }
        answered = false;
        this.send({ type: "ping" });
      };
      socket.onopen = () => socket.send(JSON.stringify({ type: "hello", ticket, call_id: this._callId, session }));
      socket.onmessage = (event) => {
        const message = parse(event.data);
        if (message === null) return;
        answered = true;
        if (message.type === "welcome") {
          clearTimeout(welcomeLimit);
          this._backoff.reset();
          this._set("open");
          pinger ??= setInterval(ping, this._pingEvery);
        }
        // A wall's session that is gone is made anew by the media side: the next hello names that one.
        if (message.type === "error" && message.code !== "unknown_session") refusal = new VisitError(message.code ?? "error", message.detail ?? "", { status: 400 });
        if (LAST.has(message.type)) {
          this.last = message;
          this._stopped.abort();
          socket.close(1000);
        }
        this.emit("any", message);
        this.emit(message.type, message);
      };
      socket.onclose = () => finish(refusal && this.status !== "open" ? refusal : new VisitError("offline"));
      socket.onerror = () => {
        // The close event follows and says the rest.
      };
    });
  }

  /** @param {ChannelState} status */
  _set(status) {
    if (this.status === status) return;
    this.status = status;
    this.emit("status", status);
  }
}

/**
 * @param {unknown} data
 * @returns {Message | null} null for anything that is not an object with a type
 */
function parse(data) {
  if (typeof data !== "string") return null;
  try {
    const message = JSON.parse(data);
    return message !== null && typeof message === "object" && typeof message.type === "string" ? message : null;
  } catch {
    return null;
  }
}

/**
 * @param {string} path
 * @param {string} page the page's address
 * @returns {string} the WebSocket address of `path` on the page's own server
 */
export function channelUrl(path, page) {
  const url = new URL(path, page);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
