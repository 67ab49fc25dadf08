// A configuration as YAML, for reading and as a start for changes.

const PLAIN = /^[\p{L}_/.$-][^\p{C}:#\u2028\u2029]*$/u;
const OTHER_TYPE = /^(?:true|false|yes|no|on|off|null|y|n|~|[-+.]?\d[\d_.:eE+-]*|\.(?:inf|nan)|-+|\.+|<<|=)$/i;
const SPECIAL_START = /^(?:-(?:\s|$)|---|\.\.\.)/;

/** `value`, which came as JSON, as YAML that says the same. */
export function yamlOf(value) {
  return isEmpty(value) || typeof value !== "object" ? `${scalar(value)}\n` : `${block(value, "").join("\n")}\n`;
}

function block(value, indent) {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      if (isEmpty(item) || typeof item !== "object") return [`${indent}- ${scalar(item)}`];
      const lines = block(item, `${indent}  `);
      return [`${indent}- ${lines[0].slice(indent.length + 2)}`, ...lines.slice(1)];
    });
  }
  return Object.entries(value).flatMap(([key, item]) => {
    const name = `${indent}${scalar(key)}:`;
    if (isEmpty(item) || typeof item !== "object") return [`${name} ${scalar(item)}`];
    if (Array.isArray(item) && item.every((one) => typeof one !== "object" || one === null)) {
      const line = `${name} [${item.map(flow).join(", ")}]`;
      if (line.length <= 110) return [line];
    }
    return [name, ...block(item, `${indent}  `)];
  });
}

const isEmpty = (value) => value === null || (typeof value === "object" && Object.keys(value).length === 0);

function scalar(value) {
  if (typeof value === "string") return isPlain(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return "[]";
  if (value && typeof value === "object") return "{}";
  return JSON.stringify(value ?? null);
}

function flow(value) {
  if (typeof value === "string" && isPlain(value) && !/[,[\]{}]/.test(value)) return value;
  return JSON.stringify(value ?? null);
}

function isPlain(text) {
  return PLAIN.test(text) && !OTHER_TYPE.test(text) && !SPECIAL_START.test(text) && text.trimEnd() === text;
}
