// An officer's leg: receives only. A fixed number of slots in one offer; the control channel says who is in which.

import { MediaPeer } from "./peer.js";
import { prefer } from "./whip.js";

/**
 * @typedef {object} WhepOptions
 * @property {number} [audioSlots] 2 by default: one call's two sides
 * @property {number} [videoSlots] 2 by default; as many as tiles on a wall
 */

export class WhepClient extends MediaPeer {
  /** @param {import("./peer.js").PeerOptions & WhepOptions} options */
  constructor(options) {
    super(options);
    this._audioSlots = options.audioSlots ?? 2;
    this._videoSlots = options.videoSlots ?? 2;
  }

  /**
   * @override
   * @param {RTCPeerConnection} connection
   */
  prepare(connection) {
    for (let slot = 0; slot < this._audioSlots; slot += 1) {
      prefer(connection.addTransceiver("audio", { direction: "recvonly" }), "audio");
    }
    for (let slot = 0; slot < this._videoSlots; slot += 1) {
      prefer(connection.addTransceiver("video", { direction: "recvonly" }), "video");
    }
  }
}
