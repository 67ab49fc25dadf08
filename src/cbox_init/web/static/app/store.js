// The state that all views share, kept live by two streams: /live (processes, daemon, figures) and /events.
//
//   useStore((s) => s.daemon)     a part of the state; draws again when the part is another (Object.is)
//   state()                       the whole, outside of components
//
//   s.auth        "checking" | "needed" | "in" | "again" (was in, has to sign in again)     s.authError  why, or ""
//   s.me          {name, kind, role, processes, expires_at?} of GET /whoami, or null
//   s.link        "connecting" | "live" | "lost"      s.retryAt  browser's ms of the next try, while lost
//   s.daemon      DaemonEntry, or null; figures.daemon is newer
//   s.processes   [ProcessEntry] in the order of the file, or null before the first snapshot
//   s.byName      Map of name to ProcessEntry; an entry that has not changed stays the same object
//   s.figures     {time, daemon: {cpu_percent, memory_rss_bytes, ...}, instances: Map of id to {cpu, rss}}
//   s.skew        seconds that the daemon's clock is ahead of the browser's
//
//   now()                    Unix seconds by the daemon's clock; compare times of the API with this one
//   useNow(ms = 1000)        the same, and draws again every `ms` (not while the tab is hidden)
//   trend(name)              {cpu: [..60], rss: [..60]} of a process, "" is the daemon; newest last
//   usedBy(entry, s.figures)  {cpu, rss} of all instances of a process: live, or from its entry before the first figures
//   can("operator", name)    whether the caller may do what needs that role (to that process)
//   onEvent(call)            call(event) for each event of the daemon, {kind: "missed", ...} where some are missing
//   recentEvents()           the last 300, oldest first;  useEvents(filter, most) the same, newest first, live
//   signIn(token), signInWithCode(code), signOut(), reconnect()
import { api, onUnauthorized, token } from "./api.js";
import { useEffect, useReducer, useRef, useState } from "./preact.js";
import { openStream } from "./sse.js";

const TREND = 60;
const EVENTS = 300;
const ROLES = ["viewer", "operator", "admin"];

let current = {
  auth: "checking", authError: "", me: null,
  link: "connecting", retryAt: 0,
  daemon: null, processes: null, byName: new Map(),
  figures: { time: 0, daemon: null, instances: new Map() },
  skew: 0,
};
const listeners = new Set();

export function state() {
  return current;
}

function set(change) {
  current = { ...current, ...change };
  for (const call of [...listeners]) call();
}

export function useStore(part) {
  const [, again] = useReducer((n) => n + 1, 0);
  const at = useRef(null);
  const value = part(current);
  at.current = { part, value };
  useEffect(() => {
    const changed = () => {
      if (!Object.is(at.current.part(current), at.current.value)) again();
    };
    listeners.add(changed);
    changed();
    return () => listeners.delete(changed);
  }, []);
  return value;
}

// Time

export function now() {
  return Date.now() / 1000 + current.skew;
}

// One timer for all that draw again at the same pace, so that a list of 500 rows goes on in one turn.
const clocks = new Map();

function tick(ms, call) {
  let clock = clocks.get(ms);
  if (!clock) {
    clock = { calls: new Set(), timer: setInterval(() => document.hidden || clock.calls.forEach((c) => c()), ms) };
    clocks.set(ms, clock);
  }
  clock.calls.add(call);
  return () => {
    clock.calls.delete(call);
    if (!clock.calls.size) {
      clearInterval(clock.timer);
      clocks.delete(ms);
    }
  };
}

export function useNow(ms = 1000) {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => tick(ms, again), [ms]);
  return now();
}

// Who may do what

export function can(role, process) {
  const { me } = current;
  if (!me || ROLES.indexOf(me.role) < ROLES.indexOf(role)) return false;
  if (process === undefined || me.role === "admin" || !me.processes?.length) return true;
  return me.processes.some((pattern) => matches(pattern, process));
}

function matches(pattern, name) {
  const text = pattern.replace(/[.+^${}()|\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".").replace(/\[!/g, "[^");
  try { return new RegExp(`^${text}$`, "su").test(name); } catch { return pattern === name; }
}

export function usedBy(process, figures) {
  let cpu = 0, rss = 0;
  for (const i of process.instances) {
    const now = figures.instances.get(i.id);
    cpu += figures.time ? now?.cpu ?? 0 : i.cpu_percent;
    rss += figures.time ? now?.rss ?? 0 : i.memory_rss_bytes;
  }
  return { cpu, rss };
}

// Trends: rings of figures, for the small charts

const trends = new Map();

export function trend(name) {
  return trends.get(name) ?? { cpu: [], rss: [] };
}

function note(name, cpu, rss) {
  let kept = trends.get(name);
  if (!kept) trends.set(name, (kept = { cpu: [], rss: [] }));
  kept.cpu.push(cpu);
  kept.rss.push(rss);
  if (kept.cpu.length > TREND) {
    kept.cpu.shift();
    kept.rss.shift();
  }
}

// The live stream

let live = null;

function onLive({ event, data }) {
  const body = JSON.parse(data);
  const skew = Math.abs(body.time - Date.now() / 1000 - current.skew) > 0.5 ? body.time - Date.now() / 1000 : current.skew;
  if (event === "snapshot") {
    const kept = current.byName;
    const byName = new Map(body.processes.map((p) => [p.name, same(kept.get(p.name), p)]));
    set({ link: "live", skew, daemon: body.daemon, byName, processes: [...byName.values()] });
  } else if (event === "processes") {
    let byName = new Map(current.byName);
    for (const name of body.removed ?? []) {
      byName.delete(name);
      trends.delete(name);
    }
    for (const p of body.processes) byName.set(p.name, p);
    const order = body.order?.filter((name) => byName.has(name));
    if (order) byName = new Map(order.map((name) => [name, byName.get(name)]));
    set({ skew, byName, processes: [...byName.values()] });
  } else if (event === "figures") {
    const instances = new Map(body.instances.map(([id, cpu, rss]) => [id, { cpu, rss }]));
    for (const p of current.processes ?? []) {
      let cpu = 0, rss = 0;
      for (const one of p.instances) {
        const figures = instances.get(one.id);
        cpu += figures?.cpu ?? 0;
        rss += figures?.rss ?? 0;
      }
      note(p.name, cpu, rss);
    }
    if (body.daemon) note("", body.daemon.cpu_percent ?? 0, body.daemon.memory_rss_bytes ?? 0);
    set({ skew, figures: { time: body.time, daemon: body.daemon, instances } });
  }
}

/** The entry that was there when the new one says the same, so that its row is not drawn again. */
function same(before, after) {
  return before && JSON.stringify(before) === JSON.stringify(after) ? before : after;
}

function onLiveState(next, error) {
  if (next === "waiting") set({ link: current.processes ? "lost" : "connecting", retryAt: error.retryAt });
  else if (next === "unauthorized") needSignIn();
  else if (next === "refused") set({ link: "lost", retryAt: 0 });
  else if (next === "open" && current.link === "lost") checkAgain();
}

/** After a break somebody else may be meant by the token, or may do less. */
async function checkAgain() {
  try { set({ me: await api.get("/whoami") }); } catch { /* the streams say what is wrong */ }
}

// Events

let eventStream = null;
const kept = [];
const eventListeners = new Set();

export function onEvent(call) {
  eventListeners.add(call);
  return () => eventListeners.delete(call);
}

export function recentEvents() {
  return kept;
}

function onEventText({ event, data }) {
  const body = JSON.parse(data);
  const one = event === "missed" ? { kind: "missed", ...body } : body;
  if (event !== "missed") {
    kept.push(one);
    if (kept.length > EVENTS) kept.shift();
  }
  for (const call of [...eventListeners]) {
    try { call(one); } catch (error) { console.warn("an event could not be shown", error); }
  }
}

export function useEvents(filter, most = 20) {
  const [found, setFound] = useState([]);
  const at = useRef(filter);
  at.current = filter;
  useEffect(() => {
    let due = 0;
    const read = () => {
      due = 0;
      const list = [];
      for (let i = kept.length - 1; i >= 0 && list.length < most; i--) {
        if (!at.current || at.current(kept[i])) list.push(kept[i]);
      }
      setFound(list);
    };
    read();
    const off = onEvent(() => (due ||= setTimeout(read, 150)));
    return () => {
      off();
      clearTimeout(due);
    };
  }, [most]);
  return found;
}

// In and out

function open() {
  close();
  kept.length = 0; // the stream begins with them
  live = openStream("/live", { onEvent: onLive, onState: onLiveState });
  let first = true;
  eventStream = openStream("/events", {
    query: () => (first ? { tail: EVENTS } : {}),
    onEvent: onEventText,
    onState: (next) => {
      if (next === "open") first = false;
      if (next === "unauthorized") needSignIn();
    },
  });
}

function close() {
  live?.close();
  eventStream?.close();
  live = eventStream = null;
}

function needSignIn() {
  if (current.auth !== "in") return;
  close();
  token.clear();
  set({ auth: "again", link: "connecting", authError: "Your session is over. Sign in again to go on where you were." });
}
onUnauthorized(needSignIn);

export function reconnect() {
  live?.retry();
  eventStream?.retry();
}

/** Asks who the caller is, with the token that is kept, or with none where the daemon asks for none. */
export async function start() {
  try {
    const me = await api.get("/whoami");
    const other = current.me && (current.me.name !== me.name || current.me.role !== me.role);
    if (other) trends.clear();
    set({ auth: "in", authError: "", me, link: "connecting" });
    open();
  } catch (error) {
    if (error.status === 401) {
      const wrong = token.get() !== "";
      token.clear();
      set({
        auth: current.me ? "again" : "needed",
        authError: wrong ? "This token is not known, or no longer. Check it, or ask for another." : current.authError,
      });
    } else if (error.status === 403) {
      set({ auth: "needed", authError: [error.message, ...error.details].join(": ") });
    } else {
      set({ auth: current.me ? "again" : "checking", authError: error.message });
      throw error;
    }
  }
}

export async function signIn(text) {
  token.set(text);
  await start();
}

export async function signInWithCode(code) {
  token.clear();
  try {
    const reply = await api.post("/sessions", { code });
    token.set(reply.token);
  } catch (error) {
    if (error.status === 0) throw error;
    await start(); // where no token is needed, no code is either
    if (current.auth !== "in") {
      set({ authError: "This link has been used, or is older than a minute. Run cbox-init open again, or sign in with a token." });
    }
    return;
  }
  await start();
}

export async function signOut() {
  close();
  try { await api.delete("/sessions/current"); } catch { /* a token of the configuration has no session */ }
  token.clear();
  kept.length = 0;
  trends.clear();
  set({
    auth: "needed", authError: "", me: null, processes: null, byName: new Map(), daemon: null,
    figures: { time: 0, daemon: null, instances: new Map() },
  });
}
