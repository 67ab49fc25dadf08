// What happens, as it happens, with filters.

import { textOf } from "../event_text.js";
import { dateTime, number, plural } from "../fmt.js";
import { harmless } from "../model/terminal_text.js";
import { html, memo, useEffect, useMemo, useReducer, useRef, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { openStream } from "../sse.js";
import { reconnect, state as store, useStore } from "../store.js";
import { Ago, Badge, Button, Card, Empty, Icon, Segments, Skeleton, View } from "../ui.js";
import { NamePicker } from "./name_picker.js";

const KEPT = 2000;
const FIRST = 512;
const DRAWN = 200;
const DRAW_MS = 150;
/** What can be chosen in the filter: a part of the kinds. */
const KINDS = [
  { id: "instance", label: "Instances", patterns: ["instance.*"] },
  { id: "process", label: "Processes", patterns: ["process.*"] },
  { id: "rollout", label: "Rollouts", patterns: ["rollout.*"] },
  { id: "schedule", label: "Schedules", patterns: ["schedule.*"] },
  { id: "change", label: "Changes", patterns: ["change.*"] },
  { id: "config", label: "Configuration", patterns: ["config.*"] },
  { id: "hook", label: "Hooks", patterns: ["hook.*"] },
  { id: "autoscale", label: "Autoscaling", patterns: ["autoscale.*"] },
  { id: "daemon", label: "Daemon", patterns: ["daemon.*", "log.*", "notification.*"] },
];
const WHAT = [{ id: "", label: "All" }, { id: "problems", label: "Problems" }];

export default function Events({ route: { query } }) {
  const processes = useStore((s) => s.processes);
  const names = useMemo(() => (processes ?? []).map(({ name }) => name), [processes]);
  const [draw, again] = useReducer((n) => n + 1, 0);
  const [paused, setPaused] = useState(false);
  const [most, setMost] = useState(DRAWN);
  const [connection, setConnection] = useState({ state: "connecting", error: null });
  const events = useRef([]);
  const stream = useRef(null);
  const held = useRef(0);
  const halted = useRef(false);
  halted.current = paused;

  useEffect(() => {
    let due = 0;
    events.current = [];
    held.current = 0;
    const kind = KINDS.find(({ id }) => id === query.kind)?.patterns;
    let first = true;
    stream.current = openStream("/events", {
      query: () => ({ kind, process: query.process || undefined, tail: first ? FIRST : 0 }),
      onEvent: ({ event, data }) => {
        const body = JSON.parse(data);
        events.current.push(event === "missed" ? { ...body, kind: "missed" } : body);
        if (events.current.length > KEPT + 200) events.current.splice(0, 200);
        if (halted.current) held.current++;
        due ||= setTimeout(() => {
          due = 0;
          again();
        }, DRAW_MS);
      },
      onState: (state, error) => {
        if (state === "open") {
          first = false;
          if (store().link === "lost") reconnect();
        }
        setConnection({ state, error });
      },
    });
    again();
    return () => {
      clearTimeout(due);
      stream.current.close();
    };
  }, [query.kind, query.process]);
  const auth = useStore((s) => s.auth);
  const live = useStore((s) => s.link);
  useEffect(() => {
    if (auth === "in" && live === "live") stream.current?.retry();
  }, [auth, live]);

  const last = useRef([]);
  const shown = useMemo(() => {
    if (paused) return last.current;
    const wanted = (query.text ?? "").toLowerCase();
    last.current = events.current.filter((event) => {
      if (query.what === "problems" && !["bad", "warn"].includes(textOf(event).tone)) return false;
      return !wanted || JSON.stringify(event).toLowerCase().includes(wanted);
    }).reverse();
    return last.current;
  }, [draw, query.what, query.text, paused]);

  const resume = () => {
    held.current = 0;
    setPaused(!paused);
  };
  const known = names.includes(query.process) || !query.process ? names : [query.process, ...names];
  return html`<${View} title="Events" actions=${html`<${Button} icon=${paused ? "play" : "pause"} kind=${paused ? "primary" : ""} onClick=${resume}>${paused ? (held.current ? `Resume, ${held.current} new` : "Resume") : "Pause"}</${Button}>`}>
    <div class="row wrap filters">
      <div class="search"><${Icon} name="search" /><input class="input" type="search" data-search placeholder="Search in the events" aria-label="Search in the events" value=${query.text ?? ""} onInput=${(event) => setQuery({ text: event.target.value })} /><kbd aria-hidden="true">/</kbd></div>
      <${Segments} label="What" options=${WHAT} at=${query.what ?? ""} onPick=${(what) => setQuery({ what })} />
      <select class="select event-kind" aria-label="Kind" value=${query.kind ?? ""} onChange=${(event) => setQuery({ kind: event.target.value })}>
        <option value="">All kinds</option>${KINDS.map(({ id, label }) => html`<option key=${id} value=${id}>${label}</option>`)}
      </select>
      <${NamePicker} names=${known} chosen=${query.process ? [query.process] : []} onChange=${(list) => setQuery({ process: list.at(-1) ?? "" })} word="process" many="processes" />
    </div>
    <${Card} flush title="Newest first" count=${shown.length} actions=${html`<${Connection} ...${connection} paused=${paused} />`}>
      ${shown.length
        ? html`<ol class="list event-list">${shown.slice(0, most).map((event, index) => html`<${Row} key=${event.number ? `${event.timestamp}-${event.number}` : `m${index}`} event=${event} />`)}</ol>
          ${shown.length > most && html`<div class="card-pad"><${Button} small onClick=${() => setMost(most + 500)}>Show ${number(Math.min(500, shown.length - most))} older</${Button}></div>`}`
        : connection.state === "connecting"
          ? html`<div class="card-pad"><${Skeleton} lines=6 /></div>`
          : connection.state === "refused"
            ? html`<${Empty} icon="warn" title="These events cannot be shown">${harmless(connection.error?.message)}</${Empty}>`
            : html`<${Empty} icon="events" title=${query.text || query.what || query.kind || query.process ? "No event matches" : "Nothing has happened yet"}>
                ${query.text || query.what || query.kind || query.process ? "Change the filter. What happens from now on appears here at once." : "Starts, exits, health, rollouts and commands appear here at once."}</${Empty}>`}
    </${Card}>
  </${View}>`;
}

function Connection({ state, paused }) {
  if (state === "open") return html`<${Badge} plain tone=${paused ? "warn" : "ok"} icon=${paused ? "pause" : "ok"}>${paused ? "Paused" : "Live"}</${Badge}>`;
  return html`<${Badge} plain tone="warn" icon="busy" spin=${state === "waiting" || state === "connecting"}>${state === "waiting" ? "Connecting again…" : state === "unauthorized" ? "Sign in again" : "Connecting…"}</${Badge}>`;
}

const Row = memo(function Row({ event }) {
  const [open, setOpen] = useState(false);
  const { tone, icon, text } = textOf(event);
  if (event.kind === "missed") {
    return html`<li class="event-missed"><${Icon} name="warn" /><span>${event.restarted ? "The daemon was restarted here." : event.count ? `${plural(event.count, "event")} missing here: they are no longer kept.` : "Events are missing here."}</span></li>`;
  }
  const output = event.data?.last_output;
  const data = Object.entries(event.data ?? {}).filter(([key]) => key !== "last_output");
  return html`<li class="event">
    <span class=${`event-icon tone-${tone}`}><${Icon} name=${icon} /></span>
    <div class="grow">
      <div class="row wrap event-head">
        ${event.process && html`<a class="strong event-name" href=${link(["p", event.process])}><bdi>${harmless(event.instance ?? event.process)}</bdi></a>`}
        <span class=${event.process ? "muted" : ""}>${harmless(text)}</span>
        ${event.change && html`<a class="small" href=${link("changes", { id: event.change })}>Change</a>`}
      </div>
      ${event.reason && html`<div class="event-reason">${harmless(event.reason)}</div>`}
      ${output && html`<pre class="code">${[output].flat().map(harmless).join("\n").replaceAll("␊", "\n")}</pre>`}
      ${open && html`<dl class="event-data small">
        <dt>Time</dt><dd>${dateTime(event.timestamp)}</dd><dt>Kind</dt><dd><code>${event.kind}</code></dd><dt>Number</dt><dd>${event.number}</dd>
        ${data.map(([name, value]) => html`<dt key=${name}>${harmless(name)}</dt><dd>${harmless(typeof value === "string" ? value : JSON.stringify(value))}</dd>`)}</dl>`}
    </div>
    <button type="button" class="as-link when" aria-expanded=${open} title=${dateTime(event.timestamp)} onClick=${() => setOpen(!open)}><${Ago} at=${event.timestamp} /></button>
  </li>`;
});
