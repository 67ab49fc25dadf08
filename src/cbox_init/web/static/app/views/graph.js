// What waits for what: the processes and their dependencies, drawn, with their live state.

import { curve, layout, pathOf } from "../model/graph_layout.js";
import { harmless } from "../model/terminal_text.js";
import { plural } from "../fmt.js";
import { html, memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../preact.js";
import { link } from "../router.js";
import { useStore } from "../store.js";
import { Badge, Button, Card, Empty, Search, Skeleton, StateBadge, View, stateOf } from "../ui.js";

const SIZE = { nodeWidth: 184, nodeHeight: 44, perColumn: 16 };
const MARGIN = 24;
const SMALLEST = 0.1;
const LARGEST = 2;
const NAME_CHARACTERS = 21;

export default function Graph() {
  const processes = useStore((s) => s.processes);
  // The drawing is made again when names or dependencies change, not with each state.
  const shape = processes && JSON.stringify(processes.map((one) => [one.name, one.depends_on ?? []]));
  const drawing = useMemo(
    () => shape && layout(JSON.parse(shape).map(([name, dependsOn]) => ({ name, dependsOn })), SIZE),
    [shape],
  );
  if (!processes) return html`<${View} title="Dependencies"><${Skeleton} lines=8 /></${View}>`;
  const waiting = processes.filter((one) => one.waiting_for?.length);
  const sub = `${plural(processes.length, "process", "processes")}, ${plural(drawing.edges.length, "dependency", "dependencies")}${waiting.length ? `, ${waiting.length} waiting` : ""}`;
  return html`<${View} title="Dependencies" sub=${sub} fill>
    ${processes.length
      ? html`<${Drawing} drawing=${drawing} />`
      : html`<${Card}><${Empty} icon="graph" title="No processes">Add a process, and it is drawn here with what it depends on.</${Empty}></${Card}>`}
  </${View}>`;
}

function Drawing({ drawing }) {
  const box = useRef(null);
  const [view, setView] = useState(null);
  const [over, setOver] = useState("");
  const [chosen, setChosen] = useState("");
  const [text, setText] = useState("");
  const byName = useStore((s) => s.byName);
  const at = useMemo(() => new Map(drawing.nodes.map((node) => [node.name, node])), [drawing]);
  const focus = at.has(over) ? over : at.has(chosen) ? chosen : "";
  const lit = useMemo(() => {
    if (!focus) return null;
    const { before, after } = pathOf(focus, drawing.edges);
    return new Set([focus, ...before, ...after]);
  }, [focus, drawing]);
  const found = useMemo(() => {
    const wanted = text.toLowerCase();
    return wanted ? new Set(drawing.nodes.filter(({ name }) => name.toLowerCase().includes(wanted)).map(({ name }) => name)) : null;
  }, [text, drawing]);

  const sizeOf = () => ({ width: box.current.clientWidth, height: box.current.clientHeight });
  const fit = () => {
    const { width, height } = sizeOf();
    const scale = Math.min(1.15, (width - 2 * MARGIN) / drawing.width, (height - 2 * MARGIN) / drawing.height);
    const used = Math.max(SMALLEST, scale);
    setView({ scale: used, x: (width - drawing.width * used) / 2, y: Math.max(MARGIN, (height - drawing.height * used) / 2) });
  };
  /** Readable from the beginning: all of it where that leaves the names legible, else its first part. */
  const begin = () => {
    const { width, height } = sizeOf();
    const all = Math.min((width - 2 * MARGIN) / drawing.width, (height - 2 * MARGIN) / drawing.height);
    if (all >= 0.55) fit();
    else setView({ scale: 0.8, x: MARGIN, y: drawing.height * 0.8 > height ? MARGIN : (height - drawing.height * 0.8) / 2 });
  };
  useLayoutEffect(begin, [drawing]);
  const zoom = (factor, x, y) => setView((before) => {
    const { width, height } = sizeOf();
    const [px, py] = [x ?? width / 2, y ?? height / 2];
    const scale = Math.min(LARGEST, Math.max(SMALLEST, before.scale * factor));
    const ratio = scale / before.scale;
    return { scale, x: px - (px - before.x) * ratio, y: py - (py - before.y) * ratio };
  });
  const show = (name) => {
    const node = at.get(name);
    const { width, height } = sizeOf();
    setView((before) => {
      const scale = Math.max(before.scale, 0.7);
      return { scale, x: width / 2 - (node.x + SIZE.nodeWidth / 2) * scale, y: height / 2 - (node.y + SIZE.nodeHeight / 2) * scale };
    });
  };
  usePointers(box, setView, zoom);

  const keys = (event) => {
    const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) setView((before) => ({ ...before, x: before.x + step[0], y: before.y + step[1] }));
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit();
    else if (event.key === "Escape") setChosen("");
    else return;
    event.preventDefault();
  };
  const first = found && drawing.nodes.find(({ name }) => found.has(name));
  const node = chosen && at.get(chosen);
  const isLit = (name) => (found ? found.has(name) : !lit || lit.has(name));
  return html`<${Card} flush class="graph-card">
    <div class="graph-bar">
      <form class="graph-find" onSubmit=${(event) => { event.preventDefault(); if (first) { show(first.name); setChosen(first.name); setText(""); } }}>
        <${Search} value=${text} onInput=${setText} placeholder="Find a process" /></form>
      ${found && html`<span class="small muted" aria-live="polite">${found.size ? `${found.size} found` : "Not found"}</span>`}
      <span class="grow"></span>
      <div class="btns nowrap">
        <${Button} small icon="minus" title="Smaller (-)" onClick=${() => zoom(0.8)} />
        <${Button} small icon="plus" title="Larger (+)" onClick=${() => zoom(1.25)} />
        <${Button} small title="Show all (0)" onClick=${fit}>Fit</${Button}>
      </div>
    </div>
    <div class="graph-area" ref=${box} onKeyDown=${keys} onClick=${(event) => event.target.closest(".graph-node") || setChosen("")}>
      <svg class=${`graph ${lit || found ? "dim" : ""}`} width="100%" height="100%" role="group" aria-label="Dependencies. What starts first is at the left.">
        ${view && html`<g transform=${`translate(${view.x} ${view.y}) scale(${view.scale})`}>
          ${drawing.aloneTop !== null && html`<text class="graph-alone" x="0" y=${drawing.aloneTop - 16}>Without dependencies</text>`}
          <g fill="none">${drawing.edges.map(({ from, to }) => html`<${Edge} key=${`${from}\n${to}`} path=${curve(at.get(from), at.get(to), SIZE)}
            waiting=${!!byName.get(to)?.waiting_for?.includes(from)} lit=${!found && !!lit && lit.has(from) && lit.has(to)} />`)}</g>
          ${drawing.nodes.map((one) => html`<${Node} key=${one.name} node=${one} process=${byName.get(one.name)} lit=${isLit(one.name)} at=${one.name === focus}
            onOver=${setOver} onChoose=${setChosen} />`)}
        </g>`}
      </svg>
    </div>
    <div class="graph-foot small">
      ${node
        ? html`<${Chosen} name=${chosen} edges=${drawing.edges} process=${byName.get(chosen)} onShow=${(name) => { setChosen(name); show(name); }} onClose=${() => setChosen("")} />`
        : html`<span class="muted">A line leads from a process to what waits for it. Choose a process to see its path; drag to move, scroll to zoom.</span>`}
    </div>
  </${Card}>`;
}

const Edge = memo(function Edge({ path, waiting, lit }) {
  return html`<path d=${path} class=${`graph-edge ${waiting ? "waiting" : ""} ${lit ? "lit" : ""}`} />`;
});

const Node = memo(function Node({ node, process, lit, at, onOver, onChoose }) {
  const { name, x, y, unknown } = node;
  const face = unknown || !process ? { tone: "idle", label: "Not shown to you" } : stateOf(process);
  const shown = harmless(name);
  const letters = [...shown];
  const short = letters.length > NAME_CHARACTERS ? `${letters.slice(0, NAME_CHARACTERS - 1).join("")}…` : shown;
  const ready = process && !process.schedule && process.desired_scale > 1 ? ` ${process.instances.filter((one) => one.state === "running").length}/${process.desired_scale}` : "";
  const words = process?.waiting_for?.length ? `Waits for ${process.waiting_for.length === 1 ? harmless(process.waiting_for[0]) : `${process.waiting_for.length} others`}` : `${face.label}${ready}`;
  const label = [...words].length > 26 ? `${[...words].slice(0, 25).join("")}…` : words;
  const before = process?.depends_on?.length ? `, depends on ${process.depends_on.map(harmless).join(", ")}` : "";
  return html`<g class=${`graph-node ${face.tone} ${lit ? "lit" : ""} ${at ? "at" : ""} ${unknown ? "unknown" : ""}`} transform=${`translate(${x} ${y})`}
    tabindex="0" role="button" aria-label=${`${short} ${label}${before}`} onPointerEnter=${(event) => event.pointerType === "mouse" && onOver(name)} onPointerLeave=${() => onOver("")}
    onFocus=${(event) => event.target.matches(":focus-visible") && onOver(name)} onBlur=${() => onOver("")}
    onClick=${() => onChoose(name)} onKeyDown=${(event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); onChoose(name); } }}>
    ${short !== shown && html`<title>${shown}</title>`}
    <rect width=${SIZE.nodeWidth} height=${SIZE.nodeHeight} rx="8" />
    <circle cx="16" cy="15" r="4" />
    <text x="28" y="19" class="graph-name">${short}</text>${" "}
    <text x="28" y="35" class="graph-state">${label}</text>
  </g>`;
});

function Chosen({ name, edges, process, onShow, onClose }) {
  const before = edges.filter((edge) => edge.to === name).map((edge) => edge.from);
  const after = edges.filter((edge) => edge.from === name).map((edge) => edge.to);
  const names = (list) => (list.length
    ? html`${list.slice(0, 8).map((one) => html`<button key=${one} type="button" class="as-link tag" onClick=${() => onShow(one)}><bdi class="ellipsis">${harmless(one)}</bdi></button>`)}${list.length > 8 && html`<span class="faint">and ${list.length - 8} more</span>`}`
    : html`<span class="faint">nothing</span>`);
  return html`<div class="graph-chosen" aria-live="polite">
    <span class="row"><a class="strong ellipsis graph-chosen-name" href=${link(["p", name])}><bdi>${harmless(name)}</bdi></a>
      ${process ? html`<${StateBadge} process=${process} plain />` : html`<${Badge} plain icon="eye">Not shown to you</${Badge}>`}</span>
    <span class="row wrap"><span class="muted">waits for</span>${names(before)}</span>
    <span class="row wrap"><span class="muted">is waited for by</span>${names(after)}</span>
    ${process?.reason && html`<span class="muted">${harmless(process.reason)}</span>`}
    <span class="grow"></span><${Button} small kind="quiet" icon="x" title="Close" onClick=${onClose} />
  </div>`;
}

/** Dragging moves the drawing, the wheel and two fingers change its size. */
function usePointers(box, setView, zoom) {
  const last = useRef(zoom);
  last.current = zoom;
  useEffect(() => {
    const element = box.current;
    const down = new Map();
    let moved = 0;
    const place = (event) => {
      const { left, top } = element.getBoundingClientRect();
      return [event.clientX - left, event.clientY - top];
    };
    const begin = (event) => {
      if (event.button) return;
      down.set(event.pointerId, place(event));
      moved = 0;
    };
    const move = (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const [x, y] = place(event);
      moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
      if (moved > 4 && !element.hasPointerCapture(event.pointerId)) element.setPointerCapture(event.pointerId);
      if (down.size === 1) setView((view) => ({ ...view, x: view.x + x - before[0], y: view.y + y - before[1] }));
      else {
        const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
        const length = (at) => Math.max(10, Math.hypot(at[0] - other[0], at[1] - other[1]));
        last.current(length([x, y]) / length(before), (x + other[0]) / 2, (y + other[1]) / 2);
      }
      down.set(event.pointerId, [x, y]);
    };
    const end = (event) => down.delete(event.pointerId);
    const click = (event) => {
      if (moved > 4) event.stopPropagation(); // the end of a drag
      moved = 0;
    };
    const wheel = (event) => {
      event.preventDefault();
      const [x, y] = place(event);
      last.current(Math.exp(-Math.max(-100, Math.min(100, event.deltaY * (event.deltaMode ? 20 : 1))) * 0.0022), x, y);
    };
    element.addEventListener("pointerdown", begin);
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", end);
    element.addEventListener("pointercancel", end);
    element.addEventListener("click", click, true);
    element.addEventListener("wheel", wheel, { passive: false });
    return () => {
      for (const [name, call] of [["pointerdown", begin], ["pointermove", move], ["pointerup", end], ["pointercancel", end], ["wheel", wheel]]) element.removeEventListener(name, call);
      element.removeEventListener("click", click, true);
    };
  }, []);
}
