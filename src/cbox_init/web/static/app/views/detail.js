// One process: instances, checks, last exits, configuration, environment, events.
import { api, path } from "../api.js";
import { abort } from "../changes.js";
import { EventList, linesOf } from "../event_text.js";
import * as fmt from "../fmt.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useMemo, useState } from "../preact.js";
import { ProcessButtons, restartInstance, scaleTo, signalInstance, stopInstance } from "../process_actions.js";
import { link, setQuery } from "../router.js";
import { can, onEvent, trend, usedBy, useEvents, useStore } from "../store.js";
import { Ago, Badge, Button, Card, Empty, ErrorBox, Icon, Menu, Note, Progress, Search, Skeleton, Spark, StateBadge, Stepper, Table, Tabs, Uptime, View, useLoad } from "../ui.js";
import { panels } from "../views.js";
import Edit from "./edit.js";
import { whyOf } from "./overview.js";

const SCALE_MS = 500;

export default function Detail({ route }) {
  const name = route.parts[1] ?? "";
  const p = useStore((s) => s.byName.get(name));
  const known = useStore((s) => s.processes !== null);
  if (!p) {
    return known
      ? html`<${View} title=${name} crumb=${html`<${Crumb} />`}><${Note} tone="warn" title="There is no process ${name}."
          action=${html`<${Button} small href=${link("overview")}>All processes</${Button}>`}>
          It was removed or renamed, is disabled, or your token may not see it.</${Note}></${View}>`
      : html`<${View} title=${name}><${Skeleton} lines=6 /></${View}>`;
  }
  if (route.parts[2] === "edit") return html`<${Edit} key=${name} name=${name} />`;
  return html`<${Process} key=${name} process=${p} tab=${route.query.tab} />`;
}

function Crumb() {
  return html`<a href=${link("overview")}>Processes</a><${Icon} name="right" size=12 />`;
}

function Process({ process: p, tab }) {
  const tabs = [
    { id: "instances", label: p.schedule ? "Runs" : "Instances", count: p.instances.length },
    { id: "events", label: "Events" },
    ...panels.filter(({ scheduled }) => !scheduled || p.schedule).map(({ id, title }) => ({ id, label: title })),
    ...(can("admin") ? [{ id: "config", label: "Configuration" }, { id: "env", label: "Environment" }] : []),
  ];
  const at = tabs.some((t) => t.id === tab) ? tab : "instances";
  const panel = panels.find((one) => one.id === at);
  const why = whyOf(p);
  return html`<${View} title=${p.name} crumb=${html`<${Crumb} />`} badge=${html`<${StateBadge} process=${p} />`}
    sub=${why || undefined} actions=${html`<${Button} icon="logs" href=${link("logs", { process: p.name })}>Logs</${Button}><${ProcessButtons} process=${p} />`}>
    <${Rollout} process=${p} />
    <${Figures} process=${p} />
    <div><${Tabs} tabs=${tabs} at=${at} onPick=${(id) => setQuery({ tab: id === "instances" ? "" : id })} /></div>
    <div role="tabpanel" class="stack" aria-label=${tabs.find((t) => t.id === at).label}>
      ${at === "instances" && html`<${Instances} process=${p} /><${Exits} name=${p.name} />`}
      ${at === "events" && html`<${Events} name=${p.name} />`}
      ${at === "config" && html`<${Config} name=${p.name} />`}
      ${at === "env" && html`<${Environment} name=${p.name} />`}
      ${panel && html`<${panel.component} process=${p} />`}
    </div>
  </${View}>`;
}

function Rollout({ process: p }) {
  const r = p.rollout;
  const [change, setChange] = useState(null);
  useEffect(() => {
    if (r?.state !== "progressing") return void setChange(null);
    const own = new AbortController();
    api.get("/changes", { query: { process: p.name, status: "doing", limit: 5 }, signal: own.signal })
      .then(({ changes }) => setChange(changes.find((c) => ["restart", "update", "reload"].includes(c.kind)) ?? null), () => {});
    return () => own.abort();
  }, [r?.state]);
  if (!r) return null;
  if (r.state === "progressing") {
    return html`<${Card}><div class="row wrap"><${Icon} name="busy" spin /><span class="strong">Rolling out</span>
      <span class="muted num grow">${r.updated} of ${r.total} new instances are ready</span>
      ${change && can("operator", p.name) && html`<${Button} small icon="x" onClick=${() => abort(change.id)}>Abort</${Button}>`}</div>
      <div class="rollout-bar"><${Progress} done=${r.updated} total=${r.total} /></div></${Card}>`;
  }
  return html`<${Note} tone="bad" title=${r.state === "rolled_back" ? "The change was rolled back." : `The rollout has stopped${r.instance ? ` at ${r.instance}` : ""}.`}>
    <div class="muted">${r.reason} ${r.state === "failed" ? "The old instances that are left go on. Restart the process to try again." : "The former configuration is in force again."}</div></${Note}>`;
}

function Figures({ process: p }) {
  const { cpu, rss } = usedBy(p, useStore((s) => s.figures));
  const kept = trend(p.name);
  const restarts = p.instances.reduce((n, i) => n + i.restart_count, 0);
  const most = p.type === "oneshot" ? 1 : p.max_scale || Infinity;
  return html`<div class="tiles">
    ${p.schedule
      ? html`<div class="tile"><span class="label">Next run</span><span class="value">${p.next_run ? html`<${Ago} at=${p.next_run} />` : "Paused"}</span><span class="note"><code>${p.schedule}</code></span></div>
        <div class="tile"><span class="label">Runs</span><span class="value">${fmt.number(p.run_count)} <small>${p.success_rate === undefined ? "" : `${Math.round(p.success_rate)} % succeeded`}</small></span>
          <span class="note">${p.last_run ? html`last <${Ago} at=${p.last_run} />${p.last_exit_code === undefined ? "" : `, exit code ${p.last_exit_code}`}` : "not run yet"}</span></div>`
      : html`<div class="tile"><span class="label">Instances</span>
        <span class="row">${can("operator", p.name) && p.type !== "oneshot"
          ? html`<span class="value"><${Scale} process=${p} most=${most} /></span>`
          : html`<span class="value">${p.desired_scale}</span>`}</span>
        <span class="note">${p.instances.filter((i) => i.state === "running").length} running${p.autoscale ? `, scaled by ${p.autoscale.metric}` : ""}</span></div>
        <div class="tile"><span class="label">Restarts</span><span class="value">${fmt.number(restarts)}</span><span class="note ellipsis">${reasonsOf(p)}</span></div>`}
    <div class="tile"><span class="label">CPU</span><span class="value">${fmt.percent(cpu)}</span><${Spark} values=${kept.cpu} area max=1 /></div>
    <div class="tile"><span class="label">Memory</span><span class="value">${fmt.bytes(rss)}</span><${Spark} values=${kept.rss} area /></div>
  </div>`;
}

/** The number of instances: clicks in a row are one command. */
function Scale({ process: p, most }) {
  const [asked, setAsked] = useState(null);
  useEffect(() => {
    if (asked === null) return undefined;
    const timer = setTimeout(async () => {
      const sent = asked !== p.desired_scale && await scaleTo(p, asked);
      if (!sent) setAsked(null);
    }, SCALE_MS);
    return () => clearTimeout(timer);
  }, [asked]);
  useEffect(() => setAsked(null), [p.desired_scale]);
  return html`<${Stepper} value=${asked ?? p.desired_scale} min=0 max=${most} onPick=${setAsked} />`;
}

const RESTARTED = {
  crash: "after a crash",
  normal_exit: "after a normal end",
  manual: "by hand",
  health_check: "by its health check",
  memory_limit: "by its memory limit",
  timeout: "after its timeout",
  max_runtime: "after its max_runtime",
  dependency: "with another process",
};

function reasonsOf(p) {
  const sums = {};
  for (const i of p.instances) for (const [why, n] of Object.entries(i.restart_reasons ?? {})) sums[why] = (sums[why] ?? 0) + n;
  const texts = Object.entries(sums).sort(([, a], [, b]) => b - a).map(([why, n]) => `${n} ${RESTARTED[why] ?? why.replaceAll("_", " ")}`);
  return texts.join(", ") || "none since it was started";
}

function Instances({ process: p }) {
  const figures = useStore((s) => s.figures);
  const may = can("operator", p.name);
  const columns = [
    { id: "id", title: p.schedule ? "Run" : "Instance", sort: (i) => Number(/(\d+)$/.exec(i.id)?.[1] ?? 0), cell: (i) => html`<bdi class="name">${harmless(i.id)}</bdi>${i.reason && html`<div class="why">${harmless(i.reason)}</div>`}` },
    { id: "state", title: "State", cell: (i) => html`<${StateBadge} instance=${i} />${i.next_restart_at && html`<div class="why">starts <${Ago} at=${i.next_restart_at} /></div>`}` },
    { id: "checks", title: "Checks", hide: true, cell: (i) => html`<${Health} health=${i.health} />` },
    { id: "pid", title: "PID", right: true, hide: true, cell: (i) => i.pid || html`<span class="faint">–</span>` },
    { id: "cpu", title: "CPU", right: true, hide: true, sort: (i) => figures.instances.get(i.id)?.cpu ?? 0, cell: (i) => i.pid ? fmt.percent(figures.instances.get(i.id)?.cpu ?? i.cpu_percent) : html`<span class="faint">–</span>` },
    { id: "memory", title: "Memory", right: true, sort: (i) => figures.instances.get(i.id)?.rss ?? 0, cell: (i) => i.pid ? fmt.bytes(figures.instances.get(i.id)?.rss ?? i.memory_rss_bytes) : html`<span class="faint">–</span>` },
    { id: "restarts", title: "Restarts", right: true, hide: true, sort: (i) => i.restart_count, cell: (i) => fmt.number(i.restart_count) },
    { id: "uptime", title: "Uptime", right: true, hide: true, cell: (i) => i.state === "running" ? html`<${Uptime} since=${i.started_at} />` : html`<span class="faint">–</span>` },
    ...(may ? [{ id: "Actions", title: "", right: true, cell: (i) => html`<${Menu} small label="Actions for ${i.id}" items=${[
      !p.schedule && p.wanted && { icon: "restart", label: "Restart", run: () => restartInstance(p.name, i.id) },
      i.pid > 0 && { icon: "stop", label: "Stop", run: () => stopInstance(p.name, i.id) },
      i.pid > 0 && { icon: "signal", label: "Send a signal", run: () => signalInstance(p.name, i.id) },
    ]} />` }] : []),
  ];
  const failed = p.instances.filter((i) => i.last_output?.length);
  return html`<${Card} flush title=${p.schedule ? "Runs under way" : "Instances"} count=${p.instances.length}>
    <${Table} label="Instances" columns=${columns} rows=${p.instances} empty=${html`<${Empty} icon=${p.schedule ? "clock" : "stop"} title=${p.schedule ? "No run is under way" : "No instance"}>
      ${p.schedule ? "A run shows here while it goes on." : p.wanted ? "It starts when what it depends on is ready." : "It is stopped. Start it to see its instances."}</${Empty}>`} />
  </${Card}>
  ${failed.map((i) => html`<${Card} key=${i.id} title="Last output of ${i.id}"><pre class="code">${linesOf(i.last_output.join("\n"))}</pre></${Card}>`)}`;
}

function Health({ health: h }) {
  if (!h) return html`<span class="faint">none</span>`;
  const tone = h.status === "healthy" ? "ok" : h.status === "unhealthy" ? "bad" : "info";
  return html`<${Badge} plain tone=${tone} icon=${tone === "ok" ? "ok" : tone === "bad" ? "warn" : "busy"} spin=${tone === "info"}>${h.status}</${Badge}>
    <div class="why">${h.reason ?? h.not_checked ?? h.status_text ?? html`${h.latency_ms !== undefined && fmt.ms(h.latency_ms)}${h.last_check ? html`, <${Ago} at=${h.last_check} />` : ""}`}</div>`;
}

function Exits({ name }) {
  const load = useLoad((signal) => api.get(path`/processes/${name}/events`, { query: { kind: "instance.exited", limit: 8 }, signal }), [name]);
  useEffect(() => {
    let due = 0;
    const off = onEvent((e) => {
      if (e.kind === "missed" || (e.process === name && e.kind === "instance.exited")) due ||= setTimeout(() => { due = 0; load.reload(); }, 300);
    });
    return () => { off(); clearTimeout(due); };
  }, [name]);
  const { data, error } = load;
  if (error && !data) return html`<${ErrorBox} title="The last exits could not be read." error=${error} onRetry=${load.reload} />`;
  if (!data) return html`<${Skeleton} lines=3 />`;
  const columns = [
    { id: "instance", title: "Instance", cell: (e) => html`<span class="name">${e.instance}</span>` },
    { id: "how", title: "How", cell: (e) => html`<${Badge} plain tone=${e.data?.failed ? "bad" : "idle"} icon=${e.data?.failed ? "bad" : "stop"}>${harmless(e.reason ?? `exit code ${e.data?.exit_code}`)}${e.data?.requested ? ", as asked" : ""}</${Badge}>` },
    { id: "output", title: "Last output", hide: true, cell: (e) => html`<span class="mono small muted last-words">${linesOf(e.data?.last_output)}</span>` },
    { id: "when", title: "When", right: true, cell: (e) => html`<${Ago} at=${e.timestamp} />` },
  ];
  return html`<${Card} flush title="Last exits">
    <${Table} label="Last exits" keyOf=${(e) => e.number} columns=${columns} rows=${data.events} empty=${html`<${Empty} icon="ok" title="None has ended">Exits show here with their last lines of output.</${Empty}>`} /></${Card}>`;
}

function Events({ name }) {
  const load = useLoad((signal) => api.get(path`/processes/${name}/events`, { query: { limit: 100 }, signal }), [name]);
  const live = useEvents((e) => e.process === name, 100);
  const { data, error } = load;
  const all = useMemo(() => {
    const seen = new Set();
    return [...live, ...(data?.events ?? [])].filter((e) => {
      const id = `${e.number} ${e.timestamp}`;
      return !seen.has(id) && seen.add(id);
    }).sort((a, b) => fmt.seconds(b.timestamp) - fmt.seconds(a.timestamp)).slice(0, 100);
  }, [live, data]);
  if (error && !data) return html`<${ErrorBox} title="Its events could not be read." error=${error} onRetry=${load.reload} />`;
  return html`<${Card} flush title="Events" count=${all.length} actions=${html`<${Button} small kind="quiet" href=${link("events", { process: name })}>All events</${Button}>`}>
    <${EventList} plain events=${all} /></${Card}>`;
}

function useConfig(name) {
  const load = useLoad((signal) => api.get(path`/processes/${name}`, { signal }), [name]);
  useEffect(() => onEvent((e) => e.kind === "config.changed" && load.reload()), [name]);
  return load;
}

function Config({ name }) {
  const { data, error, reload } = useConfig(name);
  const [text, setText] = useState("");
  const [every, setEvery] = useState(false);
  const rows = useMemo(() => flat(data?.config ?? {}).filter(([key, value]) => !key.startsWith("env.") && key !== "env"
    && (every || !empty(value)) && (!text || key.includes(text.toLowerCase()) || String(value).toLowerCase().includes(text.toLowerCase()))), [data, text, every]);
  if (error && !data) return html`<${ErrorBox} title="The configuration could not be read." error=${error} onRetry=${reload} />`;
  if (!data) return html`<${Skeleton} lines=8 />`;
  return html`<${Card} flush title="Configuration in force" actions=${html`
    <label class="check"><input type="checkbox" checked=${every} onChange=${(e) => setEvery(e.target.checked)} />Also what is not set</label>
    <${Search} value=${text} onInput=${setText} placeholder="Search keys" />
    <${Button} small icon="edit" href=${link(["p", name, "edit"])}>Edit</${Button}>`} footer=${html`<${Icon} name="eye" />Secrets are shown as ***.`}>
    ${rows.length ? html`<dl class="defs">${rows.map(([key, value]) => html`<dt key=${key}><code>${key}</code></dt><dd key="${key} value"><${Value} of=${value} /></dd>`)}</dl>`
      : html`<${Empty} icon="search" title="No key matches">Search for a part of a key or of a value.</${Empty}>`}
  </${Card}>`;
}

const empty = (value) => value === null || value === "" || value === 0 || value === false || (Array.isArray(value) && !value.length) || (typeof value === "object" && value && !Object.keys(value).length);

/** Leaves of a configuration with the path of their key. */
function flat(section, above = "") {
  return Object.entries(section).flatMap(([key, value]) => value && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length
    ? flat(value, `${above}${key}.`) : [[`${above}${key}`, value]]);
}

function Value({ of: value }) {
  if (value === null) return html`<span class="faint">not set</span>`;
  if (Array.isArray(value)) return value.length ? html`<code>${value.every((v) => typeof v !== "object") ? value.map(quoted).join(" ") : JSON.stringify(value)}</code>` : html`<span class="faint">none</span>`;
  if (typeof value === "object") return html`<span class="faint">none</span>`;
  return html`<code>${String(value)}</code>`;
}

/** A word of a command as one would type it in a shell. */
function quoted(word) {
  const text = String(word);
  return /^[\w@%+=:,./{}$-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function Environment({ name }) {
  const { data, error, reload } = useConfig(name);
  const [text, setText] = useState("");
  if (error && !data) return html`<${ErrorBox} title="The environment could not be read." error=${error} onRetry=${reload} />`;
  if (!data) return html`<${Skeleton} lines=4 />`;
  const all = Object.entries(data.config.env ?? {});
  const rows = all.filter(([key, value]) => !text || `${key}=${value}`.toLowerCase().includes(text.toLowerCase()));
  return html`<${Card} flush title="Environment" count=${all.length} actions=${all.length > 0 && html`<${Search} value=${text} onInput=${setText} placeholder="Search variables" />`}
    footer=${html`<${Icon} name="eye" />Secrets are shown as ***. Every instance has the daemon's own environment besides.`}>
    ${rows.length ? html`<dl class="defs">${rows.map(([key, value]) => html`<dt key=${key}><code>${key}</code></dt><dd key="${key} value"><code>${String(value)}</code></dd>`)}</dl>`
      : html`<${Empty} icon="config" title=${all.length ? "No variable matches" : "No variables of its own"} action=${html`<${Button} href=${link(["p", name, "edit"])}>Edit</${Button}>`}>
        ${all.length ? "Search for a part of a name or of a value." : "Add them under env, here or in the file."}</${Empty}>`}
  </${Card}>`;
}
