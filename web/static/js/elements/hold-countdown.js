// How long a place is still kept. Seconds tick for the eye; a screen reader hears the minutes and the end.

import { clockText, make, setText } from "./dom.js";

class HoldCountdown extends HTMLElement {
  constructor() {
    super();
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this._timer = undefined;
  }

  connectedCallback() {
    const until = new Date(this.getAttribute("until") ?? "").getTime();
    if (Number.isNaN(until)) return;
    const shown = make("span", { class: "figures", "aria-hidden": "true" });
    const spoken = make("span", { class: "visually-hidden", role: "status" });
    this.replaceChildren(shown, spoken);
    const tick = () => {
      const seconds = (until - Date.now()) / 1000;
      if (seconds <= 0) {
        clearInterval(this._timer);
        const over = this.getAttribute("over") ?? "";
        setText(shown, over);
        setText(spoken, over);
        return;
      }
      const left = this.getAttribute("left") ?? "{time}";
      setText(shown, left.replace("{time}", clockText(seconds)));
      setText(spoken, left.replace("{time}", clockText(Math.ceil(seconds / 60) * 60)));
    };
    tick();
    this._timer = setInterval(tick, 1_000);
  }

  disconnectedCallback() {
    clearInterval(this._timer);
  }
}

customElements.define("hold-countdown", HoldCountdown);
