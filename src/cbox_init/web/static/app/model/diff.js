// A unified diff as rows to draw, with what differs inside of a changed line.

/**
 * The rows of a unified diff: `{kind, text, old, new, parts}` with kind "file", "hunk", "same", "removed" or "added"
 * and line numbers; the text of a hunk is what stands behind its numbers. `parts` are `{text, differs}` where a removed line stands against an added one.
 */
export function rowsOf(diff) {
  const rows = [];
  let old = 0;
  let now = 0;
  let left = [0, 0];
  const lines = diff.endsWith("\n") ? diff.slice(0, -1).split("\n") : diff.split("\n");
  for (const line of diff ? lines : []) {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)/.exec(line);
    if (hunk) {
      [old, now] = [Number(hunk[1]), Number(hunk[3])];
      left = [Number(hunk[2] ?? 1), Number(hunk[4] ?? 1)];
      rows.push({ kind: "hunk", text: hunk[5] });
    } else if (line[0] === "-" && left[0] > 0) {
      left[0]--;
      rows.push({ kind: "removed", text: line.slice(1), old: old++ });
    } else if (line[0] === "+" && left[1] > 0) {
      left[1]--;
      rows.push({ kind: "added", text: line.slice(1), new: now++ });
    } else if (left[0] > 0 && left[1] > 0 && line[0] !== "\\") {
      left[0]--;
      left[1]--;
      rows.push({ kind: "same", text: line.slice(1), old: old++, new: now++ });
    } else rows.push({ kind: line[0] === "\\" ? "hunk" : "file", text: line });
  }
  for (let i = 0; i < rows.length; i++) {
    if (rows[i].kind !== "removed") continue;
    let middle = i;
    while (rows[middle]?.kind === "removed") middle++;
    let end = middle;
    while (rows[end]?.kind === "added") end++;
    if (end - middle === middle - i) {
      for (let n = 0; n < middle - i; n++) {
        [rows[i + n].parts, rows[middle + n].parts] = compare(rows[i + n].text, rows[middle + n].text);
      }
    }
    i = end - 1;
  }
  return rows;
}

/** How many lines a diff adds and removes. */
export function totalsOf(rows) {
  return {
    added: rows.filter((row) => row.kind === "added").length,
    removed: rows.filter((row) => row.kind === "removed").length,
  };
}

function compare(one, other) {
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start++;
  let end = 0;
  const most = Math.min(one.length, other.length) - start;
  while (end < most && one[one.length - 1 - end] === other[other.length - 1 - end]) end++;
  if (start + end < Math.min(one.length, other.length) / 4) return [undefined, undefined]; // two different lines
  return [one, other].map((text) =>
    [
      { text: text.slice(0, start), differs: false },
      { text: text.slice(start, text.length - end), differs: true },
      { text: text.slice(text.length - end), differs: false },
    ].filter((part) => part.text),
  );
}
