// Adding and editing a process: the common keys as fields, all keys as JSON, checked by the daemon as one types.
import { api, path } from "../api.js";
import { command, confirm } from "../changes.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useRef, useState } from "../preact.js";
import { go, link } from "../router.js";
import { useStore } from "../store.js";
import { Button, Card, ErrorBox, Field, Icon, Note, Segments, Skeleton, View } from "../ui.js";

const CHECK_MS = 300;

export default function Edit({ name = "" }) {
  const [start, setStart] = useState(name ? null : { command: "" });
  const [error, setError] = useState(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!name) return undefined;
    const own = new AbortController();
    setError(null);
    written(name, own.signal).then(setStart, (e) => own.signal.aborted || setError(e));
    return () => own.abort();
  }, [name, turn]);
  if (error) return html`<${View} title="Edit ${harmless(name)}" crumb=${html`<${Crumb} name=${name} />`}><${ErrorBox} title="The configuration could not be read." error=${error} onRetry=${() => setTurn(turn + 1)} /></${View}>`;
  if (!start) return html`<${View} title="Edit ${harmless(name)}" crumb=${html`<${Crumb} name=${name} />`}><${Skeleton} lines=8 /></${View}>`;
  return html`<${Form} name=${name} start=${start} />`;
}

/** The keys of a process that do not have their default, secrets masked. */
async function written(name, signal) {
  const whole = await api.get("/config", { signal }).catch((error) => { if (error.status !== 404) throw error; });
  if (whole?.config?.processes?.[name]) return whole.config.processes[name];
  const { config } = await api.get(path`/processes/${name}`, { signal });
  return bare(config);
}

function bare(section) {
  return Object.fromEntries(Object.entries(section).filter(([, v]) => v !== null && !(typeof v === "object" && !Object.keys(v).length)));
}

function Crumb({ name }) {
  return html`<a href=${link("overview")}>Processes</a><${Icon} name="right" size=12 />${name && html`<a href=${link(["p", name])}><bdi>${harmless(name)}</bdi></a><${Icon} name="right" size=12 />`}`;
}

function Form({ name, start }) {
  const [called, setCalled] = useState(name);
  const [draft, setDraft] = useState(start);
  const [mode, setMode] = useState("form");
  const [text, setText] = useState("");
  const [broken, setBroken] = useState("");
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState(null);
  const [touched, setTouched] = useState(false);
  const names = useStore((s) => s.processes)?.map((p) => p.name) ?? [];
  const found = useCheck(called || "new", draft, broken);
  const taken = !name && names.includes(called);
  const nameError = touched && !called ? "A process needs a name." : taken ? "There is a process of this name. Choose another." : errorAt(found, called || "new", "name");

  function put(key, value) {
    setTouched(true);
    setDraft((before) => {
      const after = { ...before };
      if (value === undefined || value === "" || value === null) delete after[key];
      else after[key] = value;
      return after;
    });
  }
  function pick(next) {
    if (next === "json") setText(JSON.stringify(draft, null, 2));
    setMode(next);
  }
  function write(next) {
    setText(next);
    setTouched(true);
    try {
      const parsed = JSON.parse(next);
      if (typeof parsed !== "object" || !parsed || Array.isArray(parsed)) throw new Error("a JSON object is expected, such as {\"command\": \"sleep 60\"}");
      setBroken("");
      setDraft(parsed);
    } catch (error) {
      setBroken(error.message);
    }
  }
  async function save() {
    setTouched(true);
    if (!called || taken || broken) return;
    setBusy(true);
    setRefused(null);
    try {
      const label = name ? `Update ${name}` : `Add ${called}`;
      const reply = name ? await api.put(path`/processes/${name}`, { process: draft }) : await api.post("/processes", { name: called, process: draft });
      await command(label, async () => reply, { kind: name ? "update" : "add", process: called });
      go(link(["p", called]));
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  }
  async function leave() {
    if (touched && JSON.stringify(draft) !== JSON.stringify(start) && !(await confirm({ title: "Leave without saving?", body: "What you have written here is lost.", action: "Leave", danger: true }))) return;
    go(name ? link(["p", name]) : link("overview"));
  }
  const errors = found.errors ?? [];
  const whole = { draft, put, found, name: called || "new", names: names.filter((n) => n !== called), touched };
  return html`<${View} title=${name ? `Edit ${harmless(name)}` : "Add a process"} crumb=${html`<${Crumb} name=${name} />`}
    actions=${html`<${Segments} label="How" at=${mode} onPick=${pick} options=${[{ id: "form", label: "Form" }, { id: "json", label: "All keys" }]} />`}>
    <form class="edit" novalidate onSubmit=${(e) => { e.preventDefault(); save(); }} onKeyDown=${(e) => { if (e.key === "Enter" && (e.metaKey || e.ctrlKey)) save(); }}>
      <div class="stack">
        ${mode === "form"
          ? html`<${Fields} ...${whole} isNew=${!name} called=${called} setCalled=${(v) => { setTouched(true); setCalled(v); }} nameError=${nameError} />`
          : html`<${Card} title="All keys, as JSON">
              ${!name && html`<${NameField} value=${called} error=${nameError} onInput=${(v) => { setTouched(true); setCalled(v); }} />`}
              <${Field} label="Process" error=${broken && `This is not JSON yet: ${broken}`} hint="The keys of the configuration file. A secret that is shown as *** keeps its value.">
                ${(id) => html`<textarea id=${id} class="area" rows="22" spellcheck=${false} value=${text} aria-invalid=${!!broken} onInput=${(e) => write(e.target.value)}></textarea>`}</${Field}></${Card}>`}
      </div>
      <aside class="edit-side" aria-label="Check">
        <${Card} title="Check">
          <${Findings} found=${found} name=${called || "new"} touched=${touched || !!name} broken=${broken} />
        </${Card}>
        ${refused && html`<${ErrorBox} error=${refused} />`}
        <div class="btns">
          <${Button} type="submit" kind="primary" icon="check" busy=${busy} disabled=${!called || taken || !!broken || errors.length > 0}>${name ? "Apply" : "Add the process"}</${Button}>
          <${Button} onClick=${leave}>Cancel</${Button}>
        </div>
        <p class="small faint">It takes effect at once${name ? "; instances are replaced only where it is necessary" : ""}. Save the configuration afterwards to keep it in the file.</p>
      </aside>
    </form>
  </${View}>`;
}

/** What the daemon finds in the draft, asked for when one pauses. */
function useCheck(name, draft, broken) {
  const [found, setFound] = useState({});
  const text = JSON.stringify([name, draft]);
  const first = useRef(true);
  useEffect(() => {
    if (broken) return undefined;
    const own = new AbortController();
    const timer = setTimeout(async () => {
      try {
        setFound(await api.post("/config/validate", { name, process: draft }, { signal: own.signal }));
      } catch (error) {
        if (!own.signal.aborted) setFound({ unknown: error });
      }
    }, first.current ? 0 : CHECK_MS);
    first.current = false;
    return () => { own.abort(); clearTimeout(timer); };
  }, [text, broken]);
  return found;
}

function keyOf(name, field) {
  const above = `processes.${name}.`;
  return field.startsWith(above) ? field.slice(above.length) : field;
}

function errorAt(found, name, key) {
  const one = (found.errors ?? []).find((e) => { const at = keyOf(name, e.field); return at === key || at.startsWith(`${key}.`) || at.startsWith(`${key}[`); });
  return one ? [one.message, one.recommendation].filter(Boolean).map(sentence).join(" ") : "";
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

function Findings({ found, name, touched, broken }) {
  if (broken) return html`<p class="muted">Checked again when it is JSON.</p>`;
  if (found.unknown) return html`<p class="muted">It could not be checked: ${sentence(found.unknown.message)} It is checked again when you apply it.</p>`;
  if (!found.errors) return html`<${Skeleton} lines=2 />`;
  const all = [["bad", found.errors], ["warn", found.warnings ?? []], ["info", found.suggestions ?? []]];
  const shown = touched ? all : all.slice(1);
  if (shown.every(([, list]) => !list.length)) {
    return touched
      ? html`<p class="row tone-ok"><${Icon} name="ok" />Valid.</p>`
      : html`<p class="muted">Begin with a name and a command. Everything is checked as you type.</p>`;
  }
  return html`<ul class="findings" aria-live="polite">${shown.flatMap(([tone, list]) => list.map((e) => html`<li>
    <span class="tone-${tone}"><${Icon} name=${tone === "info" ? "info" : tone} /></span>
    <div class="grow"><code>${keyOf(name, e.field)}</code><div>${sentence(e.message)}</div>${e.recommendation && html`<div class="muted">${sentence(e.recommendation)}</div>`}</div></li>`))}</ul>`;
}

function NameField({ value, error, onInput }) {
  return html`<${Field} label="Name" error=${error} hint="Its instances are called NAME-0, NAME-1 and so on.">
    ${(id) => html`<input id=${id} class="input" value=${value} autofocus spellcheck=${false} autocomplete="off" aria-invalid=${!!error} onInput=${(e) => onInput(e.target.value.trim())} />`}</${Field}>`;
}

function Fields({ draft, put, found, name, names, isNew, called, setCalled, nameError, touched }) {
  const error = (key) => (touched || !isNew ? errorAt(found, name, key) : "");
  const input = (key, label, hint, more = {}) => html`<${Field} label=${label} hint=${hint} error=${error(key)}>
    ${(id) => html`<input id=${id} class="input ${more.mono ? "mono" : ""}" value=${shown(draft[key])} placeholder=${more.placeholder} spellcheck=${false} autocomplete="off" inputmode=${more.number ? "numeric" : undefined}
      aria-invalid=${!!error(key)} onInput=${(e) => put(key, more.number ? numeric(e.target.value) : e.target.value)} />`}</${Field}>`;
  const select = (key, label, hint, options) => html`<${Field} label=${label} hint=${hint} error=${error(key)}>
    ${(id) => html`<select id=${id} class="select" value=${draft[key] ?? ""} onChange=${(e) => put(key, e.target.value)}>
      ${options.map(([value, text]) => html`<option value=${value} selected=${(draft[key] ?? "") === value}>${text}</option>`)}</select>`}</${Field}>`;
  const scheduled = draft.schedule !== undefined;
  return html`
    <${Card} title="Basics"><div class="fields">
      ${isNew && html`<${NameField} value=${called} error=${nameError} onInput=${setCalled} />`}
      ${select("type", "Type", "A oneshot runs once, and is done.", [["", "Runs all the time"], ["oneshot", "Runs once (oneshot)"]])}
      <div class="full"><${CommandField} value=${draft.command} error=${error("command")} onInput=${(v) => put("command", v ?? "")} /></div>
      ${input("working_dir", "Working directory", "By default that of the daemon.", { mono: true })}
      ${input("user", "User", "By default that of the daemon.")}
    </div></${Card}>
    <${Card} title="Instances and restarts"><div class="fields">
      ${input("scale", "Instances", "A number, or auto for one instance a CPU.", { number: true, placeholder: "1" })}
      ${input("max_scale", "At most", "The largest number that a scale may ask for.", { number: true, placeholder: "no limit of its own" })}
      ${select("restart", "Restart", "When it ends by itself.", [["", "As the configuration says"], ["always", "Always"], ["on-failure", "After a failure"], ["never", "Never"]])}
      <${Dependencies} value=${draft.depends_on} names=${names} error=${error("depends_on")} onInput=${(v) => put("depends_on", v)} />
    </div></${Card}>
    <${Card} title="Environment"><${Variables} value=${draft.env ?? {}} error=${error("env")} onInput=${(v) => put("env", Object.keys(v).length ? v : undefined)} /></${Card}>
    <${Card} title="Health check"><${Health} value=${draft.health_check} error=${error("health_check")} onInput=${(v) => put("health_check", v)} /></${Card}>
    <${Card} title="Schedule" actions=${html`<label class="check"><input type="checkbox" checked=${scheduled} onChange=${(e) => put("schedule", e.target.checked ? "0 3 * * *" : undefined)} />Run by a schedule</label>`}>
      ${scheduled ? html`<div class="fields">
        ${input("schedule", "When", "Minute, hour, day, month, day of the week.", { mono: true })}
        ${input("schedule_timezone", "Time zone", "Such as Europe/Berlin.", { placeholder: "UTC" })}</div>`
        : html`<p class="muted">It runs from the start of the daemon. With a schedule it runs at the times that you choose.</p>`}
    </${Card}>`;
}

function shown(value) {
  return value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
}

function numeric(text) {
  return /^\d+$/.test(text.trim()) ? Number(text) : text.trim();
}

function CommandField({ value, error, onInput }) {
  const [text, setText] = useState(() => shown(value));
  function write(next) {
    setText(next);
    if (next.trim().startsWith("[")) {
      try { return onInput(JSON.parse(next)); } catch { /* not whole yet: checked as text */ }
    }
    return onInput(next);
  }
  return html`<${Field} label="Command" error=${error} hint=${html`As in a shell, such as <code>php artisan queue:work</code>, or a JSON list of arguments.`}>
    ${(id) => html`<textarea id=${id} class="area" rows="2" spellcheck=${false} value=${text} aria-invalid=${!!error} onInput=${(e) => write(e.target.value)}></textarea>`}</${Field}>`;
}

function Dependencies({ value = [], names, error, onInput }) {
  const [text, setText] = useState(() => (Array.isArray(value) ? value.map(shown).join(", ") : shown(value)));
  const plain = !Array.isArray(value) || value.every((one) => typeof one === "string");
  if (!plain) return html`<div class="field"><span class="label">Starts after</span><span class="hint">Its conditions are under “All keys”.</span></div>`;
  return html`<${Field} label="Starts after" error=${error} hint=${names.length ? `Names of other processes, such as ${names[0]}.` : "Names of other processes."}>
    ${(id) => html`<input id=${id} class="input" value=${text} spellcheck=${false} autocomplete="off" aria-invalid=${!!error}
      onInput=${(e) => { setText(e.target.value); const list = e.target.value.split(/[\s,]+/).filter(Boolean); onInput(list.length ? list : undefined); }} />`}</${Field}>`;
}

function Variables({ value, error, onInput }) {
  const [rows, setRows] = useState(() => Object.entries(value));
  function put(next) {
    setRows(next);
    onInput(Object.fromEntries(next.filter(([key]) => key)));
  }
  return html`<div class="stack tight">
    ${rows.map(([key, text], at) => html`<div class="variable" key=${at}>
      <input class="input mono" aria-label="Name of variable ${at + 1}" placeholder="NAME" value=${key} spellcheck=${false} autocomplete="off" onInput=${(e) => put(rows.map((r, n) => (n === at ? [e.target.value.trim(), r[1]] : r)))} />
      <input class="input mono" aria-label="Value of ${key || `variable ${at + 1}`}" placeholder="value" value=${shown(text)} spellcheck=${false} autocomplete="off" onInput=${(e) => put(rows.map((r, n) => (n === at ? [r[0], e.target.value] : r)))} />
      <${Button} kind="quiet" icon="x" title="Remove ${key || "this variable"}" onClick=${() => put(rows.filter((_, n) => n !== at))} />
    </div>`)}
    ${error && html`<div class="field"><span class="wrong" role="alert"><${Icon} name="bad" size=14 />${error}</span></div>`}
    <div><${Button} small icon="plus" onClick=${() => setRows([...rows, ["", ""]])}>Add a variable</${Button}></div>
  </div>`;
}

const CHECKS = { http: ["url", "URL", "http://127.0.0.1:8080/health"], tcp: ["address", "Address", "127.0.0.1:6379"], exec: ["command", "Command", "redis-cli ping"], grpc: ["address", "Address", "127.0.0.1:50051"] };

function Health({ value, error, onInput }) {
  const type = value ? value.type ?? (value.url ? "http" : value.command ? "exec" : "tcp") : "none";
  const [key, label, example] = CHECKS[type] ?? [];
  function pick(next) {
    if (next === "none") return onInput(undefined);
    const rest = { ...value };
    for (const [one] of Object.values(CHECKS)) delete rest[one];
    return onInput({ ...rest, type: next, [CHECKS[next][0]]: "" });
  }
  return html`<div class="stack">
    <${Segments} label="Kind of check" at=${type} onPick=${pick} options=${[{ id: "none", label: "None" }, { id: "http", label: "HTTP" }, { id: "tcp", label: "TCP" }, { id: "exec", label: "Command" }, { id: "grpc", label: "gRPC" }]} />
    ${type === "none" ? html`<p class="muted">An instance counts as ready as soon as it runs.</p>` : html`<div class="fields">
      <${Field} label=${label} error=${error} full hint="Such as ${example}">
        ${(id) => html`<input id=${id} class="input mono" value=${shown(value[key])} spellcheck=${false} autocomplete="off" aria-invalid=${!!error} onInput=${(e) => onInput({ ...value, [key]: e.target.value })} />`}</${Field}>
      <${Field} label="Every (seconds)">${(id) => html`<input id=${id} class="input" inputmode="numeric" placeholder="as configured" value=${shown(value.period)} onInput=${(e) => onInput(without(value, "period", numeric(e.target.value)))} />`}</${Field}>
      <${Field} label="Timeout (seconds)">${(id) => html`<input id=${id} class="input" inputmode="numeric" placeholder="3" value=${shown(value.timeout)} onInput=${(e) => onInput(without(value, "timeout", numeric(e.target.value)))} />`}</${Field}>
    </div>`}
  </div>`;
}

function without(section, key, value) {
  const after = { ...section, [key]: value };
  if (value === "") delete after[key];
  return after;
}
