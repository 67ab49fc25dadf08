import assert from "node:assert/strict";
import { test } from "node:test";
import { colourOf, coloursOf, highlight, Intake, LineFilter, LogBuffer, piecesOf } from "../app/model/log_buffer.js";

const line = (number, more = {}) => ({
  timestamp: `2026-01-01T00:00:00.${String(number).padStart(9, "0")}Z`,
  process: "web",
  instance: "web-0",
  level: "info",
  stream: "stdout",
  message: `line ${number}`,
  ...more,
});
const lines = (count, from = 0) => Array.from({ length: count }, (_, index) => line(from + index));
const texts = (buffer) => buffer.window(0, 1e9).map(({ item }) => item.message ?? `gap ${item.gap}`);

test("ten thousand lines between two frames: the newest stay, the others are counted", () => {
  const intake = new Intake(1000);
  lines(10000).forEach((item) => intake.add(item));
  assert.ok(intake.size <= 2000);
  const items = intake.take();
  assert.equal(items.length, 1001);
  assert.equal(items[0].gap, 9000);
  assert.equal(items.at(-1).message, "line 9999");
  assert.deepEqual(intake.take(), []);
});

test("what the server has dropped is counted with what is dropped here", () => {
  const intake = new Intake(2);
  intake.add({ gap: 5 });
  assert.equal(intake.missed, 5);
  lines(3).forEach((item) => intake.add(item));
  intake.add({ gap: 2 });
  assert.equal(intake.missed, 9);
  assert.deepEqual([intake.take()[0].gap, intake.missed], [7, 0]);
});

test("the ring keeps the last lines and says by how many rows the beginning moved", () => {
  const buffer = new LogBuffer(100);
  assert.equal(buffer.append(lines(100)), 0);
  assert.equal(buffer.append(lines(30, 100)), 30);
  assert.equal(buffer.height, 100);
  assert.equal(buffer.evicted, 30);
  assert.equal(texts(buffer)[0], "line 30");
  for (let i = 0; i < 50; i++) buffer.append(lines(100, 130 + i * 100));
  assert.equal(buffer.window(0, 1)[0].item.message, "line 5030");
  assert.equal(buffer.window(99, 1)[0].item.message, "line 5129");
});

test("a window has the lines of its rows, also of wrapped lines", () => {
  const buffer = new LogBuffer();
  buffer.append([line(1), line(2, { message: "x".repeat(25) }), line(3)]);
  buffer.show({ columns: 10 });
  assert.equal(buffer.height, 5);
  assert.deepEqual(
    buffer.window(2, 1).map(({ item, row, rows }) => [item.timestamp.slice(-3, -1), row, rows]),
    [["02", 1, 3]],
  );
  assert.deepEqual(buffer.window(3, 2).map(({ row }) => row), [1, 4]);
  buffer.show({ columns: 0 });
  assert.equal(buffer.height, 3);
});

test("evicting with a filter and wrapped lines keeps rows and matches right", () => {
  const buffer = new LogBuffer(50);
  buffer.show({ filter: new LineFilter({ text: "odd" }), columns: 8 });
  for (let i = 0; i < 500; i++) buffer.append([line(i, { message: i % 2 ? `odd ${i} ${"y".repeat(i % 30)}` : "even" })]);
  const [height, matches] = [buffer.height, buffer.matches];
  assert.equal(matches, 25);
  buffer.rebuild();
  assert.deepEqual([buffer.height, buffer.matches], [height, matches]);
});

test("the filter: processes, instances, level, stream, text", () => {
  const items = [
    line(1),
    line(2, { process: "db", instance: "db-0", level: "error", stream: "stderr" }),
    line(3, { instance: "web-1", message: "An ERROR" }),
  ];
  const taken = (options) => items.filter((item) => new LineFilter(options).takes(item)).map((item) => items.indexOf(item));
  assert.deepEqual(taken({}), [0, 1, 2]);
  assert.deepEqual(taken({ processes: ["db"] }), [1]);
  assert.deepEqual(taken({ instances: ["web-1"] }), [2]);
  assert.deepEqual(taken({ level: "warn" }), [1]);
  assert.deepEqual(taken({ stream: "stderr" }), [1]);
  assert.deepEqual(taken({ text: "error", only: true }), [2]);
  assert.deepEqual(taken({ text: "error" }), [0, 1, 2]);
});

test("gaps are shown with every filter, and gaps in a row are one", () => {
  const buffer = new LogBuffer();
  buffer.append([line(1), { gap: 3 }, { gap: 4 }, { gap: 0 }, line(2, { process: "db" })]);
  assert.deepEqual(texts(buffer), ["line 1", "gap 7", "gap 0", "line 2"]);
  buffer.show({ filter: new LineFilter({ processes: ["db"] }) });
  assert.deepEqual(texts(buffer), ["gap 7", "gap 0", "line 2"]);
  assert.deepEqual([buffer.missed, buffer.unknownMissed], [7, true]);
});

test("older lines come before the first, once", () => {
  const buffer = new LogBuffer(10);
  buffer.append(lines(10, 100));
  assert.equal(buffer.oldest, line(100).timestamp);
  assert.deepEqual(buffer.prepend(lines(6, 95)), { added: 5, rows: 5 });
  assert.equal(texts(buffer)[0], "line 95");
  assert.equal(new Set(buffer.window(0, 99).map(({ item }) => item.seq)).size, 15);
});

test("lines of one read have one time; equal lines are kept as often as they were written", () => {
  const timestamp = line(1).timestamp;
  const equal = (count) => Array.from({ length: count }, () => line(1, { timestamp, message: "again" }));
  const buffer = new LogBuffer();
  buffer.append([...equal(3), line(9)]);
  assert.equal(buffer.oldestCount, 3);
  assert.deepEqual(buffer.prepend([line(0), ...equal(5)]), { added: 3, rows: 3 });
  assert.deepEqual(texts(buffer), ["line 0", "again", "again", "again", "again", "again", "line 9"]);
  assert.deepEqual(buffer.prepend([line(0)]), { added: 0, rows: 0 });
});

test("find goes from match to match and begins again at the end", () => {
  const buffer = new LogBuffer();
  buffer.append(lines(30));
  buffer.show({ filter: new LineFilter({ text: "line 2" }) });
  assert.equal(buffer.find(2, 1), 20);
  assert.equal(buffer.find(2, -1), 29);
  assert.equal(buffer.find(29, 1), 2);
  buffer.show({ filter: new LineFilter({ text: "none" }) });
  assert.equal(buffer.find(0, 1), -1);
  assert.equal(new LogBuffer().find(0, 1), -1);
});

test("highlight marks every occurrence, whatever its case, and is not confused by special characters", () => {
  assert.deepEqual(
    highlight("Foo(foo", "foo").map(({ text, hit }) => [text, hit]),
    [["Foo", true], ["(", false], ["foo", true]],
  );
  assert.equal(highlight("<img onerror>", "onerror")[1].text, "onerror");
  assert.equal(highlight("İİİ x", "x").map(({ text }) => text).join(""), "İİİ x");
  assert.equal(highlight("a".repeat(100000), "a").map(({ text }) => text).join("").length, 100000);
});

test("a name has always the same colour", () => {
  assert.equal(colourOf("web"), colourOf("web"));
  const colours = coloursOf(["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
  assert.deepEqual([..."abcdefghi"].map(colours), [0, 1, 2, 3, 4, 5, 6, 7, 0]);
  assert.equal(colours("web"), colourOf("web"));
  assert.ok(new Set(Array.from({ length: 40 }, (_, index) => colourOf(`p${index}`))).size === 8);
});

test("what is searched is found across colours, and colours stay", () => {
  const message = "an \u001b[31mer\u001b[1mror\u001b[0m here";
  assert.ok(new LineFilter({ text: "error" }).finds(line(1, { message })));
  assert.deepEqual(
    piecesOf(message, "error").map(({ text, className, hit }) => [text, className, hit]),
    [
      ["an ", "", false],
      ["er", "a-fg1", true],
      ["ror", "a-fg1 a-bold", true],
      [" here", "", false],
    ],
  );
});

test("a note is a gap that stands alone and counts nothing", () => {
  const buffer = new LogBuffer();
  buffer.append([{ gap: 2 }, { gap: 0, note: "connected again" }, { gap: 0, note: "connected again" }]);
  assert.equal(buffer.height, 3);
  assert.deepEqual([buffer.missed, buffer.unknownMissed], [2, false]);
});
