// "Go to": views and processes by a few letters. And the list of keys.
import { html, useEffect, useMemo, useRef, useState } from "./preact.js";
import { go, link } from "./router.js";
import { can, useStore } from "./store.js";
import { Dialog, Icon, MOD, StateBadge } from "./ui.js";
import { views } from "./views.js";

const MOST = 50;

export function Palette({ close }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const processes = useStore((s) => s.processes);
  const list = useRef(null);
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase().split(/\s+/);
    const all = [
      ...(processes ?? []).map((p) => ({ id: `p ${p.name}`, label: p.name, icon: "box", process: p, to: link(["p", p.name]) })),
      ...views.filter((v) => !v.hidden && (!v.role || can(v.role))).map((v) => ({ id: v.id, label: v.title, icon: v.icon, note: `g ${v.key}`, to: link(v.id) })),
      ...(can("admin") ? [{ id: "new", label: "Add a process", icon: "plus", to: link("new") }] : []),
      ...(processes ?? []).map((p) => ({ id: `l ${p.name}`, label: `Logs of ${p.name}`, icon: "logs", to: link("logs", { process: p.name }), late: true })),
    ];
    return all.filter((one) => (text.trim() || !one.late) && wanted.every((w) => one.label.toLowerCase().includes(w))).slice(0, MOST);
  }, [text, processes]);
  useEffect(() => list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" }), [at, found]);
  function pick(one) {
    close();
    if (one) go(one.to);
  }
  function key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) setAt((at + step + found.length) % found.length);
    else if (event.key === "Enter") pick(found[at]);
    else return;
    event.preventDefault();
  }
  return html`<${Dialog} title="Go to" bare class="palette" onClose=${() => close()}>
    <input class="input" autofocus role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Go to a process or a view"
      aria-activedescendant=${found[at] ? `palette-${at}` : undefined} placeholder="Go to a process or a view…" value=${text} autocomplete="off" spellcheck=${false}
      onInput=${(e) => { setText(e.target.value); setAt(0); }} onKeyDown=${key} />
    <ul role="listbox" id="palette-list" aria-label="Found" ref=${list} tabindex="-1">
      ${found.map((one, n) => html`<li key=${one.id} id="palette-${n}" role="option" aria-selected=${n === at} onMouseMove=${() => n !== at && setAt(n)} onClick=${() => pick(one)}>
        <${Icon} name=${one.icon} /><span class="ellipsis">${one.label}</span>
        ${one.process ? html`<span class="faint"><${StateBadge} process=${one.process} plain /></span>` : one.note && html`<span class="faint small">${one.note}</span>`}</li>`)}
    </ul>
    ${!found.length && html`<div class="empty"><p>Nothing is called “${text}”.</p></div>`}
  </${Dialog}>`;
}

export function Help({ close }) {
  const keys = [
    ["Search in the view", ["/"]], ["Go to a process or a view", [MOD, "K"]], ["This list", ["?"]], ["Close", ["Esc"]],
    ["In a log: pause, wrap, next match", ["p", "w", "n"]],
    ...views.filter((v) => v.key && (!v.role || can(v.role))).map((v) => [v.title, ["g", v.key]]),
  ];
  return html`<${Dialog} title="Keyboard shortcuts" onClose=${() => close()}>
    <dl class="keys">${keys.map(([what, all]) => html`<dt key=${what}>${what}</dt><dd>${all.map((k) => html`<kbd>${k}</kbd>`)}</dd>`)}</dl>
  </${Dialog}>`;
}
