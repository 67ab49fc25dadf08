// What processes use over time: uPlot, from /metrics/history, and then live. Charts is also used by the view of a process.

import { api } from "../api.js";
import { bytes, number, percent } from "../fmt.js";
import { seriesFrom, withLive } from "../model/series.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { now, useStore } from "../store.js";
import { Button, Card, Empty, ErrorBox, Note, Segments, Skeleton, View } from "../ui.js";
import { NamePicker } from "./name_picker.js";

const RANGES = [
  { id: "15m", label: "15 min", seconds: 900, step: "" },
  { id: "1h", label: "1 h", seconds: 3600, step: "10s" },
  { id: "6h", label: "6 h", seconds: 6 * 3600, step: "1m" },
  { id: "24h", label: "24 h", seconds: 24 * 3600, step: "5m" },
];
const MOST_INSTANCES = 8;
const TENS = [0.1, 0.2, 0.5].concat([1, 10, 100, 1000, 10_000].flatMap((ten) => [ten, 2 * ten, 5 * ten]));
const WHOLES = TENS.filter((step) => step >= 1).concat([1e5, 1e6]);
const TWOS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const whole = (value) => number(Math.round(value));
const rate = (value) => `${bytes(value)}/s`;
const FIGURES = [
  { id: "cpu", title: "CPU", keys: ["cpu_percent"], tree: ["tree_cpu_percent"], live: "cpu", show: (value) => percent(value), least: 1, steps: TENS },
  { id: "memory", title: "Memory", keys: ["memory_rss_bytes"], tree: ["tree_memory_rss_bytes"], live: "rss", show: bytes, least: 2 ** 20, steps: TWOS },
  { id: "descriptors", title: "Open files", keys: ["file_descriptors"], show: whole, least: 4, steps: WHOLES },
  { id: "threads", title: "Threads", keys: ["threads"], show: whole, least: 4, steps: WHOLES },
  { id: "read", title: "Read from storage", keys: ["io_read_bytes_per_second"], show: rate, least: 1024, steps: TWOS },
  { id: "written", title: "Written to storage", keys: ["io_write_bytes_per_second"], show: rate, least: 1024, steps: TWOS },
];

export default function ChartsView({ route: { query } }) {
  const processes = useStore((s) => s.processes);
  const names = useMemo(() => (processes ?? []).filter((one) => one.type === "longrun").map(({ name }) => name), [processes]);
  const name = query.process || names[0];
  const process = useStore((s) => s.byName.get(name));
  return html`<${View} title="Charts" sub=${process && html`<a href=${link(["p", name])}><bdi>${harmless(name)}</bdi></a>`}>
    ${!processes
      ? html`<${Skeleton} lines=6 />`
      : !names.length && !query.process
        ? html`<${Card}><${Empty} icon="charts" title="Nothing to measure">There is no process that runs all the time.</${Empty}></${Card}>`
        : !process
          ? html`<${Card}><${Empty} icon="charts" title="There is no such process">It was removed, or has another name now.
              <div class="btns"><${Button} small onClick=${() => setQuery({ process: "" })}>Show another</${Button}></div></${Empty}></${Card}>`
          : html`<${Charts} key=${name} process=${process} names=${names} onProcess=${(p) => setQuery({ process: p })} />`}
  </${View}>`;
}

/** The charts of one process: a line for each instance. With `names` there is a choice of processes. */
export function Charts({ process, names, onProcess }) {
  const [range, setRange] = useState("15m");
  const [chosen, setChosen] = useState([]);
  const [tree, setTree] = useState(false);
  const ids = process.instances.map(({ id }) => id);
  const shown = useMemo(() => (chosen.length ? chosen : busiest(process)).slice(0, MOST_INSTANCES), [process.name, ids.join("\n"), chosen]);
  const { data, error, refused, reload } = useHistory(process.name, shown, RANGES.find(({ id }) => id === range));
  return html`<div class="stack">
    <div class="row wrap">
      ${names && html`<select class="select chart-process" aria-label="Process" value=${process.name} onChange=${(event) => onProcess(event.target.value)}>
        ${names.map((name) => html`<option key=${name} value=${name}>${harmless(name)}</option>`)}</select>`}
      ${ids.length > 1 && html`<${NamePicker} names=${ids} chosen=${chosen} onChange=${setChosen} word="instance" />`}
      ${!refused && html`<label class="check" title="What an instance has started counts too. This is not among the live figures: load it again to see the latest."><input type="checkbox" checked=${tree} onChange=${(event) => setTree(event.target.checked)} />With child processes</label>`}
      <span class="grow"></span>
      ${!refused && html`<${Button} small kind="quiet" icon="restart" title="Load again what is not live: all but CPU and memory" onClick=${reload} />`}
      <${Segments} label="Time" options=${RANGES} at=${range} onPick=${setRange} />
    </div>
    ${(chosen.length || ids.length) > MOST_INSTANCES && html`<p class="small muted">The ${chosen.length ? "first" : "busiest"} ${MOST_INSTANCES} of ${chosen.length || ids.length} instances. Choose others above.</p>`}
    ${refused && html`<${Note} title="Live figures only.">For a history and more figures, set <code>global.resource_metrics_enabled: true</code> in the configuration.</${Note}>`}
    ${error && !data
      ? html`<${ErrorBox} error=${error} onRetry=${reload} title="The history could not be loaded." />`
      : !data
        ? html`<${Skeleton} lines=8 />`
        : !shown.length
          ? html`<${Card}><${Empty} icon="charts" title="No instance">It has no instance now. Start it to see what it uses.</${Empty}></${Card}>`
          : html`<div class="chart-grid">${FIGURES.filter(({ live }) => live || !refused).map((figure) => html`<${Chart} key=${figure.id} figure=${figure} tree=${tree && !!figure.tree} ids=${shown} data=${data} seconds=${RANGES.find(({ id }) => id === range).seconds} />`)}</div>`}
  </div>`;
}

function busiest(process) {
  return [...process.instances].sort((a, b) => b.cpu_percent - a.cpu_percent).slice(0, MOST_INSTANCES).map(({ id }) => id).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}

/** `{data: Map of id to samples, error}`; loaded again when the connection is back, and when it is asked for. */
function useHistory(name, ids, range) {
  const [got, setGot] = useState({ data: null, error: null, refused: false });
  const [turn, setTurn] = useState(0);
  const connection = useStore((s) => s.link);
  useEffect(() => {
    if (connection !== "live") return undefined;
    const own = new AbortController();
    const load = async () => {
      const since = Math.floor(now() - range.seconds);
      const samples = new Map();
      for (const id of ids) {
        try {
          const query = { process: name, instance: id, since, step: range.step, limit: 2000 };
          samples.set(id, (await api.get("/metrics/history", { query, signal: own.signal })).data);
        } catch (error) {
          if (error.status !== 404) throw error; // one that is gone
          samples.set(id, []);
        }
      }
      return samples;
    };
    load().then(
      (data) => own.signal.aborted || setGot({ data, error: null, refused: false }),
      (error) => {
        if (own.signal.aborted) return;
        if (error.status === 503) setGot((before) => (before.refused ? before : { data: new Map(), error: null, refused: true }));
        else setGot((before) => ({ ...before, error }));
      },
    );
    return () => own.abort();
  }, [name, ids.join("\n"), range, turn, connection]);
  const reload = () => setTurn((n) => n + 1);
  return { ...got, reload };
}

let uplot = null;
/** uPlot and its style, loaded once and only for charts. */
function loadPlot() {
  uplot ??= Promise.all([
    import("../../vendor/uplot/uplot.js"),
    new Promise((resolve) => {
      const sheet = document.createElement("link");
      sheet.rel = "stylesheet";
      sheet.href = new URL("../../vendor/uplot/uplot.css", import.meta.url).href;
      sheet.onload = sheet.onerror = resolve;
      document.head.append(sheet);
    }),
  ]).then(([module]) => module.default);
  uplot.catch(() => (uplot = null));
  return uplot;
}

function Chart({ figure, tree, ids, data, seconds }) {
  const box = useRef(null);
  const plot = useRef(null);
  const [error, setError] = useState(null);
  const [hidden, setHidden] = useState(() => new Set());
  const [at, setAt] = useState(null);
  const start = useMemo(() => seriesFrom(data, ids, tree ? figure.tree : figure.keys), [data, ids, figure, tree]);
  const series = useRef(start);
  const loaded = useRef(start);
  if (loaded.current !== start) series.current = loaded.current = start;
  const empty = !figure.live && start.slice(1).every((values) => values.every((value) => value === null));
  const theme = useTheme();

  useEffect(() => {
    if (empty) return undefined;
    let gone = false;
    let made = null;
    const element = box.current;
    const sizes = new ResizeObserver(() => made?.setSize(sizeOf(element)));
    loadPlot().then((UPlot) => {
      if (gone) return;
      made = plot.current = new UPlot(optionsOf(figure, ids, element, seconds, setAt), series.current, element);
      ids.forEach((id, index) => made.setSeries(index + 1, { show: !hidden.has(id) }));
      sizes.observe(element);
    }, setError);
    return () => {
      gone = true;
      sizes.disconnect();
      made?.destroy();
      plot.current = null;
    };
  }, [figure, ids, seconds, theme, empty]);
  useEffect(() => plot.current?.setData(start), [start]);
  const figures = useStore((s) => s.figures);
  useEffect(() => {
    if (!figure.live || tree || !figures.time) return;
    const values = ids.map((id) => figures.instances.get(id)?.[figure.live] ?? null);
    series.current = withLive(series.current, figures.time, values, figures.time - seconds);
    if (!document.hidden) plot.current?.setData(series.current);
  }, [figures]);

  const toggle = (id, index) => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    setHidden(next);
    plot.current?.setSeries(index + 1, { show: !next.has(id) });
  };
  const last = series.current[0].length - 1;
  const live = figure.live && !tree;
  return html`<${Card} title=${figure.title} flush class="chart-card" actions=${html`<span class="small faint num">${at !== null ? clockOf(series.current[0][at]) : live ? "Live" : last < 0 ? "" : `Until ${clockOf(series.current[0][last])}`}</span>`}>
    ${empty
      ? html`<p class="chart-none faint">Not measured here.</p>`
      : html`<div class="chart" ref=${box} role="img" aria-label=${`${figure.title} of ${ids.map(harmless).join(", ")}`}></div>`}
    <${ErrorBox} error=${error} />
    ${!empty && html`<ul class="chart-legend">${ids.map((id, index) => html`<li key=${id}>
      <button type="button" aria-pressed=${!hidden.has(id)} onClick=${() => toggle(id, index)}>
        <i class=${`dot series s${index % 8}`}></i><span class="ellipsis"><bdi>${harmless(id)}</bdi></span>
        <span class="num">${shownValue(figure, series.current[index + 1], at ?? last)}</span></button></li>`)}</ul>`}
  </${Card}>`;
}

function shownValue(figure, values, at) {
  for (let i = at; i >= 0 && i > at - 5; i--) if (values[i] !== null && values[i] !== undefined) return figure.show(values[i]);
  return "–";
}

function useTheme() {
  const [theme, setTheme] = useState(() => document.documentElement.dataset.theme);
  useEffect(() => {
    const observer = new MutationObserver(() => setTheme(document.documentElement.dataset.theme));
    observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    return () => observer.disconnect();
  }, []);
  return theme;
}

const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockOf = (time) => (time ? clocks.format(time * 1000) : "");
const sizeOf = (box) => ({ width: Math.max(200, box.clientWidth), height: 180 });

function optionsOf(figure, ids, box, seconds, setAt) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--text-3"), font: `11px ${style.getPropertyValue("--font")}`,
    grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
  };
  return {
    ...sizeOf(box),
    legend: { show: false },
    padding: [10, 12, 0, 4],
    cursor: { sync: { key: "charts" }, y: false, points: { size: 6 }, drag: { x: false, y: false } },
    hooks: { setCursor: [(plot) => setAt(plot.cursor.idx ?? null)] },
    scales: {
      // The right edge is the daemon's clock, which may differ from the browser's.
      // Until there are samples for all of the time, it begins with the first one.
      x: { range: (plot) => [Math.max(now() - seconds, Math.min(plot.data[0][0] ?? Infinity, now() - 60)), now()] },
      y: { range: (_, low, high) => [0, Math.max(figure.least, high * 1.1)] },
    },
    axes: [
      { ...axis, size: 28, space: 64, values: (_, times, __, ___, step) => times.map((time) => clocks.format(time * 1000).slice(0, step < 60 ? 8 : 5)) },
      { ...axis, size: 68, space: 32, incrs: figure.steps, values: (_, values) => values.map((value) => figure.show(value)) },
    ],
    series: [
      {},
      ...ids.map((id, index) => ({
        label: id, stroke: colour(`--series-${(index % 8) + 1}`), width: 1.5, spanGaps: false,
        points: { show: false },
        ...(ids.length === 1 ? { fill: `${colour("--series-1")}1f` } : {}),
      })),
    ],
  };
}

/** The charts of one process, as a tab of its view. */
export function ProcessCharts({ process }) {
  return html`<${Charts} process=${process} />`;
}
