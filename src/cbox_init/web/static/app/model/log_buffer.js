// The lines of the log view: a ring of the last ones, and the part of them that the filter lets through.

import { columnsOf, harmless, spansOf } from "./terminal_text.js";

/** A line is shown up to this many characters; the whole of it is in its details. */
export const SHOWN_CHARACTERS = 4000;

const RANKS = { debug: 0, info: 1, warn: 2, error: 3 };

/**
 * Lines wait here until the next frame. What would be more than `limit` in one frame is dropped, oldest first,
 * and counted in a gap.
 */
export class Intake {
  constructor(limit = 5000) {
    this.limit = limit;
    this.waiting = [];
    this.dropped = 0;
    this.gaps = 0;
  }

  /** How many lines are known to be missing among what waits. */
  get missed() {
    return this.dropped + this.gaps;
  }

  /** Add a log entry or a gap (`{gap: count}`; 0 when the number is not known, with `note` something else to say). */
  add(item) {
    this.waiting.push(item);
    this.gaps += item.gap ?? 0;
    if (this.waiting.length > 2 * this.limit) this.#shed();
  }

  get size() {
    return this.waiting.length;
  }

  /** All that waits, at most `limit` items behind a gap for what was dropped. */
  take() {
    this.#shed();
    const items = this.waiting;
    if (this.dropped) items.unshift({ gap: this.dropped });
    this.waiting = [];
    this.dropped = this.gaps = 0;
    return items;
  }

  #shed() {
    const excess = this.waiting.length - this.limit;
    if (excess <= 0) return;
    for (let i = 0; i < excess; i++) {
      this.dropped += this.waiting[i].gap ?? 1;
      this.gaps -= this.waiting[i].gap ?? 0;
    }
    this.waiting = this.waiting.slice(excess);
  }
}

/** An array that grows at its end and loses its oldest items, in constant time on average. */
export class Ring {
  constructor(capacity = Infinity) {
    this.capacity = capacity;
    this.items = [];
    this.head = 0;
  }

  get length() {
    return this.items.length - this.head;
  }

  at(index) {
    return this.items[this.head + index];
  }

  get last() {
    return this.length ? this.items[this.items.length - 1] : undefined;
  }

  push(item) {
    this.items.push(item);
  }

  shift() {
    const item = this.items[this.head];
    this.items[this.head++] = undefined;
    if (this.head > 1024 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  unshift(items) {
    this.items = [...items, ...this.items.slice(this.head)];
    this.head = 0;
  }

  slice(from, upto) {
    return this.items.slice(this.head + from, this.head + upto);
  }

  clear() {
    this.items = [];
    this.head = 0;
  }

  *[Symbol.iterator]() {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i];
  }
}

/** What the reader wants to see. An empty `processes` or `instances` is all of them. */
export class LineFilter {
  constructor({ processes = [], instances = [], level = "debug", stream = "", text = "", only = false } = {}) {
    this.processes = new Set(processes);
    this.instances = new Set(instances);
    this.rank = RANKS[level] ?? 0;
    this.stream = stream;
    this.text = text.toLowerCase();
    this.only = only && this.text !== "";
  }

  takes(item) {
    if (item.gap !== undefined) return true;
    if (this.processes.size && !this.processes.has(item.process)) return false;
    if (this.instances.size && !this.instances.has(item.instance)) return false;
    if ((RANKS[item.level] ?? 1) < this.rank) return false;
    if (this.stream && item.stream !== this.stream) return false;
    return !this.only || this.finds(item);
  }

  /** Whether the searched text is in this line. */
  finds(item) {
    if (this.text === "" || item.gap !== undefined) return false;
    item.searched ??= harmless(item.message).toLowerCase();
    return item.searched.includes(this.text);
  }
}

/**
 * The last `capacity` lines and those of them that the filter takes, with the row at which each begins, so that
 * a list of fixed rows can show any part of them. Items get a `seq` that stays.
 */
export class LogBuffer {
  constructor(capacity = 20000) {
    this.capacity = capacity;
    this.all = new Ring();
    this.shown = new Ring();
    this.starts = new Ring(); // first row of each shown line, counted from the first line ever shown
    this.rows = 0;
    this.columns = 0; // 0: lines are not wrapped
    this.filter = new LineFilter();
    this.next = 0;
    this.first = -1;
    this.evicted = 0;
    this.received = 0;
    this.missed = 0;
    this.unknownMissed = false;
    this.matches = 0;
  }

  /** Rows above the first line that is still there. */
  get base() {
    return this.starts.length ? this.starts.at(0) : this.rows;
  }

  /** How many rows the shown lines take. */
  get height() {
    return this.rows - this.base;
  }

  /** Append items; returns by how many rows the beginning has moved, because the oldest lines made room. */
  append(items) {
    const before = this.base;
    for (const item of items) {
      if (item.gap !== undefined) {
        if (item.gap) this.missed += item.gap;
        else if (!item.note) this.unknownMissed = true;
        const last = this.all.last;
        if (last?.gap !== undefined && !!last.gap === !!item.gap && !last.note && !item.note) {
          last.gap += item.gap;
          continue;
        }
      } else this.received++;
      item.seq = this.next++;
      this.all.push(item);
      this.#show(item);
    }
    while (this.all.length > this.capacity) this.#evict();
    return this.base - before;
  }

  /**
   * Put older lines, the oldest first, before the first; returns how many lines and rows they are. Lines of one read have
   * the same time, so some of those that are here already may come again: each of these is left out once.
   */
  prepend(items) {
    const { oldest } = this;
    const known = new Map();
    for (const item of this.all) {
      if (item.gap !== undefined || item.timestamp > oldest) continue;
      const key = keyOf(item);
      known.set(key, (known.get(key) ?? 0) + 1);
    }
    const fresh = [];
    for (let i = items.length - 1; i >= 0; i--) {
      const key = keyOf(items[i]);
      const left = known.get(key);
      if (left) known.set(key, left - 1);
      else fresh.push(items[i]);
    }
    for (const item of fresh) item.seq = this.first--;
    fresh.reverse();
    this.capacity = Math.max(this.capacity, this.all.length + fresh.length);
    const before = this.height;
    this.all.unshift(fresh);
    this.rebuild();
    return { added: fresh.length, rows: this.height - before };
  }

  /** Use another filter, or wrap at another width. */
  show({ filter = this.filter, columns = this.columns } = {}) {
    this.filter = filter;
    this.columns = columns;
    this.rebuild();
  }

  rebuild() {
    this.shown.clear();
    this.starts.clear();
    this.rows = 0;
    this.matches = 0;
    for (const item of this.all) this.#show(item);
  }

  clear() {
    this.all.clear();
    this.rebuild();
    this.evicted = this.received = this.missed = 0;
    this.unknownMissed = false;
  }

  /** The shown lines from row `from` on, enough for `count` rows: `{item, row}` with rows from the first shown one. */
  window(from, count) {
    const lines = [];
    let index = this.#indexAt(this.base + Math.max(0, from));
    for (; index < this.shown.length; index++) {
      const row = this.starts.at(index) - this.base;
      if (row >= from + count) break;
      lines.push({ item: this.shown.at(index), row, rows: this.#rowsAt(index) });
    }
    return lines;
  }

  /** The row of the next line with the searched text after (`step` 1) or before (-1) row `from`, or -1. */
  find(from, step) {
    if (!this.shown.length) return -1;
    const start = this.#indexAt(this.base + Math.max(0, from));
    for (let n = 1; n <= this.shown.length; n++) {
      const index = (((start + step * n) % this.shown.length) + this.shown.length) % this.shown.length;
      if (this.filter.finds(this.shown.at(index))) return this.starts.at(index) - this.base;
    }
    return -1;
  }

  /** The time of the oldest line, to ask the server for what was before it. */
  get oldest() {
    for (const item of this.all) if (item.gap === undefined) return item.timestamp;
    return undefined;
  }

  /** How many lines are of that time, or of before. */
  get oldestCount() {
    const { oldest } = this;
    let count = 0;
    for (const item of this.all) if (item.gap === undefined && item.timestamp <= oldest) count++;
    return count;
  }

  #show(item) {
    if (!this.filter.takes(item)) return;
    if (this.filter.finds(item)) this.matches++;
    this.shown.push(item);
    this.starts.push(this.rows);
    this.rows += this.#rowsOf(item);
  }

  #evict() {
    const item = this.all.shift();
    this.evicted++;
    if (this.shown.length && this.shown.at(0) === item) {
      if (this.filter.finds(item)) this.matches--;
      this.shown.shift();
      this.starts.shift();
    }
  }

  #rowsOf(item) {
    if (!this.columns || item.gap !== undefined) return 1;
    const text = item.message.length > SHOWN_CHARACTERS ? item.message.slice(0, SHOWN_CHARACTERS) : item.message;
    return Math.max(1, Math.ceil(columnsOf(text) / this.columns));
  }

  #rowsAt(index) {
    const end = index + 1 < this.starts.length ? this.starts.at(index + 1) : this.rows;
    return end - this.starts.at(index);
  }

  #indexAt(row) {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.starts.at(middle) <= row) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function keyOf(item) {
  return `${item.timestamp}\n${item.instance}\n${item.message}`;
}

/** The pieces of a text around each occurrence of `needle` (lower case): `{text, hit}`. */
export function highlight(text, needle) {
  if (!needle) return [{ text, hit: false }];
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return [{ text, hit: lower.includes(needle) }]; // such as İ, which grows
  const parts = [];
  let from = 0;
  for (let at = lower.indexOf(needle); at !== -1 && parts.length < 200; at = lower.indexOf(needle, from)) {
    if (at > from) parts.push({ text: text.slice(from, at), hit: false });
    parts.push({ text: text.slice(at, at + needle.length), hit: true });
    from = at + needle.length;
  }
  if (from < text.length) parts.push({ text: text.slice(from), hit: false });
  return parts;
}

/** The pieces of a line as they are drawn: `{text, className, hit}`, its colours and what the search has found. */
export function piecesOf(message, needle) {
  const spans = spansOf(message);
  if (!needle) return spans;
  const parts = highlight(spans.map(({ text }) => text).join(""), needle);
  const pieces = [];
  let [index, used] = [0, 0];
  for (const { text, hit } of parts) {
    for (let left = text.length; left > 0; ) {
      const span = spans[index];
      const length = Math.min(left, span.text.length - used);
      pieces.push({ text: span.text.slice(used, used + length), className: span.className, hit });
      left -= length;
      used += length;
      if (used === span.text.length) [index, used] = [index + 1, 0];
    }
  }
  return pieces;
}

/** A function that gives each of `names` a colour, the first eight different ones, and others always the same. */
export function coloursOf(names) {
  const places = new Map(names.map((name, index) => [name, index % 8]));
  return (name) => places.get(name) ?? colourOf(name);
}

/** One of `count` colours for a name, always the same one. */
export function colourOf(name, count = 8) {
  let hash = 2166136261;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
  return (hash >>> 0) % count;
}
