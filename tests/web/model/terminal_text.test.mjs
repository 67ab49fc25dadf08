import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, harmless, spansOf } from "../app/model/terminal_text.js";

const ESC = "\u001b";

test("colours become classes and the rest of the line is as it was", () => {
  assert.deepEqual(spansOf(`a ${ESC}[1;31mred${ESC}[0m b`), [
    { text: "a ", className: "" },
    { text: "red", className: "a-fg1 a-bold" },
    { text: " b", className: "" },
  ]);
  assert.equal(spansOf(`${ESC}[38;5;196mx`)[0].className, "a-fg9");
  assert.equal(spansOf(`${ESC}[38;2;10;200;10mx`)[0].className, "a-fg2");
  assert.equal(spansOf(`${ESC}[48;5;999mx`)[0].className, "");
  assert.equal(spansOf(`${ESC}[7mx`)[0].className, "a-inverse");
});

test("other escape sequences are left out, unfinished ones too", () => {
  assert.equal(harmless(`${ESC}[2J${ESC}[Hclear`), "clear");
  assert.equal(harmless(`${ESC}]0;title\u0007text`), "text");
  assert.equal(harmless(`${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\`), "link");
  assert.equal(harmless(`end${ESC}`), "end␛");
  assert.equal(harmless(`${ESC}[31`), "31");
});

test("control characters and changes of direction are visible", () => {
  assert.equal(harmless("a\rb\u0000c\u0007\u007f"), "a␍b␀c␇␡");
  assert.equal(harmless("x\u202egnp.exe\u2066"), "x⟨202E⟩gnp.exe⟨2066⟩");
  assert.equal(harmless("line\nline"), "line␊line");
  assert.equal(harmless("naïve שלום 日本 🙂"), "naïve שלום 日本 🙂");
  assert.equal(harmless(undefined), "");
});

test("a long line of unfinished sequences is read once", () => {
  for (const piece of ["\u001b", "\u001b[", "\u001b]0;", "\u001b[38;5;", "\u202e"]) {
    assert.ok(!/[\u001b\u202e]/.test(harmless(piece.repeat(20000))));
  }
});

test("wide characters take two columns, escape sequences none", () => {
  assert.equal(columnsOf("plain"), 5);
  assert.equal(columnsOf("日本"), 4);
  assert.equal(columnsOf("🙂"), 2);
  assert.equal(columnsOf(`${ESC}[31mred${ESC}[0m`), 3);
});
