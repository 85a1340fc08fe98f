// Camera and microphone: ask for them, remember the choice, say in one word why it did not work.

const KEY = "visit.devices";

/** @typedef {"denied" | "none" | "busy" | "insecure" | "unknown"} DeviceFault */

/** @typedef {{camera?: string, microphone?: string, speaker?: string}} Chosen device ids */

/** @returns {Chosen} */
export function chosenDevices() {
  try {
    const chosen = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return chosen !== null && typeof chosen === "object" ? chosen : {};
  } catch {
    return {}; // storage may be forbidden; the browser's own default is a good choice
  }
}

/** @param {Chosen} chosen */
export function rememberDevices(chosen) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...chosenDevices(), ...chosen }));
  } catch {
    // Not remembered: asked again next time.
  }
}

/**
 * @param {{audio?: boolean, video?: boolean, facing?: "user" | "environment", height?: number}} [wanted]
 * @returns {Promise<MediaStream>}
 * @throws {DOMException | TypeError} see `deviceFault`
 */
export async function openDevices({ audio = true, video = true, facing = "user", height = 720 } = {}) {
  const chosen = chosenDevices();
  /** @type {MediaTrackConstraints} */
  const picture = { facingMode: facing, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
  if (chosen.camera && facing === "user") picture.deviceId = { ideal: chosen.camera };
  /** @type {MediaTrackConstraints} */
  const sound = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  if (chosen.microphone) sound.deviceId = { ideal: chosen.microphone };
  if (!navigator.mediaDevices) throw new DOMException("not a secure page", "SecurityError");
  return navigator.mediaDevices.getUserMedia({ audio: audio && sound, video: video && picture });
}

/**
 * @param {unknown} error what getUserMedia threw
 * @returns {DeviceFault}
 */
export function deviceFault(error) {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError") return "denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "none";
  if (name === "NotReadableError" || name === "AbortError") return "busy";
  if (name === "SecurityError" || name === "TypeError") return "insecure";
  return "unknown";
}

/** @param {MediaStream | null} stream */
export function closeDevices(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

/**
 * A still of a video as it is now.
 * @param {HTMLVideoElement} video
 * @param {number} edge the longer edge at most, pixels
 * @returns {HTMLCanvasElement}
 */
export function still(video, edge) {
  return scaled(video, video.videoWidth, video.videoHeight, edge);
}

/**
 * @param {CanvasImageSource} source
 * @param {number} width
 * @param {number} height
 * @param {number} edge the longer edge at most, pixels
 * @returns {HTMLCanvasElement}
 */
export function scaled(source, width, height, edge) {
  const scale = Math.min(1, edge / Math.max(width, height, 1));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.getContext("2d")?.drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {Promise<Blob>} a JPEG: drawn anew, so it carries no place or camera data
 */
export function jpeg(canvas) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.9);
  });
}
