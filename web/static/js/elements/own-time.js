// The reader's own time beside the prison's, where the two differ. Without JavaScript the prison's time stands alone.

class OwnTime extends HTMLElement {
  connectedCallback() {
    const moment = new Date(this.getAttribute("datetime") ?? "");
    const zone = this.getAttribute("zone") ?? "UTC";
    const locale = this.getAttribute("locale") ?? "en";
    if (Number.isNaN(moment.getTime())) return;
    /** @param {string} [timeZone] */
    const told = (timeZone) =>
      new Intl.DateTimeFormat(locale, { weekday: "short", hour: "2-digit", minute: "2-digit", timeZone });
    if (told(zone).format(moment) === told().format(moment)) return;
    const sameDay = dayIn(moment, zone) === dayIn(moment);
    const own = sameDay
      ? new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }).format(moment)
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
