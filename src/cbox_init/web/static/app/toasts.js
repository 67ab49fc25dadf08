// Messages at the lower right: the progress of changes, and what went wrong.
import { dismiss, hold, useToasts } from "./changes.js";
import { html } from "./preact.js";
import { Button, Icon, Progress } from "./ui.js";
import { link } from "./router.js";

const ICONS = { ok: "ok", bad: "bad", warn: "warn", info: "info", idle: "info", busy: "busy" };

export function Toasts() {
  return html`<div class="toasts" role="region" aria-label="Messages" aria-live="polite">${useToasts().map((t) => html`
    <div class="toast" key=${t.id} onMouseEnter=${() => hold(t.id)}>
      <span class="tone-${t.tone === "busy" ? "info" : t.tone}"><${Icon} name=${ICONS[t.tone]} spin=${t.tone === "busy"} /></span>
      <div class="grow">
        <div class="title">${t.title}</div>
        ${t.text && html`<div class="text">${String(t.text).split("\n").map((line) => html`<div>${line}</div>`)}</div>`}
        ${t.hint && html`<div class="text">${t.hint}</div>`}
        ${t.progress && html`<${Progress} done=${t.progress.done} total=${t.progress.total} />`}
        ${(t.action || (t.tone === "bad" && t.change)) && html`<div class="btns">
          ${t.action && html`<${Button} small icon="x" onClick=${t.action.run}>${t.action.label}</${Button}>`}
          ${t.tone === "bad" && t.change && html`<${Button} small href=${link("changes", { id: t.change })} onClick=${() => dismiss(t.id)}>See what happened</${Button}>`}</div>`}
      </div>
      <${Button} kind="quiet" small icon="x" title="Dismiss" onClick=${() => dismiss(t.id)} />
    </div>`)}</div>`;
}
