import assert from "node:assert/strict";
import { test } from "node:test";
import { Api } from "../../../../web/static/js/protocol/api.js";
import { VisitError } from "../../../../web/static/js/protocol/errors.js";

const answer = (body, init = {}) => new Response(body, { headers: { "content-type": "application/json" }, ...init });

function recording(response) {
  const calls = [];
  const fetcher = async (url, init) => {
    calls.push({ url, ...init });
    return response();
  };
  return { calls, fetcher };
}

test("a post carries the token, the JSON and the cookie of this origin only", async () => {
  const { calls, fetcher } = recording(() => answer('{"id":7}'));
  const body = await new Api({ csrf: "tok", fetch: fetcher }).post("/api/x", { a: 1 });
  assert.deepEqual(body, { id: 7 });
  const [call] = calls;
  assert.equal(call.method, "POST");
  assert.equal(call.credentials, "same-origin");
  assert.equal(call.headers.get("X-CSRF-Token"), "tok");
  assert.equal(call.headers.get("Content-Type"), "application/json");
  assert.equal(call.body, '{"a":1}');
});

test("a get carries no token; a form keeps the browser's own content type", async () => {
  const { calls, fetcher } = recording(() => answer("{}"));
  const api = new Api({ csrf: "tok", fetch: fetcher });
  await api.get("/api/x");
  await api.post("/api/y", new FormData());
  assert.equal(calls[0].headers.has("X-CSRF-Token"), false);
  assert.equal(calls[1].headers.has("Content-Type"), false);
});

test("a problem document becomes a VisitError with code, words and request id", async () => {
  const problem = JSON.stringify({ code: "not_yet", detail: "The door is shut.", request_id: "r1" });
  const { fetcher } = recording(() => answer(problem, { status: 409, headers: { "content-type": "application/problem+json" } }));
  const error = await new Api({ csrf: "", fetch: fetcher }).post("/x").catch((caught) => caught);
  assert.ok(error instanceof VisitError);
  assert.deepEqual([error.code, error.words, error.status, error.requestId], ["not_yet", "The door is shut.", 409, "r1"]);
  assert.equal(error.passing, false);
});

test("a broken body and a proxy's HTML page still give an error with a code", async () => {
  for (const response of [answer("{", { status: 502 }), new Response("<html>", { status: 503 })]) {
    const error = await new Api({ csrf: "", fetch: async () => response }).get("/x").catch((caught) => caught);
    assert.equal(error.code, `http_${response.status}`);
    assert.equal(error.passing, true);
  }
});

test("no network is `offline`, the limit is `timeout`, an abort stays an abort", async () => {
  const broken = async () => {
    throw new TypeError("network");
  };
  const offline = await new Api({ csrf: "", fetch: broken }).get("/x").catch((caught) => caught);
  assert.equal(offline.code, "offline");

  const hanging = (_url, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const late = await new Api({ csrf: "", fetch: hanging, timeout: 10 }).get("/x").catch((caught) => caught);
  assert.equal(late.code, "timeout");

  const stop = new AbortController();
  const pending = new Api({ csrf: "", fetch: hanging }).get("/x", stop.signal).catch((caught) => caught);
  stop.abort();
  assert.equal((await pending).name, "AbortError");
});

test("204 is null", async () => {
  assert.equal(await new Api({ csrf: "", fetch: async () => new Response(null, { status: 204 }) }).post("/x"), null);
});
