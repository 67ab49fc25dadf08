// Live logs of one, several or all processes. LogPanel is also used by the view of a process.

import { copy } from "../clipboard.js";
import { LineFilter, SHOWN_CHARACTERS, coloursOf, piecesOf } from "../model/log_buffer.js";
import { harmless } from "../model/terminal_text.js";
import { number, plural } from "../fmt.js";
import { html, memo, useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { reconnect, useStore } from "../store.js";
import { Button, Empty, Icon, Segments, View } from "../ui.js";
import { LogSession } from "./log_session.js";
import { NamePicker } from "./name_picker.js";

const ROW = 20;
const SPARE_ROWS = 10;
const LEVELS = ["debug", "info", "warn", "error"].map((id) => ({ id, label: id === "debug" ? "All" : id[0].toUpperCase() + id.slice(1) }));

export default function Logs({ route: { query } }) {
  const processes = useStore((s) => s.processes);
  const isName = useStore((s) => s.byName.has(query.process));
  const chosen = useMemo(() => listOf(query.process, isName), [query.process, isName]);
  const instances = useMemo(() => listOf(query.instance), [query.instance]);
  const names = useMemo(() => (processes ?? []).map(({ name }) => name), [processes]);
  return html`<${View} title="Logs" fill>
    <${LogPanel} processes=${chosen} instances=${instances} names=${names}
      onProcesses=${(p) => setQuery({ process: textOf(p), instance: "" })} onInstances=${(i) => setQuery({ instance: textOf(i) })} />
  </${View}>`;
}

/** The logs of one process, as a tab of its view. */
export function ProcessLogs({ process }) {
  const [instances, setInstances] = useState([]);
  const processes = useMemo(() => [process.name], [process.name]);
  return html`<${LogPanel} processes=${processes} instances=${instances} onInstances=${setInstances} />`;
}

/** The names of a list in the address, or the one name that it is. */
function listOf(text, isName) {
  return isName ? [text] : (text ?? "").split(",").filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
}

export function textOf(names) {
  return names.map(encodeURIComponent).join(",");
}

/** The address of the logs of one process, or of one of its instances. */
export function logsLink(process, instance) {
  return link("logs", { process: textOf([process]), instance: instance ? textOf([instance]) : "" });
}

/**
 * The lines of `processes` (none: all), live. With `names` there is a choice of processes, which `onProcesses` gets;
 * `onInstances` gets the choice of instances of a single process.
 */
export function LogPanel({ processes, instances = [], names, onProcesses, onInstances }) {
  const [, draw] = useReducer((n) => n + 1, 0);
  const [level, setLevel] = useState("debug");
  const [stream, setStream] = useState("");
  const [text, setText] = useState("");
  const [only, setOnly] = useState(false);
  const [wrap, setWrap] = useState(() => kept("wrap", false));
  const [follow, setFollow] = useState(true);
  const [selected, setSelected] = useState(null);
  const [found, setFound] = useState(-1);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({ rows: 40, width: 800 });
  const scroller = useRef(null);
  const pending = useRef({ moved: 0, added: 0, fresh: 0 });
  const following = useRef(true);
  following.current = follow;
  const session = useRef(null);
  session.current ??= new LogSession(({ moved }) => {
    pending.current.moved += moved;
    draw();
  });
  const { buffer } = session.current;

  const key = JSON.stringify([processes, instances, level, stream]);
  useEffect(() => {
    session.current.open({
      process: processes, instance: instances, level: level === "debug" ? "" : level, stream,
    });
    setFollow(true);
    setSelected(null);
    setFound(-1);
    return () => session.current.close();
  }, [key]);
  const auth = useStore((s) => s.auth);
  const connection = useStore((s) => s.link);
  useEffect(() => {
    if (auth === "in" && connection === "live") session.current.retry();
  }, [auth, connection]);

  // One stream that is open again says that the others may try now.
  const open = session.current.state === "open";
  useEffect(() => {
    if (open && connection === "lost") reconnect();
  }, [open]);

  const several = processes.length !== 1 || instances.length !== 1;
  const columns = wrap ? columnsIn(size.width, several) : 0;
  const filter = useMemo(() => new LineFilter({ text, only }), [text, only]);
  const shown = useRef({});
  if (shown.current.filter !== filter || shown.current.columns !== columns) {
    shown.current = { filter, columns };
    buffer.show(shown.current);
  }

  const total = buffer.height * ROW;
  useLayoutEffect(() => {
    const box = scroller.current;
    const { moved, added } = pending.current;
    pending.current.moved = pending.current.added = 0;
    if (following.current) {
      box.scrollTop = box.scrollHeight;
    } else if (moved || added) {
      box.scrollTop = Math.max(0, box.scrollTop + (added - moved) * ROW);
      if (moved && found >= 0) setFound((row) => Math.max(0, row - moved));
    }
    const at = Math.floor(box.scrollTop / ROW);
    if (at !== top) setTop(at);
  });
  useEffect(() => {
    const box = scroller.current;
    const measure = () => setSize({ rows: Math.ceil(box.clientHeight / ROW), width: box.clientWidth });
    const observer = new ResizeObserver(measure);
    observer.observe(box);
    measure();
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const timer = setInterval(() => session.current.counts.length && !document.hidden && draw(), 1000);
    return () => clearInterval(timer);
  }, []);

  const scrolled = () => {
    const box = scroller.current;
    if (!box) return; // the last scroll of a view that is left comes when it is gone
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < ROW * 1.5;
    if (atEnd !== follow) {
      setFollow(atEnd);
      pending.current.fresh = buffer.received;
    }
    setTop(Math.floor(box.scrollTop / ROW));
  };
  const older = async () => {
    setFollow(false);
    following.current = false;
    pending.current.added += await session.current.loadOlder();
    draw();
  };
  const find = (step) => {
    const row = buffer.find(found >= 0 ? found : step > 0 ? top - 1 : top + size.rows, step);
    setFound(row);
    if (row < 0) return;
    setFollow(false);
    following.current = false;
    scroller.current.scrollTop = Math.max(0, row - Math.floor(size.rows / 2)) * ROW;
  };
  const pause = () => {
    session.current.pause(!session.current.paused);
    if (!session.current.paused) setFollow(true);
  };
  const toggleWrap = () => {
    keep("wrap", !wrap);
    setWrap(!wrap);
  };
  const toEnd = () => {
    setFollow(true);
    following.current = true;
    draw();
  };
  // A line that is read stays where it is.
  const select = useCallback((item) => {
    setSelected(item);
    if (!item || !following.current) return;
    pending.current.fresh = buffer.received;
    following.current = false;
    setFollow(false);
  }, []);
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    const act = { p: pause, w: toggleWrap, End: toEnd, n: () => find(1), N: () => find(-1) }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  };

  const options = useStore((s) => s.byName.get(processes.length === 1 ? processes[0] : "")?.instances);
  // Several processes have a colour each, the instances of one too.
  const byInstance = useMemo(() => coloursOf(options?.map(({ id }) => id) ?? []), [options?.length, processes]);
  const byProcess = useMemo(() => coloursOf(names ?? processes), [names, processes]);
  const colourOf = (item) => (processes.length === 1 ? byInstance(item.instance) : byProcess(item.process));
  const lines = buffer.window(top - SPARE_ROWS, size.rows + 2 * SPARE_ROWS);
  const own = session.current;
  const waiting = own.paused ? own.intake.size : follow ? 0 : buffer.received - pending.current.fresh;
  return html`<section class="log-panel card" onKeyDown=${keys} aria-label="Log">
    <div class="log-bar">
      ${names && html`<${NamePicker} names=${names} chosen=${processes} onChange=${onProcesses} word="process" many="processes" />`}
      ${onInstances && options?.length > 1 &&
        html`<${NamePicker} names=${options.map(({ id }) => id)} chosen=${instances} onChange=${onInstances} word="instance" />`}
      <${Segments} label="Lowest level" options=${LEVELS} at=${level} onPick=${setLevel} />
      <select class="select log-stream hide-s" aria-label="Stream" value=${stream} onChange=${(event) => setStream(event.target.value)}>
        <option value="">All streams</option><option value="stdout">stdout</option><option value="stderr">stderr</option><option value="file">file</option>
      </select>
      <div class="search log-search">
        <${Icon} name="search" />
        <input class="input" type="search" data-search placeholder="Search in the lines" aria-label="Search in the lines" autocomplete="off" spellcheck=${false} value=${text}
          onInput=${(event) => { setText(event.target.value); setFound(-1); }}
          onKeyDown=${(event) => event.key === "Enter" && find(event.shiftKey ? -1 : 1)} />
        <kbd aria-hidden="true">/</kbd>
      </div>
      ${text && html`<div class="row log-found">
        <span class="small muted num" aria-live="polite">${plural(buffer.matches, "line")}</span>
        <${Button} kind="quiet" small icon="up" title="Previous match (Shift+Enter)" onClick=${() => find(-1)} />
        <${Button} kind="quiet" small icon="down" title="Next match (Enter)" onClick=${() => find(1)} />
        <label class="check small"><input type="checkbox" checked=${only} onChange=${(event) => setOnly(event.target.checked)} />Only matches</label>
      </div>`}
      <span class="grow"></span>
      <div class="btns log-acts">
        <${Button} small class=${wrap ? "pressed" : ""} aria-pressed=${wrap} title="Wrap long lines (w)" onClick=${toggleWrap}>Wrap</${Button}>
        <${Button} small kind=${own.paused ? "primary" : ""} icon=${own.paused ? "play" : "pause"} title="Pause or resume (p)" onClick=${pause}>${own.paused ? "Resume" : "Pause"}</${Button}>
        <${Button} small kind="quiet" icon="save" title="Save these lines as a file" onClick=${() => save(buffer)} />
        <${Button} small kind="quiet" icon="trash" title="Clear the view" onClick=${() => own.clear()} />
      </div>
    </div>
    <div class="log-area">
      <div class=${`log-lines ${wrap ? "wrap" : ""} ${several ? "several" : ""}`} ref=${scroller} onScroll=${scrolled} tabindex="0" role="log" aria-live="off" aria-label="Lines">
        ${buffer.all.length > 0 && !buffer.evicted && html`<div class="log-older">
          ${own.older === "none"
            ? html`<span class="faint">The daemon keeps no older lines of this choice.</span>`
            : html`<${Button} small kind="quiet" busy=${own.older === "loading"} onClick=${older}>Load older lines</${Button}>
                ${own.older === "failed" && html`<span class="tone-bad">${own.olderError}</span>`}`}
        </div>`}
        <div class="log-rows" style=${{ height: `${total}px` }}>
          ${lines.map(({ item, row, rows }) => html`<${Line} key=${item.seq} item=${item} top=${row * ROW} rows=${rows} gap=${item.gap}
            needle=${filter.text} several=${several} colour=${item.gap === undefined ? colourOf(item) : 0} at=${row === found} selected=${selected === item} onSelect=${select} />`)}
        </div>
        ${!buffer.shown.length && html`<${Nothing} session=${own} filtered=${buffer.all.length > 0} level=${level} />`}
      </div>
      ${waiting > 0 && html`<${Button} kind="primary" icon="down" class="log-new" onClick=${own.paused ? pause : toEnd}>${plural(waiting, "new line")}</${Button}>`}
      ${selected && html`<${Details} item=${selected} onClose=${() => setSelected(null)} onProcesses=${onProcesses} onInstances=${onInstances} />`}
    </div>
    <${Foot} session=${own} follow=${follow} />
  </section>`;
}

const Line = memo(function Line({ item, top, rows, gap, needle, several, colour, at, selected, onSelect }) {
  const place = { top: `${top}px`, height: `${rows * ROW}px` };
  if (gap !== undefined) {
    const text = item.note ?? (gap ? `${plural(gap, "line")} dropped here` : "Some lines are missing here");
    return html`<div class="log-gap" style=${place}><span>${text}</span></div>`;
  }
  const long = item.message.length > SHOWN_CHARACTERS;
  const message = long ? item.message.slice(0, SHOWN_CHARACTERS) : item.message;
  const classes = `log-line s${colour} level-${rankName(item.level)} ${at ? "at" : ""} ${selected ? "selected" : ""}`;
  return html`<div class=${classes} style=${place} onClick=${() => getSelection().isCollapsed && onSelect(selected ? null : item)}>
    <time>${timeOf(item.timestamp)}<i>.${item.timestamp.slice(20, 23).padEnd(3, "0")}</i></time>${several &&
    html`<span class="log-name" title=${harmless(item.instance)}><bdi>${harmless(item.instance)}</bdi></span>`}<span class="log-text">${piecesOf(message, needle).map(
      ({ text, className, hit }) => (hit ? html`<mark class=${className}>${text}</mark>` : className ? html`<span class=${className}>${text}</span>` : text),
    )}${long && html`<em class="faint"> … ${number(item.message.length - SHOWN_CHARACTERS)} characters more</em>`}</span>
  </div>`;
});

function Nothing({ session, filtered, level }) {
  if (filtered) return html`<${Empty} icon="search" title="No line matches">Change the search, or turn off “Only matches”.</${Empty}>`;
  if (session.state === "connecting") return html`<${Empty} icon="logs" title="Connecting…"></${Empty}>`;
  if (session.state === "refused") {
    return html`<${Empty} icon="warn" title="These logs cannot be shown">${harmless(session.error?.message)}</${Empty}>`;
  }
  if (session.state === "waiting") return html`<${Empty} icon="warn" title="The daemon cannot be reached">Lines appear here as soon as it answers again.</${Empty}>`;
  const text = level === "debug" ? "What the processes write to standard output and standard error appears here at once." : "No line of this level is kept. Where level_detection is not set, every line has the level info.";
  return html`<${Empty} icon="logs" title="No lines yet">${text}</${Empty}>`;
}

function Foot({ session, follow }) {
  const { buffer, state } = session;
  const faces = {
    open: session.paused ? ["warn", "Paused"] : follow ? ["ok", "Live"] : ["info", "Scrolled back"],
    connecting: ["idle", "Connecting…"],
    waiting: ["warn", "Connection lost. It goes on where it stopped."],
    unauthorized: ["warn", "Sign in again to go on."],
    refused: ["bad", harmless(session.error?.message)],
  };
  const [tone, word] = faces[state] ?? faces.connecting;
  const { rate } = session;
  const missed = buffer.missed + session.intake.missed;
  return html`<footer class="log-foot small" aria-live="polite">
    <span class=${`row tone-${tone}`}><i class=${`dot ${tone}`}></i>${word}</span>
    <span class="grow"></span>
    ${rate >= 1 && html`<span class="num muted">${number(Math.round(rate))} lines/s</span>`}
    ${(missed > 0 || buffer.unknownMissed) && html`<span class="num tone-warn log-dropped" title="More lines came than could be sent or shown. They are in the outputs of the daemon.">
      ${missed ? `${number(missed)} dropped` : "some dropped"}</span>`}
    <span class="num muted">${number(buffer.all.length)} kept</span>
  </footer>`;
}

function Details({ item, onClose, onProcesses, onInstances }) {
  const panel = useRef(null);
  useEffect(() => panel.current.focus(), [item]);
  const fields = Object.entries(item.fields ?? {});
  return html`<aside class="log-details" ref=${panel} tabindex="-1" aria-label="Line" onKeyDown=${(event) => event.key === "Escape" && onClose()}>
    <header class="row"><h2 class="grow">Line</h2>
      <${Button} small kind="quiet" icon="x" title="Close" onClick=${onClose} /></header>
    <dl class="log-defs">
      <dt>Time</dt><dd class="num">${item.timestamp}</dd>
      <dt>Process</dt><dd><a href=${link(["p", item.process])}><bdi>${harmless(item.process)}</bdi></a></dd>
      <dt>Instance</dt><dd><bdi>${harmless(item.instance)}</bdi></dd>
      <dt>Stream</dt><dd>${item.stream}</dd>
      <dt>Level</dt><dd>${item.level}</dd>
      ${fields.map(([name, value]) => html`<dt key=${name}>${harmless(name)}</dt><dd>${harmless(typeof value === "string" ? value : JSON.stringify(value))}</dd>`)}
    </dl>
    <pre class="code">${harmless(item.message)}</pre>
    <div class="btns">
      <${Button} small icon="copy" onClick=${() => copy(item.message)}>Copy</${Button}>
      ${onProcesses && html`<${Button} small onClick=${() => onProcesses([item.process])}>Only this process</${Button}>`}
      ${onInstances && html`<${Button} small onClick=${() => onInstances([item.instance])}>Only this instance</${Button}>`}
    </div>
  </aside>`;
}

/** The columns that a message has in a list of this width; the widths are those of the style sheet. */
function columnsIn(width, several) {
  const narrow = width < 640;
  const name = !several || narrow ? 0 : 168;
  const time = narrow ? 66 : 100;
  return Math.max(16, Math.floor((width - time - name - 24 - 12) / characterWidth()));
}

let measured = 0;
function characterWidth() {
  if (measured) return measured;
  const probe = document.createElement("span");
  probe.className = "log-probe";
  probe.textContent = "0".repeat(100);
  document.body.append(probe);
  measured = probe.getBoundingClientRect().width / 100 || 7.2;
  probe.remove();
  return measured;
}

const clocks = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
let lastSecond = ["", ""];
function timeOf(timestamp) {
  const second = timestamp.slice(0, 19);
  if (second !== lastSecond[0]) lastSecond = [second, clocks.format(new Date(`${second}Z`))];
  return lastSecond[1];
}

const rankName = (level) => (["debug", "info", "warn", "error"].includes(level) ? level : "info");

function save(buffer) {
  const lines = [];
  for (const item of buffer.shown) {
    lines.push(item.gap === undefined ? `${item.timestamp} ${item.instance} ${item.message}` : `… ${item.note ?? `${item.gap || "some"} lines missing`}`);
  }
  const anchor = document.createElement("a");
  anchor.href = URL.createObjectURL(new Blob([lines.join("\n"), "\n"], { type: "text/plain" }));
  anchor.download = "cbox-init.log";
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10_000);
}

function kept(name, usual) {
  try { return JSON.parse(localStorage.getItem(`cbox-init.logs.${name}`)) ?? usual; } catch { return usual; }
}

function keep(name, value) {
  try { localStorage.setItem(`cbox-init.logs.${name}`, JSON.stringify(value)); } catch { /* not kept */ }
}
