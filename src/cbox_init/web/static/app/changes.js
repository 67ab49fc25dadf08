// Commands, and what becomes of them.
//
//   await command("Restart web", () => api.post(path`/processes/${name}/restart`))
//       sends it, shows a toast with the progress of its change, and returns the reply; null when it was refused
//       (the toast says why). {quiet: true} shows nothing when it is done at once.
//   follow(id, {label, kind, abort})   a toast for a change that somebody else has begun
//   toast({tone, title, text, action: {label, run}, stay})   any other message; returns its id;  dismiss(id)
//   useToasts()                        what is shown
//   await confirm({title, body, action, danger})             true when it was confirmed
//   ask(Component, properties)         a dialog of one's own; Component has the property close(answer)
//
// The progress comes with the events change.progress and change.ended. Where events are missing (the connection
// was lost), GET /changes/{id} says how it stands.
import { api, path } from "./api.js";
import { useEffect, useReducer } from "./preact.js";
import { onEvent, state } from "./store.js";

const SHOWN_MS = 5_000;
const listeners = new Set();
let toasts = [];
let dialogs = [];
let number = 0;

function changed() {
  for (const call of [...listeners]) call();
}

function useShared(read) {
  const [, again] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    listeners.add(again);
    return () => listeners.delete(again);
  }, []);
  return read();
}

export const useToasts = () => useShared(() => toasts);
export const useDialogs = () => useShared(() => dialogs);

// Toasts

export function toast(given) {
  const id = ++number;
  put({ id, tone: "info", ...given });
  return id;
}

function put(one) {
  const before = toasts.find((t) => t.id === one.id);
  clearTimeout(before?.timer);
  if (!one.stay) one.timer = setTimeout(() => dismiss(one.id), SHOWN_MS);
  toasts = before ? toasts.map((t) => (t.id === one.id ? one : t)) : [...toasts, one].slice(-4);
  changed();
}

export function dismiss(id) {
  toasts = toasts.filter((t) => t.id !== id);
  changed();
}

export function hold(id) {
  const one = toasts.find((t) => t.id === id);
  if (one) clearTimeout(one.timer);
}

export function failed(title, error) {
  toast({ tone: "bad", title, text: [error.message, ...(error.details ?? [])].join("\n"), hint: error.hint, stay: true });
}

// Changes

const followed = new Map();

export function follow(id, { label, kind = "", process = "", abort = kind === "restart" || kind === "update" || kind === "reload" } = {}) {
  const at = ++number;
  followed.set(id, { at, label, abort, process, done: 0, total: 0 });
  show(id, "doing");
  setTimeout(() => followed.has(id) && look(id), 1500);
  return at;
}

function show(id, status, reason = "") {
  const one = followed.get(id);
  const ended = status !== "doing";
  if (ended) followed.delete(id);
  const { done, total } = one;
  const counted = total > 1 ? `${done} of ${total} ready` : "";
  const faces = {
    doing: { tone: "busy", text: reason || counted || "Under way" },
    done: { tone: "ok", text: "Done" },
    failed: { tone: "bad", text: reason || "It has failed." },
    superseded: { tone: "idle", text: "A later command has taken its place." },
    aborted: { tone: "idle", text: reason || "It was abandoned." },
    unknown: { tone: "warn", text: reason },
  };
  put({
    id: one.at, title: one.label, change: id, process: one.process, stay: !ended || status === "failed",
    progress: ended ? null : { done, total },
    action: !ended && one.abort && total > 0 ? { label: "Abort", run: () => abort(id) } : null,
    ...(faces[status] ?? faces.done),
  });
}

export async function abort(id) {
  try {
    await api.delete(path`/changes/${id}`);
  } catch (error) {
    failed("The change could not be aborted", error);
  }
}

async function look(id) {
  const one = followed.get(id);
  if (!one) return;
  try {
    const change = await api.get(path`/changes/${id}`);
    if (!followed.has(id)) return;
    one.done = change.progress.done;
    one.total = change.progress.total;
    show(id, change.status, change.reason);
  } catch (error) {
    if (error.status === 404 && followed.has(id)) {
      show(id, "unknown", "The daemon was restarted meanwhile. Look at the state of the process.");
    }
  }
}

onEvent((event) => {
  if (event.kind === "missed") {
    for (const id of followed.keys()) look(id);
    return;
  }
  const one = followed.get(event.change);
  if (!one) return;
  if (event.kind === "change.progress" || event.kind === "change.ended") {
    one.done = event.data?.done ?? one.done;
    one.total = event.data?.total ?? one.total;
    show(event.change, event.kind === "change.ended" ? event.data?.status ?? "done" : "doing", event.reason);
  }
});

export async function command(label, send, options = {}) {
  if (state().link === "lost") {
    toast({ tone: "warn", title: label, text: "The daemon cannot be reached. Nothing was sent." });
    return null;
  }
  try {
    const reply = await send();
    if (reply?.change && !options.quiet) follow(reply.change, { label, ...options });
    else if (!options.quiet) toast({ tone: "ok", title: label, text: reply?.message ?? "Done" });
    return reply;
  } catch (error) {
    if (error.status !== 401) failed(label, error);
    return null;
  }
}

// Dialogs

export function ask(component, properties = {}) {
  return new Promise((resolve) => {
    const one = { id: ++number, component, properties };
    one.close = (answer) => {
      dialogs = dialogs.filter((d) => d !== one);
      changed();
      resolve(answer);
    };
    dialogs = [...dialogs, one];
    changed();
  });
}

let confirmDialog = null;
export function useConfirmDialog(component) {
  confirmDialog = component;
}

export async function confirm(question) {
  return (await ask(confirmDialog, question)) === true;
}
