// The configuration: how the file differs from what runs, what a reload or a save would do, and a check of any text.

import { api } from "../api.js";
import { ask, command } from "../changes.js";
import { copy } from "../clipboard.js";
import { number, plural } from "../fmt.js";
import { rowsOf, totalsOf } from "../model/diff.js";
import { harmless } from "../model/terminal_text.js";
import { yamlOf } from "../model/yaml_text.js";
import { html, useEffect, useMemo, useRef, useState } from "../preact.js";
import { link, setQuery } from "../router.js";
import { onEvent } from "../store.js";
import { Badge, Button, Card, Dialog, Empty, ErrorBox, Icon, Note, Search, Skeleton, Tabs, View, useLoad } from "../ui.js";

const CHECK_MS = 500;
const SHOWN_ROWS = 1500;

export default function Config({ route: { query } }) {
  const load = useLoad((signal) => api.get("/config", { signal }), []);
  useEffect(() => {
    let due = 0;
    const off = onEvent((event) => {
      if (event.kind === "missed" || event.kind.startsWith("config.")) due ||= setTimeout(() => { due = 0; load.reload(); }, 300);
    });
    return () => {
      off();
      clearTimeout(due);
    };
  }, []);
  const { data, error } = load;
  const rows = useMemo(() => rowsOf(data?.diff ?? ""), [data]);
  const { added, removed } = totalsOf(rows);
  const tabs = [
    { id: "difference", label: "File and running", count: added + removed || undefined },
    { id: "running", label: "In force" },
    { id: "check", label: "Check a text" },
  ];
  const at = tabs.some(({ id }) => id === query.tab) ? query.tab : "difference";
  const state = !data
    ? null
    : data.unsaved
      ? html`<${Badge} tone="warn" icon="edit">Not saved</${Badge}>`
      : data.file_errors.length
        ? html`<${Badge} tone="bad" icon="bad">The file has errors</${Badge}>`
        : data.diff
          ? html`<${Badge} tone="info" icon="info">The file differs</${Badge}>`
          : html`<${Badge} tone="ok" icon="ok">As in the file</${Badge}>`;
  return html`<${View} title="Configuration" badge=${state} sub=${data && (data.path ? html`<code>${harmless(data.path)}</code>` : "From the environment alone; there is no file.")} actions=${html`
      <${Button} icon="restart" disabled=${!data?.path} onClick=${() => ask(ReloadDialog)}>Reload…</${Button}>
      <${Button} icon="save" kind=${data?.unsaved ? "primary" : ""} disabled=${!data?.path || !data.unsaved} title=${data?.unsaved ? undefined : "Nothing was changed here that is not in the file"} onClick=${() => ask(SaveDialog, { path: data.path, onSaved: load.reload })}>Save…</${Button}>`}>
    <${ErrorBox} error=${error} onRetry=${load.reload} title="The configuration could not be read." />
    ${!data
      ? !error && html`<${Skeleton} lines=10 />`
      : html`
        ${data.file_errors.length > 0 && html`<${Note} tone="bad" title="The file cannot be loaded as it is now. What runs is not affected."><ul>${data.file_errors.map((one) => html`<li key=${one}>${harmless(one)}</li>`)}</ul></${Note}>`}
        <${Tabs} tabs=${tabs} at=${at} onPick=${(tab) => setQuery({ tab })} label="Configuration" />
        <div role="tabpanel" class="stack" aria-label=${tabs.find(({ id }) => id === at).label}>
          ${at === "difference" && html`<${Difference} data=${data} rows=${rows} />`}
          ${at === "running" && html`<${Running} config=${data.config} />`}
          ${at === "check" && html`<${Check} config=${data.config} />`}
        </div>`}
  </${View}>`;
}

function Difference({ data, rows }) {
  if (!rows.length) {
    return html`<${Card}><${Empty} icon="ok" title=${data.file_errors.length ? "No comparison" : data.path ? "What runs is what the file says" : "There is no file"}>
      ${data.file_errors.length ? "Correct the file first." : data.path ? "Change the file and reload it, or change a process here and save it." : "The environment defines the processes. Changes made here are lost at the next start."}</${Empty}></${Card}>`;
  }
  return html`<${Card} flush title="From the file to what runs" actions=${html`<span class="small muted hide-s"><span class="tone-bad">− in the file</span> <span class="tone-ok">+ running</span></span>`}
      footer=${html`<${Icon} name="info" size=14 /><span>${data.unsaved ? "Save writes what runs to the file. " : ""}Reload applies the file to what runs. Secrets are shown as ***.</span>`}>
    <${Diff} rows=${rows} /></${Card}>`;
}

/** A unified diff; rows as model/diff.js makes them. */
export function Diff({ rows }) {
  const [all, setAll] = useState(false);
  const shown = all ? rows : rows.slice(0, SHOWN_ROWS);
  const signs = { added: "+", removed: "−", same: "" };
  return html`<div class="diff" role="region" aria-label="Differences" tabindex="0"><table>
    <tbody>${shown.map((row, index) => (row.kind === "file"
      ? null
      : row.kind === "hunk"
        ? html`<tr key=${index} class="hunk"><td colspan="3">${row.text.startsWith("processes.") ? html`<bdi>${harmless(row.text.slice("processes.".length))}</bdi>` : harmless(row.text) || "…"}</td></tr>`
        : html`<tr key=${index} class=${row.kind}><td class="num">${row.new ?? row.old}</td><td class="sign">${signs[row.kind]}<span class="sr">${row.kind === "same" ? "" : row.kind}</span></td>
            <td class="text">${row.parts ? row.parts.map((part) => (part.differs ? html`<mark>${harmless(part.text)}</mark>` : harmless(part.text))) : harmless(row.text)}</td></tr>`))}
    </tbody></table></div>
    ${!all && rows.length > SHOWN_ROWS && html`<div class="card-pad"><${Button} small onClick=${() => setAll(true)}>Show all ${number(rows.length)} lines</${Button}></div>`}`;
}

function Running({ config }) {
  const [text, setText] = useState("");
  const lines = useMemo(() => yamlOf(config).trimEnd().split("\n"), [config]);
  const wanted = text.toLowerCase();
  const shown = useMemo(() => (wanted ? lines.map((line, index) => [line, index]).filter(([line]) => line.toLowerCase().includes(wanted)) : lines.map((line, index) => [line, index])), [lines, wanted]);
  return html`<${Card} flush title="In force" actions=${html`
      <${Search} value=${text} onInput=${setText} placeholder="Search keys and values" />
      <${Button} small icon="copy" onClick=${() => copy(`${lines.join("\n")}\n`)}>Copy</${Button}>`} footer=${html`<${Icon} name="eye" size=14 />What has its default is left out, and secrets are shown as ***.`}>
    ${shown.length
      ? html`<div class="diff yaml" role="region" aria-label="Configuration in force" tabindex="0"><table><tbody>${shown.slice(0, 4000).map(([line, index]) => html`<tr key=${index}><td class="num">${index + 1}</td><td class="text"><${YamlLine} line=${line} /></td></tr>`)}</tbody></table></div>`
      : html`<${Empty} icon="search" title="No line matches">Search for a part of a key or of a value.</${Empty}>`}
  </${Card}>`;
}

function YamlLine({ line }) {
  const found = /^(\s*(?:- )?)((?:"(?:[^"\\]|\\.)*"|[^:"]+):)(\s.*)?$/.exec(line);
  return found ? html`${found[1]}<span class="key">${harmless(found[2])}</span>${harmless(found[3] ?? "")}` : harmless(line);
}

function Check({ config }) {
  const [text, setText] = useState("");
  const [got, setGot] = useState({ reply: null, error: null, text: "" });
  const area = useRef(null);
  useEffect(() => {
    if (!text.trim()) return void setGot({ reply: null, error: null, text: "" });
    const own = new AbortController();
    const timer = setTimeout(() => {
      api.post("/config/validate", { yaml: text }, { signal: own.signal }).then(
        (reply) => own.signal.aborted || setGot({ reply, error: null, text }),
        (error) => own.signal.aborted || setGot({ reply: null, error, text }),
      );
    }, CHECK_MS);
    return () => {
      clearTimeout(timer);
      own.abort();
    };
  }, [text]);
  const go = (line) => {
    const lines = text.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
    area.current.focus();
    area.current.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    area.current.scrollTop = Math.max(0, (line - 6) * 20);
  };
  const { reply, error } = got;
  const pending = text.trim() && got.text !== text;
  const problems = reply ? [...reply.errors, ...reply.warnings, ...reply.suggestions] : [];
  return html`<div class="check-cols">
    <${Card} title="A whole configuration as YAML" flush actions=${html`<${Button} small onClick=${() => setText(yamlOf(config))}>Start with what is in force</${Button}>`}>
      <textarea class="area check-text" ref=${area} aria-label="Configuration to check" spellcheck=${false} autocomplete="off" autocapitalize="off" value=${text} placeholder=${"processes:\n  web:\n    command: [nginx, -g, daemon off;]"}
        onInput=${(event) => setText(event.target.value)}></textarea></${Card}>
    <${Card} flush title="Result" count=${reply ? problems.length : undefined} actions=${pending ? html`<${Badge} plain icon="busy" spin>Checking…</${Badge}>` : reply && html`<${Badge} tone=${reply.valid ? "ok" : "bad"} icon=${reply.valid ? "ok" : "bad"}>${reply.valid ? "Valid" : plural(reply.errors.length, "error")}</${Badge}>`}>
      ${error
        ? html`<${ErrorBox} error=${error} title="The text could not be checked." />`
        : !reply
          ? html`<${Empty} icon="check" title="Nothing checked yet">Write or paste a configuration. It is checked as you type, and nothing is changed.</${Empty}>`
          : problems.length
            ? html`<ul class="list problems" aria-live="polite">${problems.map((one, index) => html`<li key=${index}><${Problem} problem=${one} onLine=${go} /></li>`)}</ul>`
            : html`<${Empty} icon="ok" title="No problem found">This text could be the file as it is.</${Empty}>`}
    </${Card}>
  </div>`;
}

function Problem({ problem: { field, message, recommendation, severity, line }, onLine }) {
  const face = { error: ["bad", "bad"], warning: ["warn", "warn"], suggestion: ["info", "info"] }[severity] ?? ["info", "info"];
  return html`<span class=${`tone-${face[0]}`}><${Icon} name=${face[1]} /></span>
    <div class="grow"><div>${field && html`<code>${harmless(field)}</code> `}${harmless(message)}</div>${recommendation && html`<div class="small muted">${harmless(recommendation)}</div>`}</div>
    ${line && html`<button type="button" class="as-link small num nowrap" onClick=${() => onLine(line)}>Line ${line}</button>`}<span class="sr">${severity}</span>`;
}

function ReloadDialog({ close }) {
  const { data, error, loading, reload } = useLoad((signal) => api.post("/config/reload", undefined, { query: { dry_run: true }, signal }), []);
  const rows = useMemo(() => rowsOf(data?.diff ?? ""), [data]);
  const [busy, setBusy] = useState(false);
  const nothing = data && !["added", "changed", "adjusted", "removed", "needs_restart"].some((name) => data[name].length);
  const apply = async () => {
    setBusy(true);
    const reply = await command("Reload the configuration", () => api.post("/config/reload"), { kind: "reload" });
    setBusy(false);
    if (reply) close(true);
  };
  return html`<${Dialog} title="Reload the file" wide onClose=${() => close(false)} onSubmit=${() => data && !nothing && apply()} footer=${html`
      <${Button} onClick=${() => close(false)}>${nothing ? "Close" : "Cancel"}</${Button}>
      ${!nothing && html`<${Button} type="submit" kind=${data?.removed.length ? "danger solid" : "primary"} busy=${busy} disabled=${!data || !!error}>Reload</${Button}>`}`}>
    <${ErrorBox} error=${error} onRetry=${reload} title="The file cannot be loaded as it is now. Nothing was changed." />
    ${!data && loading && html`<${Skeleton} lines=5 />`}
    ${data && !error && html`
      ${nothing
        ? html`<${Note} tone="ok" title="Nothing would change.">What runs is what the file says.</${Note}>`
        : html`<dl class="plan">
            <${Names} tone="ok" icon="plus" title="Added" text="started, unless configured otherwise" names=${data.added} />
            <${Names} tone="warn" icon="restart" title="Changed" text="instances are replaced, one after another" names=${data.changed} keys=${data.changed_keys} />
            <${Names} tone="info" icon="edit" title="Adjusted" text="nothing is restarted" names=${data.adjusted} keys=${data.changed_keys} />
            <${Names} tone="bad" icon="trash" title="Removed" text="stopped and forgotten" names=${data.removed} />
            <${Names} tone="warn" icon="daemon" title="After a restart of the daemon" text="these keys keep their value until then" names=${data.needs_restart} plain />
          </dl>`}
      ${data.warnings.length > 0 && html`<${Note} tone="warn" title=${plural(data.warnings.length, "warning")}><ul>${data.warnings.slice(0, 20).map((one) => html`<li key=${one}>${harmless(one)}</li>`)}</ul></${Note}>`}
      ${rows.length > 0 && html`<details class="plan-diff"><summary>Differences</summary><${Diff} rows=${rows} /></details>`}`}
  </${Dialog}>`;
}

function Names({ tone, icon, title, text, names, keys, plain }) {
  if (!names.length) return null;
  return html`<div class="plan-part"><dt class=${`tone-${tone}`}><${Icon} name=${icon} /><span class="strong">${title}</span> <span class="count">${names.length}</span><span class="muted small">${text}</span></dt>
    <dd>${names.slice(0, 50).map((name) => html`<span key=${name} class="plan-name">${plain ? html`<code>${harmless(name)}</code>` : html`<a href=${link(["p", name])}><bdi>${harmless(name)}</bdi></a>`}${keys?.[name]?.length > 0 && html` <span class="small muted">${keys[name].map((key) => html`<code key=${key}>${harmless(key)}</code> `)}</span>`}</span>`)}
      ${names.length > 50 && html`<span class="faint">and ${names.length - 50} more</span>`}</dd></div>`;
}

function SaveDialog({ path: file, onSaved, close }) {
  const { data, error, loading, reload } = useLoad((signal) => api.post("/config/save", undefined, { query: { dry_run: true }, signal }), []);
  const rows = useMemo(() => rowsOf(data?.diff ?? ""), [data]);
  const { added, removed } = totalsOf(rows);
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    const reply = await command("Save the configuration", () => api.post("/config/save"));
    setBusy(false);
    if (!reply) return;
    onSaved();
    close(true);
  };
  return html`<${Dialog} title="Save to the file" wide onClose=${() => close(false)} onSubmit=${() => data && !error && save()} footer=${html`
      <${Button} onClick=${() => close(false)}>Cancel</${Button}>
      <${Button} type="submit" kind="primary" icon="save" busy=${busy} disabled=${!data || !!error}>Save</${Button}>`}>
    <${ErrorBox} error=${error} onRetry=${reload} title="The file cannot be saved." />
    ${!data && loading && html`<${Skeleton} lines=5 />`}
    ${data && !error && html`<p class="muted">These changes are written to <code>${harmless(file)}</code>: <span class="tone-ok">${plural(added, "line")} added</span>, <span class="tone-bad">${number(removed)} removed</span>. Its comments stay.</p>
      ${rows.length ? html`<div class="plan-diff"><${Diff} rows=${rows} /></div>` : html`<${Note} title="The file would stay as it is." />`}`}
  </${Dialog}>`;
}
