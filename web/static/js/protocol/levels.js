// How loud a stream is, for a meter: root mean square of the last moment, in decibels below full scale.

const FLOOR = -60;

/**
 * @param {Float32Array} samples -1..1
 * @returns {number} dBFS, from -60 (silence) to 0
 */
export function decibels(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  return rms > 0 ? Math.max(FLOOR, Math.min(0, 20 * Math.log10(rms))) : FLOOR;
}

/**
 * @param {number} level dBFS
 * @returns {number} 0..1 for a meter's width
 */
export function fraction(level) {
  return (level - FLOOR) / -FLOOR;
}

export class LevelMeter {
  /**
   * @param {MediaStream} stream with an audio track
   * @param {(level: number) => void} heard dBFS, about ten times a second
   * @param {typeof AudioContext} [Context]
   */
  constructor(stream, heard, Context = globalThis.AudioContext) {
    this._context = new Context();
    this._source = this._context.createMediaStreamSource(stream);
    this._analyser = this._context.createAnalyser();
    this._analyser.fftSize = 1024;
    this._source.connect(this._analyser);
    const samples = new Float32Array(this._analyser.fftSize);
    this._timer = setInterval(() => {
      // Browsers start an AudioContext suspended until the person has touched the page.
      if (this._context.state === "suspended") void this._context.resume();
      this._analyser.getFloatTimeDomainData(samples);
      heard(decibels(samples));
    }, 100);
  }

  stop() {
    clearInterval(this._timer);
    this._source.disconnect();
    void this._context.close();
  }
}

/**
 * Play a soft two-note tone through the speaker.
 * @param {number} [seconds]
 * @param {typeof AudioContext} [Context]
 * @returns {Promise<void>} resolves when it has been played
 */
export async function playTone(seconds = 1.2, Context = globalThis.AudioContext) {
  const context = new Context();
  await context.resume();
  const gain = context.createGain();
  gain.connect(context.destination);
  const start = context.currentTime;
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(0.25, start + 0.05);
  gain.gain.setValueAtTime(0.25, start + seconds - 0.15);
  gain.gain.linearRampToValueAtTime(0, start + seconds);
  const oscillator = context.createOscillator();
  oscillator.frequency.setValueAtTime(440, start);
  oscillator.frequency.setValueAtTime(554.37, start + seconds / 2);
  oscillator.connect(gain);
  oscillator.start(start);
  oscillator.stop(start + seconds);
  await new Promise((resolve) => (oscillator.onended = () => resolve(undefined)));
  await context.close();
}
