import assert from "node:assert/strict";
import { test } from "node:test";
import {
  coloured, curlLine, examplesOf, filtered, groupsOf, includes, inner, limits, quoted, requestOf, startValues, typeText,
} from "../docs/model.js";

const api = {
  tags: [{ name: "Processes", description: "" }, { name: "Logs", description: "" }, { name: "Empty", description: "" }],
  components: {
    schemas: {
      Entry: { type: "object", properties: { name: { type: "string" }, state: { $ref: "#/components/schemas/State" } } },
      State: { enum: ["running", "stopped"] },
      Loop: { $ref: "#/components/schemas/Loop" },
    },
  },
  paths: {
    "/api/v1/processes/{name}/scale": {
      post: {
        operationId: "scaleProcess", tags: ["Processes"], summary: "Change the number of instances", "x-required-role": "operator",
        parameters: [
          { name: "name", in: "path", required: true, schema: { type: "string" }, example: "web" },
          { name: "wait", in: "query", required: false, schema: { type: "string" }, example: "30s" },
          { name: "Idempotency-Key", in: "header", required: false, schema: { type: "string" } },
        ],
        responses: { 202: { content: {} } },
      },
    },
    "/api/v1/logs/stream": {
      get: {
        operationId: "streamLogs", tags: ["Logs"], summary: "Lines", parameters: [{ name: "process", in: "query", schema: { type: "array", items: { type: "string" } } }],
        responses: { 200: { content: { "text/event-stream": {} } } },
      },
    },
  },
};
const groups = groupsOf(api);
const [scale] = groups[0].operations;
const [stream] = groups[1].operations;

test("groups in the order of the document, without empty ones", () => {
  assert.deepEqual(groups.map((group) => group.name), ["Processes", "Logs"]);
  assert.equal(filtered(groups, "POST scale")[0].operations[0].id, "scaleProcess");
  assert.deepEqual(filtered(groups, "nothing like it"), []);
  assert.equal(filtered(groups, " ").length, 2);
});

test("types in a few words", () => {
  const schema = { type: "array", items: { $ref: "#/components/schemas/Entry" } };
  assert.equal(typeText(api, schema), "list of Entry");
  assert.equal(typeText(api, { anyOf: [{ type: "integer" }, { type: "null" }] }), "integer or null");
  assert.deepEqual(Object.keys(inner(api, schema).properties), ["name", "state"]);
  assert.equal(limits(api, { $ref: "#/components/schemas/State" }), "`running` `stopped`");
  assert.equal(limits(api, { type: "integer", minimum: 1, maximum: 9, default: 2 }), "1 to 9, default `2`");
  assert.ok(inner(api, { $ref: "#/components/schemas/Loop" }));
});

test("a request from the values of the form", () => {
  assert.deepEqual(startValues(scale), { "path:name": "web" });
  assert.deepEqual(requestOf(scale, {}).missing, ["name"]);
  const given = requestOf(scale, { "path:name": "a/b ü", "query:wait": " 5s ", "header:Idempotency-Key": "k" });
  assert.equal(given.url, "/api/v1/processes/a%2Fb%20%C3%BC/scale?wait=5s");
  assert.deepEqual(given.headers, { "Idempotency-Key": "k" });
  assert.equal(requestOf(stream, { "query:process": "web, queue," }).url, "/api/v1/logs/stream?process=web&process=queue");
});

test("a command that a shell takes, without the token", () => {
  const line = curlLine(scale, requestOf(scale, { "path:name": "web" }), '{\n "scale": 3\n}', "http://localhost:9180", true);
  assert.deepEqual(line.split(" \\\n  "), [
    "curl -X POST", "http://localhost:9180/api/v1/processes/web/scale", '-H "Authorization: Bearer $TOKEN"',
    "-H 'Content-Type: application/json'", `-d '{"scale":3}'`,
  ]);
  assert.equal(quoted("it's"), String.raw`'it'\''s'`);
  assert.equal(quoted("$(rm)"), "'$(rm)'");
  assert.ok(curlLine(stream, requestOf(stream, {}), "", "http://h", false).startsWith("curl -N http://h/api"));
});

test("colours of JSON leave the text as it is", () => {
  const text = '{"a\\"b": [1, -2.5e3, true, null, "c: 1"]}';
  const parts = coloured(text);
  assert.equal(parts.map((part) => part.text).join(""), text);
  assert.deepEqual(parts.filter((part) => part.kind).map((part) => part.kind), ["key", "number", "number", "word", "word", "text"]);
  assert.equal(coloured("").map((part) => part.text).join(""), "");
});

test("examples and roles", () => {
  assert.deepEqual(examplesOf({ example: 1 }), [["Example", 1]]);
  assert.deepEqual(examplesOf({ examples: { a: { value: 1 }, b: { value: 2 } } }).length, 2);
  assert.deepEqual(examplesOf(undefined), []);
  assert.ok(includes("admin", "operator") && includes(undefined, undefined) && !includes("viewer", "admin"));
});
