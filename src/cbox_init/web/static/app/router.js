// Where one is: the part of the address after #. It survives a reload, and a link to it can be sent.
//
//   useRoute()                 {path: "/p/web", parts: ["p", "web"], query: {tab: "events"}}
//   link(["p", name])          "#/p/NAME" with its parts encoded; link("logs", {process: name}) with a query
//   go(address)                as a link that is clicked; go(address, true) replaces the entry of the history
//   setQuery({tab: "events"})  changes parameters of the address, without an entry in the history; "" removes one
import { useEffect, useState } from "./preact.js";

export function parse(hash) {
  const [path, search = ""] = hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  return { path: `/${parts.join("/")}`, parts, query: Object.fromEntries(new URLSearchParams(search)) };
}

function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

export function link(parts, query) {
  const path = (Array.isArray(parts) ? parts : [parts]).map((p) => encodeURIComponent(p)).join("/");
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return `#/${path}${pairs.length ? `?${new URLSearchParams(pairs)}` : ""}`;
}

export function go(address, replace = false) {
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(null, "", address);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = address;
}

export function setQuery(change) {
  const { parts, query } = parse(location.hash);
  go(link(parts, { ...query, ...change }), true);
}

export function useRoute() {
  const [route, setRoute] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setRoute(parse(location.hash));
    window.addEventListener("hashchange", changed);
    changed();
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
