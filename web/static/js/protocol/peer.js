// One RTCPeerConnection, one offer. Comes back by itself: an ICE restart first, a new session if that one is gone.

import { Backoff, pause } from "./backoff.js";
import { Emitter } from "./emitter.js";
import { VisitError } from "./errors.js";
import { MediaResource } from "./resource.js";
import { restartFragment, restartedAnswer, withVoiceRepair } from "./sdp.js";

/** @typedef {"idle" | "connecting" | "connected" | "interrupted" | "failed" | "closed"} PeerState */

/**
 * @typedef {object} PeerEvents
 * @property {PeerState} state
 * @property {{track: MediaStreamTrack, kind: string, index: number, mid: string, transceiver: RTCRtpTransceiver}} track a remote track: `index` counts the m-lines of its kind
 * @property {VisitError} error why a try failed, or (state failed) why there are no more
 */

/**
 * @typedef {object} PeerOptions
 * @property {import("./resource.js").Place} url
 * @property {() => Promise<string>} ticket
 * @property {typeof RTCPeerConnection} [peerConnection] for tests
 * @property {typeof fetch} [fetch]
 * @property {RTCIceServer[] | (() => Promise<RTCIceServer[]>)} [iceServers] as a function: asked before every try, for credentials that expire
 * @property {number} [patience] milliseconds of "disconnected" before the first ICE restart
 * @property {Backoff} [backoff]
 */

/** How long the answer to a DELETE is waited for, milliseconds. */
const GOODBYE = 2_000;

/** @extends {Emitter<PeerEvents>} */
export class MediaPeer extends Emitter {
  /** @param {PeerOptions} options */
  constructor(options) {
    super();
    this._options = options;
    this._Connection = options.peerConnection ?? globalThis.RTCPeerConnection;
    this._patience = options.patience ?? 2_000;
    this._backoff = options.backoff ?? new Backoff({ first: 500, most: 5_000, tries: 30 });
    /** @type {RTCPeerConnection | null} */
    this.connection = null;
    this._resource = new MediaResource(options);
    /** @type {PeerState} */
    this.state = "idle";
    this._closing = new AbortController();
    this._mending = false;
  }

  /**
   * What to send and receive: adds the transceivers of a new connection, in the order of the offer.
   * @param {RTCPeerConnection} _connection
   */
  prepare(_connection) {
    throw new TypeError("a MediaPeer must say what it sends and receives");
  }

  /**
   * Connect. Resolves when the server has answered; `state` says when media can flow.
   * @throws {VisitError}
   */
  async start() {
    this._set("connecting");
    try {
      await this._connect();
    } catch (error) {
      this._set("failed");
      throw error;
    }
  }

  /**
   * End the session on both sides.
   * @param {{gone?: boolean}} [how] `gone`: the server has ended it already, so there is nothing to tell it
   */
  async close({ gone = false } = {}) {
    if (this.state === "closed") return;
    this._closing.abort();
    this._set("closed");
    // First the DELETE, then the connection: the other way round the DTLS close ends the session before the DELETE comes.
    if (!gone) await Promise.race([this._sayGoodbye(), pause(GOODBYE)]);
    this._drop();
  }

  async _sayGoodbye() {
    try {
      await this._resource.remove();
    } catch (error) {
      // The server notices by itself that nobody is there (RFC 7675 consent); the person is leaving anyway.
      this.emit("error", asVisitError(error));
    }
  }

  /** Where the server keeps the session; null while there is none. */
  get location() {
    return this._resource.location;
  }

  /** Do not wait for the "disconnected" of a dead network: the page knows that the network has changed. */
  nudge() {
    if (this.state === "connected" || this.state === "interrupted") void this._mend();
  }

  /** If the call has moved to another media node, go there now instead of waiting until this connection is seen to be dead. */
  async follow() {
    if (await this._resource.moved()) this.nudge();
  }

  async _connect() {
    const iceServers = await this._iceServers();
    if (this._closing.signal.aborted) throw new VisitError("closed");
    this._drop();
    const connection = new this._Connection({
      iceServers,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.connection = connection;
    this.prepare(connection);
    connection.ontrack = (event) => {
      const same = connection.getTransceivers().filter((one) => one.receiver.track.kind === event.track.kind);
      const index = same.indexOf(event.transceiver);
      const { track, transceiver } = event;
      this.emit("track", { track, kind: track.kind, index, mid: transceiver.mid ?? "", transceiver });
    };
    connection.onconnectionstatechange = () => this._watch(connection);
    await describe(connection, {});
    const answer = await this._resource.create(connection.localDescription?.sdp ?? "");
    if (this._closing.signal.aborted) {
      await this._resource.remove();
      throw new VisitError("closed");
    }
    await connection.setRemoteDescription({ type: "answer", sdp: answer });
  }

  /** @param {RTCPeerConnection} connection */
  _watch(connection) {
    if (connection !== this.connection || this.state === "closed") return;
    if (connection.connectionState === "connected") {
      this._backoff.reset();
      this._set("connected");
    } else if (connection.connectionState === "disconnected") {
      this._set("interrupted");
      void pause(this._patience, this._closing.signal).then(() => {
        if (connection === this.connection && connection.connectionState === "disconnected") void this._mend();
      });
    } else if (connection.connectionState === "failed") {
      this._set("interrupted");
      void this._mend();
    }
  }

  /** Try until connected, closed or out of tries; one at a time. */
  async _mend() {
    if (this._mending || this.state === "closed") return;
    this._mending = true;
    try {
      // A restart for a new network, while the old one still works, is nobody's interruption.
      if (this.connection?.connectionState !== "connected") this._set("interrupted");
      while (!this._closing.signal.aborted) {
        const error = await this._mendOnce();
        if (error === null) {
          // Where the connection has been up all the while, no event will say that it is.
          if (this.connection !== null) this._watch(this.connection);
          return;
        }
        this.emit("error", error);
        const wait = error.passing ? this._backoff.next() : null;
        if (wait === null) return this._giveUp(error);
        await pause(wait, this._closing.signal);
      }
    } finally {
      this._mending = false;
    }
  }

  /** @returns {Promise<VisitError | null>} null when connected again (or closed) */
  async _mendOnce() {
    try {
      if (await this._resource.moved()) await this._forget();
      const restarted = this._resource.location !== null && (await this._restart());
      if (!restarted) await this._connect();
      const connection = this.connection;
      if (connection === null || (await settled(connection, 8_000, this._closing.signal))) return null;
      if (restarted) await this._forget();
      return new VisitError("timeout");
    } catch (error) {
      return this._closing.signal.aborted ? null : asVisitError(error);
    }
  }

  /** @returns {Promise<boolean>} false when the session is gone and a new one is needed */
  async _restart() {
    const connection = this.connection;
    const before = connection?.currentRemoteDescription?.sdp;
    if (!connection || !before || connection.signalingState !== "stable") return false;
    await this._renewServers(connection);
    await describe(connection, { iceRestart: true });
    try {
      const fragment = await this._resource.restart(restartFragment(connection.localDescription?.sdp ?? ""));
      await connection.setRemoteDescription({ type: "answer", sdp: restartedAnswer(before, fragment) });
      return true;
    } catch (error) {
      await rollBack(connection);
      const visitError = asVisitError(error);
      if (visitError.passing) throw visitError;
      await this._forget();
      return false;
    }
  }

  /** @returns {Promise<RTCIceServer[]>} */
  async _iceServers() {
    const servers = this._options.iceServers ?? [];
    return typeof servers === "function" ? servers() : servers;
  }

  /** @param {RTCPeerConnection} connection */
  async _renewServers(connection) {
    if (typeof this._options.iceServers !== "function") return;
    try {
      connection.setConfiguration({ ...connection.getConfiguration(), iceServers: await this._iceServers() });
    } catch {
      // The ones from before may still be good, and most restarts need none.
    }
  }

  /** Give up the server's session without waiting for its answer; the next try makes a new one. */
  async _forget() {
    const old = this._resource;
    this._resource = new MediaResource(this._options);
    void old.remove().catch(() => {
      // Unreachable now; the next offer replaces that session on the server.
    });
  }

  /** @param {VisitError} error */
  _giveUp(error) {
    if (this.state === "closed") return;
    this._drop();
    this._set("failed");
    this.emit("error", error);
  }

  _drop() {
    const connection = this.connection;
    this.connection = null;
    if (connection === null) return;
    connection.ontrack = null;
    connection.onconnectionstatechange = null;
    connection.close();
  }

  /** @param {PeerState} state */
  _set(state) {
    if (this.state === state || this.state === "closed") return;
    this.state = state;
    this.emit("state", state);
  }
}

/**
 * @param {RTCPeerConnection} connection
 * @param {number} limit milliseconds
 * @param {AbortSignal} signal
 * @returns {Promise<boolean>} whether it became connected within the limit (true as well when `signal` aborts)
 */
function settled(connection, limit, signal) {
  return new Promise((resolve) => {
    /** @param {boolean} result */
    const finish = (result) => {
      clearTimeout(timer);
      connection.removeEventListener("iceconnectionstatechange", look);
      connection.removeEventListener("connectionstatechange", look);
      signal.removeEventListener("abort", abort);
      resolve(result);
    };
    const look = () => {
      if (connection.connectionState === "connected") finish(true);
      else if (connection.connectionState === "closed") finish(false);
    };
    const abort = () => finish(true);
    const timer = setTimeout(() => finish(connection.connectionState === "connected"), limit);
    connection.addEventListener("iceconnectionstatechange", look);
    connection.addEventListener("connectionstatechange", look);
    signal.addEventListener("abort", abort);
    if (signal.aborted) finish(true);
    else look();
  });
}

/**
 * Make an offer and take it as the local description, with repair of the voice where the browser lets us add it.
 * @param {RTCPeerConnection} connection
 * @param {RTCOfferOptions} options
 */
async function describe(connection, options) {
  const offer = await connection.createOffer(options);
  const sdp = withVoiceRepair(offer.sdp ?? "");
  try {
    await connection.setLocalDescription({ type: "offer", sdp });
  } catch (error) {
    if (sdp === offer.sdp) throw error;
    await connection.setLocalDescription(offer);
  }
}

/**
 * Take an unanswered offer back.
 * @param {RTCPeerConnection} connection
 */
async function rollBack(connection) {
  if (connection.signalingState === "have-local-offer") await connection.setLocalDescription({ type: "rollback" });
}

/**
 * @param {unknown} error
 * @returns {VisitError}
 */
function asVisitError(error) {
  return error instanceof VisitError ? error : new VisitError("media", "", { cause: error });
}
