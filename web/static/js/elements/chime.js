// Two soft notes, made here: somebody of the prison is about to speak.

const NOTES = [659, 880]; // Hz, e and a
const LENGTH = 0.22; // seconds each
const LOUD = 0.12;

/** Sound the chime. Where the browser lets no page sound yet there is none; the caption says the same. */
export async function chime() {
  const context = new AudioContext();
  if (context.state !== "running") {
    await context.close();
    return;
  }
  let last = null;
  for (const [number, pitch] of NOTES.entries()) {
    const begin = context.currentTime + number * LENGTH;
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setTargetAtTime(LOUD, begin, 0.01);
    gain.gain.setTargetAtTime(0, begin + LENGTH / 2, 0.06);
    last = new OscillatorNode(context, { frequency: pitch, type: "sine" });
    last.connect(gain).connect(context.destination);
    last.start(begin);
    last.stop(begin + LENGTH * 2);
  }
  if (last) last.onended = () => void context.close();
}
