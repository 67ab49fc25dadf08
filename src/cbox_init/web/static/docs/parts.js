// Parts of the page of the API: text with code in it, blocks of code, schemas.
import { html, useState } from "../app/preact.js";
import { Button, Icon } from "../app/ui.js";
import { alternatives, coloured, inner, limits, nameOf, resolved, typeText } from "./model.js";

/** A text of the document: what is between backticks is code. */
export function Text({ children }) {
  const parts = String(children ?? "").replaceAll("``", "`").split("`");
  return parts.map((part, at) => (at % 2 ? html`<code>${part}</code>` : part));
}

export function Method({ method }) {
  return html`<span class="method ${method.toLowerCase()}">${method}</span>`;
}

export function CopyButton({ text, title = "Copy" }) {
  const [done, setDone] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without TLS a browser gives pages of other machines no clipboard.
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "sr";
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  }
  return html`<${Button} kind="quiet" small icon=${done ? "check" : "copy"} title=${done ? "Copied" : title} onClick=${copy} />`;
}

/** A block of code with a head. `json` colours it. */
export function Code({ title, text, json, extra, label = title, live }) {
  const small = json && text.length < 60_000;
  return html`<figure class="codebox">
    <figcaption><span class="ellipsis grow">${title}</span>${extra}<${CopyButton} text=${text} title="Copy: ${label}" /></figcaption>
    <pre tabindex="0" role="group" aria-label=${label} aria-live=${live ? "polite" : undefined}><code>${small
      ? coloured(text).map((part) => (part.kind ? html`<span class="j-${part.kind}">${part.text}</span>` : part.text))
      : text}</code></pre>
  </figure>`;
}

/** The members of a schema, each with what it may be; those of its own members open on demand. */
export function Schema({ api, schema, depth = 0 }) {
  const several = alternatives(api, schema);
  if (several.length) {
    return html`<div class="stack tight">${several.map((one, at) => html`
      ${at > 0 && html`<div class="or">or</div>`}
      <${Schema} api=${api} schema=${one} depth=${depth} />`)}</div>`;
  }
  const target = inner(api, schema);
  const members = Object.entries(target.properties ?? {});
  if (!members.length) {
    return html`<p class="muted">${typeText(api, schema)}${limits(api, schema) && html`, <${Text}>${limits(api, schema)}</${Text}>`}</p>`;
  }
  const required = new Set(target.required ?? []);
  return html`<ul class="schema">${members.map(([name, one]) => html`
    <${Member} key=${name} api=${api} name=${name} schema=${one} required=${required.has(name)} depth=${depth} />`)}</ul>`;
}

function Member({ api, name, schema, required, depth }) {
  const [open, setOpen] = useState(false);
  const target = inner(api, schema);
  const more = Boolean(Object.keys(target.properties ?? {}).length || alternatives(api, schema).length);
  const text = schema.description ?? (nameOf(schema) ? "" : resolved(api, schema).description);
  return html`<li>
    <div class="member">
      <code class="strong">${name}</code>
      <span class="kind">${typeText(api, schema)}</span>
      ${!required && html`<span class="faint small">optional</span>`}
      ${more && depth < 6 && html`<button type="button" class="opener" aria-expanded=${open} onClick=${() => setOpen(!open)}>
        <${Icon} name=${open ? "up" : "down"} size=12 />${open ? "Hide" : "Show"} <span class="sr">the members of ${name}</span><span aria-hidden="true">members</span></button>`}
    </div>
    ${text && html`<div class="about"><${Text}>${text}</${Text}></div>`}
    ${limits(api, schema) && html`<div class="about faint"><${Text}>${limits(api, schema)}</${Text}></div>`}
    ${open && html`<div class="deeper"><${Schema} api=${api} schema=${schema} depth=${depth + 1} /></div>`}
  </li>`;
}
