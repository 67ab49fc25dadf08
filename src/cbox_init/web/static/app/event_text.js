// Events in words.
//   textOf(event)   {tone, icon, text}: what happened, without the name of the process
//   linesOf(text)    several lines of output, made safe to show
//   <EventList events={[...]} plain />   a list, newest first; `plain` leaves out the name of the process
import * as fmt from "./fmt.js";
import { harmless } from "./model/terminal_text.js";
import { html } from "./preact.js";
import { link } from "./router.js";
import { Ago, Empty, Icon } from "./ui.js";

const WORDS = {
  "instance.started": (e) => ["ok", "play", `started, PID ${e.data?.pid}`],
  "instance.start_failed": () => ["bad", "bad", "could not be started"],
  "instance.exited": (e) => [e.data?.failed ? "bad" : "idle", e.data?.failed ? "bad" : "stop", e.data?.failed ? "crashed" : "ended"],
  "instance.restarting": (e) => ["warn", "restart", e.data?.delay_s ? `restarts in ${fmt.duration(e.data.delay_s)}` : "is restarted"],
  "instance.given_up": () => ["bad", "bad", "has failed and is not restarted"],
  "instance.killed": () => ["warn", "x", "did not stop in time and was killed"],
  "instance.suspended": () => ["warn", "pause", "was suspended"],
  "instance.continued": () => ["ok", "play", "runs again"],
  "instance.health": (e) => [e.data?.state === "healthy" ? "ok" : e.data?.state === "unhealthy" ? "bad" : "info", e.data?.state === "healthy" ? "ok" : "warn", `is ${e.data?.state}`],
  "instance.ready": () => ["ok", "ok", "is ready"],
  "instance.not_ready": () => ["warn", "warn", "is not ready any more"],
  "hook.started": (e) => ["info", "play", `hook ${e.data?.hook ?? ""} began`],
  "hook.ended": (e) => [e.reason ? "bad" : "idle", e.reason ? "bad" : "check", `hook ${e.data?.hook ?? ""} ended`],
  "process.state": (e) => [{ running: "ok", failed: "bad", completed: "ok" }[e.data?.state] ?? "idle", "circle", `is ${e.data?.state}`],
  "process.blocked": () => ["warn", "clock", "waits for its dependencies"],
  "process.timeout": () => ["bad", "clock", "its dependencies were not ready in time"],
  "rollout.started": () => ["info", "restart", "rollout began"],
  "rollout.step": (e) => ["info", "restart", `rollout: ${e.data?.updated} of ${e.data?.total} replaced`],
  "rollout.complete": () => ["ok", "ok", "rollout is complete"],
  "rollout.failed": () => ["bad", "bad", "rollout has stopped"],
  "rollout.rolled_back": () => ["bad", "restart", "rolled back to the former configuration"],
  "schedule.run_started": (e) => ["info", "play", e.data?.manual ? "run started by hand" : "run started"],
  "schedule.run_ended": (e) => [e.data?.exit_code ? "bad" : "ok", e.data?.exit_code ? "bad" : "ok",
    `run ended with ${e.data?.exit_code ?? "?"}${e.data?.duration_s === undefined ? "" : ` after ${fmt.duration(e.data.duration_s)}`}`],
  "schedule.run_skipped": () => ["warn", "skip", "run was left out"],
  "schedule.overdue": () => ["bad", "clock", "no run has succeeded in time"],
  "schedule.paused": () => ["idle", "pause", "schedule paused"],
  "schedule.resumed": () => ["idle", "play", "schedule resumed"],
  "config.changed": (e) => ["info", "config", `configuration changed (${e.data?.action ?? "edit"})`],
  "config.failed": () => ["bad", "config", "configuration refused"],
  "change.started": (e) => ["info", "changes", `${e.data?.command ?? "command"} asked for`],
  "change.progress": (e) => ["info", "changes", `${e.data?.command ?? "change"}: ${e.data?.done} of ${e.data?.total}`],
  "change.ended": (e) => [{ done: "ok", failed: "bad" }[e.data?.status] ?? "idle", "changes", `${e.data?.command ?? "change"} ${e.data?.status ?? "ended"}`],
  "log.dropped": (e) => ["warn", "logs", `${fmt.plural(e.data?.lines, "log line")} dropped`],
  "autoscale.decided": (e) => ["info", "charts", `scaled from ${e.data?.before} to ${e.data?.scale} for its load`],
  "autoscale.failed": () => ["warn", "charts", "its load could not be measured"],
  "notification.failed": () => ["warn", "warn", "a notification could not be delivered"],
  "daemon.started": () => ["info", "daemon", "the daemon has started"],
  "daemon.ready": () => ["ok", "daemon", "everything is ready"],
  "daemon.not_ready": () => ["warn", "daemon", "not everything is ready"],
  "daemon.stopping": () => ["warn", "daemon", "the daemon shuts down"],
  "daemon.defect": () => ["bad", "daemon", "an unexpected error was contained"],
};

export function textOf(event) {
  const [tone, icon, text] = WORDS[event.kind]?.(event) ?? ["idle", "circle", event.kind.replace(".", " ").replaceAll("_", " ")];
  return { tone, icon, text };
}

/** Several lines of a program's output, made safe to show. */
export function linesOf(text) {
  return String(text ?? "").split("\n").map(harmless).join("\n");
}

export function EventList({ events, plain, empty = "What happens to processes shows here as it happens." }) {
  if (!events.length) return html`<${Empty} icon="events" title="No events yet">${empty}</${Empty}>`;
  return html`<ul class="list">${events.map((e) => {
    const { tone, icon, text } = textOf(e);
    const words = e.data?.last_output;
    return html`<li key=${`${e.number}-${e.timestamp}`}>
      <span class="tone-${tone} event-icon"><${Icon} name=${icon} size=14 /></span>
      <div class="grow">
        ${!plain && e.process && html`<a class="strong" href=${link(["p", e.process])}><bdi>${harmless(e.instance ?? e.process)}</bdi></a> `}${plain && e.instance && html`<bdi class="strong">${harmless(e.instance)}</bdi> `}<span>${text}</span>${e.reason && html`<span class="muted">: ${harmless(e.reason)}</span>`}
        ${words && html`<div class="small faint mono last-words">${linesOf(words)}</div>`}
      </div>
      <span class="when"><${Ago} at=${e.timestamp} /></span></li>`;
  })}</ul>`;
}
