// The last commands: who asked for them, how far they are, how they ended.

import { api, path } from "../api.js";
import { abort, confirm } from "../changes.js";
import { dateTime, duration, number, seconds } from "../fmt.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { can, onEvent, useNow, useStore } from "../store.js";
import { Ago, Badge, Button, Card, Empty, ErrorBox, Icon, Progress, Segments, Skeleton, StateBadge, View } from "../ui.js";
import { NamePicker } from "./name_picker.js";

const MOST = 200;
const LOOK_MS = 400;
const STATUSES = [
  { id: "", label: "All" }, { id: "doing", label: "Under way" }, { id: "failed", label: "Failed" }, { id: "done", label: "Done" },
];
const FACES = {
  doing: { tone: "info", icon: "busy", label: "Under way" },
  done: { tone: "ok", icon: "ok", label: "Done" },
  failed: { tone: "bad", icon: "bad", label: "Failed" },
  superseded: { tone: "idle", icon: "skip", label: "Superseded" },
  aborted: { tone: "warn", icon: "stop", label: "Aborted" },
};
const VERBS = {
  start: "Start", stop: "Stop", restart: "Restart", scale: "Scale", trigger: "Run", pause: "Pause", resume: "Resume",
  reload: "Reload", add: "Add", update: "Change", remove: "Remove", autoscale: "Autoscale",
};
/** Only what rolls instances over can be abandoned. */
const ABORTABLE = ["restart", "update", "reload"];

export default function Changes({ route: { query } }) {
  const [changes, setChanges] = useState(null);
  const [error, setError] = useState(null);
  const connection = useStore((s) => s.link);
  const processes = useStore((s) => s.processes);
  const names = useMemo(() => (processes ?? []).map(({ name }) => name), [processes]);
  const due = useRef(new Set());
  const timer = useRef(0);
  const [turn, setTurn] = useState(0);

  useEffect(() => {
    if (connection !== "live") return undefined;
    const own = new AbortController();
    api.get("/changes", { query: { limit: MOST, status: query.status, process: query.process }, signal: own.signal }).then(
      async (reply) => {
        const missing = query.id && !reply.changes.some(({ id }) => id === query.id);
        const one = missing ? await api.get(path`/changes/${query.id}`, { signal: own.signal }).catch(() => null) : null;
        if (own.signal.aborted) return;
        setChanges(one ? [one, ...reply.changes] : reply.changes);
        setError(null);
      },
      (failure) => own.signal.aborted || setError(failure),
    );
    return () => own.abort();
  }, [query.status, query.process, connection, turn]);

  // The events say which change has gone on. Its state comes from the API, for several events at once.
  useEffect(() => {
    const look = async () => {
      timer.current = 0;
      const ids = [...due.current].slice(0, 20);
      due.current.clear();
      const news = (await Promise.all(ids.map((id) => api.get(path`/changes/${id}`).catch(() => null)))).filter(Boolean);
      setChanges((before) => merged(before ?? [], news, query));
    };
    const off = onEvent((event) => {
      if (event.kind === "missed") return void setTurn((n) => n + 1);
      if (!event.kind.startsWith("change.")) return;
      due.current.add(event.change);
      timer.current ||= setTimeout(look, LOOK_MS);
    });
    return () => {
      off();
      clearTimeout(timer.current);
      timer.current = 0;
    };
  }, [query.status, query.process]);

  const active = (changes ?? []).filter(({ status }) => status === "doing").length;
  return html`<${View} title="Changes" sub=${changes && (active ? `${number(active)} under way` : "Nothing under way")}>
    <div class="row wrap filters">
      <${Segments} label="Status" options=${STATUSES} at=${query.status ?? ""} onPick=${(status) => setQuery({ status })} />
      <${NamePicker} names=${names} chosen=${query.process ? [query.process] : []} onChange=${(list) => setQuery({ process: list.at(-1) ?? "" })} word="process" many="processes" />
    </div>
    <${ErrorBox} error=${error} onRetry=${() => setTurn((n) => n + 1)} title="The changes could not be loaded." />
    ${!changes
      ? !error && html`<${Skeleton} lines=6 />`
      : changes.length
        ? html`<${Card} flush><ol class="list change-list">${changes.map((change) => html`<${Row} key=${change.id} change=${change} open=${query.id === change.id} />`)}</ol></${Card}>`
        : html`<${Card}><${Empty} icon="changes" title=${query.status || query.process ? "No change matches" : "No commands yet"}>
            ${query.status || query.process ? "Change the filter." : "Every start, stop, restart, scale and change of the configuration is listed here, with who asked for it. The daemon remembers them until it is restarted."}</${Empty}></${Card}>`}
  </${View}>`;
}

function merged(before, news, query) {
  const byId = new Map(before.map((one) => [one.id, one]));
  for (const change of news) {
    const wanted = (!query.status || change.status === query.status) && (!query.process || namesOf(change).includes(query.process));
    if (wanted || change.id === query.id) byId.set(change.id, change);
    else byId.delete(change.id);
  }
  return [...byId.values()].sort((a, b) => (a.started_at < b.started_at ? 1 : -1)).slice(0, MOST);
}

const namesOf = (change) => change.processes ?? [change.process];

function titleOf(change) {
  const verb = VERBS[change.kind] ?? change.kind;
  if (change.processes?.length > 1) return `${verb} ${change.processes.length} processes`;
  if (change.process === "*") return change.kind === "reload" ? "Reload the configuration" : `${verb} all processes`;
  return html`${verb} <bdi>${harmless(change.process)}</bdi>`;
}

function actorOf({ type, id, ip }) {
  const names = { system: "the daemon itself", loopback: "this machine", anonymous: "somebody without a token" };
  const name = type === "system" ? names.system : id && id !== type ? harmless(id) : names[type] ?? type;
  return ip && type !== "system" && type !== "socket" ? `${name}, ${ip}` : name;
}

function Row({ change, open }) {
  const face = FACES[change.status] ?? { tone: "idle", icon: "circle", label: change.status };
  const { done, total } = change.progress;
  const doing = change.status === "doing";
  const abortable = doing && ABORTABLE.includes(change.kind) && namesOf(change).every((name) => can("operator", name === "*" ? undefined : name));
  const giveUp = async () => {
    const sure = await confirm({
      title: "Abort this rollout?", danger: true, action: "Abort",
      body: `${number(done)} of ${number(total)} instances are new. They stay, and so do the old ones that are left.`,
    });
    if (sure) await abort(change.id);
  };
  return html`<li class=${`change ${open ? "open" : ""}`}>
    <div class="change-main">
      <button type="button" class="as-link change-title strong" aria-expanded=${open} onClick=${() => setQuery({ id: open ? "" : change.id })}>${titleOf(change)}</button>
      <div class="small muted">${actorOf(change.actor)}${change.why ? html` · “${harmless(change.why)}”` : ""}</div>
      ${change.reason && html`<div class=${`small ${change.status === "failed" ? "tone-bad" : "muted"}`}>${harmless(change.reason)}</div>`}
    </div>
    <div class="change-progress">
      ${(doing || total > 1) && html`<${Progress} done=${done} total=${total} tone=${face.tone === "info" ? "" : face.tone} /><span class="small muted num">${total ? `${number(done)} of ${number(total)}` : "Waiting"}</span>`}
    </div>
    <div class="change-end">
      <${Badge} tone=${face.tone} icon=${face.icon} spin=${doing}>${face.label}</${Badge}>
      <span class="small faint"><${Ago} at=${change.started_at} />${change.ended_at ? html` · ${duration(seconds(change.ended_at) - seconds(change.started_at))}` : html` · <${Since} at=${change.started_at} />`}</span>
    </div>
    ${abortable && total > 0 && html`<${Button} small kind="danger" onClick=${giveUp}>Abort</${Button}>`}
    ${open && html`<${Details} change=${change} />`}
  </li>`;
}

function Since({ at }) {
  return html`<span class="num">${duration(useNow(1000) - seconds(at))}</span>`;
}

function Details({ change }) {
  const names = namesOf(change).filter((name) => name !== "*");
  return html`<div class="change-details">
    <dl class="facts">
      <div><dt>Started</dt><dd>${dateTime(change.started_at)}</dd></div>
      <div><dt>Asked for by</dt><dd>${actorOf(change.actor)}${change.actor.role ? html` <span class="faint">${change.actor.role}</span>` : ""}</dd></div>
      ${change.exit_code !== undefined && html`<div><dt>Exit code</dt><dd>${change.exit_code}</dd></div>`}
      ${change.superseded_by && html`<div><dt>Superseded by</dt><dd><a href=${link("changes", { id: change.superseded_by })}>a later change</a></dd></div>`}
      ${change.request_id && html`<div><dt>Request in the audit</dt><dd><code>${change.request_id}</code></dd></div>`}
      <div><dt>Change</dt><dd><code>${change.id}</code></dd></div>
    </dl>
    ${names.length > 1 && html`<p class="small muted">${names.slice(0, 30).map((name) => html`<a key=${name} class="tag" href=${link(["p", name])}><bdi>${harmless(name)}</bdi></a> `)}${names.length > 30 && `and ${names.length - 30} more`}</p>`}
    ${change.instances.length > 0 && html`<ul class="steps">${change.instances.map((step) => html`<li key=${step.id}>
      <${Icon} name=${FACES[step.status]?.icon ?? "circle"} spin=${step.status === "doing"} />
      <div class="grow"><div class="row wrap"><bdi class="strong">${harmless(step.id)}</bdi><${StateBadge} state=${step.state} plain /></div>
        ${step.reason && html`<div class="small muted">${harmless(step.reason)}</div>`}
        ${step.last_output?.length > 0 && html`<pre class="code">${step.last_output.map(harmless).join("\n")}</pre>`}</div></li>`)}</ul>`}
  </div>`;
}
