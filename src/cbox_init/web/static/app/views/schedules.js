// Schedules: their state, a calendar of the next runs, and the history of each.

import { api, path } from "../api.js";
import { command } from "../changes.js";
import { dateTime, duration, number, plural, seconds } from "../fmt.js";
import { agenda, frequent, fullness, grid, span } from "../model/calendar.js";
import { coloursOf } from "../model/log_buffer.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useMemo, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { can, now, onEvent, useNow, useStore } from "../store.js";
import { Ago, Badge, Button, Card, Empty, ErrorBox, Icon, Segments, Skeleton, StateBadge, Table, View, useLoad } from "../ui.js";
import { logsLink } from "./logs.js";

const DAY_S = 86_400;
/** Of one schedule; one that runs more often is named above the calendar. */
const MOST_RUNS = 400;
const SHOWN_ENTRIES = 60;
const FIRST_RUNS = 8;
const VIEWS = [{ id: "week", label: "Week" }, { id: "day", label: "Day" }, { id: "list", label: "List" }];

export default function Schedules({ route: { query } }) {
  const processes = useStore((s) => s.processes);
  const scheduled = useMemo(() => (processes ?? []).filter((one) => one.type === "scheduled"), [processes]);
  const chosen = scheduled.find(({ name }) => name === query.process);
  const names = scheduled.map(({ name }) => name);
  const colourOf = useMemo(() => coloursOf(names), [names.join("\n")]);
  if (!processes) return html`<${View} title="Schedules"><${Skeleton} lines=8 /></${View}>`;
  if (!scheduled.length) {
    return html`<${View} title="Schedules"><${Card}><${Empty} icon="schedules" title="No schedules">
      Give a process a <code>schedule</code>, such as <code>"0 3 * * *"</code> for every night at three, and its runs appear here.
    </${Empty}></${Card}></${View}>`;
  }
  const running = scheduled.reduce((sum, one) => sum + one.instances.length, 0);
  return html`<${View} title="Schedules" sub=${`${plural(scheduled.length, "schedule")}${running ? `, ${plural(running, "run")} under way` : ""}`}>
    <${Card} flush title="All schedules" count=${scheduled.length}><${List} scheduled=${scheduled} at=${chosen?.name} colourOf=${colourOf} /></${Card}>
    ${chosen && html`<${History} key=${chosen.name} process=${chosen} />`}
    <${Calendar} scheduled=${scheduled} colourOf=${colourOf} />
  </${View}>`;
}

function List({ scheduled, at, colourOf }) {
  const columns = useMemo(() => [
    { id: "name", title: "Name", sort: (p) => p.name, cell: (p) => html`<span class="row schedule-name"><i class=${`dot series s${colourOf(p.name)}`}></i><button type="button" class="as-link name" aria-expanded=${at === p.name} onClick=${() => setQuery({ process: at === p.name ? "" : p.name })}><bdi>${harmless(p.name)}</bdi></button></span>` },
    { id: "state", title: "State", hide: true, sort: (p) => p.state, cell: (p) => html`<${StateBadge} process=${p} />` },
    { id: "schedule", title: "Schedule", hide: true, cell: (p) => html`<code class="nowrap">${harmless(p.schedule)}</code>` },
    { id: "next", title: "Next run", sort: (p) => p.next_run || Infinity, cell: (p) => (p.instances.length ? html`<span class="only-s tone-info">Running</span><span class="hide-s"><${Next} process=${p} /></span>` : html`<${Next} process=${p} />`) },
    { id: "last", title: "Last run", hide: true, sort: (p) => -(p.last_run ?? 0), cell: (p) => html`<${LastRun} process=${p} />` },
    { id: "success", title: "Success", right: true, hide: true, sort: (p) => p.success_rate ?? 0, cell: (p) => (p.run_count ? html`<span title=${plural(p.run_count, "run")}>${Math.round(p.success_rate)} %</span>` : "–") },
    { id: "actions", title: "", right: true, cell: (p) => html`<${Actions} process=${p} />` },
  ], [at, colourOf]);
  return html`<${Table} label="Schedules" columns=${columns} rows=${scheduled} keyOf=${(p) => p.name} at=${at} onRow=${(p) => setQuery({ process: at === p.name ? "" : p.name })} />`;
}

function Next({ process: { next_run: next, schedule_state: state } }) {
  if (state === "paused") return html`<span class="faint">Paused</span>`;
  return next ? html`<${Ago} at=${next} />` : html`<span class="faint">–</span>`;
}

function LastRun({ process: { last_run: last, last_exit_code: code } }) {
  if (!last) return html`<span class="faint">Not yet</span>`;
  return html`<span class="row">${code !== undefined && html`<${Badge} plain tone=${code === 0 ? "ok" : "bad"} icon=${code === 0 ? "ok" : "bad"}>${code === 0 ? "" : `Exit code ${code}`}</${Badge}>`}<${Ago} at=${last} /></span>`;
}

function Actions({ process }) {
  const { name, schedule_state: state } = process;
  if (!can("operator", name)) return null;
  const post = (verb, label) => command(label, () => api.post(path`/processes/${name}/schedule/${verb}`), { kind: verb, process: name });
  const shown = harmless(name);
  return html`<span class="btns nowrap schedule-acts">
    <${Button} small icon="play" title=${`Run ${shown} now`} aria-label=${`Run now: ${shown}`} onClick=${() => post("trigger", `Run ${shown}`)}><span class="hide-s">Run now</span></${Button}>
    ${state === "paused"
      ? html`<${Button} small icon="clock" title=${`Resume ${shown}`} aria-label=${`Resume ${shown}`} onClick=${() => post("resume", `Resume ${shown}`)}><span class="hide-s">Resume</span></${Button}>`
      : html`<${Button} small icon="pause" title=${`Pause ${shown}`} aria-label=${`Pause ${shown}`} onClick=${() => post("pause", `Pause ${shown}`)}><span class="hide-s">Pause</span></${Button}>`}
  </span>`;
}

/** The finished runs of one schedule, and those under way. */
export function History({ process }) {
  const { name } = process;
  const load = useLoad((signal) => Promise.all([
    api.get(path`/processes/${name}/schedule/history`, { query: { limit: 50 }, signal }),
    api.get(path`/processes/${name}/schedule`, { signal }),
  ]), [name]);
  useEffect(() => onEvent((event) => {
    if (event.kind === "missed" || (event.process === name && event.kind.startsWith("schedule."))) load.reload();
  }), [name]);
  const columns = useMemo(() => [
    { id: "id", title: "Run", cell: (run) => html`<a class="mono" href=${logsLink(name, run.id)}>${harmless(run.id.slice(name.length + 1))}</a>` },
    { id: "result", title: "Result", cell: (run) => html`<${Badge} tone=${run.success ? "ok" : "bad"} icon=${run.success ? "ok" : "bad"}>${run.success ? "Success" : run.error ? harmless(run.error) : `Exit code ${run.exit_code}`}</${Badge}>` },
    { id: "start", title: "Started", cell: (run) => html`<${Ago} at=${run.start_time} />` },
    { id: "took", title: "Took", right: true, cell: (run) => duration(seconds(run.end_time) - seconds(run.start_time)) },
    { id: "by", title: "Started by", hide: true, cell: (run) => (run.triggered === "manual" ? "A person" : "The schedule") },
  ], [name]);
  const [all, setAll] = useState(false);
  const [history, detail] = load.data ?? [];
  const stats = detail?.schedule.stats;
  return html`<${Card} flush title=${html`Runs of <bdi>${harmless(name)}</bdi>`} actions=${html`
      <${Button} small kind="quiet" href=${link(["p", name])}>Process</${Button}>
      <${Button} small kind="quiet" icon="logs" href=${logsLink(name)}>Logs</${Button}>
      <${Button} small kind="quiet" icon="x" title="Close" onClick=${() => setQuery({ process: "" })} />`}>
    <${ErrorBox} error=${load.error} onRetry=${load.reload} title="The history could not be loaded." />
    ${stats && html`<dl class="facts">
      <div><dt>Schedule</dt><dd><code>${harmless(detail.schedule.schedule)}</code> <span class="faint">${detail.schedule.timezone}</span></dd></div>
      <div><dt>Runs</dt><dd class="num">${number(stats.total_executions)}</dd></div>
      <div><dt>Failed</dt><dd class="num">${number(stats.failure_count)}</dd></div>
      <div><dt>Average</dt><dd class="num">${stats.success_count + stats.failure_count ? duration(stats.average_duration / 1e9) : "–"}</dd></div>
      <div><dt>Next run</dt><dd class="num">${detail.schedule.next_run ? dateTime(detail.schedule.next_run) : "Paused"}</dd></div>
    </dl>`}
    ${process.instances.map((run) => html`<div key=${run.id} class="run-now row"><${Badge} tone="info" icon="busy" spin>Running</${Badge}><a class="mono" href=${logsLink(name, run.id)}>${harmless(run.id.slice(name.length + 1))}</a><span class="muted">since <${Ago} at=${run.started_at} /></span></div>`)}
    ${history
      ? html`<${Table} label="Runs" columns=${columns} rows=${all ? history.history : history.history.slice(0, FIRST_RUNS)} empty=${html`<${Empty} icon="clock" title="No run has finished yet">The daemon remembers the runs since its start.</${Empty}>`} />`
      : !load.error && html`<div class="card-pad"><${Skeleton} lines=4 /></div>`}
    ${!all && history?.count > FIRST_RUNS && html`<div class="card-pad"><${Button} small onClick=${() => setAll(true)}>Show all ${number(history.count)}</${Button}></div>`}
  </${Card}>`;
}

/** When the next run of a process is, which the live state knows best. */
function NextOf({ name, time }) {
  return html`<${Ago} at=${useStore((s) => s.byName.get(name)?.next_run) ?? time / 1000} />`;
}

function Calendar({ scheduled, colourOf }) {
  const [view, setView] = useState(() => (matchMedia("(max-width: 640px)").matches ? "list" : "week"));
  const [shift, setShift] = useState(0);
  const [cell, setCell] = useState(null);
  const minute = Math.floor(useNow(60_000) / 60);
  const today = now();
  const count = view === "week" ? 7 : 1;
  const start = useMemo(() => {
    const first = new Date(today * 1000);
    first.setHours(0, 0, 0, 0);
    first.setDate(first.getDate() + shift * count);
    return first.getTime();
  }, [view, shift, Math.floor(minute / 60)]);
  const end = view === "list" ? today * 1000 + 7 * DAY_S * 1000 : new Date(start).setDate(new Date(start).getDate() + count);
  // The next runs differ only when a schedule is paused, resumed, changed, or has begun its next run.
  const shape = scheduled.map((one) => `${one.name} ${one.schedule} ${one.schedule_state === "paused"}`).join("\n");
  const hour = Math.floor(minute / 60);
  const { data, error, reload } = useLoad((signal) => api.get("/schedules/upcoming", {
    query: { from: Math.floor(Math.max(now(), view === "list" ? 0 : start / 1000)), until: Math.floor(end / 1000), limit: MOST_RUNS }, signal,
  }), [view, start, shape, hour]);
  const runs = useMemo(() => (data?.runs ?? []).map((run) => ({ process: run.process, time: seconds(run.time) * 1000 })), [data]);
  const often = useMemo(() => frequent(runs, data?.more ?? []), [runs]);
  const drawn = useMemo(() => (often.length ? runs.filter((run) => !data.more.includes(run.process)) : runs), [runs]);
  const title = view === "list" ? "Next seven days" : monthOf(start, end, view);
  const pick = (id) => {
    setView(id);
    setShift(0);
    setCell(null);
  };
  const move = (step) => {
    setShift(step ? shift + step : 0);
    setCell(null);
  };
  const paused = scheduled.filter((one) => one.schedule_state === "paused").length;
  return html`<${Card} flush class="calendar" title=${title} actions=${html`
      ${view !== "list" && html`<${Button} small kind="quiet" icon="left" title="Earlier" disabled=${shift <= 0} onClick=${() => move(-1)} />
        <${Button} small kind="quiet" disabled=${shift === 0} onClick=${() => move(0)}>Today</${Button}>
        <${Button} small kind="quiet" icon="right" title="Later" disabled=${shift >= 52} onClick=${() => move(1)} />`}
      <${Segments} label="Calendar" options=${VIEWS} at=${view} onPick=${pick} />`}>
    <${ErrorBox} error=${error} onRetry=${reload} title="The next runs could not be loaded." />
    ${often.length > 0 && html`<ul class="often" aria-label="Often">${often.slice(0, 12).map(({ process, every, time }) => html`<li key=${process} class="row"><i class=${`dot series s${colourOf(process)}`}></i>
      <button type="button" class="as-link" onClick=${() => setQuery({ process })}><bdi>${harmless(process)}</bdi></button><span class="muted">${every ? `every ${span(every)}` : "often"}, next <${NextOf} name=${process} time=${time} /></span></li>`)}
      ${often.length > 12 && html`<li class="muted">and ${often.length - 12} more that run often</li>`}</ul>`}
    ${!data
      ? !error && html`<div class="card-pad"><${Skeleton} lines=6 /></div>`
      : view === "list"
        ? html`<${Agenda} runs=${drawn} colourOf=${colourOf} />`
        : html`<${Grid} runs=${drawn} colourOf=${colourOf} start=${start} count=${count} cell=${cell} onCell=${setCell} />`}
    ${data && paused > 0 && html`<footer class="small"><${Icon} name="pause" size=14 />${plural(paused, "schedule")} paused, not shown.</footer>`}
  </${Card}>`;
}

const months = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const dayMonths = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const dayNames = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric" });
const times = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayTimes = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });

function monthOf(start, end, view) {
  if (view !== "week") return months.format(start);
  const first = new Date(start).getMonth() === new Date(end - 1).getMonth() ? new Date(start).getDate() : dayMonths.format(start);
  return `${first} – ${months.format(end - 1)}`;
}

function Grid({ runs, colourOf, start, count, cell, onCell }) {
  const { days, most } = useMemo(() => grid(runs, start, count), [runs, start, count]);
  const today = new Date(now() * 1000);
  const isNow = (day, hour) => today.getTime() >= day.start && today.getTime() < day.end && today.getHours() === hour;
  // Of today alone the hours that are over are left out.
  const begun = count === 1 && today.getTime() >= days[0].start && today.getTime() < days[0].end ? today.getHours() : 0;
  const hours = Array.from({ length: 24 - begun }, (_, index) => begun + index);
  const open = cell && days[cell.day]?.hours[cell.hour];
  return html`<div class="scroll-x"><table class=${`week ${count === 1 ? "one" : ""}`} aria-label="Next runs by day and hour">
    <thead><tr><th scope="col"><span class="sr">Hour</span></th>${days.map((day) => html`<th key=${day.start} scope="col" class=${today.getTime() >= day.start && today.getTime() < day.end ? "today" : ""}>
      ${dayNames.format(day.start)}<span class="num faint">${day.total ? number(day.total) : ""}</span></th>`)}</tr></thead>
    <tbody>${hours.map((hour) => html`<tr key=${hour}>
      <th scope="row" class="num">${String(hour).padStart(2, "0")}</th>
      ${days.map((day, index) => html`<${Cell} key=${day.start} colourOf=${colourOf} cell=${day.hours[hour]} most=${most} wide=${count === 1} isNow=${isNow(day, hour)}
        open=${cell?.day === index && cell?.hour === hour} onOpen=${() => onCell(cell?.day === index && cell?.hour === hour ? null : { day: index, hour })} />`)}
    </tr>`)}</tbody>
  </table></div>
  ${open && html`<section class="cell-detail" aria-live="polite">
    <h3>${dayTimes.format(days[cell.day].start)}, ${String(cell.hour).padStart(2, "0")}:00 – ${String(cell.hour).padStart(2, "0")}:59</h3>
    ${open.groups.length
      ? html`<ul>${open.groups.map((group) => html`<li key=${group.process} class="row"><i class=${`dot series s${colourOf(group.process)}`}></i>
          <button type="button" class="as-link" onClick=${() => setQuery({ process: group.process })}><bdi>${harmless(group.process)}</bdi></button>
          <span class="muted num">${timesOf(group)}</span></li>`)}</ul>`
      : html`<p class="muted">No run begins in this hour.</p>`}
  </section>`}`;
}

function timesOf({ times: all, count }) {
  const shown = all.slice(0, 6).map((time) => times.format(time)).join(", ");
  return count > 6 ? `${number(count)} runs: ${shown}, …` : shown;
}

function Cell({ cell, colourOf, most, wide, isNow, open, onOpen }) {
  const shown = cell.groups.slice(0, wide ? 6 : 2);
  const hidden = cell.groups.length - shown.length;
  const label = cell.total ? `${plural(cell.total, "run")}: ${cell.groups.slice(0, 5).map((group) => harmless(group.process)).join(", ")}` : "";
  return html`<td class=${`full-${fullness(cell.total, most)} ${isNow ? "now" : ""} ${open ? "open" : ""}`}>
    ${cell.total > 0 && html`<button type="button" title=${label} aria-expanded=${open} onClick=${onOpen}>
      ${shown.map((group) => html`<span key=${group.process} class=${`run s${colourOf(group.process)}`}><span class="ellipsis"><bdi>${harmless(group.process)}</bdi></span>${group.count > 1 ? html`<b class="num">${group.count}×</b>` : html`<b class="num">${times.format(group.times[0])}</b>`}</span>`)}
      ${hidden > 0 && html`<span class="faint">+${hidden}</span>`}
    </button>`}
  </td>`;
}

function Agenda({ runs, colourOf }) {
  const [all, setAll] = useState(false);
  const entries = useMemo(() => agenda(runs), [runs]);
  if (!entries.length) return html`<${Empty} icon="clock" title="No run in the next seven days">Schedules that are paused are not shown.</${Empty}>`;
  const shown = all ? entries.slice(0, 1000) : entries.slice(0, SHOWN_ENTRIES);
  let last = "";
  return html`<ul class="list agenda">${shown.map((entry) => {
    const day = dayTimes.format(entry.time);
    const head = day !== last;
    last = day;
    return html`${head && html`<li key=${day} class="agenda-day">${day}</li>`}
      <li key=${`${entry.process} ${entry.time}`}>
        <span class="when">${times.format(entry.time)}</span><i class=${`dot series s${colourOf(entry.process)}`}></i>
        <button type="button" class="as-link" onClick=${() => setQuery({ process: entry.process })}><bdi>${harmless(entry.process)}</bdi></button>
        ${entry.every ? html`<span class="muted">every ${span(entry.every)} until ${times.format(entry.until)}${dayTimes.format(entry.until) === day ? "" : `, ${dayNames.format(entry.until)}`}</span><span class="count">${number(entry.count)}</span>` : null}
      </li>`;
  })}</ul>
  ${!all && entries.length > SHOWN_ENTRIES && html`<div class="card-pad"><${Button} small onClick=${() => setAll(true)}>Show all ${number(entries.length)}</${Button}></div>`}`;
}

/** The history of one schedule, as a tab of its process. */
export function ProcessSchedule({ process }) {
  return html`<${History} process=${process} />`;
}
