// Signing in with a token: the whole page at first, a dialog over the view when a session has ended.
import { html, useState } from "./preact.js";
import { signIn, useStore } from "./store.js";
import { Button, Dialog, Field, Logo, Note } from "./ui.js";

function useSignIn(again) {
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const why = useStore((s) => s.authError);
  async function submit() {
    if (!text.trim()) return void setError("Paste a token first.");
    setBusy(true);
    setError("");
    try { await signIn(text.trim()); } catch (failure) { setError(failure.message); }
    setBusy(false);
  }
  const field = html`<${Field} label="Token" error=${error || (!again && why)}>${(id) => html`
    <input id=${id} class="input big" type="password" name="token" autocomplete="current-password" autofocus value=${text} spellcheck=${false}
      aria-invalid=${!!(error || (!again && why))} onInput=${(e) => { setText(e.target.value); setError(""); }} />`}</${Field}>`;
  return { field, busy, submit, why };
}

export function Login() {
  const { field, busy, submit } = useSignIn();
  return html`<main class="login"><form class="login-card" onSubmit=${(e) => { e.preventDefault(); submit(); }}>
    <div class="brand"><${Logo} size=28 /></div>
    <div><h1>Sign in to cbox-init</h1><p class="muted">Processes, logs and schedules on ${location.host || "this host"}.</p></div>
    ${field}
    <${Button} type="submit" kind="primary" big busy=${busy}>Sign in</${Button}>
    <p class="foot">The token is <code>api_auth</code> or one of <code>api_tokens</code> in the configuration, and is kept in this tab only.
      On the machine itself, <code>cbox-init open</code> prints a link that signs you in.</p>
  </form></main>`;
}

export function LoginDialog() {
  const { field, busy, submit, why } = useSignIn(true);
  const name = useStore((s) => s.me?.name);
  return html`<${Dialog} title="Sign in again" onSubmit=${submit}
    footer=${html`<${Button} type="submit" kind="primary" busy=${busy}>Sign in</${Button}>`}>
    <${Note} tone="warn" title=${why}>You were signed in as ${name}. What you see behind this is kept.</${Note}>
    ${field}
  </${Dialog}>`;
}
