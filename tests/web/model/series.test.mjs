import assert from "node:assert/strict";
import { test } from "node:test";
import { seriesFrom, withLive } from "../app/model/series.js";

const sample = (second, more) => ({ timestamp: new Date(second * 1000).toISOString(), ...more });

test("samples of instances share their columns; the first key that is there counts", () => {
  const data = new Map([
    ["web-0", [sample(100, { cpu_percent: 1 }), sample(110, { tree_cpu_percent: 5, cpu_percent: 1 })]],
    ["web-1", [sample(110.3, { cpu_percent: 2 }), sample(120, { file_descriptors: null })]],
  ]);
  assert.deepEqual(seriesFrom(data, ["web-0", "web-1"], ["tree_cpu_percent", "cpu_percent"]), [
    [100, 110, 120],
    [1, 5, undefined],
    [undefined, 2, null],
  ]);
});

test("a time without samples is a gap", () => {
  const data = new Map([["a", [0, 10, 20, 30, 200, 210].map((second) => sample(second, { threads: second }))]]);
  const [times, values] = seriesFrom(data, ["a"], ["threads"]);
  assert.deepEqual(times, [0, 10, 20, 30, 40, 200, 210]);
  assert.equal(values[4], null);
});

test("live figures come after the history and never before it, whatever the clocks say", () => {
  const series = [[100, 110], [1, 2]];
  assert.deepEqual(withLive(series, 120.2, [3], 105), [[110, 120], [2, 3]]);
  assert.equal(withLive(series, 90, [3], 0), series);
  assert.deepEqual(withLive([[], []], 5, [null], 0), [[5], [null]]);
});

test("an instance without samples, and none at all", () => {
  assert.deepEqual(seriesFrom(new Map(), ["a"], ["threads"]), [[], []]);
  assert.deepEqual(seriesFrom(new Map([["a", [{ timestamp: "never", threads: 1 }]]]), ["a"], ["threads"]), [[], []]);
});
