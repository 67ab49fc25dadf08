// One open view of the logs: the stream, the lines that wait for the next frame, and the lines that are kept.

import { api } from "../api.js";
import { Intake, LogBuffer } from "../model/log_buffer.js";
import { openStream } from "../sse.js";

const KEPT_LINES = 20_000;
const WAITING_LINES = 5_000;
const WAITING_LINES_PAUSED = 10_000;
const FIRST_LINES = 1_000;
const OLDER_LINES = 1_000;
const LARGEST_LIMIT = 10_000;
/** When more lines than this come in a frame, nobody can read them: they are drawn ten times a second. */
const FLOOD_LINES = 40;
const FLOOD_MS = 100;

export class LogSession {
  /** `onDraw({moved})` is called in a frame, when there is something new; `moved` rows have left at the top. */
  constructor(onDraw) {
    this.onDraw = onDraw;
    this.buffer = new LogBuffer(KEPT_LINES);
    this.intake = new Intake(WAITING_LINES);
    this.paused = false;
    this.state = "connecting";
    this.error = null;
    this.older = "idle"; // "loading", "none": the daemon keeps no older lines, "failed"
    this.counts = [];
    this.lostAt = 0;
  }

  /** Follow other lines. `query` has the parameters of /logs/stream. */
  open(query) {
    this.close();
    this.query = query;
    this.buffer.clear();
    this.intake.take();
    this.older = "idle";
    this.counts = [];
    this.lostAt = 0;
    this.opened = performance.now();
    this.stream = openStream("/logs/stream", {
      query: () => ({ ...query, tail: FIRST_LINES }),
      onEvent: (event) => this.#take(event),
      onState: (state, error) => this.#changed(state, error),
    });
    this.#draw(0);
  }

  close() {
    this.stream?.close();
    this.stream = null;
    clearTimeout(this.timer);
    cancelAnimationFrame(this.frame);
    this.timer = this.frame = 0;
  }

  retry() {
    this.stream?.retry();
  }

  pause(paused) {
    this.paused = paused;
    this.intake.limit = paused ? WAITING_LINES_PAUSED : WAITING_LINES;
    if (!paused) this.#schedule();
    this.#draw(0);
  }

  clear() {
    this.buffer.clear();
    this.intake.take();
    this.#draw(0);
  }

  /** Lines a second, over the last three. */
  get rate() {
    const since = performance.now() - 3000;
    let [lines, first] = [0, 0];
    for (const [time, count] of this.counts) {
      if (time < since) continue;
      first ||= time;
      lines += count;
    }
    const age = (performance.now() - first) / 1000;
    return first ? lines / Math.max(1, Math.min(3, age)) : 0;
  }

  /** Ask for the lines before the first one; returns by how many rows the beginning has grown. */
  async loadOlder() {
    const { oldest } = this.buffer;
    if (this.older === "loading" || this.older === "none" || !oldest) return 0;
    this.older = "loading";
    this.#draw(0);
    const { stream } = this;
    const limit = Math.min(LARGEST_LIMIT, OLDER_LINES + this.buffer.oldestCount);
    try {
      const { logs } = await api.get("/logs", { query: { ...this.query, until: oldest, limit } });
      if (stream !== this.stream) return 0;
      const { added, rows } = this.buffer.prepend(logs.reverse());
      this.older = added ? "idle" : "none";
      return rows;
    } catch (error) {
      if (stream === this.stream) [this.older, this.olderError] = ["failed", error.message];
      return 0;
    }
  }

  #take({ event, data }) {
    if (event === "log") this.intake.add(JSON.parse(data));
    else if (event === "missed") this.intake.add({ gap: JSON.parse(data).count ?? 0 });
    else return;
    this.#schedule();
  }

  #changed(state, error) {
    this.state = state;
    this.error = error ?? null;
    if (state === "waiting" && !this.lostAt) this.lostAt = Date.now();
    if (state === "open" && this.lostAt) {
      const seconds = Math.max(1, Math.round((Date.now() - this.lostAt) / 1000));
      this.intake.add({ gap: 0, note: `Connected again after ${seconds} s` });
      this.lostAt = 0;
      this.#schedule();
    }
    this.#draw(0);
  }

  #schedule() {
    if (this.timer || this.frame) return;
    const next = () => {
      this.timer = 0;
      this.frame = requestAnimationFrame(() => this.#frame());
    };
    if (this.flood) this.timer = setTimeout(next, FLOOD_MS);
    else next();
  }

  #frame() {
    this.frame = 0;
    if (this.paused) return this.#draw(0);
    const items = this.intake.take();
    if (!items.length) return undefined;
    const now = performance.now();
    const passed = this.lastFrame ? Math.max(16, now - this.lastFrame) : 1000;
    this.lastFrame = now;
    this.flood = (items.length * 16) / passed > FLOOD_LINES;
    // The lines of before come at once: they say nothing about how many come in a second.
    if (now - this.opened > 1500) this.counts.push([now, items.reduce((sum, item) => sum + (item.gap ?? 1), 0)]);
    if (this.counts.length > 400) this.counts.splice(0, 100);
    return this.#draw(this.buffer.append(items));
  }

  #draw(moved) {
    this.onDraw({ moved });
  }
}
