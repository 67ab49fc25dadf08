import { html } from "../preact.js";
import { Empty, View } from "../ui.js";

export default function Placeholder() {
  return html`<${View} title="Events"><${Empty} icon="events" title="Not here yet">This view is being built.</${Empty}></${View}>`;
}
