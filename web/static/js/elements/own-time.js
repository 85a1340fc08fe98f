// The reader's own time beside the prison's, where the two differ. Without JavaScript the prison's time stands alone.

class OwnTime extends HTMLElement {
  connectedCallback() {
    const moment = new Date(this.getAttribute("datetime") ?? "");
    const zone = this.getAttribute("zone") ?? "UTC";
    // The pages' English is the European kind, with 24 hours; so is the server's (visitserver/http/templating.py).
    const locale = { en: "en-GB" }[document.documentElement.lang] ?? document.documentElement.lang;
    if (Number.isNaN(moment.getTime())) return;
    /** @param {string} [timeZone] */
    const told = (timeZone) =>
      new Intl.DateTimeFormat(locale, { weekday: "short", hour: "numeric", minute: "2-digit", timeZone });
    if (told(zone).format(moment) === told().format(moment)) return;
    const sameDay = dayIn(moment, zone) === dayIn(moment);
    const own = sameDay
      ? new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" }).format(moment)
      : told().format(moment);
    this.textContent = (this.getAttribute("text") ?? "{time}").replace("{time}", own);
    this.hidden = false;
  }
}

/**
 * @param {Date} moment
 * @param {string} [timeZone]
 */
function dayIn(moment, timeZone) {
  return new Intl.DateTimeFormat("en-CA", { timeZone }).format(moment);
}

customElements.define("own-time", OwnTime);
