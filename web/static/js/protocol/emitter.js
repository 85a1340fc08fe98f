// Events without DOM: a listener that throws is reported and does not stop the others.

/** @template {Record<string, any>} Events */
export class Emitter {
  constructor() {
    /** @type {Map<keyof Events, Set<(detail: any) => void>>} */
    this._listeners = new Map();
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @returns {() => void} takes the listener away again
   */
  on(name, listener) {
    const set = this._listeners.get(name) ?? new Set();
    this._listeners.set(name, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  /**
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} detail
   */
  emit(name, detail) {
    for (const listener of [...(this._listeners.get(name) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        console.error(error);
      }
    }
  }

  /** Forget every listener. */
  clear() {
    this._listeners.clear();
  }
}
