// Sends requests to the daemon, and shows what comes back, also while it still comes.
import { headers as withToken, token } from "../app/api.js";
import { bytes } from "../app/fmt.js";
import { html, useEffect, useMemo, useRef, useState } from "../app/preact.js";
import { Badge, Button, Field, Note } from "../app/ui.js";
import { bodyOf, curlLine, examplesOf, includes, requestOf, startValues, streams, textOf } from "./model.js";
import { Code, Text } from "./parts.js";

/** More of a reply is not kept. Of a stream it is the end that stays. */
const MOST_SHOWN = 400_000;

export function Try({ operation, me, origin }) {
  const content = bodyOf(operation);
  const bodies = useMemo(() => examplesOf(content), [operation]);
  const [values, setValues] = useState(() => startValues(operation));
  const [body, setBody] = useState(() => (bodies.length ? textOf(bodies[0][1]) : ""));
  const [sure, setSure] = useState(false);
  const [reply, setReply] = useState(null);
  const running = useRef(null);
  useEffect(() => () => running.current?.abort(), []);

  const needed = operation.spec["x-required-role"];
  const request = requestOf(operation, values);
  const secured = Boolean(token.get()) && needed !== undefined;
  const curl = curlLine(operation, request, content ? body : "", origin, secured);
  const wrong = content ? problemOf(body) : "";
  const allowed = includes(me?.role, needed);
  const removes = operation.method === "DELETE";
  const all = operation.spec.parameters ?? [];
  const required = all.filter((one) => one.required);
  const optional = all.filter((one) => !one.required);
  const fields = (some) => html`<div class="fields">${some.map((one) => html`
    <${Parameter} key=${`${one.in}:${one.name}`} one=${one} value=${values[`${one.in}:${one.name}`] ?? ""} onInput=${set(one)} />`)}</div>`;
  const set = (one) => (event) => setValues({ ...values, [`${one.in}:${one.name}`]: event.target.value });

  async function send(event) {
    event.preventDefault();
    if (running.current) return void running.current.abort();
    if (request.missing.length || wrong) return;
    if (removes && !sure) return void setSure(true);
    setSure(false);
    const own = (running.current = new AbortController());
    await transfer(operation, request, content ? body : undefined, own, setReply);
    if (running.current === own) running.current = null;
    setReply((now) => now && { ...now, going: false });
  }

  return html`<form class="try stack" onSubmit=${send} noValidate>
    ${required.length > 0 && fields(required)}
    ${optional.length > 0 && html`<details open=${optional.length < 3 && !content}><summary>${optional.length} optional ${optional.length === 1 ? "parameter" : "parameters"}</summary>
      ${fields(optional)}</details>`}
    ${content && html`<div class="stack tight">
      ${bodies.length > 1 && html`<div class="row wrap" role="group" aria-label="Examples of the body">${bodies.map(([name, value]) => html`
        <${Button} small onClick=${() => setBody(textOf(value))}>${name}</${Button}>`)}</div>`}
      <${Field} label="Body" error=${wrong} hint="JSON">${(id) => html`<textarea id=${id} class="area" rows=${Math.min(14, body.split("\n").length + 1)} spellcheck=${false}
        value=${body} aria-invalid=${Boolean(wrong)} onInput=${(event) => setBody(event.target.value)}></textarea>`}</${Field}>
    </div>`}
    <${Code} title="curl" text=${curl} label="the request as a command" />
    ${!allowed && me?.role && html`<${Note} tone="warn">This needs the role ${needed}; you are signed in as ${me.role}.</${Note}>`}
    ${sure && html`<${Note} tone="warn" title="This is carried out on the daemon.">Press the button once more to send it.</${Note}>`}
    <div class="row wrap">
      <${Button} type="submit" kind=${reply?.going ? "" : removes ? "danger solid" : "primary"} icon=${reply?.going ? "stop" : "play"}
        disabled=${!reply?.going && (request.missing.length > 0 || Boolean(wrong))}>
        ${reply?.going ? "Stop" : sure ? "Send it now" : "Send"}</${Button}>
      <span class="muted small">${request.missing.length ? `Needs ${request.missing.join(", ")}.`
        : operation.method === "GET" ? "Reads only." : "Carried out on this daemon."}</span>
    </div>
    ${reply && html`<${Reply} reply=${reply} />`}
  </form>`;
}

function Parameter({ one, value, onInput }) {
  const schema = one.schema.type === "array" ? one.schema.items ?? {} : one.schema;
  const choices = schema.type === "boolean" ? ["true", "false"] : schema.enum;
  const hint = one.in === "path" ? "" : one.description;
  const example = [one.example ?? schema.default ?? ""].flat().join(",");
  return html`<${Field} label=${one.name} hint=${hint && html`<${Text}>${hint}</${Text}>`}>${(id) => (choices && one.schema.type !== "array"
    ? html`<select id=${id} class="select" value=${value} onChange=${onInput}><option value="">not sent</option>
        ${choices.map((choice) => html`<option value=${choice} selected=${value === String(choice)}>${choice}</option>`)}</select>`
    : html`<input id=${id} class="input" value=${value} placeholder=${String(example)} autocomplete="off" spellcheck=${false}
        required=${one.required} onInput=${onInput} />`)}</${Field}>`;
}

function Reply({ reply }) {
  const tone = reply.error ? "bad" : reply.status < 300 ? "ok" : reply.status < 400 ? "info" : reply.status < 500 ? "warn" : "bad";
  const json = reply.media.startsWith("application/json");
  return html`<section class="stack tight" aria-label="Reply">
    <div class="row wrap" role="status">
      ${reply.error ? html`<${Badge} tone="bad" icon="bad">No reply</${Badge}>`
        : reply.status ? html`<${Badge} tone=${tone} icon=${tone === "ok" ? "ok" : "info"}>${reply.status} ${reply.phrase}</${Badge}>`
        : html`<${Badge} tone="info" icon="busy" spin>Sent</${Badge}>`}
      <span class="muted small num">${reply.ms} ms${reply.size ? `, ${bytes(reply.size)}` : ""}${reply.events ? `, ${reply.events} events` : ""}</span>
      ${reply.going && reply.status > 0 && html`<${Badge} tone="info" icon="busy" spin>Open</${Badge}>`}
    </div>
    ${reply.error && html`<${Note} tone="bad" title=${reply.error}>Check that the daemon runs, then send it again.</${Note}>`}
    ${reply.dropped > 0 && html`<p class="muted small">The first ${bytes(reply.dropped)} are not shown any more.</p>`}
    ${reply.text && html`<${Code} title=${reply.media || "body"} label="body of the reply" json=${json} text=${reply.text} />`}
    ${reply.headers && html`<details><summary>Headers</summary><pre class="code" tabindex="0">${reply.headers}</pre></details>`}
  </section>`;
}

function problemOf(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return `This is no JSON: ${error.message}`;
  }
}

/** Send the request, and tell `show` what has come so far. */
async function transfer(operation, request, body, own, show) {
  const began = performance.now();
  const state = { status: 0, phrase: "", media: "", headers: "", text: "", ms: 0, size: 0, events: 0, dropped: 0, error: "", going: true };
  const tell = () => show({ ...state, ms: Math.round(performance.now() - began) });
  tell();
  let frame = 0;
  const soon = () => { frame ||= requestAnimationFrame(() => { frame = 0; tell(); }); };
  try {
    const reply = await fetch(request.url, {
      method: operation.method,
      headers: withToken({
        accept: streams(operation) && !request.url.includes("wait=") ? "text/event-stream" : "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...request.headers,
      }),
      body, signal: own.signal, cache: "no-store",
    });
    state.status = reply.status;
    state.phrase = reply.statusText;
    state.media = (reply.headers.get("content-type") ?? "").split(";")[0];
    state.headers = [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    tell();
    const reader = reply.body?.getReader();
    const decoder = new TextDecoder();
    for (let part; reader && !(part = await reader.read()).done;) {
      state.size += part.value.length;
      const text = decoder.decode(part.value, { stream: true });
      if (state.media === "text/event-stream") state.events += text.match(/^data:/gm)?.length ?? 0;
      state.text += text;
      if (state.text.length > MOST_SHOWN && state.media === "text/event-stream") {
        const cut = state.text.indexOf("\n\n", state.text.length - MOST_SHOWN / 2) + 2 || state.text.length - MOST_SHOWN / 2;
        state.dropped += cut;
        state.text = state.text.slice(cut);
      }
      soon();
    }
    if (state.media === "application/json") {
      try { state.text = JSON.stringify(JSON.parse(state.text), null, 2); } catch { /* shown as it came */ }
    }
    if (state.text.length > MOST_SHOWN) state.text = `${state.text.slice(0, MOST_SHOWN)}\n… the rest is not shown; the command above has all of it`;
  } catch (error) {
    if (!own.signal.aborted) state.error = state.status ? "The connection ended before the whole reply had come." : "The daemon cannot be reached.";
  }
  cancelAnimationFrame(frame);
  state.going = false;
  tell();
}
