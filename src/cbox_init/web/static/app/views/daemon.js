// The daemon itself: what it uses, how long its event loop makes others wait, where the log goes.
import { api } from "../api.js";
import * as fmt from "../fmt.js";
import { html, useEffect } from "../preact.js";
import { trend, useStore } from "../store.js";
import { Badge, Card, Empty, ErrorBox, Note, Skeleton, Spark, Table, Uptime, View, useLoad } from "../ui.js";

export default function Daemon() {
  const first = useStore((s) => s.daemon);
  const now = useStore((s) => s.figures.daemon);
  if (!first) return html`<${View} title="Daemon"><${Skeleton} lines=8 /></${View}>`;
  const d = { ...first, ...now };
  const kept = trend("");
  const lag = d.loop.lag_p99_ms;
  const files = d.max_file_descriptors > 0 ? d.file_descriptors / d.max_file_descriptors : 0;
  return html`<${View} title="Daemon" sub=${html`cbox-init ${d.version}, Python ${d.python_version}, PID ${d.pid}`}
    badge=${d.log.backed_up ? html`<${Badge} tone="bad" icon="bad">Log backed up</${Badge}>` : lag > 100 ? html`<${Badge} tone="warn" icon="warn">Slow</${Badge}>` : html`<${Badge} tone="ok" icon="ok">Healthy</${Badge}>`}>
    ${d.log.backed_up && html`<${Note} tone="bad" title="Standard output is not read.">Nothing is started until whatever reads the log of this container takes its lines again.</${Note}>`}
    ${lag > 100 && html`<${Note} tone="warn" title="The event loop is slow.">Requests, exits and output waited ${fmt.ms(lag)} in the last minute. Look for a CPU limit that is too low, or a busy machine.</${Note}>`}
    ${files > 0.8 && html`<${Note} tone="warn" title="Few file descriptors are left.">${d.file_descriptors} of ${d.max_file_descriptors} are open. Raise the limit of open files (ulimit -n) of the container.</${Note}>`}
    <div class="tiles">
      <div class="tile"><span class="label">Uptime</span><span class="value"><${Uptime} since=${d.started_at} /></span><span class="note">since ${fmt.dateTime(d.started_at)}</span></div>
      <div class="tile"><span class="label">CPU</span><span class="value">${now?.cpu_percent === undefined ? "–" : fmt.percent(now.cpu_percent)}</span><span class="note">${fmt.duration(d.cpu_seconds)} in all</span><${Spark} values=${kept.cpu} max=2 area label="CPU of the daemon in the last two minutes" /></div>
      <div class="tile"><span class="label">Memory</span><span class="value">${fmt.bytes(d.memory_rss_bytes)}</span><span class="note">peak ${fmt.bytes(d.memory_peak_bytes)}</span><${Spark} values=${kept.rss} area label="Memory of the daemon in the last two minutes" /></div>
      <div class="tile"><span class="label">Loop lag, 99 of 100 turns</span><span class="value">${fmt.ms(lag)}</span><span class="note">half ${fmt.ms(d.loop.lag_p50_ms)}, longest ${fmt.ms(d.loop.lag_max_ms)}</span></div>
    </div>
    <div class="pair">
      <${Card} flush title="Counts"><dl class="defs">
        <${Row} name="Processes">${fmt.number(d.counts.processes)}${d.counts.scheduled ? `, ${d.counts.scheduled} with a schedule` : ""}</${Row}>
        <${Row} name="Instances">${fmt.number(d.counts.running)} of ${fmt.number(d.counts.instances)} running${d.counts.failed ? `, ${d.counts.failed} failed` : ""}</${Row}>
        <${Row} name="Restarts">${fmt.number(d.counts.restarts)}</${Row}>
        <${Row} name="Scheduled runs">${fmt.number(d.counts.runs)}</${Row}>
        <${Row} name="Threads">${fmt.number(d.threads)}</${Row}>
        <${Row} name="File descriptors">${fmt.number(d.file_descriptors)} of ${d.max_file_descriptors < 0 ? "no limit" : fmt.number(d.max_file_descriptors)}</${Row}>
        <${Row} name="Turns of the loop">${fmt.number(d.loop.turns)} in the last minute</${Row}>
      </dl></${Card}>
      <${Card} flush title="Log and API"><dl class="defs">
        <${Row} name="Records written">${fmt.number(d.log.written_records)}</${Row}>
        <${Row} name="Records dropped">${d.log.dropped_records ? html`<${Badge} plain tone="warn" icon="warn">${fmt.number(d.log.dropped_records)}</${Badge}>` : "none"}</${Row}>
        <${Row} name="Waiting to be written">${fmt.bytes(d.log.queued_bytes)}</${Row}>
        <${Row} name="Readers of logs">${fmt.number(d.log.subscribers)}</${Row}>
        <${Row} name="Requests answered">${fmt.number(d.api.requests)}</${Row}>
        <${Row} name="Connections">${fmt.number(d.api.connections)}</${Row}>
        <${Row} name="Configuration">${d.config ? html`<code>${d.config}</code>` : "from the environment"}</${Row}>
      </dl></${Card}>
    </div>
    <${Outputs} />
  </${View}>`;
}

function Row({ name, children }) {
  return html`<dt>${name}</dt><dd class="num">${children}</dd>`;
}

function Outputs() {
  const { data, error, reload } = useLoad((signal) => api.get("/logs/outputs", { signal }), []);
  const written = useStore((s) => s.figures.daemon?.log?.dropped_records);
  useEffect(() => void (written && reload()), [written]);
  if (error && !data) return html`<${ErrorBox} title="The outputs of the log could not be read." error=${error} onRetry=${reload} />`;
  const columns = [
    { id: "type", title: "Type", cell: (o) => html`<span class="name">${o.type}</span>` },
    { id: "target", title: "Target", hide: true, cell: (o) => html`<code>${o.target}</code>` },
    { id: "state", title: "State", cell: (o) => o.error ? html`<${Badge} tone="bad" icon="bad">${o.error}</${Badge}>` : html`<${Badge} plain tone="ok" icon="ok">written</${Badge}>` },
    { id: "written", title: "Written", right: true, cell: (o) => fmt.number(o.written) },
    { id: "dropped", title: "Dropped", right: true, cell: (o) => fmt.number(o.dropped) },
    { id: "waiting", title: "Waiting", right: true, hide: true, cell: (o) => fmt.bytes(o.queued_bytes) },
  ];
  return html`<${Card} flush title="Outputs of the log">${data
    ? html`<${Table} label="Outputs of the log" keyOf=${(o) => o.target} columns=${columns} rows=${data.outputs} empty=${html`<${Empty} icon="logs" title="No outputs">Records go nowhere.</${Empty}>`} />`
    : html`<div class="body"><${Skeleton} lines=2 /></div>`}</${Card}>`;
}
