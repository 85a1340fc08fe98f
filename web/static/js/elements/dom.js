// Making elements without innerHTML: text stays text.

/** @typedef {Record<string, string | number | boolean | null | undefined | EventListener>} Attributes */

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Attributes} [attributes] `class`, `text`, `on…` listeners, booleans as present or absent, the rest as written
 * @param {(Node | string)[]} [children]
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function make(name, attributes = {}, children = []) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key.replace(/^on/, ""), value);
    else if (key === "text") element.textContent = String(value ?? "");
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children);
  return element;
}

const ICONS = new URL("../../img/icons.svg", import.meta.url).href;

/**
 * @param {string} name
 * @returns {string} the address of an icon
 */
export function iconAddress(name) {
  return `${ICONS}#${name}`;
}

/**
 * @param {string} name of an icon; it says nothing to a screen reader
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const picture = document.createElementNS(namespace, "svg");
  const use = document.createElementNS(namespace, "use");
  use.setAttribute("href", iconAddress(name));
  picture.setAttribute("aria-hidden", "true");
  picture.append(use);
  return picture;
}

/**
 * Replace the text only when it changed, so that a live region speaks once.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {number} seconds
 * @returns {string} m:ss, or h:mm:ss from an hour on
 */
export function clockText(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return hours > 0 ? [hours, ...parts].join(":") : parts.join(":").replace(/^0(?=\d:)/, "");
}
