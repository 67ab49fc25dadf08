import assert from "node:assert/strict";
import { test } from "node:test";
import { yamlOf } from "../app/model/yaml_text.js";

test("mappings, lists and scalars", () => {
  const config = {
    global: { api_enabled: true, shutdown_timeout: 10, log_format: "text" },
    processes: {
      web: { command: ["sh", "-c", "echo a; sleep 1"], env: { A: "1", B: "yes" }, depends_on: ["db"], checks: [{ type: "http", url: "http://x" }, {}] },
      empty: {},
    },
  };
  assert.equal(
    yamlOf(config),
    `global:
  api_enabled: true
  shutdown_timeout: 10
  log_format: text
processes:
  web:
    command: [sh, -c, echo a; sleep 1]
    env:
      A: "1"
      B: "yes"
    depends_on: [db]
    checks:
      - type: http
        url: "http://x"
      - {}
  empty: {}
`,
  );
});

test("texts that YAML would read as something else are quoted", () => {
  for (const text of ["", "true", "No", "12", "1.5e3", "~", "a: b", "a #b", "- a", "*x", "***", "&x", "! x", "@x", "%x", " a", "a ", "a\nb", "\u0007", "{a}", "[a]", "'a", "2001-01-01", "0x10", "=", "<<", "..."]) {
    assert.equal(yamlOf({ key: text }), `key: ${JSON.stringify(text)}\n`, text);
  }
  for (const text of ["echo a", "/bin/sh", "${HOME}/x", "web-0", "ünïcode", "a,b", "a'b"]) {
    assert.equal(yamlOf({ key: text }), `key: ${text}\n`);
  }
});

test("long lists have a line for each item", () => {
  assert.match(yamlOf({ command: Array(20).fill("argument") }), /^command:\n {2}- argument\n/);
});
