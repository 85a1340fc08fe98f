// The week's board: a grid to walk by arrow keys, and bookings to move by pointer or by keyboard.
// Nothing is moved here: putting a booking down opens the page that shows what the rules say and asks for a reason.

import { DragPointer } from "./desk-drag.js";
import { setText } from "./dom.js";
import { wordsOf } from "./words.js";

/** @typedef {{ link: HTMLAnchorElement, what: string }} Carried */

/** @type {Record<string, [number, number]>} */
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

class DeskBoard extends HTMLElement {
  connectedCallback() {
    const table = this.querySelector("table");
    if (table === null || table.getAttribute("role") === "grid") return;
    this._words = wordsOf(this);
    /** @type {HTMLTableElement} */
    this._table = table;
    this._said = this.querySelector("[data-said]");
    this._note = /** @type {HTMLElement | null} */ (this.querySelector("[data-carried]"));
    /** @type {Carried | null} */
    this._carried = null;
    /** @type {HTMLTableCellElement[][]} rows of cells; headings of groups are no part of it */
    this._rows = [...table.querySelectorAll("tr[data-station]")].map((row) => [...row.querySelectorAll("td")]);
    this._becomeGrid(table);
    table.addEventListener("keydown", (event) => this._key(event));
    table.addEventListener("focusin", (event) => this._focused(/** @type {Element} */ (event.target)));
    table.addEventListener("click", (event) => this._click(event), true);
    if (this.hasAttribute("may-move")) {
      new DragPointer(table, {
        begin: (link) => this._pick(link, false),
        over: (cell) => this._aim(cell),
        drop: (cell) => this._drop(cell),
        cancel: () => this._leave(),
      });
    }
  }

  /**
   * Without this module it is a table full of links; with it, one stop in the tab order.
   * @param {HTMLTableElement} table
   */
  _becomeGrid(table) {
    table.setAttribute("role", "grid");
    if (this.querySelector("#board-help")) table.setAttribute("aria-describedby", "board-help");
    const moved = /** @type {HTMLElement | null} */ (table.querySelector(".just-moved"));
    const first = moved ?? table.querySelector(".visit") ?? table.querySelector("td > a");
    for (const cell of this._cells()) for (const stop of stops(cell)) stop.tabIndex = -1;
    const start = /** @type {HTMLElement | undefined} */ (first ?? this._cells()[0]);
    if (start) start.tabIndex = 0;
    if (moved) moved.focus();
  }

  /** @returns {HTMLTableCellElement[]} */
  _cells() {
    return (this._rows ?? []).flat();
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.altKey || event.metaKey) return;
    const cell = /** @type {Element} */ (event.target).closest("td");
    const at = cell && this._position(cell);
    if (!at) return;
    const goal = this._goal(event, at[0], at[1]);
    if (goal) {
      event.preventDefault();
      this._go(goal[0], goal[1], at);
      return;
    }
    if (event.key === "Escape" && this._carried) {
      event.preventDefault();
      this._leave();
    } else if (event.key === " " || event.key === "Enter") {
      if (this._carried) {
        event.preventDefault();
        this._drop(cell);
      } else if (event.key === " ") {
        event.preventDefault();
        const link = /** @type {HTMLAnchorElement | null} */ (document.activeElement);
        if (link?.matches("a.visit") && this.hasAttribute("may-move")) this._pick(link, true);
        else link?.click();
      }
    }
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} row
   * @param {number} column
   * @returns {[number, number] | null}
   */
  _goal(event, row, column) {
    const rows = this._rows ?? [];
    const last = (rows[row]?.length ?? 1) - 1;
    const step = STEPS[event.key];
    if (step) return [row + step[0], column + step[1]];
    if (event.key === "Home") return [event.ctrlKey ? 0 : row, 0];
    if (event.key === "End") return [event.ctrlKey ? rows.length - 1 : row, last];
    if (event.key === "PageDown") return [this._otherGroup(row, 1), column];
    if (event.key === "PageUp") return [this._otherGroup(row, -1), column];
    return null;
  }

  /**
   * The first row of the next heading's rows, or of the one before.
   * @param {number} row
   * @param {1 | -1} way
   */
  _otherGroup(row, way) {
    const rows = this._rows ?? [];
    const body = (/** @type {number} */ number) => rows[number]?.[0]?.closest("tbody");
    let other = row;
    while (body(other) && body(other) === body(row)) other += way;
    if (!body(other)) return way > 0 ? rows.length - 1 : 0;
    while (way < 0 && other > 0 && body(other - 1) === body(other)) other -= 1;
    return other;
  }

  /**
   * Nothing happens at an edge, except that several bookings of one cell are walked through first.
   * @param {number} row
   * @param {number} column
   * @param {[number, number]} from
   */
  _go(row, column, from) {
    const inside = stops(this._rows?.[from[0]]?.[from[1]]);
    const now = inside.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const within = column === from[1] && row !== from[0] ? inside[now + Math.sign(row - from[0])] : undefined;
    if (within && Math.abs(row - from[0]) === 1) {
      this._focus(within);
      return;
    }
    const cell = this._rows?.[row]?.[column];
    if (!cell) return;
    const there = stops(cell);
    this._focus(row < from[0] ? there[there.length - 1] : there[0]);
    if (this._carried) this._aim(cell);
  }

  /** @param {HTMLElement | undefined} stop */
  _focus(stop) {
    if (!stop) return;
    stop.focus();
    stop.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** @param {Element} element */
  _focused(element) {
    if (!element.closest("td")) return;
    for (const stop of this.querySelectorAll('td [tabindex="0"], td[tabindex="0"]')) {
      if (stop !== element) /** @type {HTMLElement} */ (stop).tabIndex = -1;
    }
    /** @type {HTMLElement} */ (element).tabIndex = 0;
  }

  /**
   * While something is carried, a click puts it down; a click that ends a drag opens nothing.
   * @param {MouseEvent} event
   */
  _click(event) {
    if (!this._carried) return;
    const cell = /** @type {Element} */ (event.target).closest("td");
    if (!cell || event.detail === 0) return;
    event.preventDefault();
    event.stopPropagation();
    this._drop(cell);
  }

  /**
   * @param {HTMLAnchorElement} link
   * @param {boolean} byKey
   * @returns {boolean} whether it can be moved
   */
  _pick(link, byKey) {
    const words = this._words;
    if (!words || !this._note) return false;
    if (!link.hasAttribute("data-movable")) {
      this._say(words.say("fixed"));
      return false;
    }
    const what = text(link);
    this._carried = { link, what };
    link.classList.add("carried-one");
    this._table?.classList.add("carrying");
    if (byKey) {
      setText(this._note, words.say("carrying", { what: text(link.querySelector(".who") ?? link) }));
      this._note.hidden = false;
    }
    this._say(words.say("picked", { what }));
    return true;
  }

  /** @param {HTMLTableCellElement | null} cell */
  _aim(cell) {
    for (const each of this.querySelectorAll("td.target")) each.classList.remove("target", "no");
    if (!cell || !this._carried || !this._words) return;
    cell.classList.add("target");
    cell.classList.toggle("no", !cell.dataset["slots"]);
    this._say(text(cell) ? `${text(cell)}.` : this._words.say("nowhere"));
  }

  _leave() {
    const carried = this._carried;
    if (!carried || !this._words) return;
    this._clear();
    this._focus(carried.link);
    this._say(this._words.say("left", { what: carried.what }));
  }

  _clear() {
    this._carried?.link.classList.remove("carried-one");
    this._carried = null;
    this._table?.classList.remove("carrying");
    if (this._note) this._note.hidden = true;
    for (const each of this.querySelectorAll("td.target")) each.classList.remove("target", "no");
  }

  /** @param {HTMLTableCellElement | null} cell */
  _drop(cell) {
    const carried = this._carried;
    const words = this._words;
    if (!carried || !words) return;
    const slots = (cell?.dataset["slots"] ?? "").split(" ").filter(Boolean);
    if (!cell || slots.length === 0) {
      this._say(words.say("nowhere"));
      return;
    }
    if (cell.contains(carried.link)) {
      this._leave();
      this._say(words.say("same"));
      return;
    }
    const template = (carried.link.dataset["at"] ?? "").split("@")[0];
    const slot = slots.find((key) => key.startsWith(`${template}@`)) ?? slots[0] ?? "";
    const station = /** @type {HTMLElement | null} */ (cell.closest("tr"))?.dataset["station"] ?? "";
    this._say(words.say("going", { where: text(cell) }));
    this._clear();
    const query = new URLSearchParams({ slot, station, back: "week" });
    location.assign(`/staff/bookings/${carried.link.dataset["booking"] ?? ""}/move?${query}`);
  }

  /** @param {string} words */
  _say(words) {
    if (this._said) setText(this._said, words);
  }

  /**
   * @param {HTMLTableCellElement} cell
   * @returns {[number, number] | null}
   */
  _position(cell) {
    const rows = this._rows ?? [];
    for (let row = 0; row < rows.length; row += 1) {
      const column = rows[row]?.indexOf(cell) ?? -1;
      if (column >= 0) return [row, column];
    }
    return null;
  }
}

/**
 * What can have the focus in a cell: its links, or the cell itself where there are none.
 * @param {HTMLTableCellElement | undefined} cell
 * @returns {HTMLElement[]}
 */
function stops(cell) {
  if (!cell) return [];
  const links = /** @type {HTMLElement[]} */ ([...cell.querySelectorAll("a")]);
  return links.length > 0 ? links : [cell];
}

/**
 * @param {Element} element
 * @returns {string} its text in one line
 */
function text(element) {
  return (element.textContent ?? "").replace(/\s+/g, " ").replace(" ,", ",").trim();
}

customElements.define("desk-board", DeskBoard);
