// Texts for figures and times. Every time is Unix seconds or RFC 3339, and is compared with the daemon's clock.
//
//   bytes(n) "12.4 MiB"     percent(n) "3.1 %"     number(n) "1,204"     plural(2, "instance") "2 instances"
//   duration(s) "2h 5m"     seconds(time) Unix seconds of a number or of RFC 3339
//   ago(time, now) "5m ago" | "in 5m"              clock(time) "14:02:31"     dateTime(time) "28 Nov 2026, 14:02:31"
const whole = new Intl.NumberFormat("en-US");

export function number(n) {
  return n === undefined || n === null ? "–" : whole.format(n);
}

export function plural(n, word, many = `${word}s`) {
  return `${number(n)} ${n === 1 ? word : many}`;
}

export function bytes(n) {
  if (n === undefined || n === null) return "–";
  if (n === 0) return "0 B";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const at = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(n) / 10)));
  const value = n / 1024 ** at;
  return `${value >= 100 || at === 0 ? Math.round(value) : value.toFixed(1)} ${units[at]}`;
}

export function percent(n, digits = 1) {
  if (n === undefined || n === null) return "–";
  return `${n >= 100 ? Math.round(n) : n.toFixed(digits)} %`;
}

export function ms(n) {
  if (n === undefined || n === null) return "–";
  return n >= 1000 ? `${(n / 1000).toFixed(1)} s` : `${n >= 10 ? Math.round(n) : n.toFixed(1)} ms`;
}

export function duration(s) {
  const all = Math.max(0, s);
  if (all < 1) return `${Math.round(all * 1000)} ms`;
  if (all < 60) return `${Math.floor(all)}s`;
  const m = Math.floor(all / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  if (m < 60) return `${m}m ${Math.floor(all % 60)}s`;
  if (h < 24) return `${h}h ${m % 60}m`;
  return `${d}d ${h % 24}h`;
}

export function seconds(time) {
  if (time === undefined || time === null) return 0;
  return typeof time === "number" ? time : Date.parse(time) / 1000;
}

export function ago(time, now) {
  const past = now - seconds(time);
  if (Math.abs(past) < 1.5) return "now";
  const far = Math.abs(past) < 60 ? `${Math.round(Math.abs(past))}s` : duration(Math.abs(past)).split(" ")[0];
  return past > 0 ? `${far} ago` : `in ${far}`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dateFormat = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  timeZoneName: "short",
});

export function clock(time) {
  return clockFormat.format(seconds(time) * 1000);
}

export function dateTime(time) {
  return dateFormat.format(seconds(time) * 1000);
}
