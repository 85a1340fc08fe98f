// Dragging a booking by mouse or pen. A finger scrolls: on touch screens the booking's own page moves it.

import { make } from "./dom.js";

const THRESHOLD = 6; // CSS pixels before a press becomes a drag
const EDGE = 40; // CSS pixels from an edge within which the board scrolls

/**
 * @typedef {object} DragEvents
 * @property {(link: HTMLAnchorElement) => boolean} begin whether it may be dragged
 * @property {(cell: HTMLTableCellElement | null) => void} over
 * @property {(cell: HTMLTableCellElement | null) => void} drop
 * @property {() => void} cancel
 */

export class DragPointer {
  /**
   * @param {HTMLTableElement} table
   * @param {DragEvents} events
   */
  constructor(table, events) {
    this._table = table;
    this._events = events;
    /** @type {{ link: HTMLAnchorElement, x: number, y: number, id: number } | null} */
    this._pressed = null;
    /** @type {HTMLElement | null} */
    this._ghost = null;
    /** @type {HTMLTableCellElement | null} */
    this._over = null;
    table.addEventListener("dragstart", (event) => event.preventDefault()); // the browser's own dragging of links
    table.addEventListener("pointerdown", (event) => this._down(event));
    table.addEventListener("pointermove", (event) => this._move(event));
    table.addEventListener("pointerup", (event) => this._up(event));
    table.addEventListener("pointercancel", () => this._end(true));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this._ghost) this._end(true);
    });
  }

  /** @param {PointerEvent} event */
  _down(event) {
    const link = /** @type {Element} */ (event.target).closest("a.visit");
    if (event.button !== 0 || event.pointerType === "touch" || !(link instanceof HTMLAnchorElement)) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    this._pressed = { link, x: event.clientX, y: event.clientY, id: event.pointerId };
  }

  /** @param {PointerEvent} event */
  _move(event) {
    const pressed = this._pressed;
    if (!pressed || event.pointerId !== pressed.id) return;
    if (!this._ghost) {
      if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < THRESHOLD) return;
      this._table.setPointerCapture(pressed.id);
      this._swallowClick();
      if (!this._events.begin(pressed.link)) {
        this._pressed = null;
        return;
      }
      this._ghost = make("div", { class: "drag-ghost", "aria-hidden": "true" }, [
        (pressed.link.querySelector(".who")?.textContent ?? "").trim(),
      ]);
      document.body.append(this._ghost);
    }
    this._ghost.style.transform = `translate(${event.clientX + 12}px, ${event.clientY + 12}px)`;
    this._scroll(event);
    const cell = cellAt(this._table, event);
    if (cell !== this._over) {
      this._over = cell;
      this._events.over(cell);
    }
  }

  /** @param {PointerEvent} event */
  _up(event) {
    if (this._ghost) {
      const cell = cellAt(this._table, event);
      this._end(false);
      if (cell) this._events.drop(cell);
      else this._events.cancel();
      this._table.dispatchEvent(new CustomEvent("desk-drag-end"));
    }
    this._pressed = null;
  }

  /** @param {boolean} cancelled */
  _end(cancelled) {
    const dragged = this._ghost !== null;
    this._ghost?.remove();
    this._ghost = null;
    this._over = null;
    this._pressed = null;
    if (dragged && cancelled) this._events.cancel();
  }

  /** The click that follows a drag must not open the booking; it comes before anything else can be clicked. */
  _swallowClick() {
    const swallow = (/** @type {Event} */ event) => {
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    addEventListener("click", swallow, { capture: true, once: true });
    addEventListener("pointerdown", () => removeEventListener("click", swallow, { capture: true }), {
      capture: true,
      once: true,
    });
  }

  /** @param {PointerEvent} event */
  _scroll(event) {
    const area = this._table.parentElement;
    if (!area) return;
    const box = area.getBoundingClientRect();
    const step = (/** @type {number} */ at, /** @type {number} */ from, /** @type {number} */ to) =>
      at < from + EDGE ? -16 : at > to - EDGE ? 16 : 0;
    area.scrollBy(step(event.clientX, box.left, box.right), step(event.clientY, box.top, box.bottom));
  }
}

/**
 * @param {HTMLTableElement} table
 * @param {PointerEvent} event
 * @returns {HTMLTableCellElement | null}
 */
function cellAt(table, event) {
  const cell = document.elementFromPoint(event.clientX, event.clientY)?.closest("td") ?? null;
  return cell && table.contains(cell) ? cell : null;
}
