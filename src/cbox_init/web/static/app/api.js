// Requests to the API, with the token of this tab.
//
//   await api.get("/processes", {query: {limit: 5}})      the JSON of the reply
//   await api.post("/processes/web/scale", {scale: 3})    also put and delete; each takes {query, signal}
//   path`/processes/${name}/logs`                          a path with its parts encoded
//   token.get(), token.set(text), token.clear()            kept in sessionStorage
//   onUnauthorized(call)                                   called when a reply says that the token does not do
//
// Whatever fails is an ApiError: `message` is one line for people, `details` the list of the reply, `status` the
// number of the reply (0 when there was none), `hint` what to do.
const BASE = "/api/v1";
const KEPT = "cbox-init.token";
const TIMEOUT_MS = 30_000;

export class ApiError extends Error {
  constructor(status, message, details = [], hint = "") {
    super(message);
    this.status = status;
    this.details = details;
    this.hint = hint;
  }
}

let inMemory = "";
export const token = {
  get() {
    try { return sessionStorage.getItem(KEPT) ?? inMemory; } catch { return inMemory; }
  },
  set(text) {
    inMemory = text;
    try { sessionStorage.setItem(KEPT, text); } catch { /* storage is turned off: kept until the page is left */ }
  },
  clear() {
    inMemory = "";
    try { sessionStorage.removeItem(KEPT); } catch { /* nothing was kept */ }
  },
};

const refused = new Set();
export function onUnauthorized(call) {
  refused.add(call);
  return () => refused.delete(call);
}

export function path(texts, ...parts) {
  return texts.reduce((all, text, at) => all + encodeURIComponent(parts[at - 1]) + text);
}

export function url(where, query) {
  const pairs = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") pairs.append(key, one);
    }
  }
  const text = pairs.toString();
  return BASE + where + (text ? `?${text}` : "");
}

export function headers(more) {
  const kept = token.get();
  return { accept: "application/json", ...(kept ? { authorization: `Bearer ${kept}` } : {}), ...more };
}

const HINTS = {
  401: "Sign in again.",
  429: "Wait a moment, then try again.",
  503: "The daemon is busy. Try again in a moment.",
};

/** The ApiError of a reply that is not a success. */
export async function errorOf(reply) {
  let body = {};
  try { body = await reply.json(); } catch { /* a proxy's page, or nothing */ }
  const message = typeof body.error === "string" ? body.error : `The server answered with ${reply.status}.`;
  const details = Array.isArray(body.details) ? body.details : [];
  return new ApiError(reply.status, message, details, HINTS[reply.status] ?? "");
}

async function request(method, where, body, { query, signal } = {}) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let reply;
  try {
    reply = await fetch(url(where, query), {
      method,
      headers: headers(body === undefined ? {} : { "content-type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = error.name === "TimeoutError";
    throw new ApiError(
      0, late ? "The daemon has not answered in 30 seconds." : "The daemon cannot be reached.", [],
      "Check that it runs; the page connects again by itself.",
    );
  }
  if (reply.status === 401) for (const call of refused) call();
  if (!reply.ok) throw await errorOf(reply);
  return reply.status === 204 ? null : reply.json();
}

export const api = {
  get: (where, options) => request("GET", where, undefined, options),
  post: (where, body, options) => request("POST", where, body, options),
  put: (where, body, options) => request("PUT", where, body, options),
  delete: (where, options) => request("DELETE", where, undefined, options),
};
