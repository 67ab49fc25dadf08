// Components that all views share. Every one takes its look from style.css.
//
//   <Icon name="play" size=16 />                         names: see PATHS below
//   <Button icon="play" kind="primary|danger|quiet" small busy title onClick>Text</Button>   href makes it a link
//   <Badge tone="ok|warn|bad|info|idle" icon>Text</Badge>     <StateBadge process=${entry} /> or state="running"
//   stateOf(entry)  {tone, label, icon} of a process or an instance;   troubled(entry)  whether it needs somebody
//   <Dots instances=${list} />                           one square for each instance
//   <View title sub crumb actions fill wide>…</View>      a whole view with its head
//   <Card title count actions footer flush>…</Card>       flush: the content reaches the edges (tables, lists)
//   <Table columns rows keyOf onRow sort empty label />   columns: [{id, title, cell(row), right, hide, sort(row)}]
//   <Tabs tabs=${[{id, label, count}]} at onPick label />   <Segments options=${[{id, label, count}]} at onPick label />
//   <Search value onInput placeholder />                 the field that "/" reaches
//   <Field label hint error>${(id) => input}</Field>
//   <Dialog title onClose wide footer onSubmit>…</Dialog>   (without onClose it cannot be closed)   <Menu label items=${[{icon, label, run, danger} | "-"]} />
//   <Empty icon title action>text: what to do</Empty>   <ErrorBox error onRetry />   <Note tone title>…</Note>
//   <Skeleton lines=5 />   <Progress done total tone />   <Spark values max label />   <Stepper value min max onPick />
//   <Ago at />  <Uptime since />  times that go on by themselves
//   MOD "⌘" or "Ctrl"
//   useLoad(() => promise, [inputs])   {data, error, loading, reload} of a request, cancelled when inputs change:
//                                      the function gets an AbortSignal
import * as fmt from "./fmt.js";
import { html, memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./preact.js";
import { now as clockNow, useNow } from "./store.js";

const PATHS = {
  overview: "M2.5 3.5h11M2.5 8h11M2.5 12.5h7",
  logs: "M3 2.5h10v11H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3",
  schedules: "M2.5 4h11v9.5h-11zM2.5 7h11M5.5 2.2v3M10.5 2.2v3",
  events: "M1.5 8h3l2-5 3 10 2-5h3",
  changes: "M4.5 2.5v7M4.5 13.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6.5a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM11.5 6.5c0 3-2.5 3.5-5.2 4.3",
  graph: "M4 5.5a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5zM12 9.75a1.75 1.75 0 1 0 0-3.5 1.75 1.75 0 0 0 0 3.5zM4 14a1.75 1.75 0 1 0 0-3.5A1.75 1.75 0 0 0 4 14zM5.6 4.5l4.8 2.6M5.6 11.5l4.8-2.6",
  config: "M2.5 4.5h4M10.5 4.5h3M8.5 6.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4zM2.5 11.5h1M7.5 11.5h6M5.5 13.2a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4z",
  daemon: "M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.75h.01M5 11.25h.01",
  charts: "M2.5 2.5v11h11M5 10.5l2.5-3.5 2.5 2 3.5-5",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3l3.2 3.2",
  play: "M4.5 3v10l8-5z",
  stop: "M4 4h8v8H4z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  restart: "M13 3v3.5H9.5M12.8 6.3A5.2 5.2 0 1 0 13 9.5",
  check: "M3 8.5l3.2 3.2L13 5",
  x: "M4 4l8 8M12 4l-8 8",
  minus: "M3.5 8h9",
  plus: "M8 3.5v9M3.5 8h9",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  warn: "M8 2.2l6.3 11.3H1.7zM8 6.5v3M8 11.5h.01",
  bad: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 5v3.5M8 11h.01",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.5V11M8 5h.01",
  ok: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM5.3 8.2l1.9 1.9 3.5-4",
  circle: "M8 13A5 5 0 1 0 8 3a5 5 0 0 0 0 10z",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
  busy: "M8 2a6 6 0 1 1-6 6",
  edit: "M10.5 3l2.5 2.5-7.5 7.5H3v-2.5zM9 4.5L11.5 7",
  trash: "M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.6 9h6.8l.6-9M6.7 7v4M9.3 7v4",
  signal: "M9 1.8L3.5 9H8l-1 5.2L12.5 7H8z",
  copy: "M5.5 5.5h8v8h-8zM3.5 10.5h-1v-8h8v1",
  eye: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 10a2 2 0 1 0 0-4 2 2 0 0 0 0 4z",
  right: "M6 3.5L10.5 8 6 12.5",
  left: "M10 3.5L5.5 8 10 12.5",
  up: "M3.5 10L8 5.5l4.5 4.5",
  down: "M3.5 6L8 10.5 12.5 6",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  sun: "M8 10.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.4 3.4l1 1M11.6 11.6l1 1M3.4 12.6l1-1M11.6 4.4l1-1",
  moon: "M13.5 9.5A5.8 5.8 0 0 1 6.5 2.5a5.8 5.8 0 1 0 7 7z",
  system: "M2 3h12v8.5H2zM5.5 14h5M8 11.5V14",
  out: "M6.5 2.5h-4v11h4M10 4.5L13.5 8 10 11.5M13.5 8h-7",
  help: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM6.2 6.3a1.8 1.8 0 1 1 2.6 1.6c-.6.3-.8.6-.8 1.2M8 11.2h.01",
  link: "M7 9a2.8 2.8 0 0 0 4 0l2-2a2.8 2.8 0 0 0-4-4l-.8.8M9 7a2.8 2.8 0 0 0-4 0L3 9a2.8 2.8 0 0 0 4 4l.8-.8",
  external: "M9 2.5h4.5V7M13.5 2.5L7.5 8.5M11.5 9.5v4h-9v-9h4",
  filter: "M2 3.5h12L9.5 9v4l-3 1V9z",
  user: "M8 8a2.75 2.75 0 1 0 0-5.5A2.75 2.75 0 0 0 8 8zM2.8 13.5c.6-2.3 2.6-3.5 5.2-3.5s4.6 1.2 5.2 3.5",
  save: "M3 2.5h8l2.5 2.5v8.5h-11V3zM5 2.5v4h5v-4M5 13.5V9.5h6v4",
  skip: "M3 3v10l7-5zM12.5 3v10",
  box: "M8 1.8l5.5 3v6.4L8 14.2l-5.5-3V4.8zM2.5 4.8L8 8l5.5-3.2M8 8v6.2",
};

export const Icon = memo(({ name, size = 16, spin }) => html`
  <svg width=${size} height=${size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5"
    stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" class=${spin ? "spin" : ""}>
    <path d=${PATHS[name] ?? PATHS.circle} />
  </svg>`);

/** The key that goes with K, by the name that it has on this machine. */
export const MOD = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";

export function Logo({ size = 20 }) {
  return html`<svg width=${size} height=${size} viewBox="0 0 20 20" fill="none" aria-hidden="true">
    <rect x="1" y="1" width="18" height="18" rx="5" fill="currentColor" />
    <path d="M6 7l3 3-3 3M10.5 13.5h4" stroke="var(--surface)" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" />
  </svg>`;
}

// Buttons

export function Button({ icon, kind = "", small, big, busy, href, title, children, disabled, type = "button", class: more = "", ...rest }) {
  const bare = !children || (Array.isArray(children) && !children.length);
  const names = `btn ${kind} ${small ? "small" : ""} ${big ? "big" : ""} ${bare ? "icon" : ""} ${more}`;
  const inside = html`${busy ? html`<${Icon} name="busy" spin />` : icon && html`<${Icon} name=${icon} />`}${children}`;
  const label = bare ? title : undefined;
  return href
    ? html`<a class=${names} href=${href} title=${title} aria-label=${label} ...${rest}>${inside}</a>`
    : html`<button class=${names} type=${type} title=${title} aria-label=${label} disabled=${disabled || busy} ...${rest}>${inside}</button>`;
}

export function Menu({ label = "More", icon = "more", items, small, kind = "quiet", up, children }) {
  const [open, setOpen] = useState(false);
  const at = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const away = (event) => at.current?.contains(event.target) || setOpen(false);
    document.addEventListener("pointerdown", away);
    at.current?.querySelector(".menu button")?.focus();
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);
  function key(event) {
    if (!open) return;
    const all = [...at.current.querySelectorAll(".menu button")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") {
      setOpen(false);
      at.current.querySelector("button").focus();
      event.stopPropagation();
    } else if (step) all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
    else return;
    event.preventDefault();
  }
  const shown = items.filter(Boolean);
  if (!shown.length) return null;
  return html`<span class="menu-at" ref=${at} onKeyDown=${key} onClick=${(event) => event.stopPropagation()}>
    <${Button} icon=${icon} kind=${kind} small=${small} title=${label} aria-haspopup="menu" aria-expanded=${open}
      onClick=${() => setOpen(!open)}>${children}</${Button}>
    ${open && html`<div class="menu ${up ? "up" : ""}" role="menu" aria-label=${label}>${shown.map((item) => item === "-"
      ? html`<hr />`
      : html`<button type="button" role="menuitem" class=${item.danger ? "danger" : ""}
          onClick=${() => { setOpen(false); item.run(); }}><${Icon} name=${item.icon} />${item.label}</button>`)}</div>`}
  </span>`;
}

export function Stepper({ value, min = 0, max = Infinity, onPick, label = "Instances" }) {
  return html`<span class="stepper" role="group" aria-label=${label}>
    <button type="button" aria-label="One less" disabled=${value <= min} onClick=${() => onPick(value - 1)}><${Icon} name="minus" size=14 /></button>
    <output aria-live="polite">${value}</output>
    <button type="button" aria-label="One more" disabled=${value >= max} onClick=${() => onPick(value + 1)}><${Icon} name="plus" size=14 /></button>
  </span>`;
}

// States

const STATES = {
  running: { tone: "ok", label: "Running", icon: "ok" },
  starting: { tone: "info", label: "Starting", icon: "busy" },
  stopping: { tone: "warn", label: "Stopping", icon: "busy" },
  stopped: { tone: "idle", label: "Stopped", icon: "circle" },
  failed: { tone: "bad", label: "Failed", icon: "bad" },
  completed: { tone: "ok", label: "Completed", icon: "check" },
  scheduled: { tone: "idle", label: "Scheduled", icon: "clock" },
  paused: { tone: "warn", label: "Paused", icon: "pause" },
};

export function stateOf(entry) {
  const plain = STATES[entry.state] ?? { tone: "idle", label: entry.state, icon: "circle" };
  if (entry.instances) {
    if (entry.rollout?.state === "progressing") return { tone: "info", label: "Rolling", icon: "busy" };
    if (entry.rollout?.state === "failed") return { tone: "bad", label: "Rollout failed", icon: "bad" };
    if (entry.state === "running" && entry.type !== "scheduled" && entry.instances.some(flapping)) return { tone: "warn", label: "Unstable", icon: "warn" };
    if (entry.state === "running" && entry.instances.some(ill)) return { tone: "warn", label: "Degraded", icon: "warn" };
    if (entry.state === "starting" && entry.instances.some((i) => i.next_restart_at)) return { tone: "bad", label: "Crashing", icon: "restart" };
    if (entry.state === "starting" && entry.waiting_for?.length) return { tone: "idle", label: "Waiting", icon: "clock" };
    return plain;
  }
  if (entry.next_restart_at) return { tone: "bad", label: "Restarting", icon: "restart" };
  if (entry.state === "running" && entry.health?.status === "unhealthy") return { tone: "bad", label: "Unhealthy", icon: "warn" };
  if (entry.state === "running" && entry.health && !entry.health.ready) return { tone: "info", label: "Not ready", icon: "busy" };
  return plain;
}

function ill(instance) {
  return instance.state === "failed" || !!instance.next_restart_at || instance.health?.status === "unhealthy" || !!instance.health?.overdue;
}

/** Runs just now, but has crashed again and again, and not run for a minute since. */
function flapping(instance) {
  const crashes = instance.restart_reasons?.crash ?? 0;
  return crashes >= 3 && instance.state === "running" && clockNow() - instance.started_at < 60;
}

export function troubled(entry) {
  return ["bad", "warn"].includes(stateOf(entry).tone) && !["stopping", "paused"].includes(entry.state);
}

export function Badge({ tone = "idle", icon, spin, plain, title, children }) {
  return html`<span class="badge ${tone} ${plain ? "plain" : ""}" title=${title}>${icon && html`<${Icon} name=${icon} size=14 spin=${spin} />`}${children}</span>`;
}

export function StateBadge({ process, instance, state, plain }) {
  const face = stateOf(process ?? instance ?? { state });
  return html`<${Badge} tone=${face.tone} icon=${face.icon} spin=${face.icon === "busy"} plain=${plain}>${face.label}</${Badge}>`;
}

export function Dots({ instances, most = 16 }) {
  const faces = instances.slice(0, most).map((i) => [i.id, stateOf(i)]);
  return html`<span class="dots" aria-hidden="true">
    ${faces.map(([id, face]) => html`<i key=${id} class="dot ${face.tone} ${face.label === "Stopped" ? "hollow" : ""}" title="${id}: ${face.label}"></i>`)}
    ${instances.length > most && html`<span class="faint small">+${instances.length - most}</span>`}
  </span>`;
}

export function Progress({ done, total, tone = "" }) {
  const known = total > 0;
  const bar = useRef(null);
  useLayoutEffect(() => {
    bar.current.style.width = known ? `${(100 * done) / total}%` : "";
  }, [done, total]);
  return html`<div class="progress ${tone} ${known ? "" : "unsure"}" role="progressbar" aria-label="Progress" aria-valuemin="0"
    aria-valuemax=${known ? total : undefined} aria-valuenow=${known ? done : undefined}><i ref=${bar}></i></div>`;
}

export function Spark({ values, max = 0, label, area }) {
  if (values.length < 2) return html`<div class="spark"><svg viewBox="0 0 60 20" preserveAspectRatio="none" aria-hidden="true"></svg></div>`;
  const top = Math.max(max, ...values) || 1;
  const step = 60 / 59, first = 60 - (values.length - 1) * step;
  const line = values.map((v, at) => `${at ? "L" : "M"}${(first + at * step).toFixed(1)} ${(19 - (18 * v) / top).toFixed(1)}`).join("");
  return html`<div class="spark"><svg viewBox="0 0 60 20" preserveAspectRatio="none" role=${label ? "img" : undefined} aria-label=${label} aria-hidden=${label ? undefined : "true"}>
    ${area && html`<path class="area-fill" d="${line}L60 20L${first.toFixed(1)} 20Z" />`}<path d=${line} /></svg></div>`;
}

// Frames

export function View({ title, sub, crumb, actions, fill, wide, badge, children }) {
  useEffect(() => {
    if (typeof title === "string") document.title = `${title} · cbox-init`;
  }, [title]);
  return html`<div class="view ${fill ? "fill" : ""} ${wide ? "wide" : ""}">
    <div class="head">
      <div class="grow">
        ${crumb && html`<nav class="crumb" aria-label="Above">${crumb}</nav>`}
        <div class="row wrap"><h1>${title}</h1>${badge}</div>
        ${sub && html`<div class="sub">${sub}</div>`}
      </div>
      ${actions && html`<div class="btns">${actions}</div>`}
    </div>
    ${children}
  </div>`;
}

export function Card({ title, count, actions, footer, flush, children, class: more = "" }) {
  return html`<section class="card ${more}" aria-label=${title}>
    ${(title || actions) && html`<header>
      ${title && html`<h2 class="row">${title}${count !== undefined && html`<span class="count">${count}</span>`}</h2>`}
      <span class="grow"></span>${actions}
    </header>`}
    ${flush ? children : html`<div class="body">${children}</div>`}
    ${footer && html`<footer>${footer}</footer>`}
  </section>`;
}

export function Table({ columns, rows, keyOf = (row) => row.id, onRow, sort, empty, label, at }) {
  const [by, setBy] = useState(sort ?? null);
  const shown = useMemo(() => {
    const column = by && columns.find((c) => c.id === by.id);
    if (!column?.sort) return rows;
    const sorted = rows.map((row) => [column.sort(row), row]).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, row]) => row);
    return by.down ? sorted.reverse() : sorted;
  }, [rows, by, columns]);
  const pick = (id) => setBy(by?.id !== id ? { id, down: false } : by.down ? null : { id, down: true });
  if (!rows.length && empty) return empty;
  return html`<div class="scroll-x" tabindex=${onRow ? undefined : "0"} role=${onRow ? undefined : "region"} aria-label=${onRow ? undefined : `${label}, table`}><table class="table" aria-label=${label}>
    <thead><tr>${columns.map((c) => html`<th key=${c.id} scope="col" class="${c.right ? "right" : ""} ${c.hide ? "hide-s" : ""}"
      aria-sort=${by?.id === c.id ? (by.down ? "descending" : "ascending") : undefined}>
      ${c.sort ? html`<button type="button" onClick=${() => pick(c.id)}>${c.title}${by?.id === c.id && html`<${Icon} name=${by.down ? "down" : "up"} size=12 />`}</button>`
        : c.title || html`<span class="sr">${c.id}</span>`}</th>`)}</tr></thead>
    <tbody>${shown.map((row) => html`<tr key=${keyOf(row)} class="${onRow ? "link" : ""} ${at === keyOf(row) ? "at" : ""}"
      onClick=${onRow && ((event) => event.target.closest("a, button, input") || onRow(row))}>
      ${columns.map((c) => html`<td key=${c.id} class="${c.right ? "right" : ""} ${c.hide ? "hide-s" : ""}">${c.cell(row)}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

export function Tabs({ tabs, at, onPick, label = "Parts" }) {
  const list = useRef(null);
  function key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.findIndex((t) => t.id === at) + step + tabs.length) % tabs.length];
    onPick(next.id);
    list.current.querySelector(`[data-tab="${next.id}"]`)?.focus();
  }
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${key}>
    ${tabs.map((t) => html`<button key=${t.id} type="button" role="tab" data-tab=${t.id} aria-selected=${t.id === at} tabindex=${t.id === at ? 0 : -1}
      onClick=${() => onPick(t.id)}>${t.label}${t.count !== undefined && html`<span class="count">${t.count}</span>`}</button>`)}
  </div>`;
}

export function Segments({ options, at, onPick, label }) {
  return html`<div class="segments" role="group" aria-label=${label}>
    ${options.map((o) => html`<button key=${o.id} type="button" aria-pressed=${o.id === at} title=${o.title} aria-label=${o.icon && !o.label ? o.title : undefined} onClick=${() => onPick(o.id)}>
      ${o.icon && html`<${Icon} name=${o.icon} size=14 />`}${o.label}${o.count !== undefined && html`<span class="num faint">${o.count}</span>`}</button>`)}
  </div>`;
}

export function Search({ value, onInput, placeholder = "Search", label = placeholder }) {
  return html`<div class="search"><${Icon} name="search" />
    <input class="input" type="search" data-search value=${value} placeholder=${placeholder} aria-label=${label} autocomplete="off" spellcheck=${false}
      onInput=${(event) => onInput(event.target.value)}
      onKeyDown=${(event) => { if (event.key === "Escape") { value ? onInput("") : event.target.blur(); event.stopPropagation(); } }} />
    <kbd aria-hidden="true">/</kbd></div>`;
}

let fieldNumber = 0;
export function Field({ label, hint, error, full, children }) {
  const id = useMemo(() => `field-${++fieldNumber}`, []);
  return html`<div class="field ${full ? "full" : ""}">
    <label for=${id}>${label}</label>
    ${typeof children === "function" ? children(id) : children}
    ${error ? html`<span class="wrong" role="alert"><${Icon} name="bad" size=14 />${error}</span>` : hint && html`<span class="hint">${hint}</span>`}
  </div>`;
}

// Dialog: the browser's own, which keeps the focus inside, and gives it back

export function Dialog({ title, onClose, wide, footer, onSubmit, children, class: more = "", bare }) {
  const at = useRef(null);
  useLayoutEffect(() => { // before the next key: an effect comes after painting, and keys went to the page until then
    at.current.showModal();
    return () => at.current?.close();
  }, []);
  const inside = html`
    ${!bare && html`<header><h2>${title}</h2>${onClose && html`<${Button} kind="quiet" small icon="x" title="Close" onClick=${onClose} />`}</header>`}
    ${bare ? children : html`<div class="body" tabindex="-1">${children}</div>`}
    ${footer && html`<footer>${footer}</footer>`}`;
  return html`<dialog class="dialog ${wide ? "wide" : ""} ${more}" ref=${at} aria-label=${title}
    onCancel=${(event) => { event.preventDefault(); onClose?.(); }}
    onMouseDown=${(event) => event.target === at.current && onClose?.()}>
    ${onSubmit ? html`<form onSubmit=${(event) => { event.preventDefault(); onSubmit(); }} novalidate>${inside}</form>` : html`<div class="in">${inside}</div>`}
  </dialog>`;
}

export function ConfirmDialog({ title, body, action = "Go on", danger, close }) {
  return html`<${Dialog} title=${title} onClose=${() => close(false)} onSubmit=${() => close(true)} footer=${html`
    <${Button} onClick=${() => close(false)}>Cancel</${Button}>
    <${Button} type="submit" kind=${danger ? "danger solid" : "primary"} autofocus>${action}</${Button}>`}>
    <div class="muted">${body}</div>
  </${Dialog}>`;
}

// What is not there, and what went wrong

export function Empty({ icon = "box", title, action, children }) {
  return html`<div class="empty"><${Icon} name=${icon} size=24 /><p class="title">${title}</p>
    ${children && html`<p>${children}</p>`}${action && html`<div class="btns">${action}</div>`}</div>`;
}

export function Note({ tone = "info", icon, title, action, children }) {
  return html`<div class="note-box ${tone}" role=${tone === "bad" ? "alert" : "status"}><${Icon} name=${icon ?? { ok: "ok", bad: "bad", warn: "warn" }[tone] ?? "info"} />
    <div class="grow">${title && html`<div class="strong">${title}</div>`}${children}</div>${action}</div>`;
}

export function ErrorBox({ error, onRetry, title }) {
  if (!error) return null;
  return html`<${Note} tone="bad" title=${title ?? error.message}
    action=${onRetry && html`<${Button} small icon="restart" onClick=${onRetry}>Try again</${Button}>`}>
    ${title && html`<div>${error.message}</div>`}
    ${error.details?.length ? html`<ul>${error.details.map((d) => html`<li>${d}</li>`)}</ul>` : null}
    ${error.hint && html`<div class="muted">${error.hint}</div>`}
  </${Note}>`;
}

const WIDTHS = [92, 78, 85, 64, 88, 71];
export function Skeleton({ lines = 5 }) {
  return html`<div class="stack tight" role="status" aria-label="Loading">
    ${Array.from({ length: lines }, (_, at) => html`<div class="skeleton" style=${{ width: `${WIDTHS[at % WIDTHS.length]}%` }}></div>`)}</div>`;
}

// Times

export function Ago({ at }) {
  const now = useNow(1000);
  return html`<time class="num nowrap" datetime=${new Date(fmt.seconds(at) * 1000).toISOString()} title=${fmt.dateTime(at)}>${fmt.ago(at, now)}</time>`;
}

export function Uptime({ since }) {
  const now = useNow(1000);
  return since ? html`<span class="num nowrap" title=${fmt.dateTime(since)}>${fmt.duration(now - since)}</span>` : html`<span class="faint">–</span>`;
}

export function useLoad(load, inputs = []) {
  const [got, setGot] = useState({ data: null, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const own = new AbortController();
    setGot((before) => ({ ...before, loading: true }));
    load(own.signal).then(
      (data) => own.signal.aborted || setGot({ data, error: null, loading: false }),
      (error) => own.signal.aborted || setGot((before) => ({ data: before.data, error, loading: false })),
    );
    return () => own.abort();
  }, [...inputs, turn]);
  const reload = useCallback(() => setTurn((n) => n + 1), []);
  return { ...got, reload };
}
