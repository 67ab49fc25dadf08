// Copying a text. Browsers offer navigator.clipboard only over HTTPS and on this machine.
import { toast } from "./changes.js";

export async function copy(text) {
  const done = await (navigator.clipboard ? navigator.clipboard.writeText(text).then(() => true, () => byHand(text)) : byHand(text));
  toast(done ? { tone: "ok", title: "Copied" } : { tone: "warn", title: "Not copied", text: "The browser does not allow it. Select the text and copy it yourself." });
}

function byHand(text) {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr";
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}
