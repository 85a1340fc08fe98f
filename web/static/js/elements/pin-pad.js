// Big keys for a terminal without a keyboard. They write into the field that was touched last; a keyboard works, too.

import { make } from "./dom.js";
import { wordsOf } from "./words.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

class PinPad extends HTMLElement {
  connectedCallback() {
    this._words = wordsOf(this);
    /** @type {HTMLInputElement[]} */
    this._fields = [];
    for (const id of (this.getAttribute("for") ?? "").split(" ")) {
      const field = document.getElementById(id);
      if (!(field instanceof HTMLInputElement)) continue;
      this._fields.push(field);
      field.addEventListener("focus", () => this._aim(field));
    }
    const empty = this._fields.find((field) => field.value === "");
    this._target = empty ?? this._fields[0];
    this._draw(false);
    if (this._target) this._aim(this._target);
  }

  /** @param {HTMLInputElement} field */
  _aim(field) {
    this._target = field;
    for (const one of this._fields ?? []) one.classList.toggle("aimed", one === field);
    // A PIN is digits; only a number may have letters in it.
    const pin = field.type === "password";
    if (pin) this._draw(false);
    if (this._toggle) this._toggle.disabled = pin;
  }

  /** @param {(value: string) => string} change */
  _press(change) {
    const field = this._target;
    if (!field) return;
    field.value = change(field.value).slice(0, field.maxLength > 0 ? field.maxLength : 32);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** @param {boolean} letters */
  _draw(letters) {
    const words = this._words;
    if (!words || this.dataset["letters"] === String(letters)) return;
    this.dataset["letters"] = String(letters);
    /** @param {string} sign */
    const key = (sign) => make("button", { type: "button", class: "key", text: sign, onclick: () => this._press((value) => value + sign) });
    this._toggle = make("button", { type: "button", class: "key word", text: words.say(letters ? "digits" : "letters"), onclick: () => this._draw(!letters) });
    const clear = make("button", { type: "button", class: "key word", text: words.say("clear"), onclick: () => this._press(() => "") });
    const back = make("button", { type: "button", class: "key", text: "⌫", "aria-label": words.say("back"), onclick: () => this._press((value) => value.slice(0, -1)) });
    const keys = letters ? [...[...LETTERS].map(key), this._toggle, back] : [..."123456789".split("").map(key), clear, key("0"), back, this._toggle];
    this.replaceChildren(make("div", { class: letters ? "keys letters" : "keys", role: "group", "aria-label": words.say("keys") }, keys));
  }
}

customElements.define("pin-pad", PinPad);
