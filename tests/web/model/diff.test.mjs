import assert from "node:assert/strict";
import { test } from "node:test";
import { rowsOf, totalsOf } from "../app/model/diff.js";

const DIFF = `--- file
+++ running
@@ -1,4 +1,4 @@ processes.web
 processes:
-  scale: 2
+  scale: 3
   --- not a header
 end
@@ -10 +10,2 @@
-old
+new
+++ added, not a header
\\ No newline at end of file
`;

test("rows have their kind and line numbers; lines that look like headers are lines", () => {
  assert.deepEqual(
    rowsOf(DIFF).map(({ kind, text, old, new: now }) => [kind, text, old, now]),
    [
      ["file", "--- file", undefined, undefined],
      ["file", "+++ running", undefined, undefined],
      ["hunk", "processes.web", undefined, undefined],
      ["same", "processes:", 1, 1],
      ["removed", "  scale: 2", 2, undefined],
      ["added", "  scale: 3", undefined, 2],
      ["same", "  --- not a header", 3, 3],
      ["same", "end", 4, 4],
      ["hunk", "", undefined, undefined],
      ["removed", "old", 10, undefined],
      ["added", "new", undefined, 10],
      ["added", "++ added, not a header", undefined, 11],
      ["hunk", "\\ No newline at end of file", undefined, undefined],
    ],
  );
  assert.deepEqual(totalsOf(rowsOf(DIFF)), { added: 3, removed: 2 });
});

test("what differs inside of a line is marked", () => {
  const [, , , , removed, added] = rowsOf(DIFF);
  assert.deepEqual(removed.parts, [{ text: "  scale: ", differs: false }, { text: "2", differs: true }]);
  assert.deepEqual(added.parts, [{ text: "  scale: ", differs: false }, { text: "3", differs: true }]);
});

test("an empty diff has no rows", () => {
  assert.deepEqual(rowsOf(""), []);
});
