// The connection's quality as one word, from getStats. Voice first: what counts is whether one can understand each other.

/** @typedef {"good" | "fair" | "poor" | "voice_only" | "lost" | "unknown"} Quality */

/**
 * @typedef {object} Sample
 * @property {number} at milliseconds
 * @property {number} audioReceived packets
 * @property {number} audioLost packets
 * @property {number} audioBytes
 * @property {number} videoBytes
 * @property {number} videoFrames decoded
 * @property {number} concealed audio samples that were made up
 * @property {number} samples all audio samples
 * @property {number | null} roundTrip seconds
 * @property {number | null} outLoss 0..1 as the relay reports it
 * @property {number} frameHeight pixels of the received picture
 */

/**
 * @typedef {object} Measure
 * @property {Quality} quality
 * @property {number} loss 0..1, of received audio
 * @property {number} outLoss 0..1
 * @property {number} concealed 0..1
 * @property {number | null} roundTripMs
 * @property {number} kbps received, audio and video
 * @property {number} frameHeight
 */

/**
 * @param {Iterable<any>} report values of an RTCStatsReport
 * @param {number} now milliseconds
 * @returns {Sample}
 */
export function sampleOf(report, now) {
  /** @type {Sample} */
  const sample = {
    at: now, audioReceived: 0, audioLost: 0, audioBytes: 0, videoBytes: 0, videoFrames: 0,
    concealed: 0, samples: 0, roundTrip: null, outLoss: null, frameHeight: 0,
  };
  for (const one of report) {
    if (one.type === "inbound-rtp" && one.kind === "audio") {
      sample.audioReceived += one.packetsReceived ?? 0;
      sample.audioLost += one.packetsLost ?? 0;
      sample.audioBytes += one.bytesReceived ?? 0;
      sample.concealed += Math.max(0, (one.concealedSamples ?? 0) - (one.silentConcealedSamples ?? 0));
      sample.samples += one.totalSamplesReceived ?? 0;
    } else if (one.type === "inbound-rtp" && one.kind === "video") {
      sample.videoBytes += one.bytesReceived ?? 0;
      sample.videoFrames += one.framesDecoded ?? 0;
      sample.frameHeight = Math.max(sample.frameHeight, one.frameHeight ?? 0);
    } else if (one.type === "remote-inbound-rtp") {
      if (typeof one.fractionLost === "number") sample.outLoss = Math.max(sample.outLoss ?? 0, one.fractionLost);
      if (typeof one.roundTripTime === "number") sample.roundTrip = one.roundTripTime;
    } else if (one.type === "candidate-pair" && one.nominated && typeof one.currentRoundTripTime === "number") {
      sample.roundTrip ??= one.currentRoundTripTime;
    }
  }
  return sample;
}

/**
 * @param {Sample} before
 * @param {Sample} after
 * @param {{pictureWanted?: boolean}} [more] whether a picture is expected to come
 * @returns {Measure}
 */
export function measure(before, after, { pictureWanted = true } = {}) {
  const seconds = Math.max(0.001, (after.at - before.at) / 1000);
  const received = Math.max(0, after.audioReceived - before.audioReceived);
  const lost = Math.max(0, after.audioLost - before.audioLost);
  const loss = received + lost > 0 ? lost / (received + lost) : 0;
  const samples = Math.max(0, after.samples - before.samples);
  const concealed = samples > 0 ? Math.max(0, after.concealed - before.concealed) / samples : 0;
  const bytes = Math.max(0, after.audioBytes + after.videoBytes - before.audioBytes - before.videoBytes);
  const frames = Math.max(0, after.videoFrames - before.videoFrames);
  const outLoss = after.outLoss ?? 0;
  const roundTripMs = after.roundTrip === null ? null : Math.round(after.roundTrip * 1000);
  return {
    quality: word({ silent: bytes === 0, noPicture: pictureWanted && frames === 0, loss, outLoss, concealed, roundTripMs }),
    loss, outLoss, concealed, roundTripMs,
    kbps: Math.round((bytes * 8) / 1000 / seconds),
    frameHeight: after.frameHeight,
  };
}

/**
 * Thresholds: speech stays easy to follow below about 3 % loss and 300 ms round trip; above about 10 % or 600 ms people
 * start to talk into each other (ITU-T G.114 puts the one-way limit at 400 ms).
 * @param {{silent: boolean, noPicture: boolean, loss: number, outLoss: number, concealed: number, roundTripMs: number | null}} seen
 * @returns {Quality}
 */
function word({ silent, noPicture, loss, outLoss, concealed, roundTripMs }) {
  if (silent) return "lost";
  if (noPicture) return "voice_only";
  const worst = Math.max(loss, outLoss);
  const delay = roundTripMs ?? 0;
  if (worst > 0.1 || concealed > 0.1 || delay > 600) return "poor";
  if (worst > 0.03 || concealed > 0.03 || delay > 300) return "fair";
  return "good";
}

export class QualityWatch {
  /**
   * @param {() => RTCPeerConnection | null} connection
   * @param {(measure: Measure) => void} heard
   * @param {number} [every] milliseconds between samples
   */
  constructor(connection, heard, every = 3_000) {
    this._connection = connection;
    this._heard = heard;
    this._every = every;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._timer = undefined;
    /** @type {{connection: RTCPeerConnection, sample: Sample} | null} */
    this._before = null;
    this.pictureWanted = true;
  }

  start() {
    this._timer ??= setInterval(() => void this._look(), this._every);
  }

  stop() {
    clearInterval(this._timer);
    this._timer = undefined;
    this._before = null;
  }

  async _look() {
    const connection = this._connection();
    if (connection === null || connection.connectionState !== "connected") {
      this._before = null;
      return;
    }
    const report = await connection.getStats();
    const sample = sampleOf(report.values(), performance.now());
    const before = this._before;
    this._before = { connection, sample };
    // Counters start anew with a new connection; so does the comparison.
    if (before?.connection === connection) {
      this._heard(measure(before.sample, sample, { pictureWanted: this.pictureWanted }));
    }
  }
}
