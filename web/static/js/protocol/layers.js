// The layers in which the own picture is sent (simulcast): the relay gives each receiver the one that fits.

/**
 * As many layers as a picture of this size is worth: browsers give up the *highest* ones of a small picture
 * (libwebrtc: three from 960×540 on, two from 640×360 on), and nobody would ever see it whole.
 * @param {MediaStreamTrack | undefined} track
 * @returns {RTCRtpEncodingParameters[]}
 */
export function layersOf(track) {
  const { width = 0, height = 0 } = track?.getSettings?.() ?? {};
  const [long, short] = width > height ? [width, height] : [height, width];
  if (long >= 960 && short >= 540) {
    return [
      { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 150_000 },
      { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 500_000 },
      { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_200_000 },
    ];
  }
  if (long >= 640 && short >= 360) {
    return [
      { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 250_000 },
      { rid: "f", scaleResolutionDownBy: 1, maxBitrate: 1_000_000 },
    ];
  }
  return oneLayer();
}

/** @returns {RTCRtpEncodingParameters[]} */
export function oneLayer() {
  return [{ maxBitrate: 1_200_000 }];
}
