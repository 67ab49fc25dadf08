import assert from "node:assert/strict";
import { test } from "node:test";
import { layout, pathOf } from "../app/model/graph_layout.js";

const process = (name, ...dependsOn) => ({ name, dependsOn });

function overlaps({ nodes, nodeWidth, nodeHeight }) {
  return nodes.some((a, i) =>
    nodes.slice(i + 1).some((b) => Math.abs(a.x - b.x) < nodeWidth && Math.abs(a.y - b.y) < nodeHeight),
  );
}

test("a dependency stands left of what waits for it", () => {
  const result = layout([process("web", "db", "cache"), process("db", "init"), process("cache"), process("init")]);
  const at = Object.fromEntries(result.nodes.map((node) => [node.name, node]));
  assert.deepEqual([at.init.layer, at.cache.layer, at.db.layer, at.web.layer], [0, 0, 1, 2]);
  for (const { from, to } of result.edges) assert.ok(at[from].x + result.nodeWidth < at[to].x);
  assert.ok(!overlaps(result));
});

test("unknown names are nodes that say so; circles and a process that names itself do not matter", () => {
  const result = layout([process("a", "b", "ghost"), process("b", "a"), process("c", "c", "a", "a")]);
  assert.deepEqual(result.nodes.filter((node) => node.unknown).map(({ name }) => name), ["ghost"]);
  assert.equal(result.edges.length, 4);
  assert.ok(!overlaps(result));
});

test("names of properties of objects are names", () => {
  const result = layout([process("__proto__", "constructor"), process("constructor"), process("toString")]);
  assert.equal(result.nodes.length, 3);
});

test("two hundred processes stay in a readable shape, no node on another", () => {
  const wide = [process("db"), ...Array.from({ length: 199 }, (_, i) => process(`worker-${i}`, "db"))];
  const result = layout(wide);
  assert.ok(!overlaps(result));
  assert.ok(result.height < 1200 && result.width < 4000);
  const chain = Array.from({ length: 200 }, (_, i) => process(`p${i}`, ...(i ? [`p${i - 1}`] : [])));
  assert.equal(new Set(layout(chain).nodes.map(({ layer }) => layer)).size, 200);
  const alone = layout(Array.from({ length: 200 }, (_, i) => process(`p${i}`)));
  assert.ok(!overlaps(alone) && alone.width < 3000 && alone.aloneTop === null);
});

test("no process at all", () => {
  assert.deepEqual(layout([]).nodes, []);
});

test("the order of a layer avoids crossings", () => {
  const result = layout([process("a"), process("b"), process("c"), process("x", "c"), process("y", "b"), process("z", "a")]);
  const y = Object.fromEntries(result.nodes.map((node) => [node.name, node.y]));
  const order = (names) => [...names].sort((one, other) => y[one] - y[other]).join("");
  assert.equal(order("abc"), order("zyx").replace("z", "a").replace("y", "b").replace("x", "c"));
});

test("the path of a process is all before it and all after it", () => {
  const { edges } = layout([process("a"), process("b", "a"), process("c", "b"), process("d", "b"), process("e")]);
  const { before, after } = pathOf("b", edges);
  assert.deepEqual([[...before], [...after].sort()], [["a"], ["c", "d"]]);
});
