// A choice of names out of many: a button with a list that can be searched.

import { coloursOf } from "../model/log_buffer.js";
import { harmless } from "../model/terminal_text.js";
import { html, useEffect, useRef, useState } from "../preact.js";
import { Icon } from "../ui.js";

const MOST_SHOWN = 100;

/** `chosen` names out of `names`; none is all of them. `onChange` gets the new choice. */
export function NamePicker({ names, chosen, onChange, word, many = `${word}s` }) {
  const [open, setOpen] = useState(false);
  const box = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const outside = (event) => box.current.contains(event.target) || setOpen(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const label = chosen.length === 0 ? `All ${many}` : chosen.length === 1 ? harmless(chosen[0]) : `${chosen.length} ${many}`;
  return html`<div class="menu-at picker" ref=${box} onKeyDown=${(event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    setOpen(false);
    box.current.querySelector("button").focus();
  }}>
    <button type="button" class="btn small picker-button" aria-haspopup="true" aria-expanded=${open} onClick=${() => setOpen(!open)}>
      <span class="ellipsis"><bdi>${label}</bdi></span><${Icon} name="down" />
    </button>
    ${open && html`<${Choice} names=${names} chosen=${chosen} onChange=${onChange} word=${word} many=${many} />`}
  </div>`;
}

function Choice({ names, chosen, onChange, word, many }) {
  const [text, setText] = useState("");
  const list = useRef(null);
  useEffect(() => list.current.querySelector("input")?.focus(), []);
  const colourOf = coloursOf(names);
  const toggle = (name) => onChange(chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name]);
  const wanted = text.toLowerCase();
  const matching = [...new Set([...chosen, ...names])].filter((name) => name.toLowerCase().includes(wanted));
  return html`<div class="menu picker-list" role="group" aria-label=${`Choose ${many}`} ref=${list}>
    ${names.length > 8 && html`<input class="input" type="search" placeholder=${`Find a ${word}`} aria-label=${`Find a ${word}`} value=${text} onInput=${(event) => setText(event.target.value)} />`}
    <div class="picker-names">
      ${!wanted && html`<label class="picker-name"><input type="checkbox" checked=${!chosen.length} onChange=${() => onChange([])} /><span>All ${many}</span></label>`}
      ${matching.slice(0, MOST_SHOWN).map((name) => html`<label key=${name} class="picker-name">
        <input type="checkbox" checked=${chosen.includes(name)} onChange=${() => toggle(name)} />
        <i class=${`dot series s${colourOf(name)}`}></i><span class="ellipsis"><bdi>${harmless(name)}</bdi></span>
      </label>`)}
      ${!matching.length && html`<p class="faint small picker-none">No ${word} has this in its name.</p>`}
      ${matching.length > MOST_SHOWN && html`<p class="faint small picker-none">${matching.length - MOST_SHOWN} more: type a part of the name.</p>`}
    </div>
  </div>`;
}
