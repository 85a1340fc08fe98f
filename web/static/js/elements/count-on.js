// Goes on counting, part by part, while somebody waits: the same button that the page has without this module, pressed
// for them until nothing is left. What is shown is what the server has counted up to now.

import { make, setText } from "./dom.js";
import { wordsOf } from "./words.js";

class CountOn extends HTMLElement {
  connectedCallback() {
    if (!this.querySelector("[data-more]")) return;
    this._words = wordsOf(this);
    this._said = this.querySelector("[data-said]");
    this._stop = true;
    this._button = make("button", { class: "button second", type: "button", onclick: () => void this._press() });
    this._button.textContent = this._words.say("all");
    this.append(this._button);
  }

  async _press() {
    this._stop = !this._stop;
    if (this._stop || !this._words || !this._button) return;
    setText(this._button, this._words.say("stop"));
    let end = "stopped";
    try {
      while (!this._stop && this.querySelector("[data-more]")) await this._next();
      if (!this.querySelector("[data-more]")) end = "done";
    } catch {
      end = "failed";
    }
    this._stop = true;
    this._say(end);
    if (end === "done") this._button.remove();
    else setText(this._button, this._words.say("all"));
  }

  /** Have one part counted. Throws when the server gives no further one. */
  async _next() {
    const form = this.closest("form");
    const old = this.querySelector("[data-count]");
    if (!form || !old) throw new Error("nothing to go on with");
    const filled = new FormData(form);
    filled.set("do", "count");
    const body = new URLSearchParams([...filled].map(([name, value]) => [name, String(value)]));
    const answer = await fetch(form.action, { method: "POST", body, signal: AbortSignal.timeout(60_000) });
    if (!answer.ok) throw new Error(`answered with ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const counted = page.querySelector("[data-count]");
    if (!counted) throw new Error("no count in the answer");
    old.replaceWith(document.adoptNode(counted));
    const bar = this.querySelector("progress");
    this._say("progress", { looked: bar?.value ?? 0, all: bar?.max ?? 0 });
  }

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [values]
   */
  _say(key, values) {
    if (this._said && this._words) setText(this._said, this._words.say(key, values));
  }
}

customElements.define("count-on", CountOn);
