// A party of a call (RFC 9725): sends its own voice and picture, receives the others, all in one connection.

import { layersOf, oneLayer } from "./layers.js";
import { MediaPeer } from "./peer.js";

/**
 * @typedef {object} WhipOptions
 * @property {MediaStream} stream own voice and picture; either may be missing
 * @property {number} [moreSlots] receive-only pairs besides the first (which shares the m-lines of the own tracks)
 * @property {boolean} [talk] one receive-only audio line more, the last of the offer: an officer's voice
 */

/** @type {RTCRtpEncodingParameters} */
const VOICE = { priority: "high", networkPriority: "high" };

export class WhipClient extends MediaPeer {
  /** @param {import("./peer.js").PeerOptions & WhipOptions} options */
  constructor(options) {
    super(options);
    this._stream = options.stream;
    this._moreSlots = options.moreSlots ?? 0;
    this._talk = options.talk ?? false;
    /** @type {RTCRtpTransceiver | null} the line of an officer's voice */
    this.talkLine = null;
    /** @type {Map<string, RTCRtpSender>} */
    this._senders = new Map();
  }

  /**
   * @override
   * @param {RTCPeerConnection} connection
   */
  prepare(connection) {
    this._senders.clear();
    for (const kind of /** @type {const} */ (["audio", "video"])) {
      const track = this._stream.getTracks().find((one) => one.kind === kind);
      const sendEncodings = kind === "audio" ? [VOICE] : layersOf(track);
      const transceiver = add(connection, track ?? kind, { direction: "sendrecv", streams: [this._stream], sendEncodings });
      prefer(transceiver, kind);
      this._senders.set(kind, transceiver.sender);
    }
    for (let slot = 0; slot < this._moreSlots; slot += 1) {
      for (const kind of /** @type {const} */ (["audio", "video"])) {
        prefer(connection.addTransceiver(kind, { direction: "recvonly" }), kind);
      }
    }
    this.talkLine = this._talk ? connection.addTransceiver("audio", { direction: "recvonly" }) : null;
    if (this.talkLine) prefer(this.talkLine, "audio");
  }

  /**
   * Send another track (a new camera, or nothing) with no new offer.
   * @param {"audio" | "video"} kind
   * @param {MediaStreamTrack | null} track
   */
  async replace(kind, track) {
    for (const old of this._stream.getTracks()) if (old.kind === kind && old !== track) this._stream.removeTrack(old);
    if (track !== null) this._stream.addTrack(track);
    await this._senders.get(kind)?.replaceTrack(track);
  }

  /**
   * Send the picture, or nothing but the voice: what the line carries.
   * @param {boolean} sends
   */
  async sendPicture(sends) {
    const sender = this._senders.get("video");
    const parameters = sender?.getParameters?.();
    if (!sender || !parameters?.encodings?.length) return;
    for (const encoding of parameters.encodings) encoding.active = sends;
    await sender.setParameters(parameters);
  }
}

/**
 * @param {RTCPeerConnection} connection
 * @param {MediaStreamTrack | string} trackOrKind
 * @param {RTCRtpTransceiverInit} init
 */
function add(connection, trackOrKind, init) {
  try {
    return connection.addTransceiver(trackOrKind, init);
  } catch (error) {
    if ((init.sendEncodings?.length ?? 0) < 2) throw error;
    // A browser that knows nothing of layers sends one picture.
    return connection.addTransceiver(trackOrKind, { ...init, sendEncodings: oneLayer() });
  }
}

/**
 * Offer what the relay forwards and nothing else: Opus, VP8 and its retransmission.
 * @param {RTCRtpTransceiver} transceiver
 * @param {"audio" | "video"} kind
 */
export function prefer(transceiver, kind) {
  const wanted = kind === "audio" ? ["audio/opus"] : ["video/vp8", "video/rtx"];
  const codecs = globalThis.RTCRtpReceiver?.getCapabilities?.(kind)?.codecs ?? [];
  const chosen = codecs.filter((codec) => wanted.includes(codec.mimeType.toLowerCase()));
  if (chosen.length > 0 && typeof transceiver.setCodecPreferences === "function") {
    transceiver.setCodecPreferences(chosen);
  }
}
