// Single keys for busy officers. They can be turned off (WCAG 2.1.4), and never act while somebody types or is asked.

const KEPT = "visit-console-keys";

export class Keys {
  /**
   * @param {(key: string) => boolean} pressed gets the key in lower case; true when it did something
   * @param {HTMLInputElement | null} box the checkbox that turns them on and off
   */
  constructor(pressed, box) {
    this._pressed = pressed;
    this._box = box;
    if (box) {
      box.checked = read() !== "off";
      box.addEventListener("change", () => keep(box.checked ? "on" : "off"));
    }
    this._heard = (/** @type {KeyboardEvent} */ event) => this._down(event);
    document.addEventListener("keydown", this._heard);
  }

  stop() {
    document.removeEventListener("keydown", this._heard);
  }

  /** @param {KeyboardEvent} event */
  _down(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (this._box && !this._box.checked) return;
    if (document.querySelector("dialog[open]")) return;
    const target = event.target;
    if (target instanceof HTMLElement && target.closest('input:not([type="checkbox"], [type="radio"]), textarea, select')) return;
    if (this._pressed(event.key.toLowerCase())) event.preventDefault();
  }
}

function read() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null; // storage forbidden by the browser: the keys are on
  }
}

/** @param {string} value */
function keep(value) {
  try {
    localStorage.setItem(KEPT, value);
  } catch {
    // Not kept, then; the box still works on this page.
  }
}
