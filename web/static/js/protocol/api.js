// Calls to this server's own JSON interface: same-origin cookie, CSRF header, a limit on every wait.

import { VisitError, errorOf } from "./errors.js";

/**
 * @typedef {object} ApiOptions
 * @property {string} csrf token from the page's <meta name="csrf-token">
 * @property {typeof fetch} [fetch] for tests
 * @property {number} [timeout] milliseconds for one request, 20,000 by default
 */

/** @typedef {Record<string, unknown> | unknown[] | FormData | Blob | null} Body */

export class Api {
  /** @param {ApiOptions} options */
  constructor({ csrf, fetch: fetcher = (...args) => fetch(...args), timeout = 20_000 }) {
    this._csrf = csrf;
    this._fetch = fetcher;
    this._timeout = timeout;
  }

  /**
   * @param {string} path
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>} the JSON body; null for 204
   */
  get(path, signal) {
    return this.request("GET", path, null, signal);
  }

  /**
   * @param {string} path
   * @param {Body} [body] an object goes as JSON, a FormData or Blob as it is
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  post(path, body = {}, signal) {
    return this.request("POST", path, body, signal);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Body} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>} the JSON body; null where there is none
   * @throws {VisitError} code `offline` without an answer, `timeout` after the limit, else the problem's code
   */
  async request(method, path, body = null, signal) {
    const headers = new Headers({ Accept: "application/json" });
    /** @type {RequestInit} */
    const init = { method, headers, credentials: "same-origin", redirect: "error" };
    if (method !== "GET" && method !== "HEAD") headers.set("X-CSRF-Token", this._csrf);
    if (body instanceof FormData || body instanceof Blob) {
      init.body = body;
    } else if (body !== null) {
      headers.set("Content-Type", "application/json");
      init.body = JSON.stringify(body);
    }
    const response = await limited(this._fetch, path, init, this._timeout, signal);
    if (!response.ok) throw await errorOf(response);
    if (response.status === 204) return null;
    if (!(response.headers.get("content-type") ?? "").includes("json")) return null;
    try {
      return await response.json();
    } catch (cause) {
      throw new VisitError("offline", "", { cause });
    }
  }
}

/**
 * fetch with a limit in time; network faults and the limit become VisitErrors. Aborting by `signal` rejects as fetch does.
 * @param {typeof fetch} fetcher
 * @param {string} url
 * @param {RequestInit} init
 * @param {number} timeout milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export async function limited(fetcher, url, init, timeout, signal) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), timeout);
  const stop = () => limit.abort();
  signal?.addEventListener("abort", stop, { once: true });
  if (signal?.aborted) stop();
  try {
    return await fetcher(url, { ...init, signal: limit.signal });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new VisitError(limit.signal.aborted ? "timeout" : "offline", "", { cause });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}
