// The frame of the page: signing in, navigation, the view of the address, banner, toasts, dialogs, keyboard.
import { ask, useConfirmDialog, useDialogs } from "./changes.js";
import { Login, LoginDialog } from "./login.js";
import { Palette, Help } from "./palette.js";
import { Component, html, render, useEffect, useState } from "./preact.js";
import { go, link, parse, useRoute } from "./router.js";
import { can, now, reconnect, signInWithCode, signOut, start, state, useNow, useStore } from "./store.js";
import { theme, useTheme } from "./theming.js";
import { Toasts } from "./toasts.js";
import { Button, ConfirmDialog, ErrorBox, Icon, Logo, MOD, Note, Segments, Skeleton, View, troubled } from "./ui.js";
import { views } from "./views.js";

useConfirmDialog(ConfirmDialog);

class Contain extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }
  render({ children }, { error }) {
    return error
      ? html`<${View} title="This view could not be drawn"><${Note} tone="bad" title=${error.message}
          action=${html`<${Button} small icon="restart" onClick=${() => this.setState({ error: null })}>Draw again</${Button}>`}>
          <div class="muted">Draw it again, or reload the page. The daemon and its processes are not affected.</div></${Note}></${View}>`
      : children;
  }
}

const loaded = new Map();

function Routed({ route }) {
  const id = route.parts[0] ?? "overview";
  const view = views.find((v) => v.id === id);
  const [, again] = useState(0);
  const [error, setError] = useState(null);
  useEffect(() => {
    setError(null);
    if (view && !loaded.has(id)) {
      view.load().then((m) => { loaded.set(id, m.default); again((n) => n + 1); }, setError);
    }
  }, [id]);
  if (!view) {
    return html`<${View} title="There is no such page"><${Note} tone="warn" title="The address ${location.hash} leads nowhere."
      action=${html`<${Button} small href=${link("overview")}>Processes</${Button}>`}>Choose a view at the left.</${Note}></${View}>`;
  }
  if (view.role && !can(view.role)) {
    return html`<${View} title=${view.title}><${Note} title="This needs the role ${view.role}.">
      <div class="muted">You are signed in as ${state().me.name}, a ${state().me.role}. Sign in with another token, or ask an admin.</div></${Note}></${View}>`;
  }
  const Drawn = loaded.get(id);
  if (error && !Drawn) return html`<${View} title=${view.title}><${ErrorBox} title="This part of the page could not be loaded." error=${error} onRetry=${() => location.reload()} /></${View}>`;
  if (!Drawn) return html`<${View} title=${view.title}><${Skeleton} lines=6 /></${View}>`;
  return html`<${Contain} key=${id}><${Drawn} route=${route} /></${Contain}>`;
}

function Nav({ route, onGo }) {
  const bad = useStore((s) => (s.processes ?? []).filter(troubled).length);
  const me = useStore((s) => s.me);
  const at = route.parts[0] === "p" || route.parts[0] === "new" ? "overview" : route.parts[0] ?? "overview";
  const shown = views.filter((v) => !v.hidden && (!v.role || can(v.role)));
  return html`<nav class="nav" aria-label="Views">
    ${shown.map((v) => html`<a key=${v.id} href=${link(v.id)} aria-current=${at === v.id ? "page" : undefined} onClick=${onGo}>
      <${Icon} name=${v.icon} />${v.title}
      ${v.id === "overview" && bad > 0 && html`<span class="count bad" title="${bad} need attention" aria-label="${bad} need attention">${bad}</span>`}</a>`)}
    <a href="/docs"><${Icon} name="external" />API</a>
    <span hidden>${me?.role}</span>
  </nav>`;
}

function Side({ route, open, onGo }) {
  const me = useStore((s) => s.me);
  const kept = useTheme();
  return html`<aside class="side ${open ? "open" : ""}" aria-label="Navigation">
    <a class="brand" href=${link("overview")} onClick=${onGo}><${Logo} />cbox-init</a>
    <button type="button" class="side-find" onClick=${() => { onGo(); ask(Palette); }}><${Icon} name="search" size=14 /><span class="grow">Go to…</span><kbd>${MOD} K</kbd></button>
    <${Nav} route=${route} onGo=${onGo} />
    <div class="side-foot">
      <div class="row">
        <${Segments} label="Colours" at=${kept} onPick=${theme.set}
          options=${[{ id: "light", icon: "sun", title: "Light" }, { id: "dark", icon: "moon", title: "Dark" }, { id: "auto", icon: "system", title: "As the system" }]} />
        <span class="grow"></span>
        <${Button} kind="quiet" small icon="help" title="Keyboard shortcuts" onClick=${() => ask(Help)} />
      </div>
      <div class="who"><${Icon} name="user" />
        <div class="grow"><div class="who-name ellipsis" title=${me.name}>${me.name}</div><div class="small faint">${me.role}${me.processes?.length ? `, ${me.processes.join(" ")}` : ""}</div></div>
        ${me.kind !== "loopback" && me.kind !== "anonymous" && html`<${Button} kind="quiet" small icon="out" title="Sign out" onClick=${signOut} />`}
      </div>
    </div>
  </aside>`;
}

function Banner() {
  const link_ = useStore((s) => s.link);
  const retryAt = useStore((s) => s.retryAt);
  const expires = useStore((s) => s.me?.expires_at);
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (link_ !== "lost") return void setLate(false);
    const timer = setTimeout(() => setLate(true), 700);
    return () => clearTimeout(timer);
  }, [link_]);
  useNow(1000);
  if (link_ === "lost" && late) {
    const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    return html`<div class="banner" role="status"><${Icon} name="busy" spin /><span>The daemon cannot be reached. What you see is from before.
      <span class="num">${left > 0 ? ` Next try in ${left} s.` : " Connecting…"}</span></span><${Button} small onClick=${reconnect}>Try now</${Button}></div>`;
  }
  const rest = expires ? (typeof expires === "number" ? expires : Date.parse(expires) / 1000) - now() : Infinity;
  if (rest < 300 && rest > 0) {
    return html`<div class="banner idle" role="status"><${Icon} name="clock" />Your session ends in ${Math.ceil(rest / 60)} min. You can sign in again without losing your place.</div>`;
  }
  return null;
}

function Dialogs() {
  return useDialogs().map((d) => html`<${d.component} key=${d.id} ...${d.properties} close=${d.close} />`);
}

function Keyboard() {
  useEffect(() => {
    let lead = 0;
    function key(event) {
      const { target } = event;
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        if (!document.querySelector("dialog[open]")) ask(Palette);
        return;
      }
      if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented) return;
      if (target.closest("input, textarea, select, [contenteditable]") || document.querySelector("dialog[open]")) return;
      if (lead && Date.now() - lead < 1500) {
        lead = 0;
        const view = views.find((v) => v.key === event.key && (!v.role || can(v.role)));
        if (view) {
          event.preventDefault();
          go(link(view.id));
        }
        return;
      }
      if (event.key === "g") lead = Date.now();
      else if (event.key === "?") ask(Help);
      else if (event.key === "/") {
        const field = document.querySelector("[data-search]");
        if (field) {
          field.focus();
          field.select?.();
        } else ask(Palette);
        event.preventDefault();
      }
    }
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  return null;
}

function App() {
  const route = useRoute();
  const auth = useStore((s) => s.auth);
  const me = useStore((s) => s.me);
  const lost = useStore((s) => s.link === "lost");
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const key = (event) => event.key === "Escape" && setOpen(false);
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  if (!me || auth === "checking") return auth === "checking" ? html`<${Waiting} />` : html`<${Login} />`;
  if (auth === "needed") return html`<${Login} />`;
  return html`
    <a class="sr" href="#main" onClick=${(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
    <div class="frame">
      <header class="top">
        <${Button} kind="quiet" icon="menu" title="Menu" aria-expanded=${open} onClick=${() => setOpen(true)} />
        <a class="brand" href=${link("overview")}><${Logo} />cbox-init</a><span class="grow"></span>
        <${Button} kind="quiet" icon="search" title="Go to" onClick=${() => ask(Palette)} />
      </header>
      <button type="button" class="scrim ${open ? "open" : ""}" aria-label="Close the menu" onClick=${() => setOpen(false)}></button>
      <${Side} route=${route} open=${open} onGo=${() => setOpen(false)} />
      <main class="main" id="main" tabindex="-1">
        <${Banner} />
        <div class=${lost ? "stale" : ""}><${Routed} route=${route} /></div>
      </main>
    </div>
    <${Toasts} /><${Dialogs} /><${Keyboard} />
    ${auth === "again" && html`<${LoginDialog} />`}`;
}

/** Before it is known who the caller is: a moment, or until the daemon can be reached. */
function Waiting() {
  const error = useStore((s) => s.authError);
  return html`<main class="login"><div class="login-card" role="status">
    <div class="brand"><${Logo} size=24 />cbox-init</div>
    ${error
      ? html`<${Note} tone="warn" title="The daemon cannot be reached." action=${html`<${Button} small onClick=${begin}>Try now</${Button}>`}>
          <div class="muted">Check that it runs. The page tries again every few seconds.</div></${Note}>`
      : html`<div class="row muted"><${Icon} name="busy" spin />Connecting…</div>`}
  </div></main>`;
}

let beginning = 0;
let code = "";

/** Takes a login code out of the address, so that it is in no history and no bookmark. */
function takeCode() {
  const found = /^#login=([^&]+)$/.exec(location.hash);
  if (!found) return;
  try { code = decodeURIComponent(found[1]); } catch { code = found[1]; }
  history.replaceState(null, "", location.pathname + link("overview"));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

async function begin() {
  clearTimeout(beginning);
  try {
    if (code) await signInWithCode(code);
    else await start();
    code = "";
  } catch {
    beginning = setTimeout(begin, 3000);
  }
}

takeCode();
if (parse(location.hash).parts.length === 0) history.replaceState(null, "", link("overview"));
// A link with a code that is opened in a tab that already shows the page.
window.addEventListener("hashchange", () => {
  if (!location.hash.startsWith("#login=")) return;
  takeCode();
  begin();
});
render(html`<${App} />`, document.getElementById("app"));
begin();
