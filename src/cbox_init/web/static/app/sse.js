// Server-sent events read with fetch, because EventSource cannot send the token in a header.
//
//   const stream = openStream("/logs/stream", {
//     query: {process: ["web"]},            or a function that is called for each connection
//     onEvent({event, data, id}) {},        data is the text; JSON.parse is the caller's
//     onState(state, error) {},             "connecting" | "open" | "waiting" | "unauthorized" | "refused"
//     lastEventId: "…",                     where to go on, from an earlier stream
//   });
//   stream.close();   stream.retry();   stream.lastEventId
//
// A connection that ends, or is silent for 40 s (the daemon sends a comment every 15 s), is opened again with
// Last-Event-ID after 0.5 s, then 1, 2, 4, 8 s at most (each ±20 %), and at once when the network or the tab is
// back. "waiting" comes with `retryAt`. 401 ("unauthorized") waits for retry(); 400, 403 and 404 ("refused") too.
import { ApiError, errorOf, headers, url } from "./api.js";

const SILENT_MS = 40_000;
const FIRST_MS = 500;
const LONGEST_MS = 8_000;
/** After so much work on what has come already, the page is drawn before the rest. */
const BUSY_MS = 8;

/** Until the browser has had a turn; unlike a timer this is not slowed down in a hidden tab. */
function turn() {
  return new Promise((go) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      go();
    };
    port2.postMessage(0);
  });
}

export function openStream(where, { query, onEvent, onState = () => {}, lastEventId = "" }) {
  let closed = false, failures = 0, timer = 0, silent = 0, abort = null, state = "";
  const stream = { lastEventId, close, retry };

  function say(next, error) {
    state = next;
    onState(next, error);
  }

  function again(error) {
    if (closed) return;
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** failures++) * (0.8 + Math.random() * 0.4);
    say("waiting", Object.assign(error, { retryAt: Date.now() + wait }));
    timer = setTimeout(connect, wait);
  }

  async function connect() {
    clearTimeout(timer);
    const own = (abort = new AbortController());
    const alive = () => {
      clearTimeout(silent);
      silent = setTimeout(() => own.abort(), SILENT_MS);
    };
    say("connecting");
    try {
      alive();
      const reply = await fetch(url(where, typeof query === "function" ? query() : query), {
        headers: headers({
          accept: "text/event-stream",
          ...(stream.lastEventId ? { "last-event-id": stream.lastEventId } : {}),
        }),
        signal: own.signal,
        cache: "no-store",
      });
      if (closed) return;
      if (!reply.ok) {
        const error = await errorOf(reply);
        if (reply.status === 401) return void say("unauthorized", error);
        if ([400, 403, 404, 405].includes(reply.status)) return void say("refused", error);
        return void again(error);
      }
      say("open");
      const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new Parser(stream, onEvent);
      let busy = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done || closed) break;
        failures = 0;
        alive();
        const begun = performance.now();
        parser.feed(value);
        busy += performance.now() - begun;
        if (busy > BUSY_MS) {
          busy = 0;
          await turn();
        }
      }
      if (!closed) again(new ApiError(0, "The daemon has closed the connection."));
    } catch {
      if (!closed && own === abort) again(new ApiError(0, "The daemon cannot be reached."));
    } finally {
      if (own === abort) clearTimeout(silent);
    }
  }

  /** Connects at once, unless it is connected. */
  function retry() {
    if (closed || state === "open" || state === "connecting") return;
    failures = 0;
    connect();
  }

  const back = () => state === "waiting" && document.visibilityState === "visible" && retry();

  function close() {
    closed = true;
    clearTimeout(timer);
    clearTimeout(silent);
    abort?.abort();
    window.removeEventListener("online", back);
    document.removeEventListener("visibilitychange", back);
  }

  window.addEventListener("online", back);
  document.addEventListener("visibilitychange", back);
  connect();
  return stream;
}

/** The fields of server-sent events, from pieces of text cut anywhere. */
class Parser {
  constructor(stream, onEvent) {
    this.stream = stream;
    this.onEvent = onEvent;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.event = "message";
    this.data = [];
  }

  feed(text) {
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop();
    for (const line of lines) this.line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  line(line) {
    if (line === "") {
      if (this.data.length) {
        try {
          this.onEvent({ event: this.event, data: this.data.join("\n"), id: this.stream.lastEventId });
        } catch (error) {
          console.warn("an event could not be shown", error);
        }
      }
      this.clear();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "data") this.data.push(value);
    else if (field === "event") this.event = value;
    else if (field === "id") this.stream.lastEventId = value;
  }
}
