// What the page of the API knows about the OpenAPI document, as functions of values.

const METHODS = ["get", "post", "put", "delete"];

/** [{name, description, operations}] in the order of the document. An operation: {id, method, path, spec}. */
export function groupsOf(api) {
  const found = new Map(api.tags.map((tag) => [tag.name, { ...tag, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      const spec = item[method];
      if (!spec) continue;
      const group = found.get(spec.tags?.[0]) ?? found.values().next().value;
      group.operations.push({ id: spec.operationId, method: method.toUpperCase(), path, spec, group: group.name });
    }
  }
  return [...found.values()].filter((group) => group.operations.length);
}

/** The groups with the operations that have all words of `text`. */
export function filtered(groups, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return groups;
  return groups
    .map((group) => ({
      ...group,
      operations: group.operations.filter((one) => {
        const all = `${one.method} ${one.path} ${one.spec.summary} ${one.id} ${group.name}`.toLowerCase();
        return words.every((word) => all.includes(word));
      }),
    }))
    .filter((group) => group.operations.length);
}

export function resolved(api, schema) {
  let found = schema ?? {};
  for (let left = 20; found.$ref && left; left--) found = api.components.schemas[nameOf(found)] ?? {};
  return found;
}

export const nameOf = (schema) => schema?.$ref?.split("/").pop() ?? "";

/** A schema in a few words, such as `list of ProcessEntry`, `integer 1 to 100`. */
export function typeText(api, schema) {
  if (!schema) return "any";
  if (schema.$ref) {
    const target = resolved(api, schema);
    return target.enum ? "one of" : nameOf(schema);
  }
  if (schema.enum) return "one of";
  if ("const" in schema) return JSON.stringify(schema.const);
  const several = schema.anyOf ?? schema.oneOf;
  if (several) return [...new Set(several.map((one) => typeText(api, one)))].join(" or ");
  const kind = Array.isArray(schema.type) ? schema.type.join(" or ") : schema.type ?? "any";
  if (kind === "array") return `list of ${typeText(api, schema.items ?? {})}`;
  if (kind === "object" && typeof schema.additionalProperties === "object") return `${typeText(api, schema.additionalProperties)} by name`;
  return kind;
}

/** What else a schema says: values, range, default. */
export function limits(api, schema) {
  const target = resolved(api, schema?.type === "array" ? schema.items : schema);
  const found = [];
  if (target.enum) found.push(target.enum.map((one) => `\`${one}\``).join(" "));
  const low = target.minimum ?? target.exclusiveMinimum;
  if (low !== undefined && target.maximum !== undefined) found.push(`${low} to ${target.maximum}`);
  else if (low !== undefined) found.push(`at least ${low}`);
  else if (target.maximum !== undefined) found.push(`at most ${target.maximum}`);
  if (target.maxLength !== undefined) found.push(`at most ${target.maxLength} characters`);
  if (target.default !== undefined && target.default !== null) found.push(`default \`${JSON.stringify(target.default)}\``);
  return found.join(", ");
}

/** The schema whose members are worth showing: of a list its items, of names their values. */
export function inner(api, schema) {
  let found = resolved(api, schema);
  for (let left = 5; left; left--) {
    if (found.type === "array" && found.items) found = resolved(api, found.items);
    else if (found.type === "object" && !found.properties && typeof found.additionalProperties === "object") found = resolved(api, found.additionalProperties);
    else break;
  }
  return found;
}

export function alternatives(api, schema) {
  const target = resolved(api, schema);
  const several = (target.anyOf ?? target.oneOf ?? []).filter((one) => one.type !== "null");
  return several.length > 1 && several.some((one) => one.$ref || one.properties) ? several : several.length === 1 ? several : [];
}

/** [[name, value]] of a content of the document. */
export function examplesOf(content) {
  if (!content) return [];
  if ("example" in content) return [["Example", content.example]];
  return Object.values(content.examples ?? {}).map((one, at) => [`Example ${at + 1}`, one.value]);
}

export const textOf = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

export const bodyOf = (operation) => operation.spec.requestBody?.content?.["application/json"];

/** Whether a reply comes in pieces, for as long as the client reads. */
export const streams = (operation) => Object.keys(operation.spec.responses["200"]?.content ?? {}).includes("text/event-stream");

/** What is written into the form at first: the examples of the path, and nothing that only narrows the reply. */
export function startValues(operation) {
  const found = {};
  for (const one of operation.spec.parameters ?? []) {
    if (one.example === undefined || !(one.in === "path" || one.required)) continue;
    found[`${one.in}:${one.name}`] = [one.example].flat().join(",");
  }
  return found;
}

const given = (values, one) => (values[`${one.in}:${one.name}`] ?? "").trim();

/** {url, headers, missing} of a request. A list is written with commas, and sent as a parameter each. */
export function requestOf(operation, values) {
  const missing = [];
  const query = new URLSearchParams();
  const headers = {};
  let path = operation.path;
  for (const one of operation.spec.parameters ?? []) {
    const value = given(values, one);
    if (!value) {
      if (one.required) missing.push(one.name);
      continue;
    }
    if (one.in === "path") path = path.replace(`{${one.name}}`, encodeURIComponent(value));
    else if (one.in === "header") headers[one.name] = value;
    else for (const part of one.schema.type === "array" ? value.split(",") : [value]) if (part.trim()) query.append(one.name, part.trim());
  }
  const text = query.toString();
  return { url: path + (text ? `?${text}` : ""), headers, missing };
}

/** One word of a command, as a shell takes it. */
export function quoted(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The command that sends the same request. The token is a variable, so that it is in no history of a shell. */
export function curlLine(operation, { url, headers }, body, origin, secured) {
  const words = ["curl", streams(operation) && "-N", operation.method !== "GET" && `-X ${operation.method}`].filter(Boolean).join(" ");
  const address = quoted(origin + url);
  const lines = words.length + address.length < 60 ? [`${words} ${address}`] : [words, address];
  if (secured) lines.push('-H "Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  if (body) {
    let short = body;
    try { short = JSON.stringify(JSON.parse(body)); } catch { /* sent as it is */ }
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(short)}`);
  }
  return lines.join(" \\\n  ");
}

/** [{text, kind}] of a text in JSON: kind is "key", "text", "number", "word" or "". */
export function coloured(text) {
  const found = [];
  let from = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|-?\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b|\b(?:true|false|null)\b/g)) {
    if (match.index > from) found.push({ text: text.slice(from, match.index), kind: "" });
    const word = match[1] ?? match[0];
    found.push({ text: word, kind: match[1] ? (match[2] ? "key" : "text") : /\d/.test(match[0]) ? "number" : "word" });
    from = match.index + word.length;
  }
  found.push({ text: text.slice(from), kind: "" });
  return found;
}

const ROLES = ["viewer", "operator", "admin"];
export const includes = (role, needed) => !needed || ROLES.indexOf(role) >= ROLES.indexOf(needed);
