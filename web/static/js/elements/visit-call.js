// <visit-call side="family|prisoner" words remote-name who-sees ticket after waiting>: a call in a page.
// `ticket` is posted to for a signed ticket; `after` and `waiting` are where to go when it is over, or not yet.

import { CallSession } from "./call-session.js";

class VisitCall extends HTMLElement {
  connectedCallback() {
    this._session = new CallSession(this);
    this._session.start();
  }

  disconnectedCallback() {
    this._session?.close();
  }
}

customElements.define("visit-call", VisitCall);
