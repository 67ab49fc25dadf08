// All processes with their live state, what needs somebody, and what has happened last.
import { EventList } from "../event_text.js";
import * as fmt from "../fmt.js";
import { harmless } from "../model/terminal_text.js";
import { html, memo, useMemo } from "../preact.js";
import { menuFor } from "../process_actions.js";
import { go, link, setQuery } from "../router.js";
import { can, trend, usedBy, useEvents, useStore } from "../store.js";
import { Ago, Button, Card, Dots, Empty, Icon, Menu, Search, Segments, Skeleton, Spark, StateBadge, Uptime, View, troubled } from "../ui.js";

const KINDS = {
  all: () => true,
  trouble: troubled,
  running: (p) => p.state === "running",
  stopped: (p) => ["stopped", "completed", "failed", "paused"].includes(p.state),
  scheduled: (p) => !!p.schedule,
};

export default function Overview({ route }) {
  const processes = useStore((s) => s.processes);
  const daemon = useStore((s) => s.daemon);
  const text = route.query.q ?? "";
  const kind = KINDS[route.query.show] ? route.query.show : "all";
  const found = useMemo(() => {
    const wanted = text.toLowerCase();
    return (processes ?? []).filter((p) => KINDS[kind](p) && (!wanted || p.name.toLowerCase().includes(wanted)));
  }, [processes, text, kind]);
  const add = can("admin") && html`<${Button} icon="plus" kind="primary" href=${link("new")}>Add a process</${Button}>`;
  if (!processes) return html`<${View} title="Processes"><${Skeleton} lines=8 /></${View}>`;
  const count = (id) => processes.filter(KINDS[id]).length;
  return html`<${View} title="Processes" actions=${add}
    sub=${daemon && html`cbox-init ${daemon.version}${daemon.config ? html`, <code>${daemon.config}</code>` : ""}, up <${Uptime} since=${daemon.started_at} />`}>
    <${Tiles} processes=${processes} />
    <${Trouble} processes=${processes} />
    <${Card} flush title="All processes" actions=${html`
      <${Segments} label="Show" at=${kind} onPick=${(id) => setQuery({ show: id === "all" ? "" : id })} options=${[
        { id: "all", label: "All", count: processes.length }, { id: "trouble", label: "Attention", count: count("trouble") },
        { id: "running", label: "Running", count: count("running") }, { id: "stopped", label: "Stopped", count: count("stopped") },
        ...(count("scheduled") ? [{ id: "scheduled", label: "Scheduled", count: count("scheduled") }] : []),
      ]} />
      <${Search} value=${text} onInput=${(q) => setQuery({ q })} placeholder="Search processes" />`}>
      ${found.length ? html`<${Rows} processes=${found} />` : html`<${Empty} icon="search" title=${processes.length ? "No process matches" : "No processes yet"}
        action=${processes.length ? html`<${Button} onClick=${() => setQuery({ q: "", show: "" })}>Show all</${Button}>` : add}>
        ${processes.length ? `None is called “${text}”${kind === "all" ? "" : " in this selection"}.` : "Add one here, or in the configuration file, and reload it."}</${Empty}>`}
    </${Card}>
    <${Activity} />
  </${View}>`;
}

function Tiles({ processes }) {
  const figures = useStore((s) => s.figures);
  let instances = 0, wanted = 0, running = 0, restarts = 0, bad = 0, cpu = 0, rss = 0;
  const total = { cpu: [], rss: [] };
  for (const p of processes) {
    wanted += p.wanted && p.type !== "oneshot" && !p.schedule ? p.desired_scale : 0;
    bad += troubled(p);
    for (const i of p.instances) {
      instances += 1;
      running += i.state === "running" && p.type !== "oneshot" && !p.schedule;
      restarts += i.restart_count;
      const now = figures.instances.get(i.id);
      cpu += figures.time ? now?.cpu ?? 0 : i.cpu_percent;
      rss += figures.time ? now?.rss ?? 0 : i.memory_rss_bytes;
    }
    const kept = trend(p.name);
    for (const key of ["cpu", "rss"]) {
      const from = kept[key].length;
      for (let n = 0; n < from; n++) total[key][59 - n] = (total[key][59 - n] ?? 0) + kept[key][from - 1 - n];
    }
  }
  const next = Math.min(...processes.map((p) => p.next_run || Infinity));
  const dense = (list) => list.filter((v) => v !== undefined);
  return html`<div class="tiles">
    <div class="tile"><span class="label">Health</span><span class="value row ${bad ? "tone-bad" : "tone-ok"}"><${Icon} name=${bad ? "bad" : "ok"} size=20 />${bad ? `${bad} to look at` : "All well"}</span>
      <span class="note">${fmt.plural(processes.length, "process", "processes")}</span></div>
    <div class="tile"><span class="label">Instances running</span><span class="value">${fmt.number(running)} <small>of ${fmt.number(wanted)} wanted</small></span>
      <span class="note">${fmt.plural(restarts, "restart")}</span></div>
    <div class="tile"><span class="label">CPU</span><span class="value">${fmt.percent(cpu)} <small>of one core</small></span><${Spark} values=${dense(total.cpu)} area max=1 /></div>
    <div class="tile"><span class="label">Memory</span><span class="value">${fmt.bytes(rss)}</span><${Spark} values=${dense(total.rss)} area /></div>
    ${Number.isFinite(next) && html`<div class="tile"><span class="label">Next scheduled run</span><span class="value"><${Ago} at=${next} /></span>
      <span class="note ellipsis">${processes.find((p) => p.next_run === next).name}, ${fmt.clock(next)}</span></div>`}
  </div>`;
}

/** Why something is not well, in words, with what one can do at once. */
function Trouble({ processes }) {
  const bad = processes.filter(troubled);
  const exits = useEvents((e) => e.kind === "instance.exited" && e.data?.last_output, 300);
  const lastWords = (p) => p.instances.find((i) => i.last_output?.length)?.last_output.at(-1)
    ?? exits.find((e) => e.process === p.name)?.data.last_output.split("\n").at(-1);
  if (!bad.length) return null;
  return html`<${Card} flush title="Needs attention" count=${bad.length}>
    <ul class="list">${bad.slice(0, 8).map((p) => html`<li key=${p.name}>
      <span class="trouble-state"><${StateBadge} process=${p} /></span>
      <div class="grow"><a class="strong" href=${link(["p", p.name])}><bdi>${harmless(p.name)}</bdi></a> <span class="muted">${whyOf(p)}</span>
        ${lastWords(p) && html`<div class="small faint mono ellipsis">${harmless(lastWords(p))}</div>`}</div>
      <${Button} small icon="logs" href=${link("logs", { process: p.name })}>Logs</${Button}>
    </li>`)}
    ${bad.length > 8 && html`<li><a href=${link("overview", { show: "trouble" })}>All ${bad.length}</a></li>`}</ul>
  </${Card}>`;
}

/** Why a process is not as it should be, or "". */
export function whyOf(p) {
  return harmless(reasonOf(p));
}

function reasonOf(p) {
  const one = p.instances.find((i) => i.reason) ?? {};
  const crashes = Math.max(0, ...p.instances.map((i) => i.restart_reasons?.crash ?? 0));
  if (p.state === "running" && !p.reason && !one.reason && crashes >= 3 && troubled(p)) return `has crashed ${crashes} times`;
  if (p.reason) return p.reason;
  if (p.rollout?.reason) return p.rollout.reason;
  if (one.reason) return p.instances.length > 1 ? `${one.id}: ${one.reason}` : one.reason;
  if (p.waiting_for?.length) return `waits for ${p.waiting_for.join(", ")}`;
  return "";
}

const COLUMNS = ["Name", "State", "Instances", "CPU", "", "Memory", "Restarts", "Uptime"];
const HIDDEN = new Set(["", "Instances", "Restarts", "Uptime", "CPU", "Memory"]);
const RIGHT = new Set(["CPU", "Memory", "Restarts", "Uptime"]);

function Rows({ processes }) {
  return html`<table class="table processes" aria-label="Processes">
    <thead><tr>${COLUMNS.map((c, n) => html`<th key=${n} scope="col" class="${RIGHT.has(c) ? "right" : ""} ${HIDDEN.has(c) ? "hide-s" : ""}">${c || html`<span class="sr">CPU in the last two minutes</span>`}</th>`)}
      <th scope="col"><span class="sr">Actions</span></th></tr></thead>
    <tbody>${processes.map((p) => html`<${Row} key=${p.name} process=${p} />`)}</tbody>
  </table>`;
}

const Row = memo(function Row({ process: p }) {
  const why = whyOf(p);
  const restarts = p.instances.reduce((n, i) => n + i.restart_count, 0);
  const since = Math.min(...p.instances.filter((i) => i.state === "running" && i.started_at).map((i) => i.started_at));
  return html`<tr class="link" data-process=${p.name} onClick=${(event) => event.target.closest("a, button") || go(link(["p", p.name]))}>
    <td><a class="name" href=${link(["p", p.name])}><bdi>${harmless(p.name)}</bdi></a>
      ${why ? html`<div class="why">${why}</div>` : p.type !== "longrun" && html`<div class="why">${p.schedule ? html`<code>${p.schedule}</code>` : p.type}</div>`}
      ${!p.schedule && p.type !== "oneshot" && p.wanted && html`<div class="only-s why num">${readyOf(p)} of ${p.desired_scale} ready</div>`}</td>
    <td><${StateBadge} process=${p} />${p.rollout?.state === "progressing" && html` <span class="small faint num">${p.rollout.updated}/${p.rollout.total}</span>`}</td>
    <td class="hide-s">${p.schedule
      ? html`<span class="small muted">${p.next_run ? html`next <${Ago} at=${p.next_run} />` : `${p.run_count ?? 0} runs`}</span>`
      : html`<span class="row"><span class="num ${p.scale === p.desired_scale ? "" : "strong"}">${readyOf(p)}<span class="faint">/${p.wanted ? p.desired_scale : 0}</span></span><${Dots} instances=${p.instances} most=12 /></span>`}</td>
    <${Figures} process=${p} />
    <td class="right hide-s ${restarts ? "" : "faint"}">${fmt.number(restarts)}</td>
    <td class="right hide-s">${Number.isFinite(since) ? html`<${Uptime} since=${since} />` : html`<span class="faint">–</span>`}</td>
    <td class="right"><${Menu} small label="Actions for ${p.name}" items=${menuFor(p)} /></td>
  </tr>`;
});

function readyOf(p) {
  if (p.type === "oneshot") return p.instances.filter((i) => i.state === "completed" || i.state === "running").length;
  return p.instances.filter((i) => i.state === "running" && i.health?.ready !== false).length;
}

function Figures({ process: p }) {
  const { cpu, rss } = usedBy(p, useStore((s) => s.figures));
  const alive = p.instances.some((i) => i.pid);
  return html`<td class="right hide-s">${alive ? fmt.percent(cpu) : html`<span class="faint">–</span>`}</td>
    <td class="hide-s">${alive && html`<${Spark} values=${trend(p.name).cpu} max=5 />`}</td>
    <td class="right hide-s">${alive ? fmt.bytes(rss) : html`<span class="faint">–</span>`}</td>`;
}

function Activity() {
  const events = useEvents((e) => !e.kind.startsWith("change.") && e.kind !== "log.dropped", 10);
  return html`<${Card} flush title="Latest events" actions=${html`<${Button} small kind="quiet" href=${link("events")}>All events</${Button}>`}>
    <${EventList} events=${events} />
  </${Card}>`;
}
