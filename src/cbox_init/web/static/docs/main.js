// The page of the API: every route of the OpenAPI document, to read and to try.
//   #/          what the API is          #/route/ID   one route
//   #/errors    the catalogue of errors  #/type/NAME  one schema
import { api as requests, token } from "../app/api.js";
import { Component, html, render, useEffect, useMemo, useRef, useState } from "../app/preact.js";
import { theme, useTheme } from "../app/theming.js";
import { Badge, Button, Dialog, Empty, Field, Icon, Logo, Note, Search, Segments, Skeleton } from "../app/ui.js";
import { bodyOf, examplesOf, filtered, groupsOf, nameOf, streams, textOf, typeText } from "./model.js";
import { Code, Method, Schema, Text } from "./parts.js";
import { Try } from "./try.js";

const place = () => decodeURI(location.hash).replace(/^#\/?/, "").split("/");
const routeOf = (operation) => `#/route/${operation.id}`;

function usePlace() {
  const [at, setAt] = useState(place);
  useEffect(() => {
    const moved = () => { setAt(place()); document.getElementById("main")?.focus({ preventScroll: true }); scrollTo(0, 0); };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return at;
}

/** The document and who the caller is; `again` asks once more, after the token has changed. */
function useDocument() {
  const [found, setFound] = useState({ loading: true });
  async function again() {
    try {
      const document = await requests.get("/openapi.json");
      const me = await requests.get("/whoami").catch(() => null);
      setFound({ document, me });
    } catch (error) {
      setFound({ error });
    }
  }
  useEffect(() => { again(); }, []);
  return [found, again];
}

function App() {
  const [found, again] = useDocument();
  const at = usePlace();
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const [asking, setAsking] = useState(false);
  const groups = useMemo(() => (found.document ? groupsOf(found.document) : []), [found.document]);
  const shown = useMemo(() => filtered(groups, text), [groups, text]);
  useEffect(() => setOpen(false), [at.join("/")]);
  useKeys(shown, at, setOpen);

  if (found.loading) return html`<main class="view"><${Skeleton} lines=6 /></main>`;
  if (found.error) {
    return found.error.status === 401 || found.error.status === 403
      ? html`<${SignIn} error=${token.get() ? found.error : null} onDone=${again} />`
      : html`<main class="login"><div class="login-card"><div class="brand"><${Logo} size=24 />cbox-init API</div>
          <${Note} tone="bad" title=${found.error.message}>${found.error.hint}</${Note}>
          <${Button} icon="restart" onClick=${again}>Try again</${Button}></div></main>`;
  }
  const { document, me } = found;
  return html`
    <a class="sr skip" href="#main" onClick=${(event) => { event.preventDefault(); globalThis.document.getElementById("main").focus(); }}>Skip to the content</a>
    <div class="frame docs">
      <header class="top">
        <${Button} kind="quiet" icon="menu" title="Routes" aria-expanded=${open} onClick=${() => setOpen(true)} />
        <a class="brand" href="#/"><${Logo} />API</a><span class="grow"></span>
        <${Button} kind="quiet" icon="user" title="Token" onClick=${() => setAsking(true)} />
      </header>
      <button type="button" class="scrim ${open ? "open" : ""}" aria-label="Close the list" tabindex=${open ? 0 : -1} onClick=${() => setOpen(false)}></button>
      <aside class="side ${open ? "open" : ""}" aria-label="Routes and settings">
        <a class="brand" href="#/"><${Logo} />cbox-init API</a>
        <${Search} value=${text} onInput=${setText} placeholder="Find a route" />
        <nav class="routes" aria-label="Routes">
          ${!text && html`<div class="nav">
            <a href="#/" aria-current=${at[0] === "" ? "page" : undefined}><${Icon} name="overview" />Start</a>
            <a href="#/errors" aria-current=${at[0] === "errors" ? "page" : undefined}><${Icon} name="bad" />Errors</a></div>`}
          ${shown.map((group) => html`<div key=${group.name}>
            <h2 class="nav-title">${group.name}</h2>
            <ul class="nav">${group.operations.map((one) => html`<li key=${one.id}><${RouteLink} one=${one} current=${at[0] === "route" && at[1] === one.id} /></li>`)}</ul>
          </div>`)}
          ${!shown.length && html`<${Empty} icon="search" title="No route has these words.">Try a part of its path, such as <code>schedule</code>.</${Empty}>`}
        </nav>
        <div class="side-foot">
          <div class="row"><${Theme} /><span class="grow"></span><${Button} kind="quiet" small icon="external" href="/" title="The processes: the page of this daemon" /></div>
          <div class="who"><${Icon} name="user" /><div class="grow">
            <div class="who-name ellipsis">${me?.name ?? "not signed in"}</div>
            <div class="faint small">${me?.role ?? "no role"}</div></div>
            <${Button} kind="quiet" small onClick=${() => setAsking(true)}>Token</${Button}></div>
        </div>
      </aside>
      <main class="main" id="main" tabindex="-1"><${Contain} key=${at.join("/")}>
        <${Content} at=${at} document=${document} groups=${groups} me=${me} /></${Contain}></main>
    </div>
    ${asking && html`<${TokenDialog} me=${me} onClose=${() => setAsking(false)} onDone=${async () => { setAsking(false); await again(); }} />`}`;
}

/** Without what all have in common; of a long one the end, by which it differs from its neighbours. */
function shortPath(path) {
  const short = path.replace("/api/v1", "");
  return short.length > 25 ? short.replace(/^.*?\}/, "…") : short;
}

function RouteLink({ one, current }) {
  const at = useRef(null);
  useEffect(() => { if (current) at.current?.scrollIntoView({ block: "nearest" }); }, [current]);
  return html`<a ref=${at} href=${routeOf(one)} aria-current=${current ? "page" : undefined} title=${one.spec.summary}>
    <${Method} method=${one.method} /><span class="ellipsis">${shortPath(one.path)}</span></a>`;
}

/** "/" reaches the search, j and k the next route and the one before. */
function useKeys(shown, at, setOpen) {
  useEffect(() => {
    function key(event) {
      if (event.key === "Escape") setOpen(false);
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select") || document.querySelector("dialog[open]")) return;
      if (event.key === "/") {
        event.preventDefault();
        setOpen(matchMedia("(max-width: 860px)").matches);
        setTimeout(() => document.querySelector("[data-search]")?.focus());
      }
      const step = { j: 1, k: -1 }[event.key];
      if (!step) return;
      const all = shown.flatMap((group) => group.operations);
      const now = at[0] === "route" ? all.findIndex((one) => one.id === at[1]) : step > 0 ? -1 : all.length;
      const next = all[now + step];
      if (next) location.hash = routeOf(next);
    }
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, [shown, at]);
}

class Contain extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }
  render({ children }, { error }) {
    return error ? html`<div class="view"><${Note} tone="bad" title="This could not be drawn.">${error.message} Reload the page.</${Note}></div>` : children;
  }
}

function Content({ at, document, groups, me }) {
  const operation = at[0] === "route" && groups.flatMap((group) => group.operations).find((one) => one.id === at[1]);
  if (operation) return html`<${Route} key=${operation.id} api=${document} operation=${operation} me=${me} />`;
  if (at[0] === "errors") return html`<${Errors} api=${document} />`;
  if (at[0] === "type" && document.components.schemas[at[1]]) return html`<${Type} api=${document} name=${at[1]} groups=${groups} />`;
  if (at[0]) return html`<div class="view"><${Empty} icon="help" title="There is no such page." action=${html`<${Button} href="#/">Start</${Button}>`}>Choose a route from the list.</${Empty}></div>`;
  return html`<${Start} api=${document} groups=${groups} me=${me} />`;
}

function useTitle(text) {
  useEffect(() => { document.title = `${text} · API of cbox-init`; }, [text]);
}

function Start({ api, groups, me }) {
  useTitle("Start");
  return html`<div class="view">
    <div class="head"><div class="grow"><h1>${api.info.title}</h1><div class="sub">${api.info.description} Version ${api.info.version}.</div></div>
      <div class="btns"><${Button} icon="save" href="/api/v1/openapi.json" onClick=${download}>OpenAPI document</${Button}></div></div>
    <div class="cards">
      <section class="card"><header><h2>First request</h2></header><div class="body stack">
        <p class="muted">Every route is below <code>/api/v1</code>. With a token it is sent as <code>Authorization: Bearer</code>; on the Unix socket none is needed.</p>
        <${Code} title="curl" label="a first request" text=${`TOKEN=…\ncurl -H "Authorization: Bearer $TOKEN" ${location.origin}/api/v1/processes`} />
      </div></section>
      <section class="card"><header><h2>How it behaves</h2></header><div class="body"><ul class="plain">
        <li>A command answers at once with 202 and the id of a <a href="#/route/getChange">change</a>; with <code>wait=30s</code> it answers when that has ended.</li>
        <li>Streams are server-sent events. They go on after a break with <code>Last-Event-ID</code>.</li>
        <li>An error has a member <code>error</code>, and <code>details</code> where there is more to say: see <a href="#/errors">Errors</a>.</li>
        <li>A <code>Retry-After</code> says after how many seconds to ask again.</li></ul>
        ${me && html`<p class="muted signed">You are ${me.name}, ${me.role ? html`with the role <strong>${me.role}</strong>` : "without a role"}.</p>`}
      </div></section>
    </div>
    ${groups.map((group) => html`<section key=${group.name} class="card"><header><h2>${group.name}</h2><span class="muted small">${group.description}</span></header>
      <ul class="list">${group.operations.map((one) => html`<li key=${one.id}><${Method} method=${one.method} />
        <div class="grow"><a class="path" href=${routeOf(one)}>${one.path}</a><div class="muted small"><${Text}>${one.spec.summary}</${Text}></div></div>
        <span class="tag hide-s">${one.spec["x-required-role"] ?? "no token"}</span></li>`)}</ul></section>`)}
  </div>`;
}

/** The document needs the token too, which a link does not send. */
async function download(event) {
  event.preventDefault();
  const text = JSON.stringify(await requests.get("/openapi.json"), null, 2);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "cbox-init-openapi.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function Route({ api, operation, me }) {
  const { spec, method, path } = operation;
  useTitle(`${method} ${path}`);
  const body = bodyOf(operation);
  const replies = Object.entries(spec.responses).filter(([status]) => status < "400");
  const errors = Object.entries(spec.responses).filter(([status]) => status >= "400" && status !== "default");
  const role = spec["x-required-role"];
  return html`<div class="view route">
    <div class="head"><div class="grow">
      <nav class="crumb" aria-label="Above"><a href="#/">API</a><${Icon} name="right" size=12 />${operation.group}</nav>
      <h1><${Text}>${spec.summary}</${Text}></h1>
      <div class="row wrap line"><${Method} method=${method} /><code class="path">${path}</code></div>
      <div class="row wrap">
        <span class="tag">${role ? `role ${role}` : "no token needed"}</span>
        ${spec["x-limited-to-processes"] && html`<span class="tag" title="A token with patterns of processes sees and reaches those alone">the token's processes</span>`}
        ${streams(operation) && html`<span class="tag">server-sent events</span>`}
        <span class="tag">${operation.id}</span>
      </div>
    </div></div>
    <div class="halves">
      <div class="stack wider">
        ${spec.parameters?.length > 0 && html`<section class="card" aria-label="Parameters"><header><h2>Parameters</h2></header>
          <ul class="list">${spec.parameters.map((one) => html`<li key=${one.in + one.name}><div class="grow">
            <div class="member"><code class="strong">${one.name}</code><span class="kind">${typeText(api, one.schema)}</span>
              <span class="faint small">${one.in}${one.required ? "" : ", optional"}</span></div>
            <div class="about"><${Text}>${one.description}</${Text}></div>
            ${one.schema.enum && html`<div class="about faint">${one.schema.enum.map((word) => html`<code>${String(word)}</code> `)}</div>`}
          </div></li>`)}</ul></section>`}
        ${body && html`<section class="card" aria-label="Body"><header><h2>Body</h2><${TypeLink} api=${api} schema=${body.schema} /></header>
          <div class="body"><${Schema} api=${api} schema=${body.schema} /></div></section>`}
        ${replies.map(([status, reply]) => Object.entries(reply.content ?? {}).map(([media, content]) => html`
          <section class="card" key=${status + media} aria-label="Reply ${status}"><header><${Badge} tone="ok" icon="ok">${status}</${Badge}>
            <span class="muted small grow"><${Text}>${reply.description}</${Text}></span><span class="tag">${media}</span></header>
            <div class="body stack">
              <${Schema} api=${api} schema=${content.schema} />
              <${Shown} content=${content} media=${media} />
            </div></section>`))}
        <section class="card" aria-label="Errors"><header><h2>Errors</h2><span class="grow"></span><a class="small" href="#/errors">All errors</a></header>
          <ul class="list">${errors.map(([status, reply]) => html`<li key=${status}><span class="status num">${status}</span><div class="grow">
            <div><${Text}>${reply.description}</${Text}></div>
            <div class="about faint"><code>${examplesOf(reply.content?.["application/json"]).map(([, one]) => one.error)[0] ?? ""}</code></div></div></li>`)}</ul></section>
      </div>
      <section class="card sticky" aria-label="Try it"><header><h2>Try it</h2><span class="muted small">on ${location.host}</span></header>
        <div class="body"><${Try} operation=${operation} me=${me} origin=${location.origin} /></div></section>
    </div>
  </div>`;
}

function Shown({ content, media }) {
  const examples = examplesOf(content);
  const [at, setAt] = useState(0);
  if (!examples.length) return null;
  const shown = textOf(examples[at][1]);
  return html`<div class="stack tight">
    ${examples.length > 1 && html`<${Segments} label="Examples" at=${at} onPick=${setAt} options=${examples.map(([label], id) => ({ id, label }))} />`}
    <${Code} title="Example" text=${shown} json=${media === "application/json"} label="example of the reply" /></div>`;
}

function TypeLink({ schema }) {
  const name = nameOf(schema);
  return name ? html`<a class="small" href=${`#/type/${name}`}>${name}</a>` : null;
}

function Type({ api, name, groups }) {
  useTitle(name);
  const mark = `"#/components/schemas/${name}"`;
  const users = groups.flatMap((group) => group.operations).filter((one) => JSON.stringify(one.spec).includes(mark));
  return html`<div class="view"><div class="head"><div class="grow"><nav class="crumb" aria-label="Above"><a href="#/">API</a></nav><h1>${name}</h1>
    <div class="sub"><${Text}>${api.components.schemas[name].description ?? ""}</${Text}></div></div></div>
    <section class="card"><div class="body"><${Schema} api=${api} schema=${api.components.schemas[name]} /></div></section>
    ${users.length > 0 && html`<section class="card"><header><h2>Used by</h2></header><ul class="list">${users.map((one) => html`<li><${Method} method=${one.method} /><a class="path" href=${routeOf(one)}>${one.path}</a></li>`)}</ul></section>`}
  </div>`;
}

function Errors({ api }) {
  useTitle("Errors");
  const [text, setText] = useState("");
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = api["x-errors"].filter((one) => words.every((word) => `${one.status} ${one.error} ${one.when} ${one.todo}`.toLowerCase().includes(word)));
  return html`<div class="view"><div class="head"><div class="grow"><h1>Errors</h1>
      <div class="sub">Every error that a request may be answered with, and what to do. Words in braces are replaced in a reply.</div></div>
      <${Search} value=${text} onInput=${setText} placeholder="Find an error" /></div>
    <section class="card" aria-label="Errors"><ul class="list errors">${found.map((one) => html`<li key=${one.status + one.error}><span class="status num">${one.status}</span>
      <div class="grow"><code class="strong">${one.error}</code><p><${Text}>${one.when}</${Text}></p><p class="todo"><${Icon} name="right" size=12 /><span><${Text}>${one.todo}</${Text}></span></p></div></li>`)}</ul>
      ${!found.length && html`<${Empty} icon="search" title="No error has these words.">Search for a part of the text, without names and numbers.</${Empty}>`}</section>
  </div>`;
}

function Theme() {
  const kept = useTheme();
  return html`<${Segments} label="Colours" at=${kept} onPick=${theme.set} options=${[
    { id: "light", icon: "sun", title: "Light" }, { id: "dark", icon: "moon", title: "Dark" }, { id: "auto", icon: "system", title: "As the system" }]} />`;
}

function useToken(onDone) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  async function submit() {
    const before = token.get();
    if (!text.trim()) return void setError("Paste a token first.");
    setBusy(true);
    token.set(text.trim());
    try {
      await requests.get("/openapi.json");
      await onDone();
    } catch (failure) {
      token.set(before);
      if (!before) token.clear();
      setError(failure.status === 401 ? "This token is not accepted." : failure.details?.[0] ?? failure.message);
    }
    setBusy(false);
  }
  const field = html`<${Field} label="Token" error=${error}>${(id) => html`<input id=${id} class="input big" type="password" autocomplete="current-password" autofocus
    spellcheck=${false} value=${text} aria-invalid=${Boolean(error)} onInput=${(event) => { setText(event.target.value); setError(""); }} />`}</${Field}>`;
  return { field, busy, submit };
}

function SignIn({ error, onDone }) {
  useTitle("Sign in");
  const { field, busy, submit } = useToken(onDone);
  return html`<main class="login"><form class="login-card" onSubmit=${(event) => { event.preventDefault(); submit(); }}>
    <div class="brand"><${Logo} size=28 /></div>
    <div><h1>API of cbox-init</h1><p class="muted">The description of the API needs a token of ${location.host}, as the API does.</p></div>
    ${error && html`<${Note} tone="warn" title=${error.status === 403 ? "This token does not allow it." : "The token is not accepted any more."}>${error.details?.join(" ")}</${Note}>`}
    ${field}
    <${Button} type="submit" kind="primary" big busy=${busy}>Sign in</${Button}>
    <p class="foot">The token is <code>api_auth</code> or one of <code>api_tokens</code> in the configuration. It is kept in this tab only, together with <a href="/">the page of the processes</a>.</p>
  </form></main>`;
}

function TokenDialog({ me, onClose, onDone }) {
  const { field, busy, submit } = useToken(onDone);
  async function forget() {
    token.clear();
    await onDone();
  }
  return html`<${Dialog} title="Token" onClose=${onClose} onSubmit=${submit} footer=${html`
      ${token.get() && html`<${Button} kind="danger" icon="out" onClick=${forget}>Forget it</${Button}><span class="grow"></span>`}
      <${Button} onClick=${onClose}>Cancel</${Button}><${Button} type="submit" kind="primary" busy=${busy}>Use it</${Button}>`}>
    <p class="muted">Requests of this page are sent as ${me?.name ?? "nobody"}${me?.role ? `, with the role ${me.role}` : ""}. A token is kept in this tab only.</p>
    ${field}
  </${Dialog}>`;
}

render(html`<${App} />`, document.getElementById("app"));
