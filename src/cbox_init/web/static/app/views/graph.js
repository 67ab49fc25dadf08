import { html } from "../preact.js";
import { Empty, View } from "../ui.js";

export default function Placeholder() {
  return html`<${View} title="Dependencies"><${Empty} icon="graph" title="Not here yet">This view is being built.</${Empty}></${View}>`;
}
