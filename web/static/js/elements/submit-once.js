// A button that posts JSON once and goes on; what went wrong is said next to it.

import { Api } from "../protocol/api.js";
import { make, setText } from "./dom.js";
import { failureWords } from "./failures.js";
import { csrfToken, wordsOf } from "./words.js";

class SubmitOnce extends HTMLElement {
  connectedCallback() {
    const words = wordsOf(this);
    const button = this.querySelector("button");
    const status = make("p", { role: "status" });
    this.append(status);
    button?.addEventListener("click", async () => {
      button.disabled = true;
      setText(status, words.say("sending"));
      try {
        await new Api({ csrf: csrfToken() }).post(this.getAttribute("to") ?? "");
        location.assign(this.getAttribute("next") ?? location.href);
      } catch (error) {
        button.disabled = false;
        setText(status, failureWords(words, error));
      }
    });
  }
}

customElements.define("submit-once", SubmitOnce);
