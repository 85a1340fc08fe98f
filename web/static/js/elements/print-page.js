// A button that opens the browser's print dialogue; hidden where no module runs.

class PrintPage extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}

customElements.define("print-page", PrintPage);
