// What can be done to a process or an instance: each asks first where something ends, and shows its progress.
//
//   restart(entry), stop(entry), startUp(entry), scaleTo(entry, 3), remove(entry), signal(entry)
//   trigger(entry), pause(entry), resume(entry)          of a process with a schedule
//   restartInstance(name, id), stopInstance(name, id), signalInstance(name, id)
//   menuFor(entry)                                        the items of a Menu, [] for a viewer
//   <ProcessButtons process=${entry} small />             the buttons of a process, nothing for a viewer
import { api, path } from "./api.js";
import { ask, command, confirm } from "./changes.js";
import { plural } from "./fmt.js";
import { html, useState } from "./preact.js";
import { go, link } from "./router.js";
import { can } from "./store.js";
import { Button, Dialog, Field, Menu, Segments } from "./ui.js";

const process = (name, action) => path`/processes/${name}/` + action;
const instance = (id, action) => path`/instances/${id}/` + action;

export async function restart(p) {
  const count = p.desired_scale;
  const sure = !p.wanted || await confirm({
    title: `Restart ${p.name}?`, action: "Restart",
    body: count > 1
      ? `Its ${plural(count, "instance")} are replaced a few at a time, as its rollout says. You can abort on the way.`
      : "Its instance is replaced by a new one.",
  });
  if (sure) await command(`Restart ${p.name}`, () => api.post(process(p.name, "restart")), { kind: "restart", process: p.name });
}

export async function stop(p) {
  const sure = await confirm({
    title: `Stop ${p.name}?`, action: "Stop", danger: true,
    body: p.schedule
      ? "The runs under way are ended, and no further run starts until it is resumed."
      : `${p.scale > 1 ? `All ${p.scale} instances end` : "It ends"}, and stays stopped until somebody starts it.`,
  });
  if (sure) await command(`Stop ${p.name}`, () => api.post(process(p.name, "stop")), { kind: "stop", process: p.name });
}

export const startUp = (p) => command(`Start ${p.name}`, () => api.post(process(p.name, "start")), { kind: "start", process: p.name });

export async function scaleTo(p, scale) {
  const sure = scale > 0 || await confirm({
    title: `Scale ${p.name} to 0?`, action: "Scale to 0", danger: true, body: "No instance is left until it is scaled up again.",
  });
  return sure ? command(`Scale ${p.name} to ${scale}`, () => api.post(process(p.name, "scale"), { scale }), { kind: "scale", process: p.name }) : null;
}

export const trigger = (p) => command(`Run ${p.name}`, () => api.post(process(p.name, "schedule/trigger")), { kind: "trigger", process: p.name });
export const pause = (p) => command(`Pause ${p.name}`, () => api.post(process(p.name, "schedule/pause")), { kind: "pause", process: p.name });
export const resume = (p) => command(`Resume ${p.name}`, () => api.post(process(p.name, "schedule/resume")), { kind: "resume", process: p.name });

export async function remove(p) {
  const sure = await confirm({
    title: `Remove ${p.name}?`, action: "Remove", danger: true,
    body: "It is stopped and leaves the running configuration. The file keeps it until the configuration is saved.",
  });
  if (!sure) return;
  const reply = await command(`Remove ${p.name}`, () => api.delete(path`/processes/${p.name}`), { kind: "remove", process: p.name });
  if (reply) go(link("overview"));
}

export async function restartInstance(name, id) {
  const sure = await confirm({ title: `Restart ${id}?`, action: "Restart", body: "This instance is replaced at once, whatever the others do." });
  if (sure) await command(`Restart ${id}`, () => api.post(instance(id, "restart")), { kind: "instance", process: name });
}

export async function stopInstance(name, id) {
  const sure = await confirm({
    title: `Stop ${id}?`, action: "Stop", danger: true,
    body: "This instance ends and stays down until it or its process is started. The scale stays as it is.",
  });
  if (sure) await command(`Stop ${id}`, () => api.post(instance(id, "stop")), { kind: "stop", process: name });
}

async function sendSignal(who, where, name) {
  const body = await ask(SignalDialog, { who });
  if (body) await command(`Send ${body.signal} to ${who}`, () => api.post(where, body), { kind: "signal", process: name });
}
export const signal = (p) => sendSignal(p.name, process(p.name, "signal"), p.name);
export const signalInstance = (name, id) => sendSignal(id, instance(id, "signal"), name);

function SignalDialog({ who, close }) {
  const [name, setName] = useState("HUP");
  const [to, setTo] = useState("main");
  const right = /^(SIG)?[A-Za-z0-9+-]{1,17}$/.test(name);
  return html`<${Dialog} title="Send a signal to ${who}" onClose=${() => close(null)} onSubmit=${() => right && close({ signal: name, to })}
    footer=${html`<${Button} onClick=${() => close(null)}>Cancel</${Button}><${Button} type="submit" kind="primary" disabled=${!right}>Send</${Button}>`}>
    <${Field} label="Signal" hint="A name such as HUP, USR1 or RTMIN+3, or a number." error=${!right && "Write a name such as HUP, or a number."}>
      ${(id) => html`<input id=${id} class="input" value=${name} autofocus spellcheck=${false} autocomplete="off" aria-invalid=${!right} onInput=${(e) => setName(e.target.value.trim())} />`}
    </${Field}>
    <div class="btns">${["HUP", "USR1", "USR2", "TERM", "INT", "QUIT"].map((s) => html`<${Button} small onClick=${() => setName(s)}>${s}</${Button}>`)}</div>
    <div class="field"><span class="label">To</span><${Segments} label="Receiver" at=${to} onPick=${setTo}
      options=${[{ id: "main", label: "Main process" }, { id: "group", label: "Process group" }]} /></div>
  </${Dialog}>`;
}

export function menuFor(p) {
  if (!can("operator", p.name)) return [];
  const runs = p.schedule ? p.instances.length > 0 : p.wanted;
  return [
    p.schedule && p.schedule_state !== "paused" && { icon: "play", label: "Run now", run: () => trigger(p) },
    p.schedule && (p.schedule_state === "paused"
      ? { icon: "play", label: "Resume schedule", run: () => resume(p) }
      : { icon: "pause", label: "Pause schedule", run: () => pause(p) }),
    !p.schedule && { icon: "restart", label: "Restart", run: () => restart(p) },
    !p.schedule && !runs && { icon: "play", label: "Start", run: () => startUp(p) },
    runs && { icon: "stop", label: "Stop", run: () => stop(p) },
    p.scale > 0 && { icon: "signal", label: "Send a signal", run: () => signal(p) },
    ...(can("admin")
      ? ["-", { icon: "edit", label: "Edit", run: () => go(link(["p", p.name, "edit"])) }, { icon: "trash", label: "Remove", danger: true, run: () => remove(p) }]
      : []),
  ].filter(Boolean);
}

/** The buttons at the head of a process: what one does most, and the rest in a menu. */
export function ProcessButtons({ process: p }) {
  if (!can("operator", p.name)) return null;
  const first = p.schedule
    ? p.schedule_state === "paused"
      ? html`<${Button} icon="play" onClick=${() => resume(p)}>Resume</${Button}>`
      : html`<${Button} icon="play" kind="primary" onClick=${() => trigger(p)}>Run now</${Button}>`
    : p.wanted
      ? html`<${Button} icon="restart" onClick=${() => restart(p)}>Restart</${Button}><${Button} icon="stop" onClick=${() => stop(p)}>Stop</${Button}>`
      : html`<${Button} icon="play" kind="primary" onClick=${() => startUp(p)}>Start</${Button}>`;
  const done = ["Run now", "Resume schedule", "Start", "Stop"];
  const items = menuFor(p).filter((i) => i === "-" || p.schedule ? i.label !== "Run now" && i.label !== "Resume schedule" : !done.includes(i.label) && !(i.label === "Restart" && p.wanted));
  return html`${first}<${Menu} label="More for ${p.name}" kind="" items=${items[0] === "-" ? items.slice(1) : items} />`;
}
