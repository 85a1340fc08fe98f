// A VisitError as a sentence: the page's own words for a code, else what the server said, else a general sentence.

import { VisitError } from "../protocol/errors.js";

/**
 * @param {import("./words.js").Words} words
 * @param {unknown} error
 * @returns {string}
 */
export function failureWords(words, error) {
  if (!(error instanceof VisitError)) console.error(error);
  const known = error instanceof VisitError ? error : new VisitError("unknown");
  if (words.has(`error_${known.code}`)) return words.say(`error_${known.code}`);
  if (known.status >= 400 && known.status < 500 && known.words) return known.words;
  return words.say("error_general");
}
