// An officer's wall: many receive slots and one line for the officer's own voice, in one connection and one offer.
// The line is there from the beginning and carries nothing until the officer speaks: no new offer for that, either.

import { MediaPeer } from "./peer.js";
import { prefer } from "./whip.js";

/**
 * @typedef {object} WallOptions
 * @property {number} videoSlots two for each call that may be watched
 * @property {number} audioSlots as many people as one call may have
 */

export class WallClient extends MediaPeer {
  /** @param {import("./peer.js").PeerOptions & WallOptions} options */
  constructor(options) {
    super(options);
    this._videoSlots = options.videoSlots;
    this._audioSlots = options.audioSlots;
    /** @type {RTCRtpSender | null} */
    this._voice = null;
    /** @type {MediaStreamTrack | null} */
    this._voiceTrack = null;
  }

  /**
   * @override
   * @param {RTCPeerConnection} connection
   */
  prepare(connection) {
    for (let slot = 0; slot < this._videoSlots; slot += 1) prefer(connection.addTransceiver("video", { direction: "recvonly" }), "video");
    for (let slot = 0; slot < this._audioSlots; slot += 1) prefer(connection.addTransceiver("audio", { direction: "recvonly" }), "audio");
    const voice = connection.addTransceiver("audio", { direction: "sendonly" });
    prefer(voice, "audio");
    this._voice = voice.sender;
    if (this._voiceTrack !== null) void this._voice.replaceTrack(this._voiceTrack);
  }

  /**
   * Send the officer's voice, or nothing.
   * @param {MediaStreamTrack | null} track
   */
  async setVoice(track) {
    this._voiceTrack = track;
    await this._voice?.replaceTrack(track);
  }

  /** The server's name for the session; empty while there is none. */
  get sessionId() {
    return this.location === null ? "" : (new URL(this.location).pathname.split("/").pop() ?? "");
  }
}
