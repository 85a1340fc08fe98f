// The sentences of a page, translated by the server into a JSON block: elements say nothing of their own.

export class Words {
  /**
   * @param {Record<string, string>} texts
   * @param {string} locale
   */
  constructor(texts, locale) {
    this._texts = texts;
    this._plural = new Intl.PluralRules(locale);
    this.locale = locale;
  }

  /**
   * @param {string} key
   * @returns {boolean}
   */
  has(key) {
    return key in this._texts;
  }

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [values] for `{name}` places
   * @returns {string} the key itself where a text is missing, which a test finds
   */
  say(key, values = {}) {
    const text = this._texts[key];
    if (text === undefined) {
      console.error(`no words for ${key}`);
      return key;
    }
    return text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
  }

  /**
   * A sentence with a number in it: `key_one`, `key_other` by the language's own rules; `{n}` is the number.
   * @param {string} key
   * @param {number} n
   * @param {Record<string, string | number>} [values]
   */
  count(key, n, values = {}) {
    const form = `${key}_${this._plural.select(n)}`;
    return this.say(this.has(form) ? form : `${key}_other`, { n, ...values });
  }
}

/**
 * @param {HTMLElement} element with `words`: the id of a <script type="application/json">
 * @returns {Words}
 */
export function wordsOf(element) {
  const block = document.getElementById(element.getAttribute("words") ?? "");
  return new Words(JSON.parse(block?.textContent || "{}"), document.documentElement.lang || "en");
}

/** @returns {string} the page's CSRF token */
export function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]')?.getAttribute("content") ?? "";
}
