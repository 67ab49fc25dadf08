import assert from "node:assert/strict";
import { test } from "node:test";
import { agenda, days, frequent, fullness, grid, span } from "../app/model/calendar.js";

const at = (text) => new Date(text).getTime();

test("days begin at local midnight, also where the clock changes", () => {
  const march = days(at("2026-03-28T15:00:00"), 3);
  assert.deepEqual(march.slice(1).map((end, i) => (end - march[i]) / 3600000), [24, 23, 24]);
});

test("runs are in the cell of their local hour, one group a process", () => {
  const start = at("2026-11-23T00:00:00");
  const runs = [
    ...Array.from({ length: 60 }, (_, i) => ({ process: "minutely", time: at("2026-11-24T03:00:00") + i * 60000 })),
    { process: "backup", time: at("2026-11-24T03:30:00") },
    { process: "late", time: at("2026-12-24T03:30:00") },
  ];
  const { days: columns, most } = grid(runs, start, 7);
  assert.equal(columns.length, 7);
  assert.equal(columns[1].total, 61);
  assert.deepEqual(columns[1].hours[3].groups.map((group) => [group.process, group.count]), [["minutely", 60], ["backup", 1]]);
  assert.equal(most, 61);
  assert.equal(columns.reduce((sum, day) => sum + day.total, 0), 61);
});

test("the hour that comes twice holds the runs of both", () => {
  const start = at("2026-10-25T00:00:00");
  const runs = [0, 1, 2, 3].map((hour) => ({ process: "p", time: at("2026-10-24T23:30:00Z") + hour * 3600000 }));
  const [day] = grid(runs, start, 1).days;
  assert.deepEqual(day.hours.map((cell) => cell.total).slice(0, 5), [0, 1, 2, 1, 0]);
});

test("fullness is between 0 and 4", () => {
  assert.deepEqual([fullness(0, 60), fullness(1, 60), fullness(60, 60), fullness(2, 2)], [0, 1, 4, 2]);
  assert.deepEqual([fullness(1, 1), fullness(3600, 3600)], [1, 4]);
});

test("frequent runs are one entry of the list, others one each", () => {
  const start = at("2026-11-24T00:00:00");
  const runs = [
    ...Array.from({ length: 30 }, (_, i) => ({ process: "often", time: start + i * 60000 })),
    { process: "daily", time: start + 90000 },
    { process: "daily", time: start + 86490000 },
  ].reverse();
  assert.deepEqual(
    agenda(runs).map(({ process, count, every }) => [process, count, every]),
    [["often", 30, 60000], ["daily", 1, 0], ["daily", 1, 0]],
  );
  assert.deepEqual(agenda([]), []);
});

test("spans are as people say them", () => {
  assert.deepEqual([span(5000), span(-300000), span(7200000), span(3 * 86400000)], ["5 s", "5 min", "2 h", "3 d"]);
});

test("what runs too often to be drawn is named with its distance, if it has one", () => {
  const runs = [0, 60, 120].flatMap((second) => [{ process: "even", time: second }, { process: "odd", time: second * second }]);
  assert.deepEqual(frequent(runs, ["even", "odd", "gone"]), [
    { process: "even", time: 0, every: 60 },
    { process: "odd", time: 0, every: 0 },
  ]);
});
