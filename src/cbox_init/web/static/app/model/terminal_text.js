// Text of programs made safe to show: escape sequences become colours or vanish, control characters become visible.

const ESCAPE = /\u001b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])|[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|[ -/]*[0-~])/y;
const UNSAFE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/g;
const PLAIN = /^[\t\u0020-\u007e\u00a0-\u0600]*$/;

/** A control character as visible text: ␇ for U+0007, ⟨202E⟩ for one that would turn the direction of the text. */
export function visible(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}

/** A name or a message in one piece, with its control characters visible and without escape sequences. */
export function harmless(text) {
  const value = String(text ?? "");
  if (PLAIN.test(value)) return value;
  return spansOf(value)
    .map((span) => span.text)
    .join("")
    .replaceAll("\n", visible("\n"));
}

/**
 * The pieces of a line: `{text, className}`, the class from its colours (SGR), such as "a-fg1 a-bold".
 * Every other escape sequence is left out.
 */
export function spansOf(text) {
  if (PLAIN.test(text)) return text ? [{ text, className: "" }] : [];
  const spans = [];
  const pen = { fg: -1, bg: -1, bold: false, dim: false, italic: false, underline: false, inverse: false };
  let className = "";
  let from = 0;
  const take = (upto) => {
    if (upto > from) spans.push({ text: text.slice(from, upto).replace(UNSAFE, visible), className });
  };
  let at = text.indexOf("\u001b");
  while (at !== -1) {
    take(at);
    ESCAPE.lastIndex = at;
    const found = ESCAPE.exec(text);
    if (found) {
      from = ESCAPE.lastIndex;
      if (found[2] === "m" && !/[<=>?]/.test(found[1])) {
        apply(pen, found[1]);
        className = classOf(pen);
      }
      at = text.indexOf("\u001b", from);
    } else {
      from = at; // not a sequence: shown as a character
      at = text.indexOf("\u001b", at + 1);
    }
  }
  take(text.length);
  return spans;
}

function apply(pen, parameters) {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) Object.assign(pen, { fg: -1, bg: -1, bold: false, dim: false, italic: false, underline: false, inverse: false });
    else if (code === 1) pen.bold = true;
    else if (code === 2) pen.dim = true;
    else if (code === 3) pen.italic = true;
    else if (code === 4) pen.underline = true;
    else if (code === 7) pen.inverse = true;
    else if (code === 22) pen.bold = pen.dim = false;
    else if (code === 23) pen.italic = false;
    else if (code === 24) pen.underline = false;
    else if (code === 27) pen.inverse = false;
    else if (code >= 30 && code <= 37) pen.fg = code - 30;
    else if (code >= 90 && code <= 97) pen.fg = code - 82;
    else if (code === 39) pen.fg = -1;
    else if (code >= 40 && code <= 47) pen.bg = code - 40;
    else if (code >= 100 && code <= 107) pen.bg = code - 92;
    else if (code === 49) pen.bg = -1;
    else if (code === 38 || code === 48) {
      const key = code === 38 ? "fg" : "bg";
      if (codes[i + 1] === 5) {
        pen[key] = of256(codes[i + 2]);
        i += 2;
      } else if (codes[i + 1] === 2) {
        pen[key] = nearest(codes[i + 2], codes[i + 3], codes[i + 4]);
        i += 4;
      }
    }
  }
}

function classOf(pen) {
  const names = [];
  const fg = pen.inverse ? pen.bg : pen.fg;
  const bg = pen.inverse ? pen.fg : pen.bg;
  if (fg >= 0) names.push(`a-fg${fg}`);
  if (bg >= 0) names.push(`a-bg${bg}`);
  if (pen.inverse && pen.fg < 0 && pen.bg < 0) names.push("a-inverse");
  for (const name of ["bold", "dim", "italic", "underline"]) if (pen[name]) names.push(`a-${name}`);
  return names.join(" ");
}

/** The nearest of the 16 colours to one of the 256. */
function of256(index) {
  if (!(index >= 0 && index <= 255)) return -1;
  if (index < 16) return index;
  if (index >= 232) return nearest(...Array(3).fill(8 + (index - 232) * 10));
  const steps = [0, 95, 135, 175, 215, 255];
  const cube = index - 16;
  return nearest(steps[Math.floor(cube / 36)], steps[Math.floor(cube / 6) % 6], steps[cube % 6]);
}

function nearest(red, green, blue) {
  const most = Math.max(red, green, blue) || 0;
  if (most < 48) return 8; // black would not be seen on a dark page
  if (most - Math.min(red, green, blue) < 32) return most > 200 ? 15 : most > 120 ? 7 : 8;
  const half = most / 2;
  const hue = (red > half ? 1 : 0) | (green > half ? 2 : 0) | (blue > half ? 4 : 0);
  return most > 200 ? hue + 8 : hue;
}

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\ud83c-\ud83e][\udc00-\udfff]/g;

/** How many columns of a fixed-width font a text takes, roughly: wide characters count twice. */
export function columnsOf(text) {
  if (PLAIN.test(text)) return text.length;
  let columns = 0;
  for (const span of spansOf(text)) {
    columns += [...span.text].length + (span.text.match(WIDE) || []).length;
  }
  return columns;
}
