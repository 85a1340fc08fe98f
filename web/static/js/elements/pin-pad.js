// Big keys for a terminal without a keyboard. The field stays an ordinary field: a keyboard works, too.

import { make } from "./dom.js";
import { wordsOf } from "./words.js";

class PinPad extends HTMLElement {
  connectedCallback() {
    const field = document.getElementById(this.getAttribute("for") ?? "");
    if (!(field instanceof HTMLInputElement)) return;
    const words = wordsOf(this);
    /** @param {(value: string) => string} change */
    const press = (change) => () => {
      field.value = change(field.value).slice(0, field.maxLength > 0 ? field.maxLength : 12);
      field.dispatchEvent(new Event("input", { bubbles: true }));
    };
    const key = (/** @type {string} */ digit) =>
      make("button", { type: "button", class: "key", text: digit, onclick: press((value) => value + digit) });
    this.replaceChildren(
      make("div", { class: "keys", role: "group", "aria-label": words.say("keys") }, [
        ..."123456789".split("").map(key),
        make("button", { type: "button", class: "key word", text: words.say("clear"), onclick: press(() => "") }),
        key("0"),
        make("button", {
          type: "button", class: "key word", text: "⌫", "aria-label": words.say("back"),
          onclick: press((value) => value.slice(0, -1)),
        }),
      ]),
    );
  }
}

customElements.define("pin-pad", PinPad);
