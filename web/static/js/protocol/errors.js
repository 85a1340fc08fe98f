// What can go wrong between this page and the server. The code is stable (RFC 9457 problem `code`); the words come from the server.

/**
 * @typedef {object} Problem An RFC 9457 problem document, as this server writes it.
 * @property {string} [code]
 * @property {string} [title]
 * @property {string} [detail]
 * @property {number} [status]
 * @property {string} [request_id]
 * @property {{field?: string, message?: string}[]} [errors]
 */

export class VisitError extends Error {
  /**
   * @param {string} code stable identifier: a server's problem code, or `offline`, `timeout`, `closed`, `devices`
   * @param {string} [words] one sentence that a person may read; empty where only the code is known
   * @param {{status?: number, requestId?: string, problem?: Problem, cause?: unknown}} [more]
   */
  constructor(code, words = "", more = {}) {
    super(words || code, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = "VisitError";
    this.code = code;
    this.words = words;
    /** HTTP status; 0 where there was no answer. */
    this.status = more.status ?? 0;
    this.requestId = more.requestId ?? "";
    this.problem = more.problem;
  }

  /** Whether asking again later may help: no answer, too busy, the server's own trouble, or a call between two nodes. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500 || this.code === "unknown_call";
  }
}

/**
 * Turn an answer that is not 2xx into an error; understands application/problem+json and survives everything else.
 * @param {Response} response
 * @returns {Promise<VisitError>}
 */
export async function errorOf(response) {
  /** @type {Problem} */
  let problem = {};
  if ((response.headers.get("content-type") ?? "").includes("json")) {
    try {
      const body = await response.json();
      if (body !== null && typeof body === "object") problem = body;
    } catch {
      // A cut-off body says nothing; the status still does.
    }
  }
  return new VisitError(problem.code ?? `http_${response.status}`, problem.detail ?? problem.title ?? "", {
    status: response.status,
    requestId: problem.request_id ?? response.headers.get("x-request-id") ?? "",
    problem,
  });
}
