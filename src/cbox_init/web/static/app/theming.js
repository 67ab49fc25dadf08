// Dark, light, or as the system says. theme.js has set it before the first paint.
//   theme.get() "dark" | "light" | "auto"     theme.set(kept)     useTheme() what is kept
//   onTheme(call)  call("dark" | "light") when the colours change: for canvases, which do not follow CSS
import { useEffect, useState } from "./preact.js";

const KEPT = "cbox-init.theme";
const listeners = new Set();
const system = window.matchMedia("(prefers-color-scheme: dark)");

function read() {
  try { return localStorage.getItem(KEPT) ?? "auto"; } catch { return "auto"; }
}
let kept = read();

function apply() {
  const shown = kept === "auto" ? (system.matches ? "dark" : "light") : kept;
  document.documentElement.dataset.theme = shown;
  for (const call of [...listeners]) call(shown);
}
system.addEventListener("change", apply);

export const theme = {
  get: () => kept,
  set(next) {
    kept = next;
    try {
      if (next === "auto") localStorage.removeItem(KEPT);
      else localStorage.setItem(KEPT, next);
    } catch { /* storage is turned off: kept until the page is left */ }
    apply();
  },
};

export function onTheme(call) {
  listeners.add(call);
  return () => listeners.delete(call);
}

export function useTheme() {
  const [, again] = useState(0);
  useEffect(() => onTheme(() => again((n) => n + 1)), []);
  return kept;
}
