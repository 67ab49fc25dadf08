// All views of the page, in the order of the navigation. A module is loaded when its view is opened first.
//
// A view is a module whose default export is a component: it gets {route} (see router.js) and draws a <View>.
//   id       the first part of its address: #/logs
//   key      g and this letter opens it
//   role     the least role that sees it, by default viewer
//   hidden   not in the navigation
//
// `panels` are further tabs of a process (#/p/NAME?tab=ID); the component gets {process}, its ProcessEntry. One that
// is `scheduled` is there for processes with a schedule alone.
import { html, useEffect, useState } from "./preact.js";
import { Skeleton } from "./ui.js";

export const views = [
  { id: "overview", title: "Processes", icon: "overview", key: "o", load: () => import("./views/overview.js") },
  { id: "logs", title: "Logs", icon: "logs", key: "l", load: () => import("./views/logs.js") },
  { id: "charts", title: "Charts", icon: "charts", key: "h", load: () => import("./views/charts.js") },
  { id: "schedules", title: "Schedules", icon: "schedules", key: "s", load: () => import("./views/schedules.js") },
  { id: "graph", title: "Dependencies", icon: "graph", key: "g", load: () => import("./views/graph.js") },
  { id: "events", title: "Events", icon: "events", key: "e", load: () => import("./views/events.js") },
  { id: "changes", title: "Changes", icon: "changes", key: "c", load: () => import("./views/changes.js") },
  { id: "config", title: "Configuration", icon: "config", key: "f", role: "admin", load: () => import("./views/config.js") },
  { id: "daemon", title: "Daemon", icon: "daemon", key: "d", load: () => import("./views/daemon.js") },
  { id: "p", title: "Process", hidden: true, load: () => import("./views/detail.js") },
  { id: "new", title: "Add a process", hidden: true, role: "admin", load: () => import("./views/edit.js") },
];

export const panels = [
  { id: "logs", title: "Logs", component: lazy(() => import("./views/logs.js"), "ProcessLogs") },
  { id: "charts", title: "Charts", component: lazy(() => import("./views/charts.js"), "ProcessCharts") },
  { id: "runs", title: "History", scheduled: true, component: lazy(() => import("./views/schedules.js"), "ProcessSchedule") },
];

/** The component `name` of a module that is loaded when it is drawn first. */
function lazy(load, name) {
  let Loaded = null;
  return function Lazy(properties) {
    const [, again] = useState(null);
    useEffect(() => {
      if (!Loaded) load().then((module) => { Loaded = module[name]; again({}); }, (error) => again({ error }));
    }, []);
    return Loaded ? html`<${Loaded} ...${properties} />` : html`<${Skeleton} lines=6 />`;
  };
}
